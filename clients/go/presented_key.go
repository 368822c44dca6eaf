package tokenauthority

import (
	"encoding/base64"
	"strings"
)

// The bounds of what is read. A key has far fewer characters; a few presentations of one key fit into a header.
const (
	maxCredentialsLength = 512
	maxHeaderLength      = 4096
)

// HTTP's blanks (OWS, RFC 9110 section 5.6.3), and no others.
const blanks = " \t"

// presentedKey is the one key that a request presents, in Authorization (Bearer, or Basic as user name) or in
// X-API-Key, or else why there is none. The same key may come twice. Beside a key nothing else may stand, readable or
// not: whatever reads it after us might take the other. Held by clients/vectors/credentials.json, as the authority's
// own doors are.
func presentedKey(authorization, apiKey []string) (string, *publicError) {
	// What cannot be read counts as well, as the empty text.
	distinct := map[string]bool{}
	for _, presentation := range presentations(authorization) {
		distinct[keyOfAuthorization(presentation)] = true
	}
	for _, presentation := range presentations(apiKey) {
		distinct[keyOfAPIKey(presentation)] = true
	}
	if len(distinct) > 1 {
		return "", &keysConflict
	}
	for key := range distinct {
		if key != "" {
			return key, nil
		}
	}
	return "", &keyMissing
}

func presentations(values []string) []string {
	value := strings.Join(values, ",")
	if len(value) > maxHeaderLength {
		return []string{"?"}
	}
	var found []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.Trim(part, blanks); part != "" {
			found = append(found, part)
		}
	}
	return found
}

// keyOfAuthorization reads `Bearer KEY` (RFC 6750), or `Basic` with the key as user name and no password (RFC 7617).
// Empty for all else.
func keyOfAuthorization(value string) string {
	scheme, rest, _ := strings.Cut(value, " ")
	credentials := strings.TrimLeft(rest, " ")
	if len(value) > maxCredentialsLength || !isVisible(credentials) {
		return ""
	}
	switch strings.ToLower(scheme) {
	case "bearer":
		return credentials
	case "basic":
		return userNameOf(credentials)
	default:
		return ""
	}
}

func userNameOf(credentials string) string {
	// Padded or not, but in no other way (RFC 4648).
	encoding := base64.RawStdEncoding
	if strings.HasSuffix(credentials, "=") {
		encoding = base64.StdEncoding
	}
	decoded, err := encoding.Strict().DecodeString(credentials)
	userName, password, found := strings.Cut(string(decoded), ":")
	if err != nil || !found || password != "" || !isVisible(userName) {
		return ""
	}
	return userName
}

func keyOfAPIKey(value string) string {
	if len(value) > maxCredentialsLength || !isVisible(value) {
		return ""
	}
	return value
}

// isVisible is whether the text is one or more visible characters of ASCII.
func isVisible(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return text != ""
}
