package tokenauthority

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"iter"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/protobuf/proto"
)

// Created is the answer to Create and RotateKey.
type Created struct {
	Token *tokenv1.Token
	// Key is shown this once.
	Key Key
	// Revision is the number of this change in the journal.
	Revision int64
	// AcknowledgedCount, Silent and Unconfirmed tell what became of those that decide from memory, when RotateKey ended
	// a key: see [tokenv1.RevokeResponse].
	AcknowledgedCount int32
	Silent            []*tokenv1.Holder
	Unconfirmed       []*tokenv1.Holder
}

// Create issues a token and its key.
//
// A request without a request_id is sent with one of our own, which is kept over all retries: however often it is sent,
// one token comes of it. An authority without a sealing secret refuses that (FailedPrecondition,
// SEALING_SECRET_MISSING): see [WithoutRequestIDs].
func (c *Client) Create(ctx context.Context, request *tokenv1.CreateRequest) (*Created, error) {
	if request.GetRequestId() == "" && !c.settings.withoutRequestIDs {
		request = clone(request)
		request.RequestId = newUUID()
	}
	sending := sending(request.GetRequestId() != "")
	response, err := invoke(ctx, "Create", c.settings.timeout, sending, c.service.Create, request)
	if err != nil {
		return nil, err
	}
	return &Created{Token: response.GetToken(), Key: newKey(response.GetKey()), Revision: response.GetRevision()}, nil
}

// Get returns a token by its id, whatever its state.
func (c *Client) Get(ctx context.Context, id string) (*tokenv1.Token, error) {
	request := &tokenv1.GetRequest{Id: id}
	response, err := invoke(ctx, "Get", c.settings.timeout, again, c.service.Get, request)
	return response.GetToken(), err
}

// List returns one page of tokens, newest first.
func (c *Client) List(ctx context.Context, request *tokenv1.ListRequest) (*tokenv1.ListResponse, error) {
	return invoke(ctx, "List", c.settings.timeout, again, c.service.List, request)
}

// Tokens returns the tokens of all pages from that of the request on. An error ends it.
func (c *Client) Tokens(ctx context.Context, request *tokenv1.ListRequest) iter.Seq2[*tokenv1.Token, error] {
	return items(request.GetPageToken(), func(pageToken string) ([]*tokenv1.Token, string, error) {
		request := clone(request)
		request.PageToken = pageToken
		page, err := c.List(ctx, request)
		return page.GetTokens(), page.GetNextPageToken(), err
	})
}

// Revoke ends a token for good. The reason may be empty.
//
// No Authenticate that starts after the answer accepts the key, but at nodes that the answer names as Unconfirmed: the
// authority's operator lets them go on from memory, each until its UntilTime.
func (c *Client) Revoke(ctx context.Context, id, reason string) (*tokenv1.RevokeResponse, error) {
	request := &tokenv1.RevokeRequest{Id: id, Reason: reason}
	return invoke(ctx, "Revoke", c.settings.timeout, again, c.service.Revoke, request)
}

// RotateKey gives a token a new key, and lets the old one live on for the overlap.
//
// As in Create, a request without a request_id is sent with one of our own.
func (c *Client) RotateKey(ctx context.Context, request *tokenv1.RotateKeyRequest) (*Created, error) {
	if request.GetRequestId() == "" && !c.settings.withoutRequestIDs {
		request = clone(request)
		request.RequestId = newUUID()
	}
	sending := sending(request.GetRequestId() != "")
	response, err := invoke(ctx, "RotateKey", c.settings.timeout, sending, c.service.RotateKey, request)
	if err != nil {
		return nil, err
	}
	return &Created{
		Token: response.GetToken(), Key: newKey(response.GetKey()), Revision: response.GetRevision(),
		AcknowledgedCount: response.GetAcknowledgedCount(),
		Silent:            response.GetSilent(), Unconfirmed: response.GetUnconfirmed(),
	}, nil
}

// EndRotation ends the old key now or at another time, or takes the rotation back.
func (c *Client) EndRotation(
	ctx context.Context, request *tokenv1.EndRotationRequest,
) (*tokenv1.EndRotationResponse, error) {
	return invoke(ctx, "EndRotation", c.settings.timeout, again, c.service.EndRotation, request)
}

