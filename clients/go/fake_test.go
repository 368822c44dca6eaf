package tokenauthority_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"casapay.com/tokenauthority/tokenauthoritytest"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const testRequestID = "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52"

func newFake(t *testing.T) *tokenauthoritytest.Fake {
	t.Helper()
	fake := tokenauthoritytest.New()
	t.Cleanup(func() { fake.Close() })
	return fake
}

// story is what a caller does in a day, and what it is told: times, ids and keys left out.
func story(t *testing.T, client *tokenauthority.Client) []string {
	t.Helper()
	ctx := t.Context()
	till := &tokenv1.CreateRequest{
		Account: "acct_1", Name: "Till", Type: tokenauthority.Restricted, Livemode: true, Permissions: []string{"charges:write"},
		RequestId: testRequestID,
	}
	var ids []string
	create := func(request *tokenv1.CreateRequest) *tokenauthority.Created {
		created, err := client.Create(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, created.Token.GetId(), "token "+created.Token.GetName(), created.Token.GetKeyHint(), "hint")
		return created
	}
	created := create(till)
	secret := create(&tokenv1.CreateRequest{Account: "acct_2", Name: "Shop", Type: tokenauthority.Secret})
	page := create(&tokenv1.CreateRequest{Account: "acct_2", Name: "Page", Type: tokenauthority.Publishable})
	if again := create(till); again.Key.Reveal() != created.Key.Reveal() {
		t.Error("another key for the same request_id")
	}

	var told []string
	tell := func(answer any, err error) {
		var failure *tokenauthority.Error
		if errors.As(err, &failure) {
			answer = []any{failure.RPC, failure.Code, failure.Reason, failure.Field, failure.IsMistake()}
		}
		var text []byte
		if message, ok := answer.(proto.Message); ok && err == nil {
			message = withoutTimes(message)
			text, _ = protojson.Marshal(message)
		} else {
			text, _ = json.Marshal(answer)
		}
		// protojson puts spaces where it likes.
		told = append(told, strings.NewReplacer(append(ids, " ", "")...).Replace(string(text)))
	}
	for _, change := range []func(*tokenv1.CreateRequest){
		func(r *tokenv1.CreateRequest) { r.Name, r.RequestId = "Other", testRequestID },
		func(r *tokenv1.CreateRequest) { r.Permissions = nil },
		func(r *tokenv1.CreateRequest) { r.Permissions = []string{"charges:all"} },
		func(r *tokenv1.CreateRequest) { r.Account = "" },
		func(r *tokenv1.CreateRequest) { r.ExpireTime = timestamppb.New(time.Unix(0, 0)) },
	} {
		request := proto.CloneOf(till)
		request.RequestId = ""
		change(request)
		_, err := client.Create(ctx, request)
		tell(nil, err)
	}
	for _, question := range []tokenauthority.Question{
		{},
		{Permissions: []string{"charges:read"}, Mode: tokenauthority.Live},
		{Permissions: []string{"charges:read", "events:read"}},
		{Mode: tokenauthority.Test},
		{Types: []tokenauthority.TokenType{tokenauthority.Publishable}},
		{Permissions: []string{"nonsense"}},
	} {
		for _, key := range []string{created.Key.Reveal(), secret.Key.Reveal(), page.Key.Reveal(), "sk_live_0"} {
			decision, err := client.Authenticate(ctx, key, question)
			tell(decision, err)
		}
	}
	id := created.Token.GetId()
	get := func(id string) { token, err := client.Get(ctx, id); tell(token, err) }
	list := func(request *tokenv1.ListRequest) { page, err := client.List(ctx, request); tell(page, err) }
	changes := func(request *tokenv1.ListChangesRequest) {
		page, err := client.ListChanges(ctx, request)
		tell(page, err)
	}
	find := func(key string) { token, err := client.FindByDigest(ctx, tokenauthority.Digest(key)); tell(token, err) }
	revoke := func(reason string) { response, err := client.Revoke(ctx, id, reason); tell(response, err) }
	get(id)
	get("tok_00000000000000000000")
	find(created.Key.Reveal())
	find("another")
	list(&tokenv1.ListRequest{})
	list(&tokenv1.ListRequest{Account: "acct_2", Types: []tokenauthority.TokenType{tokenauthority.Publishable}})
	list(&tokenv1.ListRequest{Permission: "charges:read"})
	revoke("lost")
	revoke("again")
	decision, err := client.Authenticate(ctx, created.Key.Reveal(), tokenauthority.Question{})
	tell(decision, err)
	list(&tokenv1.ListRequest{States: []tokenv1.TokenState{tokenv1.TokenState_TOKEN_STATE_REVOKED}})
	changes(&tokenv1.ListChangesRequest{})
	changes(&tokenv1.ListChangesRequest{TokenId: id})
	changes(&tokenv1.ListChangesRequest{OldestFirst: true, AfterRevision: 2})
	changes(&tokenv1.ListChangesRequest{OldestFirst: true, AfterRevision: 99})
	accounts := func() {
		page, err := client.ListAccounts(ctx, &tokenv1.ListAccountsRequest{Prefix: "acct_"})
		tell(page, err)
	}
	accounts()

	shop := secret.Token.GetId()
	authenticate := func(key tokenauthority.Key) *tokenauthority.Principal {
		decision, err := client.Authenticate(ctx, key.Reveal(), tokenauthority.Question{})
		if decision.Principal != nil {
			principal := *decision.Principal
			decision.Principal.ExpireTime = time.Time{}
			tell(decision, err)
			return &principal
		}
		tell(decision, err)
		return nil
	}
	rotate := func(request *tokenv1.RotateKeyRequest) *tokenauthority.Created {
		rotated, err := client.RotateKey(ctx, request)
		if err != nil {
			tell(nil, err)
			return nil
		}
		ids = append(ids, rotated.Token.GetKeys()[0].GetHint(), "hint")
		tell(rotated.Token, nil)
		return rotated
	}
	hour := durationpb.New(time.Hour)
	rotation := &tokenv1.RotateKeyRequest{Id: shop, Overlap: hour, RequestId: "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c53"}
	rotated := rotate(rotation)
	if again := rotate(rotation); again.Key.Reveal() != rotated.Key.Reveal() {
		t.Error("another key for the same request_id")
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", rotated, *rotated, rotated.Key), rotated.Key.Reveal()) {
		t.Error("a printed answer shows the key")
	}
	rotate(&tokenv1.RotateKeyRequest{Id: shop, Overlap: durationpb.New(2 * time.Hour), RequestId: rotation.GetRequestId()})
	rotate(&tokenv1.RotateKeyRequest{Id: shop, Overlap: durationpb.New(8 * 24 * time.Hour)})
	rotate(&tokenv1.RotateKeyRequest{Id: id, Overlap: hour})
	list(&tokenv1.ListRequest{Rotating: proto.Bool(true)})
	find(secret.Key.Reveal())
	if principal := authenticate(secret.Key); principal == nil || principal.ExpireTime.IsZero() {
		t.Error("the old key in the overlap:", principal)
	}
	authenticate(rotated.Key)
	end := func(request *tokenv1.EndRotationRequest) {
		response, err := client.EndRotation(ctx, request)
		tell(response, err)
	}
	moveTo := func(after time.Duration) *tokenv1.EndRotationRequest_MoveEnd {
		return &tokenv1.EndRotationRequest_MoveEnd{MoveEnd: timestamppb.New(time.Now().Add(after))}
	}
	cut, cancel := &tokenv1.EndRotationRequest_CutOldNow{CutOldNow: true}, &tokenv1.EndRotationRequest_Cancel{Cancel: true}
	end(&tokenv1.EndRotationRequest{Id: shop})
	end(&tokenv1.EndRotationRequest{Id: shop, What: moveTo(2 * time.Hour)})
	end(&tokenv1.EndRotationRequest{Id: shop, What: moveTo(8 * 24 * time.Hour)})
	end(&tokenv1.EndRotationRequest{Id: shop, What: cut})
	end(&tokenv1.EndRotationRequest{Id: shop, What: cut})
	end(&tokenv1.EndRotationRequest{Id: shop, What: cancel})
	end(&tokenv1.EndRotationRequest{Id: id, What: cut})
	authenticate(secret.Key)
	third := rotate(&tokenv1.RotateKeyRequest{Id: shop, Overlap: hour})
	end(&tokenv1.EndRotationRequest{Id: shop, What: cancel})
	end(&tokenv1.EndRotationRequest{Id: shop, What: cancel})
	authenticate(third.Key)

	hold := func(request *tokenv1.SetHoldRequest) {
		response, err := client.SetHold(ctx, request)
		tell(response, err)
	}
	token, account := &tokenv1.SetHoldRequest_TokenId{TokenId: shop}, &tokenv1.SetHoldRequest_Account{Account: "acct_2"}
	for _, held := range []bool{true, true, false, false} {
		hold(&tokenv1.SetHoldRequest{Subject: token, Held: held, Reason: "looked at"})
		authenticate(rotated.Key)
		hold(&tokenv1.SetHoldRequest{Subject: account, Held: held, Reason: "looked at"})
		authenticate(rotated.Key)
		list(&tokenv1.ListRequest{Held: proto.Bool(true)})
	}
	hold(&tokenv1.SetHoldRequest{Held: true})
	closeAccount := func(account string) {
		response, err := client.CloseAccount(ctx, account, "fraud")
		tell(response, err)
	}
	closeAccount("acct_2")
	closeAccount("acct_2")
	closeAccount("no name!")
	authenticate(rotated.Key)
	hold(&tokenv1.SetHoldRequest{Subject: account})
	_, err = client.Create(ctx, &tokenv1.CreateRequest{Account: "acct_2", Name: "Late", Type: tokenauthority.Secret})
	tell(nil, err)
	rotate(&tokenv1.RotateKeyRequest{Id: shop, Overlap: hour})

	purge := func(request *tokenv1.RevokeTokensRequest) {
		response, err := client.RevokeTokens(ctx, request)
		tell(response, err)
	}
	filter := &tokenv1.TokenFilter{Account: "acct_2"}
	purge(&tokenv1.RevokeTokensRequest{})
	purge(&tokenv1.RevokeTokensRequest{Filter: filter})
	purge(&tokenv1.RevokeTokensRequest{Filter: filter, Force: true})
	for range 2 {
		purge(&tokenv1.RevokeTokensRequest{Filter: filter, Force: true, UpToRevision: 5, Reason: "fraud"})
	}
	accounts()
	changes(&tokenv1.ListChangesRequest{})
	return told
}

