package tokenauthority

import (
	"encoding/json"
	"os"
	"testing"
)

// Which key a request presents is answered as at the authority's own doors.
func TestPresentedKeyIsThatOfTheVectors(t *testing.T) {
	content, err := os.ReadFile("../vectors/credentials.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name          string
			Authorization []string
			XAPIKey       []string `json:"x_api_key"`
			Presents      any
		}
	}
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("there are no vectors")
	}
	for _, vector := range file.Vectors {
		t.Run(vector.Name, func(t *testing.T) {
			found, refused := presentedKey(bytesOf(vector.Authorization), bytesOf(vector.XAPIKey))
			if refused != nil {
				found = refused.code
			}
			expected := keyMissing.code
			switch presents := vector.Presents.(type) {
			case string:
				expected = presents
			case map[string]any:
				expected = keysConflict.code
			}
			if found != expected {
				t.Errorf("found %q, expected %q", found, expected)
			}
		})
	}
}

// bytesOf makes values as net/http has them: a character of the vectors is a byte.
func bytesOf(texts []string) []string {
	values := make([]string, len(texts))
	for i, text := range texts {
		bytes := make([]byte, 0, len(text))
		for _, character := range text {
			bytes = append(bytes, byte(character))
		}
		values[i] = string(bytes)
	}
	return values
}
