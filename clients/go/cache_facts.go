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
	standing
	tokenID, account string
	expireTime       time.Time
}

// standing is what of the facts a decision depends on.
type standing struct {
	// reason is that of a refusal, or 0.
	reason    tokenv1.RefusalReason
	tokenType TokenType
	livemode  bool
	grant     *grant
}

// isProven is whether a token has the key, dead or alive.
func (f *facts) isProven() bool { return f.tokenID != "" }

// grant is a set of permissions. It never changes.
type grant struct {
	// name tells it from another.
	name        string
	permissions []string
	// covered are the permissions, and those that they cover: a permission to write covers reading.
	covered []string
}

var noGrant = newGrant(nil)

func newGrant(permissions []string) *grant {
	covered := slices.Clone(permissions)
	for _, permission := range permissions {
		if resource, isWrite := strings.CutSuffix(permission, ":write"); isWrite {
			covered = append(covered, resource+":read")
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
			standing: standing{
				tokenType: principal.Type, livemode: principal.Livemode, grant: newGrant(principal.Permissions),
			},
			tokenID:    principal.TokenID,
			account:    principal.Account,
			expireTime: principal.ExpireTime,
		}, isTokenType(principal.Type)
	case *tokenv1.AuthenticateResponse_Refusal:
		reason := outcome.Refusal.GetReason()
		return facts{
			standing: standing{reason: reason, grant: noGrant},
			tokenID:  outcome.Refusal.GetTokenId(),
			account:  outcome.Refusal.GetAccount(),
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

// decision is by these facts, with the reason that they were judged with.
func (f *facts) decision(reason tokenv1.RefusalReason, question *Question, source Source) Decision {
	if reason == 0 {
		principal := f.principal()
		return Decision{Source: source, Principal: &principal}
	}
	refusal := f.refusal(reason, question)
	return Decision{Source: source, Refusal: &refusal}
}

// refusal shares nothing that its reader could change.
func (f *facts) refusal(reason tokenv1.RefusalReason, question *Question) Refusal {
	refusal := Refusal{Reason: reasonOf(reason), TokenID: f.tokenID, Account: f.account}
	if reason == insufficient {
		refusal.MissingPermissions = f.grant.missing(question.Permissions)
	}
	return refusal
}

// principal shares nothing that its reader could change.
func (f *facts) principal() Principal {
	return Principal{
		TokenID:     f.tokenID,
		Account:     f.account,
		Type:        f.tokenType,
		Livemode:    f.livemode,
		Permissions: slices.Clone(f.grant.permissions),
		ExpireTime:  f.expireTime,
	}
}
