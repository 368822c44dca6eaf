package tokenauthority

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	oneKey   = "sk_live_one"
	otherKey = "sk_live_two"
	second   = time.Second
)

func TestEveryQuestionIsDecidedAsTheAuthorityDoes(t *testing.T) {
	text, err := os.ReadFile("../vectors/decisions.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Questions []struct {
			Permissions []string `json:"required_permissions"`
			Livemode    *bool
			Types       []string `json:"allowed_types"`
		}
		Outcomes [][]string
		Facts    []struct {
			Name      string
			Answer    json.RawMessage
			Decisions []int
		}
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	types := map[string]TokenType{"secret": Secret, "publishable": Publishable, "restricted": Restricted}
	for _, subject := range vectors.Facts {
		response := &tokenv1.AuthenticateResponse{}
		if err := protojson.Unmarshal(subject.Answer, response); err != nil {
			t.Fatal(err)
		}
		known, isKnown := factsOf(response)
		for i, asked := range vectors.Questions {
			question := Question{Permissions: asked.Permissions}
			if asked.Livemode != nil {
				question.Mode = map[bool]Mode{true: Live, false: Test}[*asked.Livemode]
			}
			for _, name := range asked.Types {
				of, ok := types[name]
				if !ok {
					of = 99
				}
				question.Types = append(question.Types, of)
			}
			got := []string{"ask"}
			if isKnown {
				got = told(&known, &question)
			}
			if want := vectors.Outcomes[subject.Decisions[i]]; !slices.Equal(got, want) {
				t.Errorf("%s, %+v: %v, and not %v", subject.Name, asked, got, want)
			}
		}
	}
}

func told(known *facts, question *Question) []string {
	reason, ok := known.judge(question)
	if !ok {
		return []string{"ask"}
	}
	refusal := known.decision(reason, question, FromCache).Refusal
	if refusal == nil {
		return []string{"principal"}
	}
	return append([]string{string(refusal.Reason)}, refusal.MissingPermissions...)
}

// cacheRig has clocks that are moved by hand.
type cacheRig struct {
	*keyCache
	t   *testing.T
	now moment
}

// newCacheRig holds a lease, as of revision 10.
func newCacheRig(t *testing.T) *cacheRig {
	rig := &cacheRig{t: t, now: moment{second, time.Duration(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())}}
	rig.keyCache = newKeyCache(minCacheBytes, func() moment { return rig.now })
	rig.renewNow(10)
	return rig
}

// pass lets both clocks go on.
func (r *cacheRig) pass(duration time.Duration) {
	r.now.monotonic += duration
	r.now.wall += duration
}

func (r *cacheRig) renewNow(revision int64) { r.renew(r.now, 2*second, revision) }

func principalOf(account string) facts {
	return facts{
		standing: standing{tokenType: Restricted, livemode: true, grant: newGrant([]string{"charges:write"})},
		tokenID:  "tok_" + account, account: account,
	}
}

func refusedAs(reason tokenv1.RefusalReason) facts {
	known := facts{standing: standing{reason: reason, grant: noGrant}}
	if reason != tokenv1.RefusalReason_REFUSAL_REASON_KEY_UNKNOWN {
		known.tokenID, known.account = "tok_acct_1", "acct_1"
	}
	return known
}

const (
	unknown = tokenv1.RefusalReason_REFUSAL_REASON_KEY_UNKNOWN
	revoked = tokenv1.RefusalReason_REFUSAL_REASON_TOKEN_REVOKED
)

func (r *cacheRig) mustBegin(key string) cacheFill {
	r.t.Helper()
	fill, ok := r.beginFill(key, &Question{})
	if !ok {
		r.t.Fatal("no lease is held")
	}
	return fill
}

func (r *cacheRig) end(fill cacheFill, known facts, revision int64, cacheFor time.Duration) string {
	return toldDecision(r.endFill(fill, cacheAnswer{known, revision, cacheFor}, &Question{}))
}

