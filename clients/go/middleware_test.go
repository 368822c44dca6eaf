package tokenauthority_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc/codes"
)

// The authority's own door for gateways says what is right.
func TestTheMiddlewareAnswersAsForwardAuthenticationDoes(t *testing.T) {
	t.Parallel()
	authority := startAuthority(t)
	client := dial(t, authority.address)
	good := mustCreate(t, client).Key.Reveal()
	other := mustCreate(t, client).Key.Reveal()
	testMode := mustCreate(t, client, func(request *tokenv1.CreateRequest) { request.Livemode = false }).Key.Reveal()
	mayNothing := mustCreate(t, client, func(request *tokenv1.CreateRequest) {
		request.Permissions = []string{"events:read"}
	}).Key.Reveal()
	publishable := mustCreate(t, client, func(request *tokenv1.CreateRequest) {
		request.Type, request.Permissions = tokenauthority.Publishable, nil
	}).Key.Reveal()
	ended := mustCreate(t, client)
	if _, err := client.Revoke(t.Context(), ended.Token.GetId(), ""); err != nil {
		t.Fatal(err)
	}
	revoked := ended.Key.Reveal()
	rotated := mustCreate(t, client)
	retired := rotated.Key.Reveal()
	held := mustCreate(t, client)
	heldAccount, closedAccount := mustCreate(t, client, ofAccount("acct_held")), mustCreate(t, client, ofAccount("acct_closed"))
	for _, change := range []func() error{
		func() error {
			_, err := client.RotateKey(t.Context(), &tokenv1.RotateKeyRequest{Id: rotated.Token.GetId()})
			return err
		},
		func() error {
			subject := &tokenv1.SetHoldRequest_TokenId{TokenId: held.Token.GetId()}
			_, err := client.SetHold(t.Context(), &tokenv1.SetHoldRequest{Subject: subject, Held: true})
			return err
		},
		func() error {
			subject := &tokenv1.SetHoldRequest_Account{Account: "acct_held"}
			_, err := client.SetHold(t.Context(), &tokenv1.SetHoldRequest{Subject: subject, Held: true})
			return err
		},
		func() error {
			_, err := client.CloseAccount(t.Context(), "acct_closed", "")
			return err
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
	}
	middleware := tokenauthority.RequireKey(client, tokenauthority.Question{
		Permissions: []string{"charges:read"}, Mode: tokenauthority.Live,
	})
	served := httptest.NewServer(middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	})))
	t.Cleanup(served.Close)

	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for name, header := range map[string]http.Header{
		"accepted":                 bearer(good),
		"accepted, basic":          {"Authorization": {basic(good + ":")}},
		"accepted, lower case":     {"Authorization": {"bearer  " + good}},
		"accepted, X-API-Key":      {"X-Api-Key": {good}},
		"accepted, the same twice": {"Authorization": {"Bearer " + good}, "X-Api-Key": {good}},
		"accepted, listed twice":   {"Authorization": {"Bearer " + good + ", " + basic(good+":")}},
		"no key":                   {},
		"an empty header":          {"Authorization": {""}},
		"another scheme":           {"Authorization": {"Digest " + good}},
		"no scheme":                {"Authorization": {good}},
		"a word too many":          {"Authorization": {"Bearer " + good + " x"}},
		"basic, password":          {"Authorization": {basic(good + ":secret")}},
		"basic, no colon":          {"Authorization": {basic(good)}},
		"basic, two colons":        {"Authorization": {basic(good + "::")}},
		"basic, not base64":        {"Authorization": {"Basic ???"}},
		"basic, one character":     {"Authorization": {"Basic A"}},
		"basic, loose bits":        {"Authorization": {"Basic c2tfOh"}},
		"basic, not ASCII":         {"Authorization": {basic("sk_é:")}},
		"two keys":                 {"Authorization": {"Bearer " + good}, "X-Api-Key": {other}},
		"two keys, listed":         {"Authorization": {"Bearer " + good, "Bearer " + other}},
		"a key and a credential":   {"Authorization": {"Digest x"}, "X-Api-Key": {good}},
		"a key and bad base64":     {"Authorization": {"Bearer " + good + ", Basic ???"}},
		"malformed":                bearer("sk_live_0"),
		"malformed, X-API-Key":     {"X-Api-Key": {"sk live"}},
		"too long":                 bearer(strings.Repeat("a", 513)),
		"far too long":             {"Authorization": {"Bearer " + good}, "X-Api-Key": {strings.Repeat("a,", 3000)}},
		"unknown":                  bearer("sk_live_000000000000000000000000000000002UYg5A"),
		"revoked":                  bearer(revoked),
		"retired":                  bearer(retired),
		"held":                     bearer(held.Key.Reveal()),
		"of a held account":        bearer(heldAccount.Key.Reveal()),
		"of a closed account":      bearer(closedAccount.Key.Reveal()),
		"of the other mode":        bearer(testMode),
		"of another type":          bearer(publishable),
		"without the permission":   bearer(mayNothing),
		"with a request id":        {"X-Request-Id": {"till-7"}},
		"with a key as request id": {"X-Request-Id": {good}},
		"with a cut key for an id": {"X-Request-Id": {good[:40]}},
	} {
		want := get(t, "http://"+authority.address+"/authorize?permission=charges:read&livemode=true", header)
		got := get(t, served.URL+"/?api_key="+good, header)
		if got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if (want.status == http.StatusOK) != strings.HasPrefix(name, "accepted") {
			t.Errorf("%s: the authority answers %d", name, want.status)
		}
	}
}

