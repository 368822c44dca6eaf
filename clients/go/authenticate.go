package tokenauthority

import (
	"context"
	"errors"
	"strings"
	"time"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc/codes"
)

// Authenticator decides on keys: a Client, or what stands in for one.
type Authenticator interface {
	Authenticate(ctx context.Context, key string, question Question) (Decision, error)
}

// Question is what is asked of a key beside that it is good.
type Question struct {
	// Permissions are what the bearer wants to do, such as "charges:read". The key must cover all of them, 16 at the most.
	Permissions []string
	// Mode is what is served here. The zero value is AnyMode.
	Mode Mode
	// Types are those that may pass. Empty means Secret and Restricted.
	Types []TokenType
}

// NoPermission says to middleware that any key may pass.
var NoPermission = []string{}

// Mode is live, test, or both.
type Mode int

// The modes.
const (
	AnyMode Mode = iota
	Live
	Test
)

// TokenType is the kind of a key.
type TokenType = tokenv1.TokenType

// The types.
const (
	Secret      TokenType = tokenv1.TokenType_TOKEN_TYPE_SECRET
	Publishable TokenType = tokenv1.TokenType_TOKEN_TYPE_PUBLISHABLE
	Restricted  TokenType = tokenv1.TokenType_TOKEN_TYPE_RESTRICTED
)

// Decision has either a Principal or a Refusal; the other is nil.
type Decision struct {
	Principal *Principal
	Refusal   *Refusal
	// Source is empty where something else than a Client decided.
	Source Source
}

// Source says whether the authority was asked, or the client decided from its cache without a call.
type Source string

// The sources. FromAuthority is also that of a text that cannot be a key, for which no call is made.
const (
	FromAuthority Source = "authority"
	FromCache     Source = "cache"
)

// Principal is who acts with an accepted key, and within which bounds. Whoever asks about the same key may be given the
// same Principal: it must not be changed.
type Principal struct {
	TokenID  string
	Account  string
	Type     TokenType
	Livemode bool
	// Permissions are what a restricted key was given; other types have none.
	Permissions []string
	// ExpireTime is the zero time where the key never expires.
	ExpireTime time.Time
}

// Refusal is a decided no. Like a Principal it may be shared: it must not be changed.
type Refusal struct {
	Reason Reason
	// MissingPermissions come with InsufficientPermissions alone.
	MissingPermissions []string
	// TokenID and Account are empty where no token is known.
	TokenID string
	Account string
}

// Reason is which check a key failed. One that this package does not know, from a newer authority, is a refusal all the
// same.
type Reason string

// The reasons, in the order of the checks.
const (
	KeyMalformed            Reason = "KEY_MALFORMED"
	KeyUnknown              Reason = "KEY_UNKNOWN"
	TokenRevoked            Reason = "TOKEN_REVOKED"
	KeyRetired              Reason = "KEY_RETIRED"
	TokenExpired            Reason = "TOKEN_EXPIRED"
	AccountClosed           Reason = "ACCOUNT_CLOSED"
	TokenHeld               Reason = "TOKEN_HELD"
	AccountHeld             Reason = "ACCOUNT_HELD"
	LivemodeMismatch        Reason = "LIVEMODE_MISMATCH"
	TypeNotAllowed          Reason = "TYPE_NOT_ALLOWED"
	InsufficientPermissions Reason = "INSUFFICIENT_PERMISSIONS"
)

// Authenticate decides whether the key may pass. An error, always an [*Error], means that nothing was decided.
//
// What cannot be a key, being empty, longer than 512 bytes, or not of printable ASCII, is refused as KeyMalformed
// without a call.
func (c *Client) Authenticate(ctx context.Context, key string, question Question) (Decision, error) {
	if c.cache != nil {
		if decision, ok := c.cache.decide(key, &question); ok {
			return decision, nil
		}
	}
	if !mayBeKey(key) {
		return Decision{Refusal: &Refusal{Reason: KeyMalformed}, Source: FromAuthority}, nil
	}
	if c.cache != nil {
		if fill, ok := c.cache.beginFill(key, &question); ok {
			return c.fillOrAsk(ctx, fill, key, question)
		}
	}
	return c.ask(ctx, key, question)
}