// keepAs puts the widest question to an authority that answers at once.
func (r *cacheRig) keepAs(key string, known facts, revision int64) {
	r.t.Helper()
	r.end(r.mustBegin(key), known, revision, time.Hour)
}

func (r *cacheRig) keep(keys ...string) {
	r.t.Helper()
	for _, key := range keys {
		r.keepAs(key, principalOf("acct_1"), 10)
	}
}

// decided is "ask" when the authority must be asked.
func (r *cacheRig) decided(key string, question ...Question) string {
	return toldDecision(r.decide(key, &append(question, Question{})[0]))
}

func toldDecision(decision Decision, ok bool) string {
	switch {
	case !ok:
		return "ask"
	case decision.Principal != nil:
		return "principal"
	default:
		return string(decision.Refusal.Reason)
	}
}

func (r *cacheRig) expect(want string, keys ...string) {
	r.t.Helper()
	for _, key := range keys {
		if got := r.decided(key); got != want {
			r.t.Errorf("%s: %s, and not %s", key, got, want)
		}
	}
}

func TestALeaseIsNeededToKeepAnAnswerAndToDecideByIt(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	rig.expect("principal", oneKey)
	rig.endLease()
	rig.expect("ask", oneKey)
	if _, ok := rig.beginFill(otherKey, &Question{}); ok {
		t.Error("an answer may be kept")
	}
	rig.renewNow(10)
	rig.expect("principal", oneKey)
}

func TestALeaseRunsFromBeforeItWasAskedFor(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	asked := rig.now
	rig.pass(1500 * time.Millisecond)
	rig.renew(asked, 2*second, 10)
	rig.pass(499 * time.Millisecond)
	rig.expect("principal", oneKey)
	rig.pass(time.Millisecond)
	rig.expect("ask", oneKey)
}

func TestALeaseIsOverByTheWallClockToo(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	rig.pass(1800 * time.Millisecond)
	rig.now.wall += 200 * time.Millisecond
	rig.expect("ask", oneKey)
}

func TestClocksThatMoveApartEndALeaseAndAllThatIsKept(t *testing.T) {
	for _, by := range []time.Duration{251 * time.Millisecond, -251 * time.Millisecond} {
		rig := newCacheRig(t)
		rig.keep(oneKey)
		rig.now.wall += by
		rig.expect("ask", oneKey)
		// How long the answer was kept is not known any more.
		rig.renewNow(10)
		rig.expect("ask", oneKey)
	}
}

func TestClocksThatMoveApartWhileNobodyLooksEndAllThatIsKept(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	rig.now.wall += time.Minute
	rig.renewNow(10)
	rig.expect("ask", oneKey)
	rig.keep(oneKey)
	rig.expect("principal", oneKey)
}

func TestClocksMayMoveApartByLessWithEachLease(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	for range 4 {
		rig.now.wall += 250 * time.Millisecond
		rig.expect("principal", oneKey)
		rig.renewNow(10)
	}
}

func TestALeaseOfBeforeTheClocksMovedApartGrantsNothing(t *testing.T) {
	rig := newCacheRig(t)
	asked := rig.now
	rig.now.wall += time.Minute
	rig.renew(asked, 2*second, 10)
	if rig.isHeld() {
		t.Error("it is held")
	}
}

func TestAnAnswerOfBeforeAWordAboutItsKeyIsNotKeptAfterIt(t *testing.T) {
	rig := newCacheRig(t)
	fill := rig.mustBegin(oneKey)
	rig.forgetKey(Digest(oneKey), 12)
	if got := rig.end(fill, principalOf("acct_1"), 11, time.Hour); got != "principal" {
		t.Error(got)
	}
	rig.expect("ask", oneKey)
	rig.keepAs(oneKey, refusedAs(revoked), 12)
	rig.expect("TOKEN_REVOKED", oneKey)
}

