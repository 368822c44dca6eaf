package tokenauthority

import (
	"math"
	"strings"
	"time"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
)

const (
	recordBytes = 64
	// placeBytes are what a table takes for one place, on average.
	placeBytes     = 10
	recordsPerPart = 64
	textBytes      = 4096
	maxTextLength  = 255
	noText         = math.MaxUint32
	maxGrants      = 1 << 16
	// Beside the texts of its permissions, each of them kept twice and its reading form.
	grantBytes      = 200
	permissionBytes = 150
)

// record is what is kept of a key: its SHA-256 and what the authority said. Never the key. It has no pointers, so that
// the garbage collector passes over millions of them.
type record struct {
	digest digest
	until  time.Duration
	// expiresMs is 0 where the key never expires.
	expiresMs int64
	// revision is up to which the authority knew all changes when it answered.
	revision int64
	// textAt is where the id of the token and the account stand in the texts, or noText.
	textAt  uint32
	grantAt uint16
	// reason is that of a refusal, or 0.
	reason      uint8
	typeAndMode uint8
}

// generation is one half of a twoGenerations.
type generation struct {
	places  places
	records [][]record
	texts   [][]byte
	grants  []*grant
	// grantsAt find a grant by its permissions: most keys have one of a few.
	grantsAt map[string]uint16
	count    uint32
	bytes    int
	// newest is the highest revision of a record that was ever here.
	newest int64
}

// twoGenerations is a map bounded in bytes that forgets what was not asked for lately: what is found in the old half
// moves to the young one; when the young half is full it becomes the old one, and what was left in the old half is
// gone.
type twoGenerations struct {
	maxHalfBytes int
	young, old   *generation
	// letGo is the highest revision of what was let go without a word of the authority, or more: an older answer is not
	// kept, so that nobody is told what was true before that.
	letGo int64
}

func newTwoGenerations(maxBytes int) twoGenerations {
	return twoGenerations{maxHalfBytes: maxBytes / 2, young: newGeneration(), old: newGeneration()}
}

func newGeneration() *generation {
	return &generation{places: newPlaces(minPlaces), grantsAt: map[string]uint16{}}
}

// find returns the record of the key, and where its text and grant are. Hot path.
func (t *twoGenerations) find(of *digest) (*generation, *record) {
	if found := t.young.find(of); found != nil {
		return t.young, found
	}
	return t.findOld(of)
}

func (t *twoGenerations) findOld(of *digest) (*generation, *record) {
	found := t.old.find(of)
	if found == nil {
		return nil, nil
	}
	from := t.old
	tokenID, account := from.textsOf(found)
	moved := t.set(*found, string(tokenID), string(account), from.grantOf(found))
	if moved == nil {
		return from, found
	}
	return t.young, moved
}

// newestOf is up to which revision somebody may have been told about the key.
func (t *twoGenerations) newestOf(of *digest) int64 {
	for _, half := range [...]*generation{t.young, t.old} {
		if found := half.find(of); found != nil {
			return max(found.revision, t.letGo)
		}
	}
	return t.letGo
}

// set keeps what there is to a key. Nil when that is too much.
func (t *twoGenerations) set(kept record, tokenID, account string, given *grant) *record {
	t.remove(&kept.digest)
	bytes := recordBytes + placeBytes + len(tokenID) + len(account)
	if t.young.bytes+bytes+t.young.costOf(given) > t.maxHalfBytes {
		t.letGo = max(t.letGo, t.old.newest)
		t.old, t.young = t.young, newGeneration()
	}
	bytes += t.young.costOf(given)
	if bytes > t.maxHalfBytes || len(t.young.grants) >= maxGrants-1 {
		t.letGo = max(t.letGo, kept.revision)
		return nil
	}
	t.young.bytes += bytes
	return t.young.add(kept, tokenID, account, given)
}

func (t *twoGenerations) remove(of *digest) { t.removeBefore(of, math.MaxInt64) }

// removeBefore: what is of this revision or of a later one stays.
func (t *twoGenerations) removeBefore(of *digest, revision int64) {
	t.young.removeBefore(of, revision)
	t.old.removeBefore(of, revision)
}

// removeAccountBefore walks through all.
func (t *twoGenerations) removeAccountBefore(account string, revision int64) {
	for _, half := range [...]*generation{t.young, t.old} {
		for i, place := range half.places.slots {
			if place != noPlace && place != placeGone {
				found := half.record(place)
				if _, of := half.textsOf(found); string(of) == account && found.revision < revision {
					half.places.empty(i)
				}
			}
		}
	}
}

func (t *twoGenerations) clear() {
	t.young, t.old, t.letGo = newGeneration(), newGeneration(), 0
}

func (t *twoGenerations) size() int { return t.young.places.live + t.old.places.live }

