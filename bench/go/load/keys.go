package main

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"sync/atomic"
)

const (
	keyBytes      = 46
	uncheckedKey  = keyBytes - checksumBytes
	checksumBytes = 6
	digits        = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// The keys of a file, in turn.
type keyFile struct {
	lines []byte
	count uint64
	next  atomic.Uint64
}

func openKeyFile(path string, first int) (*keyFile, error) {
	lines, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 || len(lines)%(keyBytes+1) != 0 {
		return nil, fmt.Errorf("%s: must be lines of %d characters", path, keyBytes)
	}
	f := &keyFile{lines: lines, count: uint64(len(lines) / (keyBytes + 1))}
	f.next.Store(uint64(first))
	return f, nil
}

func (f *keyFile) take() []byte {
	place := f.next.Add(1) % f.count * (keyBytes + 1)
	return f.lines[place : place+keyBytes]
}

// unknownShare tells which calls have a key that nobody has.
type unknownShare int

const (
	unknownNever unknownShare = iota
	unknownEverySecond
	unknownAlways
)

func (s unknownShare) isDue(count int) bool {
	return s == unknownAlways || s == unknownEverySecond && count%2 == 0
}

// appendUnknownKey adds a key with a good checksum, as token.proto says, that was never given to anybody.
func appendUnknownKey(out []byte, random *rand.Rand) []byte {
	start := len(out)
	out = append(out, "rk_live_"...)
	for len(out)-start < uncheckedKey {
		out = append(out, digits[random.IntN(62)])
	}
	rest := crc32.ChecksumIEEE(out[start:])
	var checksum [checksumBytes]byte
	for place := checksumBytes - 1; place >= 0; place-- {
		checksum[place] = digits[rest%62]
		rest /= 62
	}
	return append(out, checksum[:]...)
}
