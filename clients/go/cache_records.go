package tokenauthority

import (
	"encoding/binary"
	"strings"
	"time"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
)

const (
	recordBytes = 64
	// placeBytes are what Go's maps take for one place, measured.
	placeBytes     = 14
	recordsPerPart = 64
	textBytes      = 4096
	maxTextLength  = 255
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
	// textAt is where the id of the token and the account stand in the texts.
	textAt uint32
	// period and use say where the uses of the key are counted.
	period  uint32
	use     uint16
	grantAt uint16
	// reason is that of a refusal, or 0.
	reason                  uint8
	typeAndMode             uint8
	idLength, accountLength uint8
}

// generation is one half of a twoGenerations.
type generation struct {
	// places find a record by four bytes of its digest.
	places  map[uint32]uint32
	records [][]record
	texts   [][]byte
	grants  []*grant
	// grantsAt find a grant by its permissions: most keys have one of a few.
	grantsAt map[string]uint16
	count    uint32
	bytes    int
}

// twoGenerations is a map bounded in bytes that forgets what was not asked for lately: what is found in the old half
// moves to the young one; when the young half is full it becomes the old one, and what was left in the old half is
// gone.
type twoGenerations struct {
	maxHalfBytes int
	young, old   *generation
}

func newTwoGenerations(maxBytes int) twoGenerations {
	return twoGenerations{maxBytes / 2, newGeneration(), newGeneration()}
}

func newGeneration() *generation {
	return &generation{places: map[uint32]uint32{}, grantsAt: map[string]uint16{}}
}

// placeOf is another part of the digest than the one that shardOf takes.
func placeOf(of *digest) uint32 { return binary.LittleEndian.Uint32(of[4:]) }

// find returns the record of the key, and where its text and grant are. Hot path.
func (t *twoGenerations) find(of *digest) (*generation, *record) {
	place := placeOf(of)
	if found := t.young.at(place); found != nil {
		if found.digest != *of {
			return nil, nil
		}
		return t.young, found
	}
	return t.findOld(of, place)
}

func (t *twoGenerations) findOld(of *digest, place uint32) (*generation, *record) {
	found := t.old.at(place)
	if found == nil || found.digest != *of {
		return nil, nil
	}
	from := t.old
	moved := t.set(*found, from.text(found), from.grantOf(found))
	if moved == nil {
		return from, found
	}
	return t.young, moved
}

// set keeps what there is to a key. Nil when that is too much.
func (t *twoGenerations) set(kept record, text string, given *grant) *record {
	place := placeOf(&kept.digest)
	delete(t.young.places, place)
	delete(t.old.places, place)
	bytes := recordBytes + placeBytes + len(text)
	if t.young.bytes+bytes+t.young.costOf(given) > t.maxHalfBytes {
		t.old, t.young = t.young, newGeneration()
	}
	bytes += t.young.costOf(given)
	if bytes > t.maxHalfBytes || len(t.young.grants) >= maxGrants-1 {
		return nil
	}
	t.young.bytes += bytes
	return t.young.add(place, kept, text, given)
}

// remove takes away what is kept of this key, and nothing of one whose digest begins alike.
func (t *twoGenerations) remove(of *digest) {
	place := placeOf(of)
	for _, half := range [...]*generation{t.young, t.old} {
		if found := half.at(place); found != nil && found.digest == *of {
			delete(half.places, place)
		}
	}
}

// removeAccount walks through all.
func (t *twoGenerations) removeAccount(account string) {
	for _, half := range []*generation{t.young, t.old} {
		for place, number := range half.places {
			if found := half.record(number); half.text(found)[found.idLength:] == account {
				delete(half.places, place)
			}
		}
	}
}

func (t *twoGenerations) clear() {
	t.young, t.old = newGeneration(), newGeneration()
}

func (t *twoGenerations) size() int { return len(t.young.places) + len(t.old.places) }

func (g *generation) at(place uint32) *record {
	number, ok := g.places[place]
	if !ok {
		return nil
	}
	return g.record(number)
}

func (g *generation) record(number uint32) *record {
	return &g.records[number/recordsPerPart][number%recordsPerPart]
}

// text is the id of the token and the account, as a copy: whoever keeps it keeps nothing else.
func (g *generation) text(of *record) string { return string(g.textBytes(of)) }

func (g *generation) textBytes(of *record) []byte {
	length := uint32(of.idLength) + uint32(of.accountLength)
	if length == 0 {
		return nil
	}
	return g.texts[of.textAt/textBytes][of.textAt%textBytes:][:length]
}

func (g *generation) grantOf(of *record) *grant { return g.grants[of.grantAt] }

func (g *generation) costOf(given *grant) int {
	if _, known := g.grantsAt[given.name]; known {
		return 0
	}
	return grantBytes + 4*len(given.name) + permissionBytes*len(given.permissions)
}

func (g *generation) add(place uint32, kept record, text string, given *grant) *record {
	kept.textAt, kept.grantAt = g.addText(text), g.addGrant(given)
	number := g.count
	if number%recordsPerPart == 0 {
		g.records = append(g.records, make([]record, recordsPerPart))
	}
	g.count++
	g.places[place] = number
	at := g.record(number)
	*at = kept
	return at
}

func (g *generation) addText(text string) uint32 {
	if text == "" {
		return 0
	}
	last := len(g.texts) - 1
	if last < 0 || len(g.texts[last])+len(text) > textBytes {
		g.texts = append(g.texts, make([]byte, 0, textBytes))
		last++
	}
	at := last*textBytes + len(g.texts[last])
	g.texts[last] = append(g.texts[last], text...)
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
func recordOf(of digest, until time.Duration, known *facts) (kept record, text string, fits bool) {
	kept = record{digest: of, until: until, reason: uint8(known.reason)}
	fits = known.reason <= 0xff && len(known.tokenID) <= maxTextLength && len(known.account) <= maxTextLength
	if !fits {
		return record{}, "", false
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
	kept.idLength, kept.accountLength = uint8(len(known.tokenID)), uint8(len(known.account))
	return kept, known.tokenID + known.account, fits
}

// facts are those of the record, but for its texts.
func (r *record) facts(given *grant) facts {
	known := facts{
		reason:    tokenv1.RefusalReason(r.reason),
		tokenType: TokenType(r.typeAndMode >> 1),
		livemode:  r.typeAndMode&1 == 1,
		grant:     given,
	}
	if r.expiresMs != 0 {
		known.expireTime = time.UnixMilli(r.expiresMs).UTC()
	}
	return known
}

func nameOf(permissions []string) string { return strings.Join(permissions, " ") }
