package tokenauthority

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// publicError is an error as bearers of keys see it. Its words are those of all doors of the authority.
type publicError struct {
	status  int
	kind    string
	code    string
	message string
}

var (
	keyMissing = publicError{http.StatusUnauthorized, "authentication_error", "key_missing",
		"No API key was presented: send it as Authorization: Bearer KEY."}
	keysConflict = publicError{http.StatusUnauthorized, "authentication_error", "keys_conflict",
		"More than one credential was presented: send one API key, as Authorization: Bearer KEY."}
	// What is wrong is for the log alone.
	misconfigured = publicError{http.StatusInternalServerError, "api_error", "gateway_misconfigured",
		"The API key could not be checked: this service is not set up for it."}
	unavailable = publicError{http.StatusServiceUnavailable, "api_error", "unavailable",
		"The API key could not be checked just now: try again."}
	// For a reason that is not known here. It does not say that the key is bad.
	keyRefused = publicError{http.StatusForbidden, "permission_error", "unknown", "The API key may not do this."}
)

var refusals = map[Reason]publicError{
	KeyMalformed:            unauthenticated(KeyMalformed, "The API key is not a key: check that it was copied whole."),
	KeyUnknown:              unauthenticated(KeyUnknown, "There is no such API key."),
	TokenRevoked:            unauthenticated(TokenRevoked, "The API key was revoked."),
	TokenExpired:            unauthenticated(TokenExpired, "The API key has expired."),
	LivemodeMismatch:        forbidden(LivemodeMismatch, "The API key is of the other mode: live keys and test keys are not exchangeable."),
	TypeNotAllowed:          forbidden(TypeNotAllowed, "API keys of this type may not do this."),
	InsufficientPermissions: forbidden(InsufficientPermissions, "The API key lacks a permission that this needs."),
}

func unauthenticated(reason Reason, message string) publicError {
	return publicError{http.StatusUnauthorized, "authentication_error", strings.ToLower(string(reason)), message}
}

func forbidden(reason Reason, message string) publicError {
	return publicError{http.StatusForbidden, "permission_error", strings.ToLower(string(reason)), message}
}

func publicRefusal(reason Reason) *publicError {
	if found, ok := refusals[reason]; ok {
		return &found
	}
	return &keyRefused
}

// challenge is the WWW-Authenticate header (RFC 6750 section 3), or empty.
func (e *publicError) challenge() string {
	switch {
	case e.code == keyMissing.code:
		return `Bearer realm="CasaPay"`
	case e.status == http.StatusUnauthorized:
		return `Bearer realm="CasaPay", error="invalid_token"`
	case e.code == "insufficient_permissions":
		return `Bearer realm="CasaPay", error="insufficient_scope"`
	default:
		return ""
	}
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
	body := map[string]any{
		"error": map[string]any{
			"type": e.kind, "code": e.code, "message": e.message, "param": nil, "request_id": requestIDOf(r),
		},
	}
	// Who does not take the answer is gone.
	_ = json.NewEncoder(w).Encode(body)
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
