package tokenauthority_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
)

func TestAKeyIsToldOnlyWhenAskedForByName(t *testing.T) {
	t.Parallel()
	const key = "sk_live_000000000000000000000000000000002UYg5A"
	client := dial(t, startFake(t, &fakeService{create: func(*tokenv1.CreateRequest) (*tokenv1.CreateResponse, error) {
		return &tokenv1.CreateResponse{Key: key, Token: &tokenv1.Token{Id: "tok_1"}}, nil
	}}))
	created, err := client.Create(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if created.Key.Reveal() != key {
		t.Errorf("the key is %q", created.Key.Reveal())
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("created", "created", created, "key", created.Key)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("created", "created", created, "key", created.Key)
	encoded, err := json.Marshal(created)
	if err != nil {
		t.Fatal(err)
	}
	hidden := struct{ key tokenauthority.Key }{created.Key}
	texts := []string{logged.String(), string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{created, *created, created.Key, &created.Key, hidden} {
			texts = append(texts, fmt.Sprintf(verb, value))
		}
	}
	for _, text := range texts {
		if strings.Contains(text, key[8:]) || strings.Contains(text, fmt.Sprintf("%x", key)) {
			t.Error(text)
		}
	}
	if (tokenauthority.Key{}).Reveal() != "" {
		t.Error("no key is a key")
	}
}
