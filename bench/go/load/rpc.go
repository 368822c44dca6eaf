package main

import "encoding/hex"

// What is called: its path, its request around the key, and how its answers begin. Messages are without gRPC's prefix.
type rpc struct {
	path                                   string
	beforeKey, afterKey, accepted, refused hexBytes
}

// hexBytes is a flag.
type hexBytes []byte

func (b *hexBytes) String() string { return hex.EncodeToString(*b) }

func (b *hexBytes) Set(text string) error {
	bytes, err := hex.DecodeString(text)
	*b = bytes
	return err
}
