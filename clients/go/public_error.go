package tokenauthority

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// publicError is an error as bearers of keys see it. Its words are those of all doors of the authority.
type publicError struct {
	status  int
	kind    string
	code    string
	message string
	// Those that the key must have, where that is why it is refused.
	requiredPermissions []string
}

var (
	keyMissing = publicError{status: http.StatusUnauthorized, kind: "authentication_error", code: "key_missing",
		message: "No API key was presented: send it as Authorization: Bearer KEY."}
	keysConflict = publicError{status: http.StatusUnauthorized, kind: "authentication_error", code: "keys_conflict",
		message: "More than one credential was presented: send one API key, as Authorization: Bearer KEY."}
	// What is wrong is for the log alone.
	misconfigured = publicError{status: http.StatusInternalServerError, kind: "api_error", code: "gateway_misconfigured",
		message: "The API key could not be checked: this service is not set up for it."}
	unavailable = publicError{status: http.StatusServiceUnavailable, kind: "api_error", code: "unavailable",
		message: "The API key could not be checked just now: try again."}
	// For a reason that is not known here. It does not say that the key is bad.
	keyRefused = publicError{status: http.StatusForbidden, kind: "permission_error", code: "unknown",
		message: "The API key may not do this."}
)

var refusals = map[Reason]publicError{
	KeyMalformed:            unauthenticated(KeyMalformed, "The API key is not a key: check that it was copied whole."),
	KeyUnknown:              unauthenticated(KeyUnknown, "There is no such API key."),
	TokenRevoked:            unauthenticated(TokenRevoked, "The API key was revoked."),
	TokenExpired:            unauthenticated(TokenExpired, "The API key has expired."),
	KeyRetired:              unauthenticated(KeyRetired, "The API key was replaced by a newer one of the same token, and has ended."),
	AccountClosed:           unauthenticated(AccountClosed, "The account of this API key is closed."),
	TokenHeld:               forbidden(TokenHeld, "The API key is on hold: it is not bad, and may work again."),
	AccountHeld:             forbidden(AccountHeld, "The account of this API key is on hold: the key is not bad, and may work again."),
	LivemodeMismatch:        forbidden(LivemodeMismatch, "The API key is of the other mode: live keys and test keys are not exchangeable."),
	TypeNotAllowed:          forbidden(TypeNotAllowed, "API keys of this type may not do this."),
	InsufficientPermissions: forbidden(InsufficientPermissions, "The API key lacks a permission that this needs."),
}

func unauthenticated(reason Reason, message string) publicError {
	return publicError{status: http.StatusUnauthorized, kind: "authentication_error",
		code: strings.ToLower(string(reason)), message: message}
}

func forbidden(reason Reason, message string) publicError {
	return publicError{status: http.StatusForbidden, kind: "permission_error",
		code: strings.ToLower(string(reason)), message: message}
}

func publicRefusal(reason Reason, question Question) *publicError {
	found, ok := refusals[reason]
	if !ok {
		return &keyRefused
	}
	if reason == InsufficientPermissions {
		found.requiredPermissions = question.Permissions
	}
	return &found
}

var permissionPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}:(?:read|write)$`)

// challenge is the WWW-Authenticate header (RFC 6750 section 3), or empty.
func (e *publicError) challenge() string {
	switch {
	case e.code == keyMissing.code:
		return `Bearer realm="CasaPay"`
	case e.status == http.StatusUnauthorized:
		return `Bearer realm="CasaPay", error="invalid_token"`
	case e.requiredPermissions != nil:
		return `Bearer realm="CasaPay", error="insufficient_scope"` + e.scope()
	default:
		return ""
	}
}

// scope names the permissions in a challenge. An Authenticator that is no Client may not have looked at them, and what
// is no permission could end the header.
func (e *publicError) scope() string {
	permissions := slices.DeleteFunc(slices.Clone(e.requiredPermissions), func(permission string) bool {
		return !permissionPattern.MatchString(permission)
	})
	if len(permissions) == 0 {
		return ""
	}
	return `, scope="` + strings.Join(permissions, " ") + `"`
}

// write answers a request with the error.
func (e *publicError) write(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	if challenge := e.challenge(); challenge != "" {
		header.Set("WWW-Authenticate", challenge)
	}
	if e.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	w.WriteHeader(e.status)
	members := map[string]any{
		"type": e.kind, "code": e.code, "message": e.message, "param": nil, "request_id": requestIDOf(r),
	}
	if e.requiredPermissions != nil {
		members["required_permissions"] = e.requiredPermissions
	}
	// Who does not take the answer is gone.
	_ = json.NewEncoder(w).Encode(map[string]any{"error": members})
}

var (
	requestIDPattern = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)
	// Also of one that was cut off where it was copied: what is missing can be computed or guessed.
	keyAnywhere = regexp.MustCompile(`(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{24}`)
)

// requestIDOf is the request's own name, or a new one where that could be anything: a key, sent in the wrong header.
func requestIDOf(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); requestIDPattern.MatchString(id) && !keyAnywhere.MatchString(id) {
		return id
	}
	return "req_" + newUUID()
}
