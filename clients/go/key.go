package tokenauthority

import (
	"crypto/sha256"
	"log/slog"
)

const hidden = "(a key, hidden)"

// Key is a new token's key. It is printed, logged and encoded as a placeholder: only Reveal gives it away.
type Key struct {
	// A pointer, since fmt follows none inside an unexported field, where it cannot call String.
	value *string
}

func newKey(value string) Key {
	return Key{&value}
}

// Reveal returns the key, for the one who is to have it. Empty when Create was sent again and the token has been
// revoked since.
func (k Key) Reveal() string {
	if k.value == nil {
		return ""
	}
	return *k.value
}

// String returns a placeholder.
func (Key) String() string { return hidden }

// GoString returns a placeholder.
func (Key) GoString() string { return hidden }

// LogValue returns a placeholder.
func (Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText returns a placeholder.
func (Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Digest is what FindByDigest asks for: whoever found a key sends this, and the key travels no further.
func Digest(key string) [sha256.Size]byte {
	return sha256.Sum256([]byte(key))
}

// mayBeKey is false for what could not be sent, or be a key: the authority would say the same of it.
func mayBeKey(text string) bool {
	if text == "" || len(text) > maxCredentialsLength {
		return false
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