// Hot path.
func (g *generation) find(of *digest) *record {
	for i := g.places.first(of); ; i = g.places.next(i) {
		switch place := g.places.slots[i]; place {
		case noPlace:
			return nil
		case placeGone:
		default:
			if found := g.record(place); found.digest == *of {
				return found
			}
		}
	}
}

func (g *generation) removeBefore(of *digest, revision int64) {
	for i := g.places.first(of); g.places.slots[i] != noPlace; i = g.places.next(i) {
		if place := g.places.slots[i]; place != placeGone && g.record(place).digest == *of {
			if g.record(place).revision < revision {
				g.places.empty(i)
			}
			return
		}
	}
}

func (g *generation) record(number uint32) *record {
	return &g.records[number/recordsPerPart][number%recordsPerPart]
}

// textsOf are the id of the token and the account, in the memory of the cache.
func (g *generation) textsOf(kept *record) (tokenID, account []byte) {
	if kept.textAt == noText {
		return nil, nil
	}
	text := g.texts[kept.textAt/textBytes][kept.textAt%textBytes:]
	tokenID, text = text[1:1+text[0]], text[1+text[0]:]
	return tokenID, text[1 : 1+text[0]]
}

func (g *generation) factsOf(kept *record) facts {
	tokenID, account := g.textsOf(kept)
	return facts{
		standing: standing{
			reason:    tokenv1.RefusalReason(kept.reason),
			tokenType: TokenType(kept.typeAndMode >> 1),
			livemode:  kept.typeAndMode&1 == 1,
			grant:     g.grantOf(kept),
		},
		tokenID:    string(tokenID),
		account:    string(account),
		expireTime: kept.expireTime(),
	}
}

func (r *record) expireTime() time.Time {
	if r.expiresMs == 0 {
		return time.Time{}
	}
	return time.UnixMilli(r.expiresMs).UTC()
}

func (g *generation) grantOf(of *record) *grant { return g.grants[of.grantAt] }

func (g *generation) costOf(given *grant) int {
	if _, known := g.grantsAt[given.name]; known {
		return 0
	}
	return grantBytes + 4*len(given.name) + permissionBytes*len(given.permissions)
}

func (g *generation) add(kept record, tokenID, account string, given *grant) *record {
	kept.textAt, kept.grantAt = g.addTexts(tokenID, account), g.addGrant(given)
	number := g.count
	if number%recordsPerPart == 0 {
		g.records = append(g.records, make([]record, recordsPerPart))
	}
	g.count++
	g.newest = max(g.newest, kept.revision)
	at := g.record(number)
	*at = kept
	g.place(number)
	return at
}

// place notes where the record is, whose digest has no place yet.
func (g *generation) place(number uint32) {
	if g.places.isFull() {
		old := g.places.slots
		g.places = newPlaces(2 * g.places.live)
		for _, place := range old {
			if place != noPlace && place != placeGone {
				g.places.fill(&g.record(place).digest, place)
			}
		}
	}
	g.places.fill(&g.record(number).digest, number)
}

// addTexts writes each text behind its length.
func (g *generation) addTexts(tokenID, account string) uint32 {
	if tokenID == "" && account == "" {
		return noText
	}
	last := len(g.texts) - 1
	if last < 0 || len(g.texts[last])+len(tokenID)+len(account)+2 > textBytes {
		g.texts = append(g.texts, make([]byte, 0, textBytes))
		last++
	}
	part := g.texts[last]
	at := last*textBytes + len(part)
	part = append(append(part, uint8(len(tokenID))), tokenID...)
	g.texts[last] = append(append(part, uint8(len(account))), account...)
	return uint32(at)
}

func (g *generation) addGrant(given *grant) uint16 {
	at, known := g.grantsAt[given.name]
	if !known {
		at = uint16(len(g.grants))
		g.grants = append(g.grants, given)
		g.grantsAt[given.name] = at
	}
	return at
}

// recordOf is false for what does not fit into a record.
func recordOf(of digest, until time.Duration, revision int64, known *facts) (kept record, fits bool) {
	kept = record{digest: of, until: until, revision: revision, reason: uint8(known.reason)}
	fits = known.reason <= 0xff && len(known.tokenID) <= maxTextLength && len(known.account) <= maxTextLength
	if !fits {
		return record{}, false
	}
	kept.typeAndMode = uint8(known.tokenType) << 1
	if known.livemode {
		kept.typeAndMode |= 1
	}
	if !known.expireTime.IsZero() {
		kept.expiresMs = known.expireTime.UnixMilli()
		// What a millisecond does not hold is not made up.
		fits = kept.expiresMs != 0 && time.UnixMilli(kept.expiresMs).Equal(known.expireTime)
	}
	return kept, fits
}

func nameOf(permissions []string) string { return strings.Join(permissions, " ") }
