package tokenauthority

import (
	"slices"
	"strings"
	"time"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
)

// facts are what the authority answers about a key to the widest question: with them every other question can be
// decided.
type facts struct {
	// reason is that of a refusal, or 0.
	reason           tokenv1.RefusalReason
	tokenID, account string
	tokenType        TokenType
	livemode         bool
	grant            *grant
	expireTime       time.Time
}

// isProven is whether a token has the key, dead or alive.
func (f *facts) isProven() bool { return f.tokenID != "" }

// grant is a set of permissions. It never changes.
type grant struct {
	// name tells it from another.
	name        string
	permissions []string
	// covered are the permissions, and those that they cover: a permission to write covers reading.
	covered map[string]struct{}
}

var noGrant = newGrant(nil)

func newGrant(permissions []string) *grant {
	covered := make(map[string]struct{}, 2*len(permissions))
	for _, permission := range permissions {
		covered[permission] = struct{}{}
		if resource, isWrite := strings.CutSuffix(permission, ":write"); isWrite {
			covered[resource+":read"] = struct{}{}
		}
	}
	return &grant{nameOf(permissions), slices.Clone(permissions), covered}
}

// factsOf is false for an answer that this package does not know how to decide by.
func factsOf(response *tokenv1.AuthenticateResponse) (facts, bool) {
	switch outcome := response.GetOutcome().(type) {
	case *tokenv1.AuthenticateResponse_Principal:
		principal := toPrincipal(outcome.Principal)
		return facts{
			tokenID:    principal.TokenID,
			account:    principal.Account,
			tokenType:  principal.Type,
			livemode:   principal.Livemode,
			grant:      newGrant(principal.Permissions),
			expireTime: principal.ExpireTime,
		}, isTokenType(principal.Type)
	case *tokenv1.AuthenticateResponse_Refusal:
		reason := outcome.Refusal.GetReason()
		return facts{
			grant:   noGrant,
			reason:  reason,
			tokenID: outcome.Refusal.GetTokenId(),
			account: outcome.Refusal.GetAccount(),
		}, isFact(reason)
	default:
		return facts{}, false
	}
}

// isFact is false for reasons that depend on what was asked, and for those that this package does not know.
func isFact(reason tokenv1.RefusalReason) bool {
	switch reason {
	case tokenv1.RefusalReason_REFUSAL_REASON_UNSPECIFIED,
		tokenv1.RefusalReason_REFUSAL_REASON_LIVEMODE_MISMATCH,
		tokenv1.RefusalReason_REFUSAL_REASON_TYPE_NOT_ALLOWED,
		tokenv1.RefusalReason_REFUSAL_REASON_INSUFFICIENT_PERMISSIONS:
		return false
	default:
		_, isKnown := tokenv1.RefusalReason_name[int32(reason)]
		return isKnown
	}
}

func isTokenType(of TokenType) bool {
	return of == Secret || of == Publishable || of == Restricted
}

// decision is by these facts, with the reason and the missing permissions of a verdict.
func (f *facts) decision(verdict verdict, source Source) Decision {
	if verdict.reason == 0 {
		return Decision{Source: source, Principal: &Principal{
			TokenID:     f.tokenID,
			Account:     f.account,
			Type:        f.tokenType,
			Livemode:    f.livemode,
			Permissions: slices.Clone(f.grant.permissions),
			ExpireTime:  f.expireTime,
		}}
	}
	return Decision{Source: source, Refusal: &Refusal{
		Reason:             reasonOf(verdict.reason),
		MissingPermissions: verdict.missing,
		TokenID:            f.tokenID,
		Account:            f.account,
	}}
}
