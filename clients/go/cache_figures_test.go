package tokenauthority

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// With CACHE_FIGURES in the environment the tests are a program of `npm run bench -- cache`, which reaches what is not
// exported. Its jobs, and what they print, are those of bench/cache/typescript.ts.
const figuresVariable = "CACHE_FIGURES"

func init() {
	if os.Getenv(figuresVariable) != "" {
		// The thread whose system calls are counted.
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	job := strings.Fields(os.Getenv(figuresVariable))
	if len(job) == 0 {
		os.Exit(m.Run())
	}
	jobs := map[string]func(*figures) map[string]any{
		"decide": (*figures).decide, "hits": (*figures).hits, "remember": (*figures).remember, "flood": (*figures).flood,
	}
	if err := json.NewEncoder(os.Stdout).Encode(jobs[job[0]](&figures{job[1:]})); err != nil {
		log.Fatal(err)
	}
}

type figures struct{ args []string }

var figuresQuestion = Question{Permissions: []string{"charges:read"}, Mode: Live}

const callsAtOnce = 8

func (f *figures) number(at int) int {
	number, err := strconv.Atoi(f.args[at])
	if err != nil {
		log.Fatal(err)
	}
	return number
}

// keys are a thousand of the file.
func (f *figures) keys() []string {
	file, err := os.Open(f.args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	var keys []string
	for lines := bufio.NewScanner(file); lines.Scan() && len(keys) < 1_000; {
		if key := lines.Text(); key != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (f *figures) dial(options ...Option) *Client {
	client, err := Dial(f.args[0], Plaintext(), options...)
	if err != nil {
		log.Fatal(err)
	}
	return client
}

// warm returns a client that has all the keys in its memory.
func (f *figures) warm(keys []string) *Client {
	client := f.dial(WithCache(64 << 20))
	for _, key := range keys {
		for {
			decision, err := client.Authenticate(context.Background(), key, figuresQuestion)
			if err != nil {
				log.Fatal(err)
			}
			if decision.Source == FromCache {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	return client
}

type bareAuthenticator map[digest]*Principal

func (b bareAuthenticator) Authenticate(_ context.Context, key string, _ Question) (Decision, error) {
	return Decision{Principal: b[Digest(key)]}, nil
}

func (f *figures) decide() map[string]any {
	keys, ctx := f.keys(), context.Background()
	client, asking := f.warm(keys), f.dial()
	defer client.Close()
	defer asking.Close()
	bare := bareAuthenticator{}
	for _, key := range keys {
		bare[Digest(key)] = &Principal{}
	}
	ask := func(authenticator Authenticator, key string) {
		decision, err := authenticator.Authenticate(ctx, key, figuresQuestion)
		if err != nil || authenticator == Authenticator(client) && decision.Source != FromCache {
			log.Fatal("what was kept was not found")
		}
	}
	arms := []struct {
		name string
		one  func(string)
		each float64
	}{
		{"bare", func(key string) {
			if bare[Digest(key)] == nil {
				log.Fatal("what was kept was not found")
			}
		}, 1},
		{"bareLater", func(key string) { ask(bare, key) }, 1},
		{"hit", func(key string) { ask(client, key) }, 1},
		{"rpc", func(key string) {
			var calls sync.WaitGroup
			for range callsAtOnce {
				calls.Go(func() { ask(asking, key) })
			}
			calls.Wait()
		}, callsAtOnce},
	}
	found := map[string]any{}
	for _, arm := range arms {
		found[arm.name] = []float64{}
	}
	// One round is not counted.
	for round := range f.number(2) + 1 {
		for _, arm := range arms {
			us := measureCPU(keys, time.Duration(f.number(3))*time.Millisecond, arm.one) / arm.each
			if round > 0 {
				found[arm.name] = append(found[arm.name].([]float64), us)
			}
		}
	}
	return found
}

// measureCPU is the CPU of this process for one call, in microseconds.
func measureCPU(keys []string, duration time.Duration, call func(string)) float64 {
	end, before, calls := time.Now().Add(duration), cpuTime(), 0
	for time.Now().Before(end) {
		for _, key := range keys {
			call(key)
			calls++
			if calls%64 == 0 && time.Now().After(end) {
				break
			}
		}
	}
	return float64((cpuTime() - before).Nanoseconds()) / 1_000 / float64(calls)
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func (f *figures) hits() map[string]any {
	keys, count := f.keys(), f.number(2)
	client := f.warm(keys)
	defer client.Close()
	kept := 0
	_, _ = os.Stat("/the-hits-begin")
	for i := range count {
		decision, _ := client.Authenticate(context.Background(), keys[i%len(keys)], figuresQuestion)
		if decision.Source == FromCache {
			kept++
		}
	}
	_, _ = os.Stat("/the-hits-end")
	return map[string]any{"kept": kept}
}

// aloneCache has a lease, apart from any authority: nobody renews it when a busy machine moves its clocks apart.
func aloneCache(maxBytes int) *keyCache {
	oneClock := func() moment { now := time.Since(started); return moment{now, now} }
	cache := newKeyCache(maxBytes, oneClock)
	cache.renew(oneClock(), time.Hour, 1)
	return cache
}

// keepAnswer keeps an answer of the authority as it is read.
func keepAnswer(cache *keyCache, key string, answer []byte) {
	fill, begun := cache.beginFill(key, &figuresQuestion)
	response := &tokenv1.AuthenticateResponse{}
	if err := proto.Unmarshal(answer, response); err != nil {
		log.Fatal(err)
	}
	known, ok := factsOf(response)
	if !begun || !ok {
		log.Fatal("the cache keeps nothing")
	}
	cache.endFill(fill, cacheAnswer{known, response.GetRevision(), response.GetCacheFor().AsDuration()}, &figuresQuestion)
}

func goodAnswer(index int) []byte {
	return mustMarshal(&tokenv1.AuthenticateResponse{
		Outcome: &tokenv1.AuthenticateResponse_Principal{Principal: &tokenv1.Principal{
			TokenId: fmt.Sprintf("tok_%020d", index), Account: fmt.Sprintf("acct_%08d", index%100_000), Type: Restricted,
			Livemode: true, Permissions: []string{"charges:write", "customers:read", "events:read"},
		}},
		Revision: 2, CacheFor: durationpb.New(time.Hour),
	})
}

func mustMarshal(message proto.Message) []byte {
	text, err := proto.Marshal(message)
	if err != nil {
		log.Fatal(err)
	}
	return text
}

func keyAt(index int) string { return fmt.Sprintf("rk_live_%038d", index) }

func residentMiB() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		log.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		log.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

func (f *figures) remember() map[string]any {
	cache, before := aloneCache(8<<30), residentMiB()
	for i := range f.number(0) {
		keepAnswer(cache, keyAt(i), goodAnswer(i))
		if i%1_000 == 0 {
			cache.takeUses(1_000)
		}
	}
	mib := residentMiB()
	debug.FreeOSMemory()
	return map[string]any{"keys": cache.size(), "beforeMiB": before, "mib": mib, "afterGcMiB": residentMiB()}
}

func (f *figures) flood() map[string]any {
	cache, count := aloneCache(64<<20), f.number(0)
	var good []string
	for i := range 1_000 {
		good = append(good, keyAt(i))
		keepAnswer(cache, good[i], goodAnswer(i))
	}
	answer := mustMarshal(&tokenv1.AuthenticateResponse{
		Outcome: &tokenv1.AuthenticateResponse_Refusal{Refusal: &tokenv1.Refusal{
			Reason: tokenv1.RefusalReason_REFUSAL_REASON_KEY_UNKNOWN,
		}},
		Revision: 2, CacheFor: durationpb.New(5 * time.Second),
	})
	cost := func() float64 {
		return measureCPU(good, 300*time.Millisecond, func(key string) {
			if decision, ok := cache.decide(key, &figuresQuestion); !ok || decision.Principal == nil {
				log.Fatal("a good key is gone")
			}
		})
	}
	cost()
	mib, hitUs := []float64{}, []float64{cost()}
	for i := range count {
		keepAnswer(cache, keyAt(1_000_000+i), answer)
		if i%(count/5) == count/5-1 {
			mib, hitUs = append(mib, residentMiB()), append(hitUs, cost())
		}
	}
	return map[string]any{"mib": mib, "hitUs": hitUs}
}
