package tokenauthority

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// hotBytes are what a hot key takes at most: itself and what it answers, its texts and permissions, the permissions
	// that its refusal names twice, and the two questions that it was asked last.
	hotBytes      = 1280
	hotTextBytes  = 256
	questionBytes = 88
	stringBytes   = 16
	maxHotKeys    = 1024
	// hotWays are the places that a key may have.
	hotWays = 4
	// useEvery is how exactly the time of the last use is kept.
	useEvery = 100 * time.Millisecond
)

// hotKeys are of a shard, and were asked for lately: what is answered about them is made once, and no lock is taken to
// find them. Of the places that a key may have, the first is that of the key which became hot last.
type hotKeys []atomic.Pointer[hotKey]

// hotKey never changes but for its uses and its answers. What most decisions read comes first.
type hotKey struct {
	digest digest
	until  time.Duration
	// accepted is the last question that the key passed, and refused the last that it did not. Either may be nil.
	accepted atomic.Pointer[Question]
	refused  atomic.Pointer[hotRefusal]
	// uses that are not counted in the shard yet, and when the last of them was.
	uses   atomic.Int64
	usedAt atomic.Int64
	// principal is what its readers share.
	principal Principal
	facts     facts
	revision  int64
}

// hotRefusal never changes, unless a reader changes what all share.
type hotRefusal struct {
	question      *Question
	shared, whole Refusal
}

func newHotKeys(maxBytes int) hotKeys {
	return make(hotKeys, max(1, min(maxHotKeys, maxBytes/hotBytes)/hotWays)*hotWays)
}

// placesOf begins at another part of the digest than those that find the shard and the record.
func (h hotKeys) placesOf(of *digest) *[hotWays]atomic.Pointer[hotKey] {
	drawn := uint64(binary.LittleEndian.Uint32(of[2:]))
	first := int(drawn*uint64(len(h)/hotWays)>>32) * hotWays
	return (*[hotWays]atomic.Pointer[hotKey])(h[first:])
}

// Hot path.
func (h hotKeys) find(of *digest) *hotKey {
	places := h.placesOf(of)
	for i := range places {
		if found := places[i].Load(); found != nil && found.digest == *of {
			return found
		}
	}
	return nil
}

// add returns which key is hot no longer.
func (h hotKeys) add(made *hotKey) *hotKey {
	places := h.placesOf(&made.digest)
	// First, so that no key has two places: its removal finds one.
	replaced := h.remove(&made.digest)
	at := 0
	for at < hotWays-1 && places[at].Load() != nil {
		at++
	}
	if pushedOut := places[at].Load(); pushedOut != nil {
		replaced = pushedOut
	}
	for ; at > 0; at-- {
		places[at].Store(places[at-1].Load())
	}
	places[0].Store(made)
	return replaced
}

func (h hotKeys) remove(of *digest) *hotKey {
	places := h.placesOf(of)
	for i := range places {
		if found := places[i].Load(); found != nil && found.digest == *of {
			places[i].Store(nil)
			return found
		}
	}
	return nil
}

func (h hotKeys) clear() {
	for i := range h {
		h[i].Store(nil)
	}
}

// Hot path.
func (k *hotKey) note(now time.Duration) {
	if int64(now) > k.usedAt.Load()+int64(useEvery) {
		k.usedAt.Store(int64(now))
	}
	k.uses.Add(1)
}

func (k *hotKey) takeUses() (count int64, at time.Duration) {
	return k.uses.Swap(0), time.Duration(k.usedAt.Load())
}

// isIntact is whether no reader has changed what all share. Hot path.
func (k *hotKey) isIntact() bool {
	principal, known := &k.principal, &k.facts
	return principal.TokenID == known.tokenID && principal.Account == known.account &&
		principal.Type == known.tokenType && principal.Livemode == known.livemode &&
		principal.ExpireTime == known.expireTime && slices.Equal(principal.Permissions, known.grant.permissions)
}

// decide is false for another question than the last ones. Hot path.
func (k *hotKey) decide(question *Question, now time.Duration) (Decision, bool) {
	if k.accepted.Load().is(question) && k.isIntact() {
		k.note(now)
		return Decision{Principal: &k.principal, Source: FromCache}, true
	}
	if refused := k.refused.Load(); refused != nil && refused.question.is(question) && refused.isIntact() {
		return Decision{Refusal: &refused.shared, Source: FromCache}, true
	}
	return Decision{}, false
}

// judge is false where a reader changed what all share, or the question is not one to decide here.
func (k *hotKey) judge(question *Question, now time.Duration, asked *questions) (Decision, bool) {
	reason, ok := k.facts.judge(question)
	if !ok || reason == 0 && !k.isIntact() {
		return Decision{}, false
	}
	kept := asked.keep(question)
	if reason == 0 {
		k.accepted.Store(kept)
		k.note(now)
		return Decision{Principal: &k.principal, Source: FromCache}, true
	}
	if kept == nil {
		return k.facts.decision(reason, question, FromCache), true
	}
	refused := &hotRefusal{kept, k.facts.refusal(reason, kept), k.facts.refusal(reason, kept)}
	k.refused.Store(refused)
	return Decision{Refusal: &refused.shared, Source: FromCache}, true
}

// isIntact: see that of hotKey. Hot path.
func (r *hotRefusal) isIntact() bool {
	return r.shared.Reason == r.whole.Reason && r.shared.TokenID == r.whole.TokenID &&
		r.shared.Account == r.whole.Account && slices.Equal(r.shared.MissingPermissions, r.whole.MissingPermissions)
}

func (k *hotKey) isSmall() bool {
	return len(k.facts.tokenID)+len(k.facts.account)+stringBytes*len(k.principal.Permissions) <= hotTextBytes
}

// questions are the latest few: a program has few of them, and each is kept once for all keys.
type questions struct {
	latest [8]atomic.Pointer[Question]
	next   atomic.Uint32
}

// keep returns what is equal to the question and never changes, or nil for a question that is too large.
func (q *questions) keep(question *Question) *Question {
	for i := range q.latest {
		if kept := q.latest[i].Load(); kept.is(question) {
			return kept
		}
	}
	bytes := 0
	for _, permission := range question.Permissions {
		bytes += stringBytes + len(permission)
	}
	if bytes > questionBytes || len(question.Types) > len(allTypes) {
		return nil
	}
	// The caller may change its slices, and its texts may be parts of long ones.
	made := &Question{Mode: question.Mode, Types: slices.Clone(question.Types)}
	for _, permission := range question.Permissions {
		made.Permissions = append(made.Permissions, strings.Clone(permission))
	}
	q.latest[q.next.Add(1)%uint32(len(q.latest))].Store(made)
	return made
}

// is: nil is no question. Hot path.
func (q *Question) is(other *Question) bool {
	return q != nil && q.Mode == other.Mode && slices.Equal(q.Permissions, other.Permissions) &&
		slices.Equal(q.Types, other.Types)
}
