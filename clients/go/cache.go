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
	mutex           sync.Mutex
	proven, unknown twoGenerations
	// uses are those of this period, which ends when they are taken.
	uses   []use
	period uint32
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
		c.shards[i].proven = newTwoGenerations(maxBytes / 8 * 7 / shardCount)
		c.shards[i].unknown = newTwoGenerations(maxBytes / 8 / shardCount)
		// The first record of all has the period 0, in which there are no uses.
		c.shards[i].period = 1
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
	return c.shardOf(&of).decide(&of, question, now.monotonic)
}

// Hot path.
func (s *shard) decide(of *digest, question *Question, now time.Duration) (Decision, bool) {
	s.mutex.Lock()
	in, found := s.proven.find(of)
	if found == nil {
		in, found = s.unknown.find(of)
	}
	if found == nil || now >= found.until {
		s.mutex.Unlock()
		return Decision{}, false
	}
	known := found.facts(in.grantOf(found))
	verdict, ok := known.judge(question)
	if ok && verdict.reason == 0 {
		s.note(found, now)
	}
	// Texts are never written again, so that they may be copied by whoever found them once.
	idLength, text := int(found.idLength), in.textBytes(found)
	s.mutex.Unlock()
	if !ok {
		return Decision{}, false
	}
	if verdict.reason == 0 {
		return Decision{Principal: newPrincipal(&known, text, idLength), Source: FromCache}, true
	}
	known.tokenID, known.account = string(text[:idLength]), string(text[idLength:])
	return known.decision(verdict, FromCache), true
}

// principalWithTexts is a Principal and what it points to, in one piece of memory.
type principalWithTexts struct {
	principal   Principal
	permissions [3]string
	text        [64]byte
}

// newPrincipal shares nothing with the cache that its reader could change.
func newPrincipal(known *facts, text []byte, idLength int) *Principal {
	whole := &principalWithTexts{}
	copied := unsafe.String(&whole.text[0], copy(whole.text[:], text))
	if len(text) > len(whole.text) {
		copied = string(text)
	}
	p := &whole.principal
	p.TokenID, p.Account = copied[:idLength], copied[idLength:]
	p.Type, p.Livemode, p.ExpireTime = known.tokenType, known.livemode, known.expireTime
	if count := len(known.grant.permissions); count > 0 {
		p.Permissions = append(whole.permissions[:0], known.grant.permissions...)
	}
	return p
}

// note counts a use of a record. Hot path.
func (s *shard) note(of *record, now time.Duration) {
	if of.period != s.period {
		at, ok := s.addUse(of.digest)
		if !ok {
			return
		}
		of.period, of.use = s.period, at
	}
	s.uses[of.use].accepted++
	s.uses[of.use].at = now
}

func (s *shard) addUse(of digest) (uint16, bool) {
	if len(s.uses) >= maxUses {
		return 0, false
	}
	s.uses = append(s.uses, use{digest: of})
	return uint16(len(s.uses) - 1), true
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
	c.mutex.Lock()
	epoch := c.epoch
	c.mutex.Unlock()
	begun := c.now()
	if !c.isHeldAt(begun) {
		return cacheFill{}, false
	}
	return cacheFill{digestOf(key), begun, epoch}, true
}

// endFill decides by the answer to the widest question, and keeps the answer where that is right.
func (c *keyCache) endFill(fill cacheFill, answer cacheAnswer, question *Question) (Decision, bool) {
	known := &answer.facts
	verdict, ok := known.judge(question)
	kept := c.keep(&fill, &answer)
	if !ok {
		return Decision{}, false
	}
	if verdict.reason == 0 {
		// The authority notes no use of a key when it is asked the widest question.
		c.noteFill(&fill, kept)
	}
	return known.decision(verdict, FromAuthority), true
}

func (c *keyCache) keep(fill *cacheFill, answer *cacheAnswer) bool {
	known, keepFor := &answer.facts, answer.cacheFor
	if !known.isProven() {
		keepFor = min(keepFor, maxUnknown)
	}
	kept, text, fits := recordOf(fill.digest, fill.begun.monotonic+keepFor, known)
	if !fits || keepFor <= 0 {
		return false
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if fill.epoch != c.epoch || !c.forgets.allow(fill.digest, known.account, answer.revision) {
		return false
	}
	s := c.shardOf(&fill.digest)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	into, other := &s.proven, &s.unknown
	if !known.isProven() {
		into, other = other, into
	}
	other.remove(&fill.digest)
	return into.set(kept, text, known.grant) != nil
}

func (c *keyCache) noteFill(fill *cacheFill, isKept bool) {
	now := c.now().monotonic
	s := c.shardOf(&fill.digest)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, found := s.proven.find(&fill.digest); isKept && found != nil {
		s.note(found, now)
	} else if at, ok := s.addUse(fill.digest); ok {
		s.uses[at].accepted, s.uses[at].at = 1, now
	}
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
	s.proven.remove(&of)
	s.unknown.remove(&of)
}

// forgetAccount is told of a change after which every key of this account may be decided on differently.
func (c *keyCache) forgetAccount(account string, revision int64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.forgets.account(account, revision)
	for i := range c.shards {
		s := &c.shards[i]
		s.mutex.Lock()
		s.proven.removeAccount(account)
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
		if room := maxWords - len(c.uses); len(s.uses) <= room {
			c.uses = append(c.uses, s.uses...)
			s.uses, s.period = s.uses[:0], s.period+1
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
