package tokenauthority_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// slack is what a deadline may be missed by on a busy machine.
const slack = time.Second

func TestWhenNobodyListensNothingIsDecidedByTheDeadline(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond
	client := dial(t, freeAddress(t), tokenauthority.WithAuthenticateTimeout(timeout), tokenauthority.WithTimeout(timeout))
	for name, call := range map[string]func(context.Context) error{
		"Authenticate": func(ctx context.Context) error {
			_, err := client.Authenticate(ctx, "key", tokenauthority.Question{})
			return err
		},
		"Get": func(ctx context.Context) error {
			_, err := client.Get(ctx, "tok_00000000000000000000")
			return err
		},
	} {
		start := time.Now()
		err := call(t.Context())
		failure := asError(t, err)
		if took := time.Since(start); took > timeout+slack {
			t.Errorf("%s took %v", name, took)
		}
		if failure.Code != codes.Unavailable || failure.IsMistake() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}

	response := serve(tokenauthority.RequireKey(client, anyKey), bearer("key"))
	if response.Code != http.StatusServiceUnavailable || response.Header().Get("Retry-After") != "1" {
		t.Errorf("the middleware answers %d", response.Code)
	}
}

func TestAFaultOfThisProgramIsNoOutageAndIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	calls := 0
	broken := grpc.WithUnaryInterceptor(func(
		context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption,
	) error {
		calls++
		return errors.New("a bug that quotes a value")
	})
	client := dial(t, freeAddress(t), tokenauthority.WithDialOptions(broken))
	_, err := client.Authenticate(t.Context(), "key", tokenauthority.Question{})
	failure := asError(t, err)
	if failure.Code != codes.Internal || !failure.IsMistake() || calls != 1 || strings.Contains(err.Error(), "quotes") {
		t.Errorf("%v after %d calls", err, calls)
	}
	response := serve(tokenauthority.RequireKey(client, anyKey), bearer("key"))
	if response.Code != http.StatusInternalServerError {
		t.Errorf("the middleware answers %d", response.Code)
	}
}

func TestWhatCannotBeAKeyIsRefusedWithoutACall(t *testing.T) {
	t.Parallel()
	client := dial(t, freeAddress(t))
	for _, key := range []string{"", "sk_live_\x00", "sk_live_é", "\xff", "sk_live_\n", string(make([]byte, 513))} {
		decision, err := client.Authenticate(t.Context(), key, tokenauthority.Question{})
		if err != nil || decision.Principal != nil || decision.Refusal.Reason != tokenauthority.KeyMalformed {
			t.Errorf("%q: %v, %v", key, decision, err)
		}
	}
}

func TestTextThatIsNotUTF8IsAMistakeAndNamesItsField(t *testing.T) {
	t.Parallel()
	client := dial(t, startFake(t, &fakeService{}))
	_, err := client.Create(t.Context(), &tokenv1.CreateRequest{Account: "acct_1", Name: "Till \xff"})
	if failure := asError(t, err); failure.Code != codes.InvalidArgument || !failure.IsMistake() {
		t.Error(failure)
	}
	_, err = client.Authenticate(t.Context(), "key", tokenauthority.Question{Permissions: []string{"\xff:read"}})
	if failure := asError(t, err); failure.Code != codes.InvalidArgument || !failure.IsMistake() {
		t.Error(failure)
	}
}

func TestTheSmallerDeadlineHolds(t *testing.T) {
	t.Parallel()
	client := dial(t, freeAddress(t), tokenauthority.WithAuthenticateTimeout(time.Hour))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := client.Authenticate(ctx, "key", tokenauthority.Question{})
	if took := time.Since(start); codeOf(err) != codes.Unavailable || took > slack {
		t.Error(err, took)
	}
}