func TestAnAnswerOfBeforeAWordAboutItsAccountIsNotKeptAfterIt(t *testing.T) {
	rig := newCacheRig(t)
	rig.forgetAccount("acct_1", 12)
	rig.keepAs(oneKey, principalOf("acct_1"), 11)
	rig.keepAs(otherKey, principalOf("acct_2"), 11)
	rig.expect("ask", oneKey)
	rig.expect("principal", otherKey)
	rig.keepAs(oneKey, principalOf("acct_1"), 12)
	rig.expect("principal", oneKey)
}

func TestAnAnswerOfBeforeTheFirstLeaseIsNotKept(t *testing.T) {
	rig := newCacheRig(t)
	rig.keepAs(oneKey, principalOf("acct_1"), 9)
	rig.expect("ask", oneKey)
	rig.keepAs(oneKey, principalOf("acct_1"), 10)
	rig.expect("principal", oneKey)
}

func TestAnAnswerOfBeforeAWordThatIsNotRememberedAnyMoreIsNotKept(t *testing.T) {
	rig := newCacheRig(t)
	rig.forgetKey(Digest(oneKey), 12)
	last := int64(13 + maxWords)
	for revision := int64(13); revision < last; revision++ {
		rig.forgetKey(Digest(fmt.Sprint("other ", revision)), revision)
	}
	rig.keepAs(oneKey, principalOf("acct_1"), 11)
	rig.keepAs(otherKey, principalOf("acct_1"), 11)
	rig.expect("ask", oneKey, otherKey)
	rig.keepAs(otherKey, principalOf("acct_1"), last)
	rig.expect("principal", otherKey)
}

func TestAnOlderWordThatComesAgainDoesNotHideTheNewer(t *testing.T) {
	rig := newCacheRig(t)
	rig.forgetKey(Digest(oneKey), 14)
	rig.forgetKey(Digest(oneKey), 12)
	rig.keepAs(oneKey, principalOf("acct_1"), 13)
	rig.expect("ask", oneKey)
}

func TestAnAnswerThatWasAskedForBeforeAllWasForgottenIsNotKept(t *testing.T) {
	rig := newCacheRig(t)
	fill := rig.mustBegin(oneKey)
	rig.reset(3)
	rig.renewNow(3)
	rig.end(fill, principalOf("acct_1"), 10, time.Hour)
	rig.expect("ask", oneKey)
}

func TestAnAnswerIsKeptNoLongerThanItMayBe(t *testing.T) {
	rig := newCacheRig(t)
	fill := rig.mustBegin(oneKey)
	rig.pass(400 * time.Millisecond)
	rig.end(fill, principalOf("acct_1"), 10, second)
	rig.pass(599 * time.Millisecond)
	rig.expect("principal", oneKey)
	rig.pass(time.Millisecond)
	rig.expect("ask", oneKey)
}

func TestAnAnswerThatMayNotBeKeptIsDecidedBy(t *testing.T) {
	rig := newCacheRig(t)
	if got := rig.end(rig.mustBegin(oneKey), principalOf("acct_1"), 10, 0); got != "principal" {
		t.Error(got)
	}
	rig.expect("ask", oneKey)
}

func TestAnUnknownKeyIsKeptForFiveSecondsAtMost(t *testing.T) {
	rig := newCacheRig(t)
	rig.keepAs(oneKey, refusedAs(unknown), 10)
	for range 10 {
		rig.expect("KEY_UNKNOWN", oneKey)
		rig.pass(500 * time.Millisecond)
		rig.renewNow(10)
	}
	rig.expect("ask", oneKey)
}

