package tokenauthority

import "crypto/sha256"

// digest is the SHA-256 of a key.
type digest = [sha256.Size]byte

// forgets are the authority's latest words of what must be forgotten, so that an answer from before such a word is not
// kept after it. The newest are remembered; an answer from before the others, or from before anything was heard, is not
// kept.
type forgets struct {
	// maxGeneration is how many words are remembered at least; at most twice as many are.
	maxGeneration int
	young, old    words
	// hasFloor is false until something is known.
	hasFloor bool
	floor    int64
}

type words struct {
	revisions map[string]int64
	newest    int64
}

func newForgets(maxWords int) *forgets {
	return &forgets{maxGeneration: maxWords / 2, young: words{revisions: map[string]int64{}}}
}

// begin: from now on every word of a change after this revision is heard. Nothing happens when that is known already.
func (f *forgets) begin(revision int64) {
	if !f.hasFloor {
		f.hasFloor, f.floor = true, revision
	}
}

// end: what was remembered is no longer true. See begin.
func (f *forgets) end() {
	*f = *newForgets(2 * f.maxGeneration)
}

// key is a word of the key with this digest.
func (f *forgets) key(of digest, revision int64) { f.remember(string(of[:]), revision) }

// account is a word of all keys of this account.
func (f *forgets) account(account string, revision int64) {
	f.remember(nameOfAccount(account), revision)
}

// allow is whether an answer about the key that is true at this revision may be kept. The account is empty where none
// is known.
func (f *forgets) allow(of digest, account string, revision int64) bool {
	return f.hasFloor && revision >= f.floor &&
		revision >= f.latest(string(of[:])) &&
		(account == "" || revision >= f.latest(nameOfAccount(account)))
}

func (f *forgets) latest(of string) int64 {
	return max(f.young.revisions[of], f.old.revisions[of])
}

func (f *forgets) remember(of string, revision int64) {
	if len(f.young.revisions) >= f.maxGeneration {
		// What is dropped counts as forgotten for every key.
		f.floor = max(f.floor, f.old.newest)
		f.old, f.young = f.young, words{revisions: map[string]int64{}}
	}
	// After a resumption an older word may come again.
	f.young.revisions[of] = max(revision, f.latest(of))
	f.young.newest = max(f.young.newest, revision)
}

// nameOfAccount is as no digest is.
func nameOfAccount(account string) string { return "\x00account\x00" + account }
