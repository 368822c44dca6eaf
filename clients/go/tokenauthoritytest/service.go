package tokenauthoritytest

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	permissionPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}:(read|write)$`)
	keyPattern        = regexp.MustCompile(`^(sk|pk|rk)_(live|test)_[0-9A-Za-z]{38}$`)
	accountPattern    = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
	filters           = []protoreflect.Name{"account", "types", "livemode", "states", "permission", "held", "rotating"}
	prefixes          = map[tokenv1.TokenType]string{
		tokenv1.TokenType_TOKEN_TYPE_SECRET:      "sk",
		tokenv1.TokenType_TOKEN_TYPE_PUBLISHABLE: "pk",
		tokenv1.TokenType_TOKEN_TYPE_RESTRICTED:  "rk",
	}
)

const maxOverlap = 7 * 24 * time.Hour

type keptKey struct {
	facts *tokenv1.Key
	key   string
	// endRevision is of the change that ended it.
	endRevision int64
}

type kept struct {
	token *tokenv1.Token
	// keys are newest first.
	keys         []*keptKey
	revision     int64
	holdRevision int64
}

// made is what came of a request with a request_id.
type made struct {
	request  proto.Message
	kept     *kept
	key      *keptKey
	revision int64
}

type accountState struct {
	state    tokenv1.AccountState
	revision int64
}

// service is the contract in memory, as far as Fake says. intercept holds the mutex for every call.
type service struct {
	tokenv1.UnimplementedTokenServiceServer
	mutex    sync.Mutex
	isDown   bool
	now      func() time.Time
	tokens   []*kept
	changes  []*tokenv1.Change
	replays  map[string]*made
	accounts map[string]accountState
}

func newService() *service {
	return &service{now: time.Now, replays: map[string]*made{}, accounts: map[string]accountState{}}
}

func (s *service) Create(_ context.Context, request *tokenv1.CreateRequest) (*tokenv1.CreateResponse, error) {
	if err := s.checkCreate(request); err != nil {
		return nil, err
	}
	made, err := s.once(request, request.GetRequestId(), func() (*made, error) { return s.issue(request) })
	if err != nil {
		return nil, err
	}
	return &tokenv1.CreateResponse{Token: s.shown(made.kept), Key: s.keyAgain(made), Revision: made.revision}, nil
}

// once answers a request that was sent before as it was then.
func (s *service) once(request proto.Message, requestID string, make func() (*made, error)) (*made, error) {
	made := s.replays[requestID]
	if made == nil {
		var err error
		if made, err = make(); err != nil {
			return nil, err
		}
	} else if !proto.Equal(made.request, request) {
		return nil, refused(codes.AlreadyExists, "REQUEST_ID_REUSED", "request_id", "was used with another body")
	}
	if requestID != "" {
		s.replays[requestID] = made
	}
	return made, nil
}

func (s *service) keyAgain(made *made) string {
	if made.kept.token.RevokeTime != nil || !slices.Contains(s.live(made.kept), made.key) {
		return ""
	}
	return made.key.key
}

func (s *service) issue(request *tokenv1.CreateRequest) (*made, error) {
	if s.isClosed(request.GetAccount()) {
		return nil, accountClosed()
	}
	mode := "test"
	if request.GetLivemode() {
		mode = "live"
	}
	permissions := slices.Clone(request.GetPermissions())
	slices.Sort(permissions)
	token := &tokenv1.Token{
		Id: "tok_" + randomText(20), Account: request.GetAccount(), Name: request.GetName(), Type: request.GetType(),
		Livemode: request.GetLivemode(), KeyPrefix: prefixes[request.GetType()] + "_" + mode + "_",
		Permissions: slices.Compact(permissions), CreateTime: timestamppb.New(s.now()), ExpireTime: request.GetExpireTime(),
		CreatedBy: "local",
	}
	key := s.mint(token)
	k := &kept{token: token, keys: []*keptKey{key}, revision: s.note(tokenv1.ChangeAction_CHANGE_ACTION_CREATE, token, "")}
	s.tokens = append(s.tokens, k)
	return &made{proto.CloneOf(request), k, key, k.revision}, nil
}

func (s *service) mint(token *tokenv1.Token) *keptKey {
	unchecked := token.GetKeyPrefix() + randomText(32)
	key := unchecked + checksum(unchecked)
	return &keptKey{facts: &tokenv1.Key{Hint: key[len(key)-4:], IssueTime: timestamppb.New(s.now())}, key: key}
}

func (s *service) RotateKey(_ context.Context, request *tokenv1.RotateKeyRequest) (*tokenv1.RotateKeyResponse, error) {
	overlap := request.GetOverlap().AsDuration()
	switch {
	case overlap < 0 || overlap > maxOverlap:
		return nil, invalid("overlap", "must be 0 to 7 days")
	case overlap == 0 && request.GetRequestId() == "":
		return nil, invalid("request_id", "must be given without an overlap")
	}
	made, err := s.once(request, request.GetRequestId(), func() (*made, error) { return s.rotate(request) })
	if err != nil {
		return nil, err
	}
	return &tokenv1.RotateKeyResponse{Token: s.shown(made.kept), Key: s.keyAgain(made), Revision: made.revision}, nil
}

func (s *service) rotate(request *tokenv1.RotateKeyRequest) (*made, error) {
	k, err := s.findActive(request.GetId())
	if err != nil {
		return nil, err
	}
	live := s.live(k)
	if len(live) > 1 && live[0].facts.LastUseTime != nil {
		return nil, failed("ROTATION_UNDER_WAY", "two keys live, and the new one is in use")
	}
	revision := s.note(tokenv1.ChangeAction_CHANGE_ACTION_ROTATE_KEY, k.token, "")
	end := s.now()
	for at, key := range live {
		if at == len(live)-1 {
			end = s.now().Add(request.GetOverlap().AsDuration())
		}
		k.end(key, &end, revision)
	}
	key := s.mint(k.token)
	k.keys = slices.Insert(k.keys, 0, key)
	return &made{proto.CloneOf(request), k, key, revision}, nil
}

func (s *service) EndRotation(
	_ context.Context, request *tokenv1.EndRotationRequest,
) (*tokenv1.EndRotationResponse, error) {
	k, err := s.findActive(request.GetId())
	if err != nil {
		return nil, err
	}
	isCut, isCancel, isMove := request.GetCutOldNow(), request.GetCancel(), request.GetMoveEnd() != nil
	if !isCut && !isCancel && !isMove {
		return nil, invalid("what", "must say what is done")
	}
	var old, current *keptKey
	for _, key := range s.live(k) {
		if key.facts.EndTime == nil {
			current = key
		} else {
			old = key
		}
	}
	if old == nil {
		// Again: the last key that has ended tells when.
		var revision int64
		for _, key := range k.keys {
			if key != current {
				revision = max(revision, key.endRevision)
			}
		}
		if isMove || isCut != (current == k.keys[0]) || revision == 0 {
			return nil, failed("ROTATION_NOT_UNDER_WAY", "no old key is still to end")
		}
		return &tokenv1.EndRotationResponse{Token: s.shown(k), Revision: revision}, nil
	}
	now := s.now()
	switch {
	case isMove:
		end, issued := request.GetMoveEnd().AsTime(), now
		if current != nil {
			issued = current.facts.IssueTime.AsTime()
		}
		if end.Before(now) || end.After(issued.Add(maxOverlap)) {
			return nil, invalid("move_end", "must not be before now, nor more than 7 days after the rotation")
		}
		k.end(old, &end, s.note(tokenv1.ChangeAction_CHANGE_ACTION_END_KEY, k.token, ""))
	case isCut:
		k.end(old, &now, s.note(tokenv1.ChangeAction_CHANGE_ACTION_END_KEY, k.token, ""))
	default:
		revision := s.note(tokenv1.ChangeAction_CHANGE_ACTION_CANCEL_ROTATION, k.token, "")
		k.end(old, nil, revision)
		if current != nil {
			k.end(current, &now, revision)
		}
	}
	return &tokenv1.EndRotationResponse{Token: s.shown(k), Revision: old.endRevision}, nil
}

func (s *service) SetHold(_ context.Context, request *tokenv1.SetHoldRequest) (*tokenv1.SetHoldResponse, error) {
	action := tokenv1.ChangeAction_CHANGE_ACTION_RESUME
	if request.GetHeld() {
		action = tokenv1.ChangeAction_CHANGE_ACTION_HOLD
	}
	switch subject := request.GetSubject().(type) {
	case *tokenv1.SetHoldRequest_TokenId:
		k := s.find(func(k *kept) bool { return k.token.GetId() == subject.TokenId })
		if k == nil {
			return nil, notFound("token_id")
		}
		if k.token.Held != request.GetHeld() {
			k.token.Held = request.GetHeld()
			k.holdRevision = s.note(action, k.token, request.GetReason())
		}
		response := &tokenv1.SetHoldResponse{Revision: k.holdRevision}
		response.Subject = &tokenv1.SetHoldResponse_Token{Token: s.shown(k)}
		return response, nil
	case *tokenv1.SetHoldRequest_Account:
		account := subject.Account
		if !accountPattern.MatchString(account) {
			return nil, invalid("account", "must be a name of an account")
		}
		if s.isClosed(account) {
			return nil, accountClosed()
		}
		state := tokenv1.AccountState_ACCOUNT_STATE_ACTIVE
		if request.GetHeld() {
			state = tokenv1.AccountState_ACCOUNT_STATE_HELD
		}
		if s.stateOf(account) != state {
			s.accounts[account] = accountState{state, s.note(action, &tokenv1.Token{Account: account}, request.GetReason())}
		}
		response := &tokenv1.SetHoldResponse{Revision: s.accounts[account].revision}
		response.Subject = &tokenv1.SetHoldResponse_Account{Account: s.shownAccount(account)}
		return response, nil
	default:
		return nil, invalid("subject", "must be a token_id or an account")
	}
}

func (s *service) CloseAccount(
	_ context.Context, request *tokenv1.CloseAccountRequest,
) (*tokenv1.CloseAccountResponse, error) {
	account := request.GetAccount()
	if !accountPattern.MatchString(account) {
		return nil, invalid("account", "must be a name of an account")
	}
	if !s.isClosed(account) {
		token := &tokenv1.Token{Account: account}
		revision := s.note(tokenv1.ChangeAction_CHANGE_ACTION_CLOSE, token, request.GetReason())
		s.accounts[account] = accountState{tokenv1.AccountState_ACCOUNT_STATE_CLOSED, revision}
	}
	return &tokenv1.CloseAccountResponse{Account: s.shownAccount(account), Revision: s.accounts[account].revision}, nil
}

func (s *service) RevokeTokens(
	_ context.Context, request *tokenv1.RevokeTokensRequest,
) (*tokenv1.RevokeTokensResponse, error) {
	if proto.Size(request.GetFilter()) == 0 {
		return nil, invalid("filter", "must have a filter")
	}
	if err := knowsOnly(request.GetFilter(), filters...); err != nil {
		return nil, err
	}
	newest := int64(len(s.changes))
	limit := newest
	if request.GetForce() {
		if limit = request.GetUpToRevision(); limit < 1 || limit > newest {
			return nil, invalid("up_to_revision", "must be that of the dry run")
		}
	}
	var found []*kept
	for _, k := range slices.Backward(s.tokens) {
		if k.revision <= limit && k.token.RevokeTime == nil && s.matches(k, request.GetFilter()) {
			found = append(found, k)
		}
	}
	response := &tokenv1.RevokeTokensResponse{UpToRevision: limit}
	if !request.GetForce() {
		response.Matched = int32(len(found))
		for _, k := range found[:min(len(found), 100)] {
			response.SampleIds = append(response.SampleIds, k.token.GetId())
		}
		return response, nil
	}
	for _, k := range found {
		s.revoke(k, request.GetReason())
	}
	response.Revoked, response.Done = int32(len(found)), true
	return response, nil
}

func (s *service) Authenticate(
	_ context.Context, request *tokenv1.AuthenticateRequest,
) (*tokenv1.AuthenticateResponse, error) {
	for _, permission := range request.GetRequiredPermissions() {
		if !permissionPattern.MatchString(permission) {
			return nil, invalid("required_permissions", "must be resource:read or resource:write")
		}
	}
	refuse := func(reason tokenv1.RefusalReason, token *tokenv1.Token, missing ...string) (*tokenv1.AuthenticateResponse, error) {
		return &tokenv1.AuthenticateResponse{Outcome: &tokenv1.AuthenticateResponse_Refusal{Refusal: &tokenv1.Refusal{
			Reason: reason, TokenId: token.GetId(), Account: token.GetAccount(), MissingPermissions: missing,
		}}}, nil
	}
	key := request.GetKey()
	if !keyPattern.MatchString(key) || checksum(key[:len(key)-6]) != key[len(key)-6:] {
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_KEY_MALFORMED, nil)
	}
	var presented *keptKey
	found := s.find(func(k *kept) bool {
		at := slices.IndexFunc(k.keys, func(each *keptKey) bool { return each.key == key })
		if at >= 0 {
			presented = k.keys[at]
		}
		return at >= 0
	})
	if found == nil {
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_KEY_UNKNOWN, nil)
	}
	token := s.shown(found)
	var missing []string
	for _, permission := range request.GetRequiredPermissions() {
		if !covers(token, permission) {
			missing = append(missing, permission)
		}
	}
	types := request.GetAllowedTypes()
	if len(types) == 0 {
		types = []tokenv1.TokenType{tokenv1.TokenType_TOKEN_TYPE_SECRET, tokenv1.TokenType_TOKEN_TYPE_RESTRICTED}
	}
	switch {
	case token.State == tokenv1.TokenState_TOKEN_STATE_REVOKED:
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_TOKEN_REVOKED, token)
	case !slices.Contains(s.live(found), presented):
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_KEY_RETIRED, token)
	case token.State == tokenv1.TokenState_TOKEN_STATE_EXPIRED:
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_TOKEN_EXPIRED, token)
	case s.isClosed(token.GetAccount()):
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_ACCOUNT_CLOSED, token)
	case token.GetHeld():
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_TOKEN_HELD, token)
	case s.stateOf(token.GetAccount()) == tokenv1.AccountState_ACCOUNT_STATE_HELD:
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_ACCOUNT_HELD, token)
	case request.Livemode != nil && request.GetLivemode() != token.GetLivemode():
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_LIVEMODE_MISMATCH, token)
	case !slices.Contains(types, token.GetType()):
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_TYPE_NOT_ALLOWED, token)
	case len(missing) > 0:
		return refuse(tokenv1.RefusalReason_REFUSAL_REASON_INSUFFICIENT_PERMISSIONS, token, missing...)
	}
	presented.facts.LastUseTime = timestamppb.New(s.now())
	return &tokenv1.AuthenticateResponse{Outcome: &tokenv1.AuthenticateResponse_Principal{Principal: &tokenv1.Principal{
		TokenId: token.GetId(), Account: token.GetAccount(), Type: token.GetType(), Livemode: token.GetLivemode(),
		Permissions: token.GetPermissions(), ExpireTime: cmp.Or(presented.facts.GetEndTime(), token.GetExpireTime()),
	}}}, nil
}

func (s *service) Get(_ context.Context, request *tokenv1.GetRequest) (*tokenv1.GetResponse, error) {
	found := s.find(func(k *kept) bool { return k.token.GetId() == request.GetId() })
	if found == nil {
		return nil, notFound("id")
	}
	return &tokenv1.GetResponse{Token: s.shown(found)}, nil
}

func (s *service) FindByDigest(
	_ context.Context, request *tokenv1.FindByDigestRequest,
) (*tokenv1.FindByDigestResponse, error) {
	found := s.find(func(k *kept) bool {
		return slices.ContainsFunc(k.keys, func(each *keptKey) bool {
			digest := sha256.Sum256([]byte(each.key))
			return string(digest[:]) == string(request.GetDigest())
		})
	})
	if found == nil {
		return nil, notFound("digest")
	}
	return &tokenv1.FindByDigestResponse{Token: s.shown(found)}, nil
}

func (s *service) Revoke(_ context.Context, request *tokenv1.RevokeRequest) (*tokenv1.RevokeResponse, error) {
	found := s.find(func(k *kept) bool { return k.token.GetId() == request.GetId() })
	if found == nil {
		return nil, notFound("id")
	}
	if found.token.RevokeTime == nil {
		s.revoke(found, request.GetReason())
	}
	at := slices.IndexFunc(s.changes, func(c *tokenv1.Change) bool {
		return c.GetTokenId() == request.GetId() && c.GetAction() == tokenv1.ChangeAction_CHANGE_ACTION_REVOKE
	})
	return &tokenv1.RevokeResponse{Token: s.shown(found), Revision: s.changes[at].GetRevision()}, nil
}

func (s *service) List(_ context.Context, request *tokenv1.ListRequest) (*tokenv1.ListResponse, error) {
	if err := knowsOnly(request, filters...); err != nil {
		return nil, err
	}
	filter := &tokenv1.TokenFilter{
		Account: request.GetAccount(), Types: request.GetTypes(), Livemode: request.Livemode, States: request.GetStates(),
		Permission: request.GetPermission(), Held: request.Held, Rotating: request.Rotating,
	}
	response := &tokenv1.ListResponse{}
	for _, k := range slices.Backward(s.tokens) {
		if s.matches(k, filter) {
			response.Tokens = append(response.Tokens, s.shown(k))
		}
	}
	return response, nil
}

func (s *service) matches(k *kept, filter *tokenv1.TokenFilter) bool {
	token := s.shown(k)
	isHeld := token.GetHeld() || token.GetAccountState() == tokenv1.AccountState_ACCOUNT_STATE_HELD
	isRotating := token.GetState() == tokenv1.TokenState_TOKEN_STATE_ACTIVE && len(s.live(k)) > 1
	return (filter.GetAccount() == "" || filter.GetAccount() == token.GetAccount()) &&
		(len(filter.GetTypes()) == 0 || slices.Contains(filter.GetTypes(), token.GetType())) &&
		(filter.Livemode == nil || filter.GetLivemode() == token.GetLivemode()) &&
		(len(filter.GetStates()) == 0 || slices.Contains(filter.GetStates(), token.GetState())) &&
		(filter.GetPermission() == "" || covers(token, filter.GetPermission())) &&
		(filter.Held == nil || filter.GetHeld() == isHeld) &&
		(filter.Rotating == nil || filter.GetRotating() == isRotating)
}

func (s *service) ListChanges(
	_ context.Context, request *tokenv1.ListChangesRequest,
) (*tokenv1.ListChangesResponse, error) {
	if err := knowsOnly(request, "token_id", "after_revision", "oldest_first"); err != nil {
		return nil, err
	}
	newest := int64(len(s.changes))
	if request.GetAfterRevision() > newest {
		return nil, invalid("after_revision", "must not be beyond the newest change")
	}
	response := &tokenv1.ListChangesResponse{}
	for _, change := range s.changes {
		isOf := request.GetTokenId() == "" || request.GetTokenId() == change.GetTokenId()
		if isOf && change.GetRevision() > request.GetAfterRevision() {
			response.Changes = append(response.Changes, change)
		}
	}
	if request.GetOldestFirst() {
		response.ReachedRevision = newest
	} else {
		slices.Reverse(response.Changes)
	}
	return response, nil
}

func (s *service) ListAccounts(
	_ context.Context, request *tokenv1.ListAccountsRequest,
) (*tokenv1.ListAccountsResponse, error) {
	names := map[string]bool{}
	for _, k := range s.tokens {
		names[k.token.GetAccount()] = true
	}
	for account, state := range s.accounts {
		names[account] = names[account] || state.state != tokenv1.AccountState_ACCOUNT_STATE_ACTIVE
	}
	response := &tokenv1.ListAccountsResponse{}
	for _, account := range slices.Sorted(maps.Keys(names)) {
		if names[account] && strings.HasPrefix(account, request.GetPrefix()) {
			response.Accounts = append(response.Accounts, s.shownAccount(account))
		}
	}
	return response, nil
}

func (s *service) shownAccount(name string) *tokenv1.Account {
	account := &tokenv1.Account{Account: name, State: s.stateOf(name)}
	for _, k := range s.tokens {
		token := s.shown(k)
		switch {
		case token.GetAccount() != name:
		case token.GetState() == tokenv1.TokenState_TOKEN_STATE_REVOKED:
			account.RevokedCount++
		case token.GetState() == tokenv1.TokenState_TOKEN_STATE_EXPIRED:
			account.ExpiredCount++
		default:
			account.ActiveCount++
		}
	}
	return account
}

func (s *service) stateOf(account string) tokenv1.AccountState {
	if state, ok := s.accounts[account]; ok {
		return state.state
	}
	return tokenv1.AccountState_ACCOUNT_STATE_ACTIVE
}

func (s *service) isClosed(account string) bool {
	return s.stateOf(account) == tokenv1.AccountState_ACCOUNT_STATE_CLOSED
}

// findActive is for what only an active token can have.
func (s *service) findActive(id string) (*kept, error) {
	k := s.find(func(k *kept) bool { return k.token.GetId() == id })
	switch {
	case k == nil:
		return nil, notFound("id")
	case s.isClosed(k.token.GetAccount()):
		return nil, accountClosed()
	case s.shown(k).State != tokenv1.TokenState_TOKEN_STATE_ACTIVE:
		return nil, failed("TOKEN_NOT_ACTIVE", "the token is revoked or has expired")
	}
	return k, nil
}

// live are the keys that have not ended, newest first.
func (s *service) live(k *kept) []*keptKey {
	now := s.now()
	return slices.DeleteFunc(slices.Clone(k.keys), func(key *keptKey) bool {
		return key.facts.EndTime != nil && !now.Before(key.facts.EndTime.AsTime())
	})
}

// end ends a key then, or with its token where that is earlier. Without a time, the key goes on.
func (k *kept) end(key *keptKey, end *time.Time, revision int64) {
	key.endRevision = revision
	switch {
	case end == nil:
		key.facts.EndTime = nil
	case k.token.ExpireTime != nil && k.token.ExpireTime.AsTime().Before(*end):
		key.facts.EndTime = k.token.ExpireTime
	default:
		key.facts.EndTime = timestamppb.New(*end)
	}
}

func (s *service) revoke(k *kept, reason string) {
	k.token.RevokeTime, k.token.RevokeReason = timestamppb.New(s.now()), reason
	s.note(tokenv1.ChangeAction_CHANGE_ACTION_REVOKE, k.token, reason)
}

func (s *service) find(wanted func(*kept) bool) *kept {
	if at := slices.IndexFunc(s.tokens, wanted); at >= 0 {
		return s.tokens[at]
	}
	return nil
}

// shown is the token as it is now.
func (s *service) shown(k *kept) *tokenv1.Token {
	token := proto.CloneOf(k.token)
	switch {
	case token.RevokeTime != nil:
		token.State = tokenv1.TokenState_TOKEN_STATE_REVOKED
	case token.ExpireTime != nil && !s.now().Before(token.ExpireTime.AsTime()):
		token.State = tokenv1.TokenState_TOKEN_STATE_EXPIRED
	default:
		token.State = tokenv1.TokenState_TOKEN_STATE_ACTIVE
	}
	token.AccountState = s.stateOf(token.GetAccount())
	live := s.live(k)
	for _, key := range k.keys {
		if token.KeyHint == "" && key.facts.EndTime == nil {
			token.KeyHint = key.facts.GetHint()
		}
		if !slices.Contains(live, key) {
			live = append(live, key)
		}
	}
	for _, key := range live[:min(len(live), 10)] {
		token.Keys = append(token.Keys, proto.CloneOf(key.facts))
		used := key.facts.GetLastUseTime()
		if used != nil && (token.LastUseTime == nil || used.AsTime().After(token.LastUseTime.AsTime())) {
			token.LastUseTime = used
		}
	}
	return token
}

// note appends to the journal. A token without an id stands for its account.
func (s *service) note(action tokenv1.ChangeAction, token *tokenv1.Token, reason string) int64 {
	change := &tokenv1.Change{
		Revision: int64(len(s.changes) + 1), Action: action, TokenId: token.GetId(), Caller: "local",
		ChangeTime: timestamppb.New(s.now()), Account: token.GetAccount(), TokenName: token.GetName(),
		TokenType: token.GetType(), Reason: reason,
	}
	if action == tokenv1.ChangeAction_CHANGE_ACTION_REVOKE {
		change.RevokeReason = reason
	}
	s.changes = append(s.changes, change)
	return change.Revision
}

func (s *service) checkCreate(request *tokenv1.CreateRequest) error {
	isRestricted := request.GetType() == tokenv1.TokenType_TOKEN_TYPE_RESTRICTED
	isBad := func(permission string) bool { return !permissionPattern.MatchString(permission) }
	switch {
	case !accountPattern.MatchString(request.GetAccount()):
		return invalid("account", "must be printable ASCII")
	case strings.TrimSpace(request.GetName()) == "":
		return invalid("name", "must not be empty")
	case prefixes[request.GetType()] == "":
		return invalid("type", "must be one of its values")
	case slices.ContainsFunc(request.GetPermissions(), isBad):
		return invalid("permissions", "must be resource:read or resource:write")
	case isRestricted != (len(request.GetPermissions()) > 0):
		return invalid("permissions", "are for restricted keys")
	case request.ExpireTime != nil && !request.GetExpireTime().AsTime().After(s.now()):
		return invalid("expire_time", "must be in the future")
	}
	return nil
}

// knowsOnly refuses other filters: one that is passed over finds too much.
func knowsOnly(request proto.Message, known ...protoreflect.Name) error {
	var err error
	request.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if field.Name() != "page_size" && !slices.Contains(known, field.Name()) {
			err = refused(codes.Unimplemented, "REQUEST_NOT_SUPPORTED", string(field.Name()), "is no filter of the fake")
		}
		return err == nil
	})
	return err
}

func covers(token *tokenv1.Token, permission string) bool {
	resource, _, _ := strings.Cut(permission, ":")
	return token.GetType() == tokenv1.TokenType_TOKEN_TYPE_SECRET || slices.Contains(token.GetPermissions(), permission) ||
		slices.Contains(token.GetPermissions(), resource+":write")
}

func invalid(field, rule string) error {
	return refused(codes.InvalidArgument, "FIELD_INVALID", field, rule)
}

func accountClosed() error {
	return refused(codes.FailedPrecondition, "ACCOUNT_CLOSED", "account", "is closed for good")
}

func failed(reason, message string) error {
	return answer(codes.FailedPrecondition, reason, nil, message)
}

func notFound(field string) error {
	return refused(codes.NotFound, "TOKEN_NOT_FOUND", field, "is that of no token")
}

func refused(code codes.Code, reason, field, rule string) error {
	return answer(code, reason, map[string]string{"field": field}, fmt.Sprintf("%s %s", field, rule))
}

func answer(code codes.Code, reason string, metadata map[string]string, message string) error {
	refusal, err := status.New(code, message).WithDetails(&errdetails.ErrorInfo{
		Domain: "token.casapay.com", Reason: reason, Metadata: metadata,
	})
	if err != nil {
		return err
	}
	return refusal.Err()
}

func randomText(length int) string {
	text := make([]byte, length)
	for i := range text {
		at, _ := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		text[i] = letters[at.Int64()]
	}
	return string(text)
}

// checksum is CRC-32 in base 62, the most significant digit first.
func checksum(text string) string {
	digits := make([]byte, 6)
	rest := crc32.ChecksumIEEE([]byte(text))
	for i := range digits {
		digits[len(digits)-1-i] = letters[rest%62]
		rest /= 62
	}
	return string(digits)
}