func ofAccount(account string) func(*tokenv1.CreateRequest) {
	return func(request *tokenv1.CreateRequest) { request.Account = account }
}

type answer struct {
	status                                     int
	contentType, cacheControl, challenge, body string
}

var ownRequestID = regexp.MustCompile(`req_[0-9a-f-]{36}`)

func get(t *testing.T, url string, header http.Header) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header.Clone()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return answer{status: http.StatusOK}
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var parsed map[string]map[string]any
	if err := json.Unmarshal(body, &parsed); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	sorted, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	from := response.Header
	return answer{
		response.StatusCode, from.Get("Content-Type"), from.Get("Cache-Control"), from.Get("WWW-Authenticate"),
		ownRequestID.ReplaceAllString(string(sorted), "req_"),
	}
}

// authenticatorFunc stands in for a Client.
type authenticatorFunc func(ctx context.Context, key string) (tokenauthority.Decision, error)

func (f authenticatorFunc) Authenticate(
	ctx context.Context, key string, _ tokenauthority.Question,
) (tokenauthority.Decision, error) {
	return f(ctx, key)
}

func decided(decision tokenauthority.Decision, err error) authenticatorFunc {
	return func(context.Context, string) (tokenauthority.Decision, error) { return decision, err }
}

var somebody = &tokenauthority.Principal{Account: "acct_1"}

func TestTheHandlerSeesThePrincipalAndNotTheKey(t *testing.T) {
	t.Parallel()
	header := http.Header{"Authorization": {"Bearer key"}, "X-Api-Key": {"key"}, "Accept": {"*/*"}}
	response := serve(tokenauthority.RequireKey(decided(tokenauthority.Decision{Principal: somebody}, nil), anyKey), header)
	if response.Code != http.StatusOK || response.Body.String() != "true acct_1 map[Accept:[*/*]]" {
		t.Errorf("%d %s", response.Code, response.Body)
	}
	if header.Get("Authorization") == "" {
		t.Error("the header of the request itself was changed")
	}
}