// withoutTimes is a copy without what differs from run to run.
func withoutTimes(message proto.Message) proto.Message {
	message = proto.Clone(message)
	var tokens []*tokenv1.Token
	switch message := message.(type) {
	case *tokenv1.Token:
		tokens = append(tokens, message)
	case interface{ GetToken() *tokenv1.Token }:
		if message.GetToken() != nil {
			tokens = append(tokens, message.GetToken())
		}
	case *tokenv1.ListResponse:
		tokens = message.GetTokens()
	case *tokenv1.ListChangesResponse:
		for _, change := range message.GetChanges() {
			change.ChangeTime, change.Hash, change.Facts = nil, nil, ""
		}
	}
	for _, token := range tokens {
		token.CreateTime, token.RevokeTime, token.LastUseTime = nil, nil, nil
		for _, key := range token.GetKeys() {
			key.IssueTime, key.LastUseTime = nil, nil
			if key.EndTime != nil {
				key.EndTime = &timestamppb.Timestamp{}
			}
		}
	}
	return message
}

func TestTheFakeAnswersAsTheRealAuthorityDoes(t *testing.T) {
	t.Parallel()
	want := story(t, dial(t, startAuthority(t).address))
	got := story(t, newFake(t).Client)
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("answer %d of the fake:\n%s\nof the real one:\n%s", i, got[i], want[i])
		}
	}
}

