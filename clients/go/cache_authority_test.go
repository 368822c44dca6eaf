package tokenauthority_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const cacheBytes = 8 << 20

var mayReadCharges = tokenauthority.Question{Permissions: []string{"charges:read"}}

// dialCached is a client that remembers.
func dialCached(t *testing.T, address string, options ...tokenauthority.Option) *tokenauthority.Client {
	t.Helper()
	return dial(t, address, append(options, tokenauthority.WithCache(cacheBytes))...)
}

// askUntilKept asks until the answer comes from memory.
func askUntilKept(t *testing.T, client *tokenauthority.Client, key string) tokenauthority.Decision {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		decision, err := client.Authenticate(t.Context(), key, mayReadCharges)
		if err == nil && decision.Source == tokenauthority.FromCache {
			return decision
		}
	}
	t.Fatal("it is not kept")
	return tokenauthority.Decision{}
}

// verdictOf is "undecided" where there was an error.
func verdictOf(t *testing.T, client *tokenauthority.Client, key string) string {
	t.Helper()
	decision, err := client.Authenticate(t.Context(), key, mayReadCharges)
	switch {
	case err != nil:
		return "undecided"
	case decision.Refusal != nil:
		return string(decision.Refusal.Reason)
	default:
		return "principal"
	}
}

