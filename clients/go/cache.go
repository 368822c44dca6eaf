package tokenauthority

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	minCacheBytes = 1 << 20
	// What 32 bits find in half of a shard.
	maxCacheBytes = 64 << 30
	maxUnknown    = 5 * time.Second
	maxWords      = 65_536
	// Goroutines that decide at once about different keys seldom meet.
	shardCount = 16
	// Uses that were not reported yet are kept for so many keys of a shard, and then lost.
	maxUses = 65_536 / shardCount
)

// WithCache turns the cache on: decisions from memory, without a call, for as long as the authority lets this client
// hold a lease. The memory for what is kept is bounded to so many bytes, 1 MiB at the least. Default: no cache.
func WithCache(maxBytes int) Option {
	return func(s *settings) { s.hasCache, s.cacheBytes = true, maxBytes }
}

func (s *settings) checkCache() error {
	if s.hasCache && (int64(s.cacheBytes) < minCacheBytes || int64(s.cacheBytes) > maxCacheBytes) {
		return fmt.Errorf("tokenauthority: the cache must have %d to %d bytes", minCacheBytes, int64(maxCacheBytes))
	}
	return nil
}

// keyCache decides from memory, which is true as long as a lease is held and every word of the authority is applied in
// order. Proven keys and unknown ones are kept apart, so that a flood of unknown keys pushes out no other.
type keyCache struct {
	now    func() moment
	lease  atomic.Pointer[lease]
	shards [shardCount]shard
	// questions are those that were asked lately about hot keys.
	questions questions

	// mutex orders words and answers: no answer is kept between a word and what it takes away.
	mutex   sync.Mutex
	forgets *forgets
	// epoch counts how often all was forgotten.
	epoch int
	// asked is when the last lease was asked for, or nil where all was forgotten since.
	asked *moment
	// uses wait to be reported.
	uses []use
}

type shard struct {
	// hot is read without the mutex, and written with it.
	hot             hotKeys
	mutex           sync.Mutex
	proven, unknown twoGenerations
	// uses that were not taken yet, and where those of a key are counted.
	uses  []use
	useOf map[digest]int
	// overruled counts answers about keys of this shard that were not for the cache.
	overruled int
}

// use is of a key that this client accepted itself, without the authority.
type use struct {
	digest   digest
	accepted int64
	at       time.Duration
}

// cacheFill is a question about a key that was put to the authority so that its answer may be kept.
type cacheFill struct {
	digest digest
	begun  moment
	// epoch: what was begun before everything was forgotten is not kept after it.
	epoch int
	// overruled: nor what was begun before an answer that was not for the cache.
	overruled int
}

type cacheAnswer struct {
	facts facts
	// revision is up to which the authority knew all changes when it answered.
	revision int64
	// cacheFor is 0 where the answer is not to be kept.
	cacheFor time.Duration
}

func newKeyCache(maxBytes int, now func() moment) *keyCache {
	c := &keyCache{now: now, forgets: newForgets(maxWords)}
	for i := range c.shards {
		c.shards[i].hot = newHotKeys(maxBytes / 8 / shardCount)
		c.shards[i].proven = newTwoGenerations(maxBytes / 4 * 3 / shardCount)
		c.shards[i].unknown = newTwoGenerations(maxBytes / 8 / shardCount)
		c.shards[i].useOf = map[digest]int{}
	}
	return c
}

// digestOf is Digest without a copy of the key.
func digestOf(key string) digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(key), len(key)))
}

func (c *keyCache) shardOf(of *digest) *shard { return &c.shards[of[0]%shardCount] }

// decide is false when the authority must be asked. Hot path.
func (c *keyCache) decide(key string, question *Question) (Decision, bool) {
	if len(key) > maxCredentialsLength {
		return Decision{}, false
	}
	now := c.now()
	if !c.isHeldAt(now) {
		return Decision{}, false
	}
	of := digestOf(key)
	s := c.shardOf(&of)
	if found := s.hot.find(&of); found != nil && now.monotonic < found.until {
		if decision, ok := found.decide(question, now.monotonic); ok {
			return decision, true
		}
		if decision, ok := found.judge(question, now.monotonic, &c.questions); ok {
			return decision, true
		}
	}
	return s.decideByRecord(&of, question, now.monotonic)
}