// SetHold holds a token or an account, or lifts the hold again.
func (c *Client) SetHold(ctx context.Context, request *tokenv1.SetHoldRequest) (*tokenv1.SetHoldResponse, error) {
	return invoke(ctx, "SetHold", c.settings.timeout, again, c.service.SetHold, request)
}

// CloseAccount ends an account for good. The reason may be empty.
func (c *Client) CloseAccount(ctx context.Context, account, reason string) (*tokenv1.CloseAccountResponse, error) {
	request := &tokenv1.CloseAccountRequest{Account: account, Reason: reason}
	return invoke(ctx, "CloseAccount", c.settings.timeout, again, c.service.CloseAccount, request)
}

// RevokeTokens ends the tokens that match a filter: first a dry run, then with Force and its UpToRevision again and
// again, until it is done. What looks at many tokens takes a while: see [WithTimeout].
func (c *Client) RevokeTokens(
	ctx context.Context, request *tokenv1.RevokeTokensRequest,
) (*tokenv1.RevokeTokensResponse, error) {
	return invoke(ctx, "RevokeTokens", c.settings.timeout, again, c.service.RevokeTokens, request)
}

// FindByDigest returns the token whose key has this digest, whatever its state: see [Digest].
func (c *Client) FindByDigest(ctx context.Context, digest [sha256.Size]byte) (*tokenv1.Token, error) {
	request := &tokenv1.FindByDigestRequest{Digest: digest[:]}
	response, err := invoke(ctx, "FindByDigest", c.settings.timeout, again, c.service.FindByDigest, request)
	return response.GetToken(), err
}

// ListChanges returns one page of the journal, newest first or oldest first.
func (c *Client) ListChanges(
	ctx context.Context, request *tokenv1.ListChangesRequest,
) (*tokenv1.ListChangesResponse, error) {
	return invoke(ctx, "ListChanges", c.settings.timeout, again, c.service.ListChanges, request)
}

// Changes returns the changes of all pages from that of the request on. An error ends it.
func (c *Client) Changes(ctx context.Context, request *tokenv1.ListChangesRequest) iter.Seq2[*tokenv1.Change, error] {
	return items(request.GetPageToken(), func(pageToken string) ([]*tokenv1.Change, string, error) {
		request := clone(request)
		request.PageToken = pageToken
		page, err := c.ListChanges(ctx, request)
		return page.GetChanges(), page.GetNextPageToken(), err
	})
}

// ListAccounts returns one page of the accounts that own tokens.
func (c *Client) ListAccounts(
	ctx context.Context, request *tokenv1.ListAccountsRequest,
) (*tokenv1.ListAccountsResponse, error) {
	return invoke(ctx, "ListAccounts", c.settings.timeout, again, c.service.ListAccounts, request)
}

// Accounts returns the accounts of all pages from that of the request on. An error ends it.
func (c *Client) Accounts(ctx context.Context, request *tokenv1.ListAccountsRequest) iter.Seq2[*tokenv1.Account, error] {
	return items(request.GetPageToken(), func(pageToken string) ([]*tokenv1.Account, string, error) {
		request := clone(request)
		request.PageToken = pageToken
		page, err := c.ListAccounts(ctx, request)
		return page.GetAccounts(), page.GetNextPageToken(), err
	})
}

// items walks pages until one has no next: a page may be empty and still have one.
func items[Item any](pageToken string, fetch func(pageToken string) ([]Item, string, error)) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for pageToken := pageToken; ; {
			page, next, err := fetch(pageToken)
			if err != nil {
				var none Item
				yield(none, err)
				return
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			pageToken = next
		}
	}
}

// clone leaves the caller's request as it is. None is an empty one, as it is on the wire.
func clone[Message any, Pointer interface {
	*Message
	proto.Message
}](request Pointer) Pointer {
	if request == nil {
		return new(Message)
	}
	return proto.CloneOf(request)
}

// newUUID makes a random one (RFC 9562 section 5.4).
func newUUID() string {
	var bytes [16]byte
	rand.Read(bytes[:]) // Never fails: see its documentation.
	bytes[6] = bytes[6]&0x0f | 0x40
	bytes[8] = bytes[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", bytes[:4], bytes[4:6], bytes[6:8], bytes[8:10], bytes[10:])
}
