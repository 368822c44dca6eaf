package main

import "golang.org/x/net/http2/hpack"

// The encoder's side of HPACK's dynamic table (RFC 7541, 2.3.2): only how large each entry is, and which are still
// there.
type dynamicTable struct {
	sizes    [maxEntries]int
	inserted int
	oldest   int
	bytes    int
}

const (
	maxTableBytes  = 4096
	maxEntries     = maxTableBytes/entryBytes + 1
	entryBytes     = 32
	staticEntries  = 61
	absent         = -1
	indexedField   = 0x80
	insertingField = 0x40
)

// insert takes note of a new entry, evicts what has no room beside it, and returns the entry's number.
func (t *dynamicTable) insert(name, value string) int {
	size := len(name) + len(value) + entryBytes
	t.bytes += size
	for t.bytes > maxTableBytes {
		t.bytes -= t.sizes[t.oldest%maxEntries]
		t.oldest++
	}
	t.sizes[t.inserted%maxEntries] = size
	t.inserted++
	return t.inserted - 1
}

// index returns the index that the entry with this number has now, or 0.
func (t *dynamicTable) index(number int) int {
	if number < t.oldest {
		return 0
	}
	return staticEntries + t.inserted - number
}

// appendInt writes an integer behind the bits that are set in first (RFC 7541, 5.1).
func appendInt(out []byte, first byte, prefixBits int, value int) []byte {
	limit := 1<<prefixBits - 1
	if value < limit {
		return append(out, first|byte(value))
	}
	out = append(out, first|byte(limit))
	for value -= limit; value >= 0x80; value >>= 7 {
		out = append(out, byte(value)|0x80)
	}
	return append(out, byte(value))
}

// appendString writes a string, in Huffman's code (RFC 7541, 5.2).
func appendString(out []byte, text string) []byte {
	out = appendInt(out, 0x80, 7, int(hpack.HuffmanEncodeLength(text)))
	return hpack.AppendHuffmanString(out, text)
}