func TestOneAnswerAnswersEveryOtherQuestionThatMakesSense(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	for want, question := range map[string]Question{
		"principal":                {Permissions: []string{"charges:read"}},
		"INSUFFICIENT_PERMISSIONS": {Permissions: []string{"events:read"}},
		"LIVEMODE_MISMATCH":        {Mode: Test},
		"TYPE_NOT_ALLOWED":         {Types: []TokenType{Secret}},
		"ask":                      {Permissions: []string{"charges:all"}},
	} {
		if got := rig.decided(oneKey, question); got != want {
			t.Errorf("%+v: %s", question, got)
		}
	}
	if _, ok := rig.beginFill(otherKey, &Question{Types: []TokenType{99}}); ok {
		t.Error("a question that is at fault is decided here")
	}
}

func TestAWordTakesAwayWhatItIsAboutAndNothingElse(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	rig.keepAs(otherKey, principalOf("acct_2"), 10)
	rig.forgetKey(Digest(oneKey), 11)
	rig.expect("ask", oneKey)
	rig.expect("principal", otherKey)
	rig.keepAs(oneKey, principalOf("acct_1"), 11)
	rig.forgetAccount("acct_2", 12)
	rig.expect("principal", oneKey)
	rig.expect("ask", otherKey)
}

func TestMemoryIsBoundedAndForgetsWhatWasNotAskedForLately(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	for i := range 50_000 {
		rig.keep(fmt.Sprint("filler ", i))
		rig.expect("principal", oneKey)
	}
	if size := rig.size(); size > minCacheBytes/(recordBytes+placeBytes) || size < 2_000 {
		t.Errorf("%d are kept", size)
	}
	rig.expect("ask", "filler 0")
	rig.expect("principal", "filler 49999")
}

func TestMemoryOfManySetsOfPermissionsIsBounded(t *testing.T) {
	rig := newCacheRig(t)
	for i := range 5_000 {
		known := principalOf("acct_1")
		known.grant = newGrant([]string{fmt.Sprintf("resource_%d:write", i)})
		rig.keepAs(fmt.Sprint("key ", i), known, 10)
	}
	if size := rig.size(); size > minCacheBytes/(recordBytes+placeBytes+grantBytes+permissionBytes) {
		t.Errorf("%d are kept", size)
	}
}

func TestAFloodOfUnknownKeysPushesOutNoKeyOfAToken(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	for i := range 20_000 {
		rig.keepAs(fmt.Sprint("unknown ", i), refusedAs(unknown), 10)
	}
	if size := rig.size(); size > minCacheBytes/8/(recordBytes+placeBytes) {
		t.Errorf("%d are kept", size)
	}
	rig.expect("principal", oneKey)
}

func TestAnUnknownKeyPushesOutNoOtherWhoseDigestBeginsAlike(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	fill := rig.mustBegin(otherKey)
	fill.digest = Digest(oneKey)
	fill.digest[31]++
	rig.end(fill, refusedAs(unknown), 10, time.Hour)
	rig.forgetKey(fill.digest, 11)
	rig.expect("principal", oneKey)
}

func TestWhatIsTooLongIsNotKept(t *testing.T) {
	rig := newCacheRig(t)
	known := principalOf(strings.Repeat("a", 256))
	if got := rig.end(rig.mustBegin(oneKey), known, 10, time.Hour); got != "principal" {
		t.Error(got)
	}
	rig.expect("ask", oneKey)
}

func TestWhatAReaderChangesOfAPrincipalIsGivenToNobodyElse(t *testing.T) {
	for _, permissions := range [][]string{{"a:read"}, {"a:read", "b:read", "c:write"}} {
		rig := newCacheRig(t)
		expires := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
		known := principalOf(strings.Repeat("account", 20))
		known.grant, known.expireTime = newGrant(permissions), expires
		rig.keepAs(oneKey, known, 10)
		for _, change := range []func(*Principal){
			func(p *Principal) { p.Permissions[0] = "all:write" },
			func(p *Principal) { _ = append(p.Permissions, "more:write") },
			func(p *Principal) { p.Permissions = nil },
			func(p *Principal) { p.TokenID = "tok_other" },
			func(p *Principal) { p.Account = "acct_other" },
			func(p *Principal) { p.Type = Secret },
			func(p *Principal) { p.Livemode = false },
			func(p *Principal) { p.ExpireTime = time.Time{} },
			func(*Principal) {},
		} {
			decision, _ := rig.decide(oneKey, &Question{})
			got := decision.Principal
			if got.TokenID != known.tokenID || got.Account != known.account || !slices.Equal(got.Permissions, permissions) ||
				!got.ExpireTime.Equal(expires) || got.Type != Restricted || !got.Livemode || decision.Source != FromCache {
				t.Errorf("%+v", got)
			}
			change(got)
		}
	}
}