func (s *shard) decideByRecord(of *digest, question *Question, now time.Duration) (Decision, bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	in, found := s.proven.find(of)
	if found == nil {
		in, found = s.unknown.find(of)
	}
	if found == nil || now >= found.until {
		return Decision{}, false
	}
	known := in.factsOf(found)
	reason, ok := known.judge(question)
	if !ok {
		return Decision{}, false
	}
	if !known.isProven() {
		return known.decision(reason, question, FromCache), true
	}
	principal := s.heat(found, &known)
	if reason != 0 {
		return known.decision(reason, question, FromCache), true
	}
	s.note(of, 1, now)
	return Decision{Principal: principal, Source: FromCache}, true
}

// heat makes a key hot, in whose place another one may have been.
func (s *shard) heat(kept *record, known *facts) *Principal {
	made := &hotKey{
		digest: kept.digest, until: kept.until, facts: *known, principal: known.principal(), revision: kept.revision,
	}
	if made.isSmall() {
		if replaced := s.hot.add(made); replaced != nil {
			s.noteHot(replaced)
		}
	}
	return &made.principal
}

// cool lets a key be hot no longer.
func (s *shard) cool(of *digest) {
	if cooled := s.hot.remove(of); cooled != nil {
		s.noteHot(cooled)
	}
}

func (s *shard) coolAll() {
	s.noteAllHot()
	s.hot.clear()
}

// noteAllHot counts uses of hot keys where they are reported from, which also keeps their records young.
func (s *shard) noteAllHot() {
	for i := range s.hot {
		if of := s.hot[i].Load(); of != nil {
			s.noteHot(of)
		}
	}
}

func (s *shard) noteHot(of *hotKey) {
	if count, at := of.takeUses(); count > 0 {
		s.proven.find(&of.digest)
		s.note(&of.digest, count, at)
	}
}

// note counts uses of a key.
func (s *shard) note(of *digest, count int64, at time.Duration) {
	if i, ok := s.useOf[*of]; ok {
		s.uses[i].accepted += count
		s.uses[i].at = max(s.uses[i].at, at)
	} else if len(s.uses) < maxUses {
		s.useOf[*of] = len(s.uses)
		s.uses = append(s.uses, use{*of, count, at})
	}
}

// isHeld is whether memory may be decided from.
func (c *keyCache) isHeld() bool { return c.isHeldAt(c.now()) }

// Hot path.
func (c *keyCache) isHeldAt(now moment) bool {
	switch held := c.lease.Load(); held.state(now) {
	case leaseHeld:
		return true
	case leaseMoved:
		// How long entries were kept is not known any more either.
		c.forgetAll()
		return false
	default:
		return false
	}
}

// beginFill is false when the answer could not be kept, or the question is not one to decide here: then it is asked as
// it is.
func (c *keyCache) beginFill(key string, question *Question) (cacheFill, bool) {
	if !question.isDecidable() {
		return cacheFill{}, false
	}
	of := digestOf(key)
	c.mutex.Lock()
	epoch := c.epoch
	c.mutex.Unlock()
	s := c.shardOf(&of)
	s.mutex.Lock()
	overruled := s.overruled
	s.mutex.Unlock()
	begun := c.now()
	if !c.isHeldAt(begun) {
		return cacheFill{}, false
	}
	return cacheFill{of, begun, epoch, overruled}, true
}

// endFill decides by the answer to the widest question, and keeps the answer where that is right.
func (c *keyCache) endFill(fill cacheFill, answer cacheAnswer, question *Question) (Decision, bool) {
	known := &answer.facts
	reason, ok := known.judge(question)
	c.keep(&fill, &answer)
	if !ok {
		return Decision{}, false
	}
	if reason == 0 {
		// The authority notes no use of a key when it is asked the widest question.
		c.noteFill(&fill)
	}
	return known.decision(reason, question, FromAuthority), true
}

func (c *keyCache) keep(fill *cacheFill, answer *cacheAnswer) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if fill.epoch != c.epoch {
		// Of another history, perhaps: then its revisions tell nothing.
		return
	}
	isAllowed := c.forgets.allow(fill.digest, answer.facts.account, answer.revision)
	s := c.shardOf(&fill.digest)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if isAllowed && fill.overruled == s.overruled {
		s.keep(fill, answer)
	} else {
		s.proven.letGo = max(s.proven.letGo, answer.revision)
	}
}

