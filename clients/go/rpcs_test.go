package tokenauthority_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestTheLifeOfAToken(t *testing.T) {
	t.Parallel()
	client := dial(t, startAuthority(t).address)
	ctx := t.Context()

	created := mustCreate(t, client)
	key := created.Key.Reveal()
	if created.Revision != 1 || !strings.HasPrefix(key, "rk_live_") || !strings.HasSuffix(key, created.Token.GetKeyHint()) {
		t.Fatalf("created %v", created)
	}

	decision, err := client.Authenticate(ctx, key, tokenauthority.Question{
		Permissions: []string{"charges:read"}, Mode: tokenauthority.Live, Types: []tokenauthority.TokenType{tokenauthority.Restricted},
	})
	if err != nil || decision.Refusal != nil {
		t.Fatal(decision, err)
	}
	principal := decision.Principal
	if principal.TokenID != created.Token.GetId() || principal.Account != "acct_1" || !principal.Livemode ||
		principal.Type != tokenauthority.Restricted || !slices.Equal(principal.Permissions, []string{"charges:read"}) ||
		!principal.ExpireTime.IsZero() {
		t.Errorf("the principal is %+v", principal)
	}

	token, err := client.Get(ctx, created.Token.GetId())
	if err != nil || token.GetName() != "Till" {
		t.Error(token, err)
	}
	found, err := client.FindByDigest(ctx, tokenauthority.Digest(key))
	if err != nil || found.GetId() != token.GetId() {
		t.Error(found, err)
	}

	revoked, err := client.Revoke(ctx, token.GetId(), "lost")
	if err != nil || revoked.GetToken().GetRevokeReason() != "lost" || revoked.GetRevision() != 2 {
		t.Error(revoked, err)
	}
	decision, err = client.Authenticate(ctx, key, tokenauthority.Question{})
	if err != nil || decision.Principal != nil || decision.Refusal.Reason != tokenauthority.TokenRevoked {
		t.Error(decision, err)
	}

	var actions []tokenv1.ChangeAction
	for change, err := range client.Changes(ctx, &tokenv1.ListChangesRequest{TokenId: token.GetId(), PageSize: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		actions = append(actions, change.GetAction())
	}
	if want := []tokenv1.ChangeAction{
		tokenv1.ChangeAction_CHANGE_ACTION_REVOKE, tokenv1.ChangeAction_CHANGE_ACTION_CREATE,
	}; !slices.Equal(actions, want) {
		t.Errorf("the changes are %v", actions)
	}
	tail, err := client.ListChanges(ctx, &tokenv1.ListChangesRequest{OldestFirst: true, AfterRevision: 1})
	if err != nil || len(tail.GetChanges()) != 1 || tail.GetChanges()[0].GetReason() != "lost" || tail.GetReachedRevision() != 2 {
		t.Error(tail, err)
	}
}

func TestIteratorsWalkAllPages(t *testing.T) {
	t.Parallel()
	client := dial(t, startAuthority(t).address)
	var want []string
	for _, account := range []string{"acct_a", "acct_b", "acct_c"} {
		for range 3 {
			created := mustCreate(t, client, func(request *tokenv1.CreateRequest) { request.Account = account })
			want = append(want, created.Token.GetId())
		}
	}
	slices.Reverse(want)

	tokens := client.Tokens(t.Context(), &tokenv1.ListRequest{PageSize: 2})
	for round := range 2 {
		var ids []string
		for token, err := range tokens {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, token.GetId())
		}
		if !slices.Equal(ids, want) {
			t.Errorf("round %d: the tokens are %v, not %v", round, ids, want)
		}
	}
	var accounts []string
	for account, err := range client.Accounts(t.Context(), &tokenv1.ListAccountsRequest{PageSize: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		accounts = append(accounts, account.GetAccount())
	}
	if !slices.Equal(accounts, []string{"acct_a", "acct_b", "acct_c"}) {
		t.Errorf("the accounts are %v", accounts)
	}
	changes := 0
	for _, err := range client.Changes(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		changes++
	}
	if changes != len(want) {
		t.Errorf("%d changes", changes)
	}
}

func TestAnIteratorGoesOnAfterAnEmptyPageAndEndsWithAnError(t *testing.T) {
	t.Parallel()
	address := startFake(t, &fakeService{list: func(request *tokenv1.ListRequest) (*tokenv1.ListResponse, error) {
		switch request.GetPageToken() {
		case "":
			return &tokenv1.ListResponse{NextPageToken: "2"}, nil
		case "2":
			return &tokenv1.ListResponse{Tokens: []*tokenv1.Token{{Id: "tok_1"}}, NextPageToken: "3"}, nil
		default:
			return nil, status.Error(codes.InvalidArgument, "no such page")
		}
	}})
	var ids []string
	var last error
	for token, err := range dial(t, address).Tokens(t.Context(), nil) {
		ids, last = append(ids, token.GetId()), err
	}
	if !slices.Equal(ids, []string{"tok_1", ""}) || codeOf(last) != codes.InvalidArgument {
		t.Error(ids, last)
	}
}

func TestEveryRefusalIsAValue(t *testing.T) {
	t.Parallel()
	client := dial(t, startAuthority(t).address)
	good := mustCreate(t, client)
	publishable := mustCreate(t, client, func(request *tokenv1.CreateRequest) {
		request.Type, request.Permissions = tokenauthority.Publishable, nil
	})
	revoked := mustCreate(t, client)
	if _, err := client.Revoke(t.Context(), revoked.Token.GetId(), ""); err != nil {
		t.Fatal(err)
	}
	expireTime := time.Now().Add(300 * time.Millisecond)
	expired := mustCreate(t, client, func(request *tokenv1.CreateRequest) { request.ExpireTime = timestamppb.New(expireTime) })
	// The authority's clock is this one: there is nothing else to wait for.
	time.Sleep(time.Until(expireTime.Add(5 * time.Millisecond)))

	for reason, asked := range map[tokenauthority.Reason]struct {
		key      string
		question tokenauthority.Question
		want     tokenauthority.Refusal
	}{
		tokenauthority.KeyMalformed: {key: good.Key.Reveal() + "0"},
		tokenauthority.KeyUnknown:   {key: "sk_live_000000000000000000000000000000002UYg5A"},
		tokenauthority.TokenRevoked: {key: revoked.Key.Reveal(), want: refusalOf(revoked)},
		tokenauthority.TokenExpired: {key: expired.Key.Reveal(), want: refusalOf(expired)},
		tokenauthority.LivemodeMismatch: {
			key: good.Key.Reveal(), question: tokenauthority.Question{Mode: tokenauthority.Test}, want: refusalOf(good),
		},
		tokenauthority.TypeNotAllowed: {key: publishable.Key.Reveal(), want: refusalOf(publishable)},
		tokenauthority.InsufficientPermissions: {
			key:      good.Key.Reveal(),
			question: tokenauthority.Question{Permissions: []string{"charges:read", "charges:write"}},
			want:     refusalOf(good, "charges:write"),
		},
	} {
		decision, err := client.Authenticate(t.Context(), asked.key, asked.question)
		if err != nil || decision.Principal != nil {
			t.Errorf("%s: %+v, %v", reason, decision, err)
			continue
		}
		asked.want.Reason = reason
		got := *decision.Refusal
		if got.Reason != reason || got.TokenID != asked.want.TokenID || got.Account != asked.want.Account ||
			!slices.Equal(got.MissingPermissions, asked.want.MissingPermissions) {
			t.Errorf("got %+v, want %+v", got, asked.want)
		}
	}
}

func refusalOf(created *tokenauthority.Created, missing ...string) tokenauthority.Refusal {
	token := created.Token
	return tokenauthority.Refusal{TokenID: token.GetId(), Account: token.GetAccount(), MissingPermissions: missing}
}

func TestAReasonOfTheFutureIsARefusalAndAnAnswerWithoutOutcomeIsNot(t *testing.T) {
	t.Parallel()
	answer := new(tokenv1.AuthenticateResponse)
	client := dial(t, startFake(t, &fakeService{authenticate: answering(answer)}))

	_, err := client.Authenticate(t.Context(), "key", tokenauthority.Question{})
	if failure := asError(t, err); failure.IsMistake() {
		t.Error(failure)
	}

	answer.Outcome = &tokenv1.AuthenticateResponse_Refusal{Refusal: &tokenv1.Refusal{Reason: 99}}
	decision, err := client.Authenticate(t.Context(), "key", tokenauthority.Question{})
	if err != nil || decision.Principal != nil || decision.Refusal.Reason != "99" {
		t.Error(decision, err)
	}
}

func TestErrorsHaveCodeReasonAndField(t *testing.T) {
	t.Parallel()
	client := dial(t, startAuthority(t).address)
	_, err := client.Authenticate(t.Context(), "key", tokenauthority.Question{Permissions: []string{"Charges"}})
	failure := asError(t, err)
	if failure.Code != codes.InvalidArgument || failure.Reason != "FIELD_INVALID" ||
		failure.Field != "required_permissions" || !failure.IsMistake() {
		t.Errorf("%#v", failure)
	}
	_, err = client.Get(t.Context(), "tok_00000000000000000000")
	failure = asError(t, err)
	if failure.Code != codes.NotFound || failure.Reason != "TOKEN_NOT_FOUND" || failure.RPC != "Get" {
		t.Errorf("%#v", failure)
	}
	_, err = client.Create(t.Context(), nil)
	failure = asError(t, err)
	if failure.Code != codes.InvalidArgument || failure.RequestID == "" {
		t.Errorf("%#v", failure)
	}
}

// codeOf returns the code of an *Error, or OK for anything else.
func codeOf(err error) codes.Code {
	var failure *tokenauthority.Error
	if errors.As(err, &failure) {
		return failure.Code
	}
	return codes.OK
}

func asError(t *testing.T, err error) *tokenauthority.Error {
	t.Helper()
	var failure *tokenauthority.Error
	if !errors.As(err, &failure) {
		t.Fatalf("%v is no *Error", err)
	}
	return failure
}