func mustRevoke(t *testing.T, client *tokenauthority.Client, created *tokenauthority.Created) time.Duration {
	t.Helper()
	start := time.Now()
	if _, err := client.Revoke(t.Context(), created.Token.GetId(), "lost"); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

func TestTheCacheDecidesAsTheAuthorityDoesAndSaysSo(t *testing.T) {
	t.Parallel()
	server := startAuthority(t)
	client, asking := dialCached(t, server.address), dial(t, server.address)
	created := mustCreate(t, asking, func(r *tokenv1.CreateRequest) {
		r.ExpireTime = timestamppb.New(time.Now().Add(10 * time.Minute).Truncate(time.Millisecond))
	})
	key := created.Key.Reveal()
	kept := askUntilKept(t, client, key)
	asked, err := asking.Authenticate(t.Context(), key, mayReadCharges)
	if err != nil || asked.Source != tokenauthority.FromAuthority || !reflect.DeepEqual(kept.Principal, asked.Principal) {
		t.Errorf("%+v, and the authority: %+v %v", kept.Principal, asked.Principal, err)
	}
	_, err = client.Authenticate(t.Context(), key, tokenauthority.Question{Permissions: []string{"charges"}})
	if codeOf(err) != codes.InvalidArgument {
		t.Error(err)
	}
	handler := tokenauthority.RequireKey(client, mayReadCharges)
	if got := serve(handler, bearer(key)).Code; got != 200 {
		t.Error(got)
	}
}

func TestNoKeyIsAcceptedWhoseRevocationWasAnswered(t *testing.T) {
	t.Parallel()
	server := startAuthority(t, "THREADS=2")
	gateways := []*tokenauthority.Client{dialCached(t, server.address), dialCached(t, server.address)}
	service := dial(t, server.address)
	var (
		hits   atomic.Int64
		over   atomic.Bool
		others sync.WaitGroup
		mutex  sync.Mutex
		live   []string
		gone   = map[string]bool{}
	)
	for i := range 4 {
		others.Go(func() {
			for !over.Load() {
				mutex.Lock()
				keys := slices.Clone(live[max(0, len(live)-20):])
				isGone := make([]bool, len(keys))
				for at, key := range keys {
					isGone[at] = gone[key]
				}
				mutex.Unlock()
				for at, key := range keys {
					decision, err := gateways[i%2].Authenticate(t.Context(), key, mayReadCharges)
					if err == nil && decision.Source == tokenauthority.FromCache {
						hits.Add(1)
					}
					if isGone[at] && decision.Principal != nil {
						t.Errorf("accepted from the %s", decision.Source)
					}
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	for range 100 {
		created := mustCreate(t, service)
		key := created.Key.Reveal()
		mutex.Lock()
		live = append(live, key)
		mutex.Unlock()
		for _, gateway := range gateways {
			askUntilKept(t, gateway, key)
		}
		mustRevoke(t, service, created)
		mutex.Lock()
		gone[key] = true
		mutex.Unlock()
		for _, gateway := range gateways {
			if got := verdictOf(t, gateway, key); got != "TOKEN_REVOKED" {
				t.Error(got)
			}
		}
	}
	over.Store(true)
	others.Wait()
	if hits.Load() < 1_000 {
		t.Errorf("%d from memory", hits.Load())
	}
}

func TestUsesFromMemoryAreKnownToTheAuthority(t *testing.T) {
	t.Parallel()
	server := startAuthority(t)
	client, service := dialCached(t, server.address), dial(t, server.address)
	// From here on answers are kept, and the authority notes no use of its own.
	askUntilKept(t, client, mustCreate(t, service).Key.Reveal())
	created := mustCreate(t, service)
	start := time.Now()
	askUntilKept(t, client, created.Key.Reveal())
	for range 400 {
		token, err := service.Get(t.Context(), created.Token.GetId())
		if err != nil {
			t.Fatal(err)
		}
		if used := token.GetLastUseTime(); used != nil {
			if used.AsTime().Before(start.Add(-time.Second)) {
				t.Errorf("used at %v, and not after %v", used.AsTime(), start)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("no use was reported")
}

func TestWithoutTheRightToWatchTheAuthorityIsAskedAsEver(t *testing.T) {
	t.Parallel()
	server := startAuthority(t, "PLAINTEXT_ROLE=dashboard")
	client := dialCached(t, server.address)
	_, err := client.Authenticate(t.Context(), "sk_live_0", mayReadCharges)
	if codeOf(err) != codes.PermissionDenied {
		t.Error(err)
	}
}

func TestAnOutageEndsInNoDecisionAndNeverInABadKey(t *testing.T) {
	t.Parallel()
	server := startAuthority(t)
	client := dialCached(t, server.address, tokenauthority.WithAuthenticateTimeout(300*time.Millisecond))
	key := mustCreate(t, dial(t, server.address)).Key.Reveal()
	askUntilKept(t, client, key)
	gone := time.Now()
	server.kill()
	// For as long as the lease lasts it may say so.
	for verdictOf(t, client, key) == "principal" {
		if time.Since(gone) > 20*time.Second {
			t.Fatal("it decides without a lease")
		}
	}
	if got := verdictOf(t, client, key); got != "undecided" {
		t.Error(got)
	}
	server.start()
	askUntilKept(t, client, key)
}

func TestAStoppedAuthorityThatComesBackTellsWhatWasMissed(t *testing.T) {
	t.Parallel()
	server := startAuthority(t)
	client, service := dialCached(t, server.address), dial(t, server.address)
	gone, stays := mustCreate(t, service), mustCreate(t, service)
	for range 3 {
		askUntilKept(t, client, gone.Key.Reveal())
		askUntilKept(t, client, stays.Key.Reveal())
		server.stop()
		server.start()
	}
	mustRevoke(t, service, gone)
	if got := verdictOf(t, client, gone.Key.Reveal()); got == "principal" {
		t.Error(got)
	}
	askUntilKept(t, client, stays.Key.Reveal())
}

func TestACloseGivesTheLeaseBack(t *testing.T) {
	t.Parallel()
	server := startAuthority(t)
	service, gateway := dial(t, server.address), dialCached(t, server.address)
	created := mustCreate(t, service)
	askUntilKept(t, gateway, created.Key.Reveal())
	gateway.Close()
	if _, err := gateway.Authenticate(t.Context(), created.Key.Reveal(), mayReadCharges); codeOf(err) != codes.Canceled {
		t.Error(err)
	}
	// One that waits for the lease takes three seconds.
	if took := mustRevoke(t, service, created); took > 1500*time.Millisecond {
		t.Errorf("a revocation waited for %v", took)
	}
}

func TestTheCacheAgreesWithTheAuthorityOnRandomQuestions(t *testing.T) {
	t.Parallel()
	server := startAuthority(t)
	client, asking := dialCached(t, server.address), dial(t, server.address)
	permissions := []string{"charges:read", "charges:write", "events:read", "events:write", "payouts:write"}
	types := []tokenauthority.TokenType{tokenauthority.Secret, tokenauthority.Publishable, tokenauthority.Restricted}
	keys := []string{"sk_live_0", "sk_live_00000000000000000000000000000000" + "000000"}
	for i := range 60 {
		created := mustCreate(t, asking, func(r *tokenv1.CreateRequest) {
			r.Account, r.Type, r.Livemode = fmt.Sprint("acct_", i%7), pick(types), rand.IntN(2) == 0
			if r.Permissions = nil; r.Type == tokenauthority.Restricted {
				r.Permissions = append(some(permissions), "other:read")
			}
		})
		keys = append(keys, created.Key.Reveal())
		if i%10 == 0 {
			mustRevoke(t, asking, created)
		}
	}
	askUntilKept(t, client, keys[5])
	count, _ := strconv.Atoi(os.Getenv("QUESTIONS"))
	count = max(count, 5_000)
	var hits atomic.Int64
	var askers sync.WaitGroup
	for range 20 {
		askers.Go(func() {
			for range count / 20 {
				key := pick(keys)
				question := tokenauthority.Question{
					Permissions: some(permissions), Types: some(types), Mode: tokenauthority.Mode(rand.IntN(3)),
				}
				ours, err := client.Authenticate(t.Context(), key, question)
				theirs, theirErr := asking.Authenticate(t.Context(), key, question)
				if err != nil || theirErr != nil {
					t.Error(err, theirErr)
					return
				}
				if ours.Source == tokenauthority.FromCache {
					hits.Add(1)
				}
				ours.Source = theirs.Source
				if !reflect.DeepEqual(ours, theirs) {
					t.Errorf("%+v: %+v %+v, and the authority: %+v %+v", question, ours.Principal, ours.Refusal, theirs.Principal, theirs.Refusal)
				}
			}
		})
	}
	askers.Wait()
	if int(hits.Load()) < count/2 {
		t.Errorf("%d of %d from memory", hits.Load(), count)
	}
}

func pick[Item any](items []Item) Item { return items[rand.IntN(len(items))] }

func some[Item any](items []Item) []Item {
	var found []Item
	for _, item := range items {
		if rand.IntN(5) < 2 {
			found = append(found, item)
		}
	}
	return found
}

func TestACacheHasBoundsThatMakeSense(t *testing.T) {
	t.Parallel()
	for _, bytes := range []int{0, -1, 1<<20 - 1, 1 << 60} {
		if client, err := tokenauthority.Dial("127.0.0.1:1", tokenauthority.Plaintext(), tokenauthority.WithCache(bytes)); err == nil {
			client.Close()
			t.Errorf("%d bytes", bytes)
		}
	}
}

// TestHelperGateway is a program: it asks about the key of its standard input, and tells the verdict line by line.
func TestHelperGateway(t *testing.T) {
	address := os.Getenv("HELPER_GATEWAY")
	if address == "" {
		return
	}
	client := dialCached(t, address)
	var key string
	if _, err := fmt.Scanln(&key); err != nil {
		t.Fatal(err)
	}
	askUntilKept(t, client, key)
	fmt.Println("kept")
	for {
		if _, err := fmt.Scanln(); err != nil && err.Error() == "EOF" {
			return
		}
		decision, err := client.Authenticate(t.Context(), key, mayReadCharges)
		fmt.Println(decision.Principal != nil, decision.Source, err)
	}
}

func TestAStoppedGatewayIsWaitedOutAndRefusesWhenItGoesOn(t *testing.T) {
	t.Parallel()
	server := startAuthority(t)
	service := dial(t, server.address)
	created := mustCreate(t, service)
	gateway := startHelper(t, server.address, created.Key.Reveal())
	got := gateway.ask()
	// It may have to renew its lease first.
	for got == "true authority <nil>" {
		got = gateway.ask()
	}
	if got != "true cache <nil>" {
		t.Fatal(got)
	}
	gateway.signal(syscall.SIGSTOP)
	start := time.Now()
	response, err := service.Revoke(t.Context(), created.Token.GetId(), "lost")
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); len(response.GetSilent()) != 1 || took < 500*time.Millisecond {
		t.Errorf("after %v: %v", took, response.GetSilent())
	}
	gateway.signal(syscall.SIGCONT)
	if got := gateway.ask(); got != "false authority <nil>" {
		t.Error(got)
	}
}