func TestWhatAReaderChangesOfARefusalIsGivenToNobodyElse(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	question := Question{Permissions: []string{"a:read", "charges:read", "b:write"}}
	for _, change := range []func(*Refusal){
		func(r *Refusal) { r.MissingPermissions[1] = "all:write" },
		func(r *Refusal) { _ = append(r.MissingPermissions[:1], "more:write") },
		func(r *Refusal) { r.MissingPermissions = nil },
		func(r *Refusal) { r.MissingPermissions = append(r.MissingPermissions, "more:write") },
		func(r *Refusal) { r.Reason = KeyUnknown },
		func(r *Refusal) { r.TokenID = "tok_other" },
		func(r *Refusal) { r.Account = "acct_other" },
		func(*Refusal) {},
	} {
		decision, _ := rig.decide(oneKey, &question)
		got := decision.Refusal
		if got.Reason != InsufficientPermissions || got.TokenID != "tok_acct_1" || got.Account != "acct_1" ||
			!slices.Equal(got.MissingPermissions, []string{"a:read", "b:write"}) || decision.Source != FromCache {
			t.Errorf("%+v", got)
		}
		change(got)
	}
}

func TestEachQuestionIsGivenItsOwnRefusal(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	var many []string
	for i := range maxPermissions {
		many = append(many, fmt.Sprintf("resource_%d:read", i))
	}
	for range 3 {
		for _, asked := range []struct {
			question Question
			reason   Reason
			missing  []string
		}{
			{Question{Permissions: []string{"a:read"}}, InsufficientPermissions, []string{"a:read"}},
			{Question{Permissions: []string{"a:write"}}, InsufficientPermissions, []string{"a:write"}},
			{Question{Permissions: []string{"a:write", "b:read"}}, InsufficientPermissions, []string{"a:write", "b:read"}},
			{Question{Permissions: []string{"b:read", "a:write"}}, InsufficientPermissions, []string{"b:read", "a:write"}},
			{Question{Permissions: []string{"charges:read", "a:write"}}, InsufficientPermissions, []string{"a:write"}},
			{Question{Permissions: many}, InsufficientPermissions, many},
			{Question{Permissions: []string{"a:write"}, Mode: Test}, LivemodeMismatch, nil},
			{Question{Permissions: []string{"a:write"}, Types: []TokenType{Secret}}, TypeNotAllowed, nil},
		} {
			decision, _ := rig.decide(oneKey, &asked.question)
			if got := decision.Refusal; got.Reason != asked.reason || !slices.Equal(got.MissingPermissions, asked.missing) {
				t.Errorf("%+v: %+v", asked.question, got)
			}
		}
		rig.expect("principal", oneKey)
	}
}

func TestAKeyIsHotOnceAtMost(t *testing.T) {
	const keys = 3 * hotWays
	hot, made := newHotKeys(hotWays*hotBytes), [keys]hotKey{}
	drawn := rand.New(rand.NewPCG(1, 2))
	for i := range made {
		made[i].digest[0] = byte(i)
	}
	for range 10_000 {
		key := drawn.IntN(keys)
		again := &hotKey{digest: made[key].digest}
		if drawn.IntN(3) > 0 {
			if hot.add(again); hot.find(&again.digest) != again {
				t.Fatal("what became hot last is not found")
			}
		} else if hot.remove(&again.digest); hot.find(&again.digest) != nil {
			t.Fatal("what was removed is found")
		}
	}
}