// failures are all ways not to decide, and how they are told.
var failures = map[string]struct {
	authenticator tokenauthority.Authenticator
	status        int
	code          codes.Code
}{
	"an outage":      {decided(tokenauthority.Decision{}, &tokenauthority.Error{Code: codes.Unavailable}), 503, codes.Unavailable},
	"a deadline":     {decided(tokenauthority.Decision{}, &tokenauthority.Error{Code: codes.DeadlineExceeded}), 503, codes.Unavailable},
	"a fault":        {decided(tokenauthority.Decision{}, &tokenauthority.Error{Code: codes.Internal}), 503, codes.Unavailable},
	"another error":  {decided(tokenauthority.Decision{}, errors.New("no")), 503, codes.Unavailable},
	"a mistake":      {decided(tokenauthority.Decision{}, &tokenauthority.Error{Code: codes.InvalidArgument}), 500, codes.Internal},
	"a stranger":     {decided(tokenauthority.Decision{}, &tokenauthority.Error{Code: codes.Unauthenticated}), 500, codes.Internal},
	"a wrong role":   {decided(tokenauthority.Decision{}, &tokenauthority.Error{Code: codes.PermissionDenied}), 500, codes.Internal},
	"no decision":    {decided(tokenauthority.Decision{}, nil), 503, codes.Unavailable},
	"two decisions":  {decided(tokenauthority.Decision{Principal: somebody, Refusal: &tokenauthority.Refusal{}}, nil), 503, codes.Unavailable},
	"both and error": {decided(tokenauthority.Decision{Principal: somebody}, errors.New("no")), 503, codes.Unavailable},
	"a panic": {authenticatorFunc(func(_ context.Context, key string) (tokenauthority.Decision, error) {
		panic(key)
	}), 503, codes.Unavailable},
	"a new reason": {decided(tokenauthority.Decision{Refusal: &tokenauthority.Refusal{Reason: "99"}}, nil), 403, codes.PermissionDenied},
}

func TestTheHandlerIsNeverCalledWithoutAPrincipal(t *testing.T) {
	const key = "sk_live_secret"
	var logged bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&logged, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })

	for name, c := range failures {
		logged.Reset()
		response := serve(tokenauthority.RequireKey(c.authenticator, anyKey), bearer(key))
		if response.Code != c.status || !json.Valid(response.Body.Bytes()) {
			t.Errorf("%s: %d %s", name, response.Code, response.Body)
		}
		if hasRetry := response.Header().Get("Retry-After") != ""; hasRetry != (c.status == 503) {
			t.Errorf("%s: Retry-After is %t", name, hasRetry)
		}
		if wantsLog := c.status >= 500; wantsLog != (logged.Len() > 0) || strings.Contains(logged.String(), key) {
			t.Errorf("%s: logged %s", name, &logged)
		}
	}
}

func TestNothingButPermissionsGetsIntoAHeader(t *testing.T) {
	t.Parallel()
	lenient := decided(tokenauthority.Decision{
		Refusal: &tokenauthority.Refusal{Reason: tokenauthority.InsufficientPermissions},
	}, nil)
	hostile := []string{`a:read", x="`, "a:read\r\nSet-Cookie: a=b", "ä:read", "a:read\n"}
	for scope, permissions := range map[string][]string{
		`, scope="a:read b:write"`: append(slices.Clone(hostile), "a:read", "b:write"),
		"":                         hostile,
	} {
		response := serve(tokenauthority.RequireKey(lenient, tokenauthority.Question{Permissions: permissions}), bearer("key"))
		challenge := response.Header().Get("WWW-Authenticate")
		if response.Code != http.StatusForbidden || challenge != `Bearer realm="CasaPay", error="insufficient_scope"`+scope {
			t.Errorf("%d %s", response.Code, challenge)
		}
		var body struct {
			Error struct {
				RequiredPermissions []string `json:"required_permissions"`
			} `json:"error"`
		}
		if err := json.Unmarshal(response.Body.Bytes(), &body); err != nil || !slices.Equal(body.Error.RequiredPermissions, permissions) {
			t.Errorf("%v: %s", err, response.Body)
		}
	}
}

func TestARouteThatForgetsItsPermissionsIsNotServed(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("it is served")
		}
	}()
	tokenauthority.RequireKey(decided(tokenauthority.Decision{Principal: somebody}, nil), tokenauthority.Question{})
}
