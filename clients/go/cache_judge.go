package tokenauthority

import (
	"slices"
	"strings"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
)

const (
	// cacheRules is the version of the rules in this file, by which the authority knows whether its answers may be kept.
	cacheRules        = 1
	maxPermissions    = 16
	maxResourceLength = 63
	insufficient      = tokenv1.RefusalReason_REFUSAL_REASON_INSUFFICIENT_PERMISSIONS
	otherMode         = tokenv1.RefusalReason_REFUSAL_REASON_LIVEMODE_MISMATCH
	otherType         = tokenv1.RefusalReason_REFUSAL_REASON_TYPE_NOT_ALLOWED
)

var allTypes = []TokenType{Secret, Publishable, Restricted}

// judge is the reason of a refusal, or 0 for a key that may pass, as the authority would decide: held by
// clients/vectors/decisions.json, which its own rules write. False where the authority would answer that the question
// is at fault. Hot path.
func (s *standing) judge(question *Question) (tokenv1.RefusalReason, bool) {
	look := question.lookAt(s.grant)
	switch {
	case look == permissionsMalformed || !question.hasKnownTypes():
		return 0, false
	case s.reason != 0:
		return s.reason, true
	case question.Mode != AnyMode && (question.Mode == Live) != s.livemode:
		return otherMode, true
	case !question.allows(s.tokenType):
		return otherType, true
	case look == permissionsMissing && s.tokenType != Secret:
		return insufficient, true
	default:
		return 0, true
	}
}

// isDecidable is whether the authority would decide on it, and not answer that the question is at fault.
func (q *Question) isDecidable() bool {
	return q.hasKnownTypes() && q.lookAt(nil) != permissionsMalformed
}

func (q *Question) hasKnownTypes() bool {
	for _, of := range q.Types {
		if !isTokenType(of) {
			return false
		}
	}
	return true
}

func (q *Question) allows(of TokenType) bool {
	if len(q.Types) == 0 {
		return of != Publishable
	}
	return slices.Contains(q.Types, of)
}

type look int

const (
	permissionsCovered look = iota
	permissionsMissing
	permissionsMalformed
)

// lookAt: what is covered is well-formed too, so that only the rest must be looked at. Hot path.
func (q *Question) lookAt(given *grant) look {
	if len(q.Permissions) > maxPermissions {
		return permissionsMalformed
	}
	found := permissionsCovered
	for _, permission := range q.Permissions {
		if given.covers(permission) {
			continue
		}
		if !isPermission(permission) {
			return permissionsMalformed
		}
		found = permissionsMissing
	}
	return found
}

func (g *grant) covers(permission string) bool {
	return g != nil && slices.Contains(g.covered, permission)
}

func (g *grant) missing(required []string) []string {
	return slices.DeleteFunc(slices.Clone(required), g.covers)
}

// isPermission is whether the text is resource:read or resource:write.
func isPermission(text string) bool {
	resource, action, _ := strings.Cut(text, ":")
	if resource == "" || len(resource) > maxResourceLength || action != "read" && action != "write" {
		return false
	}
	for i := range len(resource) {
		isLetter := 'a' <= resource[i] && resource[i] <= 'z'
		isLater := '0' <= resource[i] && resource[i] <= '9' || resource[i] == '_'
		if !isLetter && (i == 0 || !isLater) {
			return false
		}
	}
	return true
}
