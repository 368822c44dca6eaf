package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Frame types and flags of RFC 9113, 6.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameRSTStream    = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8

	frameHeaderBytes = 9
	prefixBytes      = 5
)

// A constant header field: literal the first time and when it was evicted, else one index.
type constantField struct {
	name, value string
	literal     []byte
	number      int
}

// A header field that differs from call to call. All its values have the same length.
type differingField struct {
	name, literalName []byte
	number            int
}

// The requests of one connection, as frames.
type requests struct {
	table     dynamicTable
	rpc       rpc
	fixed     []byte
	constants []*constantField
	differing []*differingField
	values    *headerValues
	nextValue int
	keys      *keyFile
	unknown   unknownShare
	random    *rand.Rand
	count     int
}

func newRequests(o options, keys *keyFile, values *headerValues, unknown unknownShare) *requests {
	// Static table: 3 is :method POST, 6 and 7 are :scheme http and https.
	fixed := []byte{indexedField | 3, indexedField | 6}
	if o.tls.ca != "" {
		fixed[1] = indexedField | 7
	}
	r := &requests{
		rpc: o.rpc, fixed: fixed, values: values, keys: keys, unknown: unknown,
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	r.nextValue = r.random.IntN(valueCount)
	for _, f := range [][2]string{
		{":path", o.rpc.path},
		{":authority", o.authority},
		{"content-type", "application/grpc"},
		{"user-agent", "grpc-go/1.84.0"},
		{"te", "trailers"},
	} {
		literal := appendString([]byte{insertingField}, f[0])
		r.constants = append(r.constants, &constantField{f[0], f[1], appendString(literal, f[1]), absent})
	}
	for _, name := range differingNames {
		r.differing = append(r.differing, &differingField{[]byte(name), appendString(nil, name), absent})
	}
	return r
}

// append adds a HEADERS and a DATA frame, and tells whether the key is one that nobody has.
func (r *requests) append(out []byte, stream uint32) ([]byte, bool) {
	start := len(out)
	out = append(out, make([]byte, frameHeaderBytes)...)
	out = r.appendBlock(out)
	putFrameHeader(out[start:], len(out)-start-frameHeaderBytes, frameHeaders, flagEndHeaders, stream)

	start = len(out)
	out = append(out, make([]byte, frameHeaderBytes)...)
	putFrameHeader(out[start:], r.bodyBytes(), frameData, flagEndStream, stream)
	out = append(out, 0)
	out = binary.BigEndian.AppendUint32(out, uint32(r.bodyBytes()-prefixBytes))
	out = append(out, r.rpc.beforeKey...)
	r.count++
	isUnknown := r.unknown.isDue(r.count)
	if isUnknown {
		out = appendUnknownKey(out, r.random)
	} else {
		out = append(out, r.keys.take()...)
	}
	return append(out, r.rpc.afterKey...), isUnknown
}

func (r *requests) bodyBytes() int {
	return prefixBytes + len(r.rpc.beforeKey) + keyBytes + len(r.rpc.afterKey)
}

func (r *requests) outcomeOf(message []byte) outcome {
	switch {
	case bytes.HasPrefix(message, r.rpc.accepted):
		return accepted
	case bytes.HasPrefix(message, r.rpc.refused):
		return refused
	default:
		return undecided
	}
}

func (r *requests) appendBlock(out []byte) []byte {
	out = append(out, r.fixed...)
	for _, f := range r.constants {
		if index := r.table.index(f.number); index > 0 {
			out = appendInt(out, indexedField, 7, index)
		} else {
			out = append(out, f.literal...)
			f.number = r.table.insert(f.name, f.value)
		}
	}
	r.nextValue = (r.nextValue + 1) % valueCount
	for i, f := range r.differing {
		index := r.table.index(f.number)
		if r.values.constant && index > 0 {
			out = appendInt(out, indexedField, 7, index)
			continue
		}
		out = appendInt(out, insertingField, 6, index)
		if index == 0 {
			out = append(out, f.literalName...)
		}
		value := r.values.of(i, r.nextValue)
		out = append(out, value.encoded...)
		f.number = r.table.insert(string(f.name), value.text)
	}
	return out
}

func putFrameHeader(to []byte, length int, kind, flags byte, stream uint32) {
	binary.BigEndian.PutUint32(to, uint32(length)<<8|uint32(kind))
	to[4] = flags
	binary.BigEndian.PutUint32(to[5:], stream)
}

var differingNames = []string{"grpc-timeout", "traceparent", "x-request-id"}

// So many that a server cannot know them again from before: it would have to keep some 15 MB of them.
const valueCount = 1 << 16

type headerValue struct {
	text    string
	encoded []byte
}

// What the differing fields say, encoded beforehand: the load must cost less than what it measures.
type headerValues struct {
	constant bool
	values   [][]headerValue
}

func newHeaderValues(constant bool) *headerValues {
	count := valueCount
	if constant {
		count = 1
	}
	v := &headerValues{constant: constant, values: make([][]headerValue, len(differingNames))}
	for range count {
		a, b, c := rand.Uint64(), rand.Uint64(), rand.Uint64()
		for i, text := range []string{
			fmt.Sprintf("%dm", 1000+a%9000),
			fmt.Sprintf("00-%016x%016x-%016x-01", a, b, c),
			fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", a>>32, b&0xffff, b>>16&0xfff, c&0xfff, c>>16),
		} {
			v.values[i] = append(v.values[i], headerValue{text, appendString(nil, text)})
		}
	}
	return v
}

func (v *headerValues) of(field, number int) *headerValue {
	return &v.values[field][number%len(v.values[field])]
}