func TestTheFakeGoesByTheClockThatItIsGiven(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	expires := time.Now().Add(time.Hour)
	created := mustCreate(t, fake.Client, func(r *tokenv1.CreateRequest) { r.ExpireTime = timestamppb.New(expires) })
	for at, reason := range map[time.Duration]tokenauthority.Reason{-time.Millisecond: "", 0: tokenauthority.TokenExpired} {
		fake.SetClock(func() time.Time { return expires.Add(at) })
		decision, err := fake.Authenticate(t.Context(), created.Key.Reveal(), tokenauthority.Question{})
		if err != nil || (decision.Principal == nil) != (reason != "") || reason != "" && decision.Refusal.Reason != reason {
			t.Errorf("%v: %+v, %v", at, decision, err)
		}
	}
}

func TestTheFakesOutageIsA503(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	key := mustCreate(t, fake.Client).Key.Reveal()
	guard := tokenauthority.RequireKey(fake, anyKey)
	for _, step := range []struct {
		down bool
		want int
	}{{false, http.StatusOK}, {true, http.StatusServiceUnavailable}, {false, http.StatusOK}} {
		fake.SetDown(step.down)
		if got := serve(guard, bearer(key)).Code; got != step.want {
			t.Errorf("down %v: %d", step.down, got)
		}
	}
}

func TestTheFakeRefusesAFilterThatItDoesNotHave(t *testing.T) {
	t.Parallel()
	_, err := newFake(t).List(t.Context(), &tokenv1.ListRequest{NameContains: "till"})
	if codeOf(err) != codes.Unimplemented {
		t.Error(err)
	}
}