func TestAKeyThatIsAskedForAgainAndAgainIsForgottenLikeAnyOther(t *testing.T) {
	for name, forget := range map[string]func(*cacheRig){
		"its word":               func(rig *cacheRig) { rig.forgetKey(Digest(oneKey), 11) },
		"the word of an account": func(rig *cacheRig) { rig.forgetAccount("acct_1", 11) },
		"a reset":                func(rig *cacheRig) { rig.reset(11); rig.renewNow(11) },
		"clocks that move apart": func(rig *cacheRig) { rig.now.wall += time.Minute; rig.decided(oneKey); rig.renewNow(11) },
		"its time":               func(rig *cacheRig) { rig.pass(time.Hour); rig.renewNow(11) },
		"a newer answer":         func(rig *cacheRig) { rig.keepAs(oneKey, refusedAs(revoked), 11) },
	} {
		rig := newCacheRig(t)
		rig.keep(oneKey)
		rig.expect("principal", oneKey, oneKey)
		forget(rig)
		if got := rig.decided(oneKey); got == "principal" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAnOlderAnswerReplacesNoNewerOne(t *testing.T) {
	for name, older := range map[string]facts{"of the token": principalOf("acct_1"), "of no token": refusedAs(unknown)} {
		rig := newCacheRig(t)
		late := rig.mustBegin(oneKey)
		rig.keepAs(oneKey, refusedAs(revoked), 12)
		rig.end(late, older, 11, time.Hour)
		if got := rig.decided(oneKey); got != "TOKEN_REVOKED" {
			t.Errorf("%s: %s", name, got)
		}
		late = rig.mustBegin(oneKey)
		rig.keepAs(oneKey, principalOf("acct_1"), 13)
		rig.expect("principal", oneKey, oneKey)
		rig.end(late, older, 12, 100*time.Millisecond)
		rig.pass(200 * time.Millisecond)
		if got := rig.decided(oneKey); got != "principal" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAnAnswerThatIsOlderThanOneThatWasLetGoIsNotKept(t *testing.T) {
	for name, letGo := range map[string]func(*cacheRig){
		"for want of room": func(rig *cacheRig) {
			rig.keepAs(oneKey, refusedAs(revoked), 12)
			for i := range 50_000 {
				rig.keep(fmt.Sprint("filler ", i))
			}
		},
		"because it may not be kept": func(rig *cacheRig) {
			rig.end(rig.mustBegin(oneKey), refusedAs(revoked), 12, 0)
		},
		"because it is too long": func(rig *cacheRig) {
			rig.end(rig.mustBegin(oneKey), principalOf(strings.Repeat("a", 256)), 12, time.Hour)
		},
		"because it took up too much": func(rig *cacheRig) {
			known := principalOf("acct_1")
			known.grant = newGrant([]string{strings.Repeat("a", minCacheBytes) + ":read"})
			rig.keepAs(oneKey, known, 12)
		},
	} {
		rig := newCacheRig(t)
		letGo(rig)
		rig.keepAs(oneKey, principalOf("acct_1"), 11)
		if got := rig.decided(oneKey); got != "ask" {
			t.Errorf("%s: %s", name, got)
		}
		rig.keepAs(oneKey, principalOf("acct_1"), 12)
		if got := rig.decided(oneKey); got != "principal" {
			t.Errorf("%s, then as new: %s", name, got)
		}
	}
}

func TestAWordLeavesWhatWasAnsweredAsOfIt(t *testing.T) {
	rig := newCacheRig(t)
	for _, times := range []int{0, 2} {
		rig.keepAs(oneKey, principalOf("acct_1"), 14)
		for range times {
			rig.expect("principal", oneKey)
		}
		rig.forgetKey(Digest(oneKey), 14)
		rig.forgetAccount("acct_1", 13)
		rig.expect("principal", oneKey)
		rig.forgetAccount("acct_1", 15)
		rig.expect("ask", oneKey)
		rig.reset(10)
		rig.renewNow(10)
	}
}

func TestAnAnswerThatIsNotForTheCacheOverrulesWhatIsKeptAndWhatIsUnderWay(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	rig.expect("principal", oneKey, oneKey)
	late := rig.mustBegin(oneKey)
	rig.overrule(oneKey)
	rig.expect("ask", oneKey)
	rig.end(late, principalOf("acct_1"), 10, time.Hour)
	rig.expect("ask", oneKey)
	rig.keepAs(oneKey, principalOf("acct_1"), 11)
	rig.expect("principal", oneKey)
}

func TestUsesAreReportedOnceWithTheirAge(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey)
	rig.decided(oneKey)
	rig.pass(100 * time.Millisecond)
	rig.decided(oneKey)
	rig.decided(oneKey, Question{Mode: Test})
	rig.pass(400 * time.Millisecond)
	uses := rig.takeUses(1_000)
	if len(uses) != 1 || uses[0].digest != Digest(oneKey) || uses[0].accepted != 3 ||
		rig.now.monotonic-uses[0].at != 400*time.Millisecond {
		t.Errorf("%+v", uses)
	}
	if uses := rig.takeUses(1_000); len(uses) != 0 {
		t.Errorf("%+v", uses)
	}
	rig.decided(oneKey)
	rig.forgetKey(Digest(oneKey), 11)
	if uses := rig.takeUses(1_000); len(uses) != 1 || uses[0].accepted != 1 {
		t.Errorf("%+v", uses)
	}
}

func TestUsesOfManyKeysAreReportedInParts(t *testing.T) {
	rig := newCacheRig(t)
	rig.keep(oneKey, otherKey)
	if first, then := rig.takeUses(1), rig.takeUses(1); len(first) != 1 || len(then) != 1 || first[0].digest == then[0].digest {
		t.Errorf("%+v %+v", first, then)
	}
	for i := range 2 * maxWords {
		rig.keepAs(fmt.Sprint("key ", i), principalOf("acct_1"), 10)
	}
	if uses := rig.takeUses(10 * maxWords); len(uses) > maxWords || len(uses) < maxWords/2 {
		t.Errorf("%d", len(uses))
	}
}

func TestUsesOfKeysThatPushEachOtherOutAreAllReported(t *testing.T) {
	rig := newCacheRig(t)
	const keys, times = 1_000, 5
	for range times {
		for i := range keys {
			key := fmt.Sprint("key ", i)
			if rig.decided(key) == "ask" {
				rig.keep(key)
			}
		}
	}
	sum := int64(0)
	for _, one := range rig.takeUses(keys) {
		sum += one.accepted
	}
	if sum != keys*times {
		t.Errorf("%d", sum)
	}
}

func TestAHitMakesNoAllocation(t *testing.T) {
	cache := newKeyCache(minCacheBytes, machineClocks)
	cache.renew(machineClocks(), time.Hour, 10)
	for key, known := range map[string]facts{oneKey: principalOf("acct_1"), otherKey: refusedAs(revoked)} {
		fill, _ := cache.beginFill(key, &Question{})
		cache.endFill(fill, cacheAnswer{known, 10, time.Hour}, &Question{})
		for _, question := range []Question{
			{Permissions: []string{"charges:read"}}, {Permissions: []string{"a:write"}}, {Mode: Test}, {Types: []TokenType{Secret}},
		} {
			if count := testing.AllocsPerRun(1_000, func() { cache.decide(key, &question) }); count > 0 {
				t.Errorf("%+v: %v allocations", question, count)
			}
		}
	}
}