// keep lets no older answer take the place of a newer one.
func (s *shard) keep(fill *cacheFill, answer *cacheAnswer) {
	known, keepFor := &answer.facts, answer.cacheFor
	into, other := &s.proven, &s.unknown
	if !known.isProven() {
		keepFor = min(keepFor, maxUnknown)
		into, other = other, into
	}
	if answer.revision < max(into.newestOf(&fill.digest), other.newestOf(&fill.digest)) {
		return
	}
	kept, fits := recordOf(fill.digest, fill.begun.monotonic+keepFor, answer.revision, known)
	s.cool(&fill.digest)
	into.remove(&fill.digest)
	other.remove(&fill.digest)
	if !fits || keepFor <= 0 {
		into.letGo = max(into.letGo, answer.revision)
		return
	}
	into.set(kept, known.tokenID, known.account, known.grant)
}

// overrule is told of an answer that was not for the cache, and may be newer than what is kept of the key.
func (c *keyCache) overrule(key string) {
	of := digestOf(key)
	s := c.shardOf(&of)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.overruled++
	s.cool(&of)
	s.proven.remove(&of)
	s.unknown.remove(&of)
}

func (c *keyCache) noteFill(fill *cacheFill) {
	now := c.now().monotonic
	s := c.shardOf(&fill.digest)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.note(&fill.digest, 1, now)
}

// renew lets the cache decide for a while, as of this revision. `asked` is from before the request was sent that the
// authority grants.
func (c *keyCache) renew(asked moment, duration time.Duration, revision int64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.asked != nil && asked.movedFrom(*c.asked) {
		c.forgetAllLocked()
	}
	// Every change after this revision will be told.
	c.forgets.begin(revision)
	c.asked = &asked
	c.lease.Store(&lease{asked, duration})
}

// endLease gives the lease up.
func (c *keyCache) endLease() { c.lease.Store(nil) }

// forgetKey is told of a change after which the key with this digest may be decided on differently.
func (c *keyCache) forgetKey(of digest, revision int64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.forgets.key(of, revision)
	s := c.shardOf(&of)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	// What the authority answered as of this change or a later one is still true.
	if hot := s.hot.find(&of); hot != nil && hot.revision < revision {
		s.cool(&of)
	}
	s.proven.removeBefore(&of, revision)
	s.unknown.removeBefore(&of, revision)
}

// forgetAccount is told of a change after which every key of this account may be decided on differently.
func (c *keyCache) forgetAccount(account string, revision int64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.forgets.account(account, revision)
	for i := range c.shards {
		s := &c.shards[i]
		s.mutex.Lock()
		// Some of them may be hot. This is rare.
		s.coolAll()
		s.proven.removeAccountBefore(account, revision)
		s.mutex.Unlock()
	}
}

// reset forgets all, because the authority cannot tell what was missed, and goes on from this revision.
func (c *keyCache) reset(revision int64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.forgetAllLocked()
	c.forgets.begin(revision)
}

// forgetAll gives up the lease and all that is kept. Nothing is kept again before the next lease.
func (c *keyCache) forgetAll() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.forgetAllLocked()
}

func (c *keyCache) forgetAllLocked() {
	c.lease.Store(nil)
	c.asked = nil
	c.forgets.end()
	c.epoch++
	for i := range c.shards {
		s := &c.shards[i]
		s.mutex.Lock()
		s.coolAll()
		s.proven.clear()
		s.unknown.clear()
		s.mutex.Unlock()
	}
}

// takeUses returns uses since the last time, of at most so many keys.
func (c *keyCache) takeUses(most int) []use {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for i := range c.shards {
		s := &c.shards[i]
		s.mutex.Lock()
		s.noteAllHot()
		if room := maxWords - len(c.uses); len(s.uses) <= room {
			c.uses = append(c.uses, s.uses...)
			s.uses = s.uses[:0]
			clear(s.useOf)
		}
		s.mutex.Unlock()
	}
	count := min(most, len(c.uses))
	taken := c.uses[:count:count]
	c.uses = c.uses[count:]
	return taken
}

// size is how many keys are kept.
func (c *keyCache) size() int {
	sum := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mutex.Lock()
		sum += s.proven.size() + s.unknown.size()
		s.mutex.Unlock()
	}
	return sum
}