func TestACanceledCallIsNotDecided(t *testing.T) {
	t.Parallel()
	client := dial(t, freeAddress(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.Authenticate(ctx, "key", tokenauthority.Question{})
	if codeOf(err) != codes.Canceled || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAnAuthorityThatHangsCostsNoMoreThanTheDeadline(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	authority := startAuthority(t)
	client := dial(t, authority.address, tokenauthority.WithAuthenticateTimeout(timeout))
	key := mustCreate(t, client).Key.Reveal()

	authority.signal(syscall.SIGSTOP)
	start := time.Now()
	_, err := client.Authenticate(t.Context(), key, tokenauthority.Question{})
	took := time.Since(start)
	authority.signal(syscall.SIGCONT)
	if codeOf(err) != codes.DeadlineExceeded || took < timeout || took > timeout+slack {
		t.Errorf("%v after %v", err, took)
	}

	decision, err := client.Authenticate(t.Context(), key, tokenauthority.Question{})
	if err != nil || decision.Principal == nil {
		t.Error(decision, err)
	}
}

func TestOnlyWhatMayBeRetriedIs(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var ids sync.Map
	failWith := codes.Unavailable
	fail := func() error {
		if calls.Add(1) < 3 {
			return status.Error(failWith, "not now")
		}
		return nil
	}
	address := startFake(t, &fakeService{
		authenticate: func(context.Context, *tokenv1.AuthenticateRequest) (*tokenv1.AuthenticateResponse, error) {
			return &tokenv1.AuthenticateResponse{
				Outcome: &tokenv1.AuthenticateResponse_Principal{Principal: &tokenv1.Principal{}},
			}, fail()
		},
		create: func(request *tokenv1.CreateRequest) (*tokenv1.CreateResponse, error) {
			ids.Store(request.GetRequestId(), true)
			return &tokenv1.CreateResponse{}, fail()
		},
	})
	usual, without := dial(t, address), dial(t, address, tokenauthority.WithoutRequestIDs())
	authenticate := func() error {
		_, err := usual.Authenticate(t.Context(), "key", tokenauthority.Question{})
		return err
	}
	create := func(client *tokenauthority.Client, id string) error {
		_, err := client.Create(t.Context(), &tokenv1.CreateRequest{RequestId: id})
		return err
	}
	for _, c := range []struct {
		name      string
		failWith  codes.Code
		call      func() error
		wantCalls int32
		wantIDs   int
		wantCode  codes.Code
	}{
		{"Authenticate", codes.Unavailable, authenticate, 3, 0, codes.OK},
		{"Authenticate, a fault of the authority", codes.Internal, authenticate, 1, 0, codes.Internal},
		{"Authenticate, a mistake", codes.InvalidArgument, authenticate, 1, 0, codes.InvalidArgument},
		{"Create", codes.Unavailable, func() error { return create(usual, "") }, 3, 1, codes.OK},
		{"Create with an id of its own", codes.Unavailable, func() error { return create(without, "id") }, 3, 1, codes.OK},
		{"Create without an id", codes.Unavailable, func() error { return create(without, "") }, 1, 1, codes.Unavailable},
	} {
		calls.Store(0)
		ids.Clear()
		failWith = c.failWith
		if err := c.call(); codeOf(err) != c.wantCode {
			t.Errorf("%s: %v", c.name, err)
		}
		sentIDs := 0
		ids.Range(func(any, any) bool { sentIDs++; return true })
		if calls.Load() != c.wantCalls || sentIDs != c.wantIDs {
			t.Errorf("%s: %d calls with %d ids", c.name, calls.Load(), sentIDs)
		}
	}
}

func TestAnAuthorityWithoutASealingSecretSaysSoUnlessRequestIDsAreOff(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	// It makes itself a secret beside its data, unless the name leads nowhere.
	if err := os.Symlink("nowhere", data+".sealing-secret"); err != nil {
		t.Fatal(err)
	}
	address := startAuthority(t, "SEALING_SECRET=", "DATA_DIR="+data).address
	request := &tokenv1.CreateRequest{Account: "acct_1", Name: "Till", Type: tokenauthority.Secret}
	_, err := dial(t, address).Create(t.Context(), request)
	if failure := asError(t, err); failure.Code != codes.FailedPrecondition || failure.Reason != "SEALING_SECRET_MISSING" {
		t.Error(failure)
	}
	if _, err := dial(t, address, tokenauthority.WithoutRequestIDs()).Create(t.Context(), request); err != nil {
		t.Error(err)
	}
	if request.GetRequestId() != "" {
		t.Error("the caller's request was changed")
	}
}

// ridden is what came of calls while the authority was restarted.
type ridden struct {
	mutex       sync.Mutex
	calls       int
	longestWait time.Duration
	complaints  []string
}

func (r *ridden) note(start time.Time, complaint string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.calls++
	r.longestWait = max(r.longestWait, time.Since(start))
	if complaint != "" {
		r.complaints = append(r.complaints, complaint)
	}
}

func TestRestartsUnderLoadAreRiddenOut(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*authority){"SIGTERM": (*authority).stop, "kill -9": (*authority).kill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// More than the default: a busy machine takes seconds to start a process.
			const timeout = 30 * time.Second
			authority := startAuthority(t)
			client := dial(t, authority.address,
				tokenauthority.WithAuthenticateTimeout(timeout), tokenauthority.WithTimeout(timeout))
			good, bad := mustCreate(t, client), mustCreate(t, client)
			if _, err := client.Revoke(t.Context(), bad.Token.GetId(), ""); err != nil {
				t.Fatal(err)
			}

			var result ridden
			var created sync.Map
			var creations atomic.Int32
			var working sync.WaitGroup
			stop := make(chan struct{})
			work := func(do func() string) {
				working.Go(func() {
					// A pace, so that the machine has something left for the restart.
					for pace := time.NewTicker(2 * time.Millisecond); ; {
						select {
						case <-stop:
							pace.Stop()
							return
						case <-pace.C:
							start := time.Now()
							result.note(start, do())
						}
					}
				})
			}
			for range 4 {
				work(func() string {
					decision, err := client.Authenticate(context.Background(), good.Key.Reveal(), tokenauthority.Question{})
					return complaintOf(err, decision.Principal != nil)
				})
				work(func() string {
					decision, err := client.Authenticate(context.Background(), bad.Key.Reveal(), tokenauthority.Question{})
					return complaintOf(err, decision.Refusal != nil && decision.Refusal.Reason == tokenauthority.TokenRevoked)
				})
			}
			for range 2 {
				work(func() string {
					creations.Add(1)
					answer, err := client.Create(context.Background(), &tokenv1.CreateRequest{
						Account: "acct_load", Name: "Till", Type: tokenauthority.Secret,
					})
					if err == nil {
						created.Store(answer.Token.GetId(), answer.Key.Reveal())
					}
					return complaintOf(err, true)
				})
			}
			work(func() string {
				_, err := client.List(context.Background(), &tokenv1.ListRequest{Account: "acct_1"})
				return complaintOf(err, true)
			})

			const restarts = 3
			for range restarts {
				before := creations.Load()
				for creations.Load() < before+20 {
					time.Sleep(time.Millisecond)
				}
				end(authority)
				authority.start()
			}
			close(stop)
			working.Wait()

			for i, complaint := range result.complaints {
				if i < 5 {
					t.Error(complaint)
				}
			}
			t.Logf("%s: %d restarts, %d calls, %d complaints, the longest wait was %v",
				name, restarts, result.calls, len(result.complaints), result.longestWait.Round(time.Millisecond))
			checkCreations(t, client, &created, int(creations.Load()))
		})
	}
}

