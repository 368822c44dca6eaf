package tokenauthority

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
)

const (
	minPlaces = 8
	noPlace   = math.MaxUint32
	// placeGone: what is behind it may still be found.
	placeGone = math.MaxUint32 - 1
)

// placeFactor is drawn at random, so that nobody can make keys that all have the same place.
var placeFactor = rand.Uint64() | 1

// places find numbers of records by a digest: a table with open addressing, at most five eighths full. The digests are
// those of the records.
type places struct {
	slots []uint32
	// shift leaves as many bits of a product as the table has.
	shift int
	// used are the slots that are not empty, and live those of them that are not gone.
	used, live int
}

func newPlaces(least int) places {
	length := bits.Len(uint(max(least, minPlaces) - 1))
	made := places{slots: make([]uint32, 1<<length), shift: 64 - length}
	for i := range made.slots {
		made.slots[i] = noPlace
	}
	return made
}

// first is where to look first. Hot path.
func (p *places) first(of *digest) int {
	// Another part of the digest than the one that shardOf takes.
	return int(binary.LittleEndian.Uint64(of[8:]) * placeFactor >> p.shift)
}

func (p *places) next(after int) int { return (after + 1) & (len(p.slots) - 1) }

func (p *places) isFull() bool { return 8*(p.used+1) > 5*len(p.slots) }

// fill expects that there is room.
func (p *places) fill(of *digest, number uint32) {
	at := p.first(of)
	for p.slots[at] != noPlace {
		at = p.next(at)
	}
	p.slots[at] = number
	p.used++
	p.live++
}

func (p *places) empty(at int) {
	p.slots[at] = placeGone
	p.live--
}
