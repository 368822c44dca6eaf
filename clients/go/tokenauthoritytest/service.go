package tokenauthoritytest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	permissionPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}:(read|write)$`)
	keyPattern        = regexp.MustCompile(`^(sk|pk|rk)_(live|test)_[0-9A-Za-z]{38}$`)
	accountPattern    = regexp.MustCompile(`^[!-~]{1,255}$`)
	prefixes          = map[tokenv1.TokenType]string{
		tokenv1.TokenType_TOKEN_TYPE_SECRET:      "sk",
		tokenv1.TokenType_TOKEN_TYPE_PUBLISHABLE: "pk",
		tokenv1.TokenType_TOKEN_TYPE_RESTRICTED:  "rk",
	}
)

type kept struct {
	token    *tokenv1.Token
	digest   [sha256.Size]byte
	key      string
	revision int64
	request  *tokenv1.CreateRequest
}

// service is the contract in memory, as far as Fake says. intercept holds the mutex for every call.
type service struct {
	tokenv1.UnimplementedTokenServiceServer
	mutex   sync.Mutex
	isDown  bool
	now     func() time.Time
	tokens  []*kept
	changes []*tokenv1.Change
}

func newService() *service {
	return &service{now: time.Now}
}

func (s *service) Create(_ context.Context, request *tokenv1.CreateRequest) (*tokenv1.CreateResponse, error) {
	if err := s.checkCreate(request); err != nil {
		return nil, err
	}
	made := s.find(func(k *kept) bool {
		return request.GetRequestId() != "" && k.request.GetRequestId() == request.GetRequestId()
	})
	if made == nil {
		made = s.issue(request)
	} else if !proto.Equal(made.request, request) {
		return nil, refused(codes.AlreadyExists, "REQUEST_ID_REUSED", "request_id", "was used with another body")
	}
	response := &tokenv1.CreateResponse{Token: s.shown(made), Key: made.key, Revision: made.revision}
	if response.Token.State == tokenv1.TokenState_TOKEN_STATE_REVOKED {
		response.Key = ""
	}
	return response, nil
}

func (s *service) issue(request *tokenv1.CreateRequest) *kept {
	mode := "test"
	if request.GetLivemode() {
		mode = "live"
	}
	prefix := prefixes[request.GetType()] + "_" + mode + "_"
	unchecked := prefix + randomText(32)
	key := unchecked + checksum(unchecked)
	permissions := slices.Clone(request.GetPermissions())
	slices.Sort(permissions)
	token := &tokenv1.Token{
		Id: "tok_" + randomText(20), Account: request.GetAccount(), Name: request.GetName(), Type: request.GetType(),
		Livemode: request.GetLivemode(), KeyPrefix: prefix, KeyHint: key[len(key)-4:], Permissions: slices.Compact(permissions),
		CreateTime: timestamppb.New(s.now()), ExpireTime: request.GetExpireTime(), CreatedBy: "local",
	}
	revision := s.note(tokenv1.ChangeAction_CHANGE_ACTION_CREATE, token)
	made := &kept{token, sha256.Sum256([]byte(key)), key, revision, proto.CloneOf(request)}
	s.tokens = append(s.tokens, made)
	return made
}

func (s *service) Authenticate(
	_ context.Context, request *tokenv1.AuthenticateRequest,
) (*tokenv1.AuthenticateResponse, error) {
	for _, permission := range request.GetRequiredPermissions() {
		if !permissionPattern.MatchString(permission) {
			return nil, invalid("required_permissions", "must be resource:read or resource:write")
		}
	}
	refuse := func(reason tokenv1.RefusalReason, token *tokenv1.Token, missing ...string) (*tokenv1.AuthenticateResponse, error) {
		return &tokenv1.AuthenticateResponse{Outcome: &tokenv1.AuthenticateResponse_Refusal{Refusal: &tokenv1.Refusal{
			Reason: reason, TokenId: token.GetId(), Account: token.GetAccount(), MissingPermissions: missing,
		}}}, nil
	}
	key := request.GetKey()
	if !keyPattern.MatchString(key) || checksum(key[:len(key)-6]) != key[len(key)-6:] {
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_KEY_MALFORMED, nil)
	}
	found := s.find(func(k *kept) bool { return k.key == key })
	if found == nil {
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_KEY_UNKNOWN, nil)
	}
	token := s.shown(found)
	var missing []string
	for _, permission := range request.GetRequiredPermissions() {
		if !covers(token, permission) {
			missing = append(missing, permission)
		}
	}
	types := request.GetAllowedTypes()
	if len(types) == 0 {
		types = []tokenv1.TokenType{tokenv1.TokenType_TOKEN_TYPE_SECRET, tokenv1.TokenType_TOKEN_TYPE_RESTRICTED}
	}
	switch {
	case token.State == tokenv1.TokenState_TOKEN_STATE_REVOKED:
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_TOKEN_REVOKED, token)
	case token.State == tokenv1.TokenState_TOKEN_STATE_EXPIRED:
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_TOKEN_EXPIRED, token)
	case request.Livemode != nil && request.GetLivemode() != token.GetLivemode():
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_LIVEMODE_MISMATCH, token)
	case !slices.Contains(types, token.GetType()):
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_TYPE_NOT_ALLOWED, token)
	case len(missing) > 0:
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_INSUFFICIENT_PERMISSIONS, token, missing...)
	}
	found.token.LastUseTime = timestamppb.New(s.now())
	return &tokenv1.AuthenticateResponse{Outcome: &tokenv1.AuthenticateResponse_Principal{Principal: &tokenv1.Principal{
		TokenId: token.GetId(), Account: token.GetAccount(), Type: token.GetType(), Livemode: token.GetLivemode(),
		Permissions: token.GetPermissions(), ExpireTime: token.GetExpireTime(),
	}}}, nil
}

func (s *service) Get(_ context.Context, request *tokenv1.GetRequest) (*tokenv1.GetResponse, error) {
	found := s.find(func(k *kept) bool { return k.token.GetId() == request.GetId() })
	if found == nil {
		return nil, notFound("id")
	}
	return &tokenv1.GetResponse{Token: s.shown(found)}, nil
}

func (s *service) FindByDigest(
	_ context.Context, request *tokenv1.FindByDigestRequest,
) (*tokenv1.FindByDigestResponse, error) {
	found := s.find(func(k *kept) bool { return string(k.digest[:]) == string(request.GetDigest()) })
	if found == nil {
		return nil, notFound("digest")
	}
	return &tokenv1.FindByDigestResponse{Token: s.shown(found)}, nil
}

func (s *service) Revoke(_ context.Context, request *tokenv1.RevokeRequest) (*tokenv1.RevokeResponse, error) {
	found := s.find(func(k *kept) bool { return k.token.GetId() == request.GetId() })
	if found == nil {
		return nil, notFound("id")
	}
	if found.token.RevokeTime == nil {
		found.token.RevokeTime, found.token.RevokeReason = timestamppb.New(s.now()), request.GetReason()
		s.note(tokenv1.ChangeAction_CHANGE_ACTION_REVOKE, found.token)
	}
	at := slices.IndexFunc(s.changes, func(c *tokenv1.Change) bool {
		return c.GetTokenId() == request.GetId() && c.GetAction() == tokenv1.ChangeAction_CHANGE_ACTION_REVOKE
	})
	return &tokenv1.RevokeResponse{Token: s.shown(found), Revision: s.changes[at].GetRevision()}, nil
}

func (s *service) List(_ context.Context, request *tokenv1.ListRequest) (*tokenv1.ListResponse, error) {
	if err := knowsOnly(request, "account", "types", "livemode", "states", "permission"); err != nil {
		return nil, err
	}
	response := &tokenv1.ListResponse{}
	for _, k := range slices.Backward(s.tokens) {
		token := s.shown(k)
		if (request.GetAccount() == "" || request.GetAccount() == token.GetAccount()) &&
			(len(request.GetTypes()) == 0 || slices.Contains(request.GetTypes(), token.GetType())) &&
			(request.Livemode == nil || request.GetLivemode() == token.GetLivemode()) &&
			(len(request.GetStates()) == 0 || slices.Contains(request.GetStates(), token.GetState())) &&
			(request.GetPermission() == "" || covers(token, request.GetPermission())) {
			response.Tokens = append(response.Tokens, token)
		}
	}
	return response, nil
}

func (s *service) ListChanges(
	_ context.Context, request *tokenv1.ListChangesRequest,
) (*tokenv1.ListChangesResponse, error) {
	if err := knowsOnly(request, "token_id", "after_revision", "oldest_first"); err != nil {
		return nil, err
	}
	newest := int64(len(s.changes))
	if request.GetAfterRevision() > newest {
		return nil, invalid("after_revision", "must not be beyond the newest change")
	}
	response := &tokenv1.ListChangesResponse{}
	for _, change := range s.changes {
		isOf := request.GetTokenId() == "" || request.GetTokenId() == change.GetTokenId()
		if isOf && change.GetRevision() > request.GetAfterRevision() {
			response.Changes = append(response.Changes, change)
		}
	}
	if request.GetOldestFirst() {
		response.ReachedRevision = newest
	} else {
		slices.Reverse(response.Changes)
	}
	return response, nil
}

func (s *service) ListAccounts(
	_ context.Context, request *tokenv1.ListAccountsRequest,
) (*tokenv1.ListAccountsResponse, error) {
	accounts := map[string]*tokenv1.Account{}
	for _, k := range s.tokens {
		token := s.shown(k)
		if !strings.HasPrefix(token.GetAccount(), request.GetPrefix()) {
			continue
		}
		account := accounts[token.GetAccount()]
		if account == nil {
			account = &tokenv1.Account{Account: token.GetAccount()}
			accounts[account.Account] = account
		}
		switch token.GetState() {
		case tokenv1.TokenState_TOKEN_STATE_REVOKED:
			account.RevokedCount++
		case tokenv1.TokenState_TOKEN_STATE_EXPIRED:
			account.ExpiredCount++
		default:
			account.ActiveCount++
		}
	}
	response := &tokenv1.ListAccountsResponse{}
	for _, account := range accounts {
		response.Accounts = append(response.Accounts, account)
	}
	slices.SortFunc(response.Accounts, func(a, b *tokenv1.Account) int { return strings.Compare(a.Account, b.Account) })
	return response, nil
}

func (s *service) find(wanted func(*kept) bool) *kept {
	if at := slices.IndexFunc(s.tokens, wanted); at >= 0 {
		return s.tokens[at]
	}
	return nil
}

// shown is the token as it is now.
func (s *service) shown(k *kept) *tokenv1.Token {
	token := proto.CloneOf(k.token)
	switch {
	case token.RevokeTime != nil:
		token.State = tokenv1.TokenState_TOKEN_STATE_REVOKED
	case token.ExpireTime != nil && !s.now().Before(token.ExpireTime.AsTime()):
		token.State = tokenv1.TokenState_TOKEN_STATE_EXPIRED
	default:
		token.State = tokenv1.TokenState_TOKEN_STATE_ACTIVE
	}
	return token
}

func (s *service) note(action tokenv1.ChangeAction, token *tokenv1.Token) int64 {
	revision := int64(len(s.changes) + 1)
	s.changes = append(s.changes, &tokenv1.Change{
		Revision: revision, Action: action, TokenId: token.GetId(), Caller: "local", ChangeTime: timestamppb.New(s.now()),
		Account: token.GetAccount(), TokenName: token.GetName(), TokenType: token.GetType(),
		Reason: token.GetRevokeReason(), RevokeReason: token.GetRevokeReason(),
	})
	return revision
}

func (s *service) checkCreate(request *tokenv1.CreateRequest) error {
	isRestricted := request.GetType() == tokenv1.TokenType_TOKEN_TYPE_RESTRICTED
	isBad := func(permission string) bool { return !permissionPattern.MatchString(permission) }
	switch {
	case !accountPattern.MatchString(request.GetAccount()):
		return invalid("account", "must be printable ASCII")
	case strings.TrimSpace(request.GetName()) == "":
		return invalid("name", "must not be empty")
	case prefixes[request.GetType()] == "":
		return invalid("type", "must be one of its values")
	case slices.ContainsFunc(request.GetPermissions(), isBad):
		return invalid("permissions", "must be resource:read or resource:write")
	case isRestricted != (len(request.GetPermissions()) > 0):
		return invalid("permissions", "are for restricted keys")
	case request.ExpireTime != nil && !request.GetExpireTime().AsTime().After(s.now()):
		return invalid("expire_time", "must be in the future")
	}
	return nil
}

// knowsOnly refuses other filters: one that is passed over finds too much.
func knowsOnly(request proto.Message, known ...protoreflect.Name) error {
	var err error
	request.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if field.Name() != "page_size" && !slices.Contains(known, field.Name()) {
			err = refused(codes.Unimplemented, "REQUEST_NOT_SUPPORTED", string(field.Name()), "is no filter of the fake")
		}
		return err == nil
	})
	return err
}

func covers(token *tokenv1.Token, permission string) bool {
	resource, _, _ := strings.Cut(permission, ":")
	return token.GetType() == tokenv1.TokenType_TOKEN_TYPE_SECRET || slices.Contains(token.GetPermissions(), permission) ||
		slices.Contains(token.GetPermissions(), resource+":write")
}

func invalid(field, rule string) error {
	return refused(codes.InvalidArgument, "FIELD_INVALID", field, rule)
}

func notFound(field string) error {
	return refused(codes.NotFound, "TOKEN_NOT_FOUND", field, "is that of no token")
}

func refused(code codes.Code, reason, field, rule string) error {
	refusal, err := status.New(code, fmt.Sprintf("%s %s", field, rule)).WithDetails(&errdetails.ErrorInfo{
		Domain: "token.casapay.com", Reason: reason, Metadata: map[string]string{"field": field},
	})
	if err != nil {
		return err
	}
	return refusal.Err()
}

func randomText(length int) string {
	text := make([]byte, length)
	for i := range text {
		at, _ := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		text[i] = letters[at.Int64()]
	}
	return string(text)
}

// checksum is CRC-32 in base 62, the most significant digit first.
func checksum(text string) string {
	digits := make([]byte, 6)
	rest := crc32.ChecksumIEEE([]byte(text))
	for i := range digits {
		digits[len(digits)-1-i] = letters[rest%62]
		rest /= 62
	}
	return string(digits)
}