// checkCreations looks whether each intended creation made one token, whose key was told.
func checkCreations(t *testing.T, client *tokenauthority.Client, created *sync.Map, intended int) {
	t.Helper()
	tokens := 0
	for token, err := range client.Tokens(t.Context(), &tokenv1.ListRequest{Account: "acct_load", PageSize: 1000}) {
		if err != nil {
			t.Fatal(err)
		}
		tokens++
		key, ok := created.Load(token.GetId())
		if !ok {
			t.Errorf("nobody was told of %s", token.GetId())
			continue
		}
		decision, err := client.Authenticate(t.Context(), key.(string), tokenauthority.Question{})
		if err != nil || decision.Principal == nil || decision.Principal.TokenID != token.GetId() {
			t.Errorf("%s: %v, %v", token.GetId(), decision, err)
		}
	}
	if tokens != intended {
		t.Errorf("%d tokens for %d intended creations", tokens, intended)
	}
}

func complaintOf(err error, isRight bool) string {
	switch {
	case err != nil:
		return err.Error()
	case !isRight:
		return "a wrong decision"
	default:
		return ""
	}
}

var anyKey = tokenauthority.Question{Permissions: tokenauthority.NoPermission}

func bearer(key string) http.Header {
	return http.Header{"Authorization": {"Bearer " + key}}
}

// serve sends a request through middleware, to a handler that says who acts.
func serve(middleware func(http.Handler) http.Handler, header http.Header) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, "/v1/charges", nil)
	request.Header = header
	recorder := httptest.NewRecorder()
	middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		principal, ok := tokenauthority.PrincipalFromContext(r.Context())
		fmt.Fprintf(w, "%t %s %v", ok, principal.Account, r.Header)
	})).ServeHTTP(recorder, request)
	return recorder
}