// fillOrAsk has one deadline, whichever of the two answers.
func (c *Client) fillOrAsk(ctx context.Context, begun cacheFill, key string, question Question) (Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, c.settings.authenticateTimeout)
	defer cancel()
	decision, ok, err := c.fill(ctx, begun, key, &question)
	if ok || err != nil {
		return decision, err
	}
	return c.ask(ctx, key, question)
}

func (c *Client) ask(ctx context.Context, key string, question Question) (Decision, error) {
	request := &tokenv1.AuthenticateRequest{
		Key:                 key,
		RequiredPermissions: question.Permissions,
		AllowedTypes:        question.Types,
	}
	if question.Mode != AnyMode {
		isLive := question.Mode == Live
		request.Livemode = &isLive
	}
	response, err := c.askAuthority(ctx, request)
	if err != nil {
		return Decision{}, err
	}
	if c.cache != nil {
		c.cache.overrule(key)
	}
	switch outcome := response.GetOutcome().(type) {
	case *tokenv1.AuthenticateResponse_Principal:
		return Decision{Principal: toPrincipal(outcome.Principal), Source: FromAuthority}, nil
	case *tokenv1.AuthenticateResponse_Refusal:
		return Decision{Refusal: toRefusal(outcome.Refusal), Source: FromAuthority}, nil
	default:
		return Decision{}, &Error{
			RPC: authenticateRPC, Code: codes.Unknown, Message: "the answer has no outcome that is known here",
		}
	}
}

// fill puts the widest question, decides by its answer, and keeps the answer. False when it is not one to decide by:
// then the question must be asked as it is.
func (c *Client) fill(ctx context.Context, begun cacheFill, key string, question *Question) (Decision, bool, error) {
	response, err := c.askAuthority(ctx, &tokenv1.AuthenticateRequest{
		Key: key, AllowedTypes: allTypes, CacheRules: cacheRules,
	})
	if failure := (*Error)(nil); errors.As(err, &failure) {
		// An authority that is older than the one that granted the lease knows no such question.
		if failure.Code == codes.InvalidArgument {
			return Decision{}, false, nil
		}
		return Decision{}, false, failure
	}
	known, ok := factsOf(response)
	if !ok {
		return Decision{}, false, nil
	}
	decision, ok := c.cache.endFill(begun, cacheAnswer{
		facts:    known,
		revision: response.GetRevision(),
		cacheFor: response.GetCacheFor().AsDuration(),
	}, question)
	return decision, ok, nil
}

const authenticateRPC = "Authenticate"

func (c *Client) askAuthority(
	ctx context.Context, request *tokenv1.AuthenticateRequest,
) (*tokenv1.AuthenticateResponse, error) {
	return invoke(ctx, authenticateRPC, c.settings.authenticateTimeout, again, c.service.Authenticate, request)
}

func toPrincipal(from *tokenv1.Principal) *Principal {
	principal := &Principal{
		TokenID:     from.GetTokenId(),
		Account:     from.GetAccount(),
		Type:        from.GetType(),
		Livemode:    from.GetLivemode(),
		Permissions: from.GetPermissions(),
	}
	if from.GetExpireTime() != nil {
		principal.ExpireTime = from.GetExpireTime().AsTime()
	}
	return principal
}

func toRefusal(from *tokenv1.Refusal) *Refusal {
	return &Refusal{
		Reason:             reasonOf(from.GetReason()),
		MissingPermissions: from.GetMissingPermissions(),
		TokenID:            from.GetTokenId(),
		Account:            from.GetAccount(),
	}
}

func reasonOf(reason tokenv1.RefusalReason) Reason {
	if 0 <= reason && int(reason) < len(reasons) {
		return reasons[reason]
	}
	return wordOf(reason)
}

// reasons are the words of those that are known, made once. Their numbers have no gaps.
var reasons = func() []Reason {
	words := make([]Reason, len(tokenv1.RefusalReason_name))
	for number := range words {
		words[number] = wordOf(tokenv1.RefusalReason(number))
	}
	return words
}()

func wordOf(reason tokenv1.RefusalReason) Reason {
	return Reason(strings.TrimPrefix(reason.String(), "REFUSAL_REASON_"))
}
