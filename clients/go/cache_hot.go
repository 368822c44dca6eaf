package tokenauthority

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// hotBytes are what a hot key takes at most, and hotTextBytes what is left in it for texts and permissions.
	hotBytes     = 512
	hotTextBytes = 320
	maxHotKeys   = 1024
	// useEvery is how exactly the time of the last use is kept.
	useEvery = 100 * time.Millisecond
)

// hotKeys are of a shard, and were accepted lately: their Principals are made once, and no lock is taken to find them.
// Each key has two places.
type hotKeys []atomic.Pointer[hotKey]

// hotKey never changes but for its uses.
type hotKey struct {
	digest digest
	until  time.Duration
	facts  facts
	// uses that are not counted in the shard yet, and when the last of them was.
	uses   atomic.Int64
	usedAt atomic.Int64
	// principal is what its readers share.
	principal Principal
	revision  int64
}

func newHotKeys(maxBytes int) hotKeys {
	count := max(2, min(maxHotKeys, maxBytes/hotBytes))
	return make(hotKeys, 1<<(bits.Len(uint(count))-1))
}

// placesOf begins at another part of the digest than those that find the shard and the record.
func (h hotKeys) placesOf(of *digest) []atomic.Pointer[hotKey] {
	first := int(binary.LittleEndian.Uint32(of[2:])) & (len(h) - 2)
	return h[first : first+2]
}

// Hot path.
func (h hotKeys) find(of *digest) *hotKey {
	places := h.placesOf(of)
	if found := places[0].Load(); found != nil && found.digest == *of {
		return found
	}
	if found := places[1].Load(); found != nil && found.digest == *of {
		return found
	}
	return nil
}

// add returns which key is hot no longer.
func (h hotKeys) add(made *hotKey) *hotKey {
	places := h.placesOf(&made.digest)
	replaced := h.remove(&made.digest)
	if replaced == nil {
		replaced = places[1].Swap(places[0].Load())
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

func (k *hotKey) isSmall() bool {
	const stringBytes = 16
	return len(k.facts.tokenID)+len(k.facts.account)+stringBytes*len(k.principal.Permissions) <= hotTextBytes
}
