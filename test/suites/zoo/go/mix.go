package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	connections = 4
	workers     = 32
	patience    = 20 * time.Second
	keptFaults  = 5
)

// What the suite asks for: messages as bytes, and the bytes that answer them.
type order struct {
	Address      string  `json:"address"`
	OtherAddress string  `json:"otherAddress"`
	Path         string  `json:"path"`
	Seconds      float64 `json:"seconds"`
	Good         example `json:"good"`
	Revoked      example `json:"revoked"`
	Large        example `json:"large"`
}

type example struct {
	Request  []byte `json:"request"`
	Response []byte `json:"response"`
}

// One connection of a client library.
type caller interface {
	call(ctx context.Context, request []byte, compressed bool) ([]byte, error)
}

type stack struct {
	version string
	dial    func(address, path string) (caller, error)
	// Whether the library says by this error that the call was cancelled or its deadline passed.
	isCancelled func(error) bool
	isExpired   func(error) bool
}

type tally struct {
	mutex   sync.Mutex
	Calls   int      `json:"calls"`
	Wrong   int      `json:"wrong"`
	Failed  int      `json:"failed"`
	Faults  []string `json:"faults"`
	Longest float64  `json:"longestMs"`
}

type busyTally struct {
	tally
	Cancelled int64 `json:"cancelled"`
	Expired   int64 `json:"expired"`
}

type result struct {
	Version string    `json:"version"`
	Busy    busyTally `json:"busy"`
	Same    tally     `json:"same"`
	Other   tally     `json:"other"`
}

func readOrder(file string) (*order, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	wanted := new(order)
	return wanted, json.Unmarshal(text, wanted)
}

// Calls as a busy gateway does, with a witness on one of its connections and one on a connection of its own.
func run(kind stack, wanted *order) (*result, error) {
	made := make([]caller, connections)
	for at := range made {
		conn, err := kind.dial(wanted.Address, wanted.Path)
		if err != nil {
			return nil, err
		}
		made[at] = conn
	}
	apart, err := kind.dial(wanted.OtherAddress, wanted.Path)
	if err != nil {
		return nil, err
	}
	outcome := &result{Version: kind.version}
	end := time.Now().Add(time.Duration(wanted.Seconds * float64(time.Second)))
	var next atomic.Int64
	var group sync.WaitGroup
	group.Go(func() { witness(made[0], wanted, end, &outcome.Same) })
	group.Go(func() { witness(apart, wanted, end, &outcome.Other) })
	for worker := range workers {
		group.Go(func() {
			for time.Now().Before(end) {
				busyCall(kind, made[worker%connections], wanted, next.Add(1), &outcome.Busy)
			}
		})
	}
	fmt.Println("begun")
	group.Wait()
	return outcome, nil
}

func busyCall(kind stack, conn caller, wanted *order, number int64, busy *busyTally) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	isCancelled, isExpired := number%3 == 0, number%3 == 1
	if isCancelled {
		timer := time.AfterFunc(time.Duration(rand.IntN(3_000))*time.Microsecond, cancel)
		defer timer.Stop()
	}
	if isExpired {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(1+rand.IntN(5))*time.Millisecond)
		defer cancel()
	}
	asked := wanted.Good
	if number%10 == 9 {
		asked = wanted.Large
	}
	response, err := conn.call(ctx, asked.Request, number%2 == 0)
	switch {
	case err != nil && isCancelled && kind.isCancelled(err):
		atomic.AddInt64(&busy.Cancelled, 1)
	case err != nil && isExpired && kind.isExpired(err):
		atomic.AddInt64(&busy.Expired, 1)
	default:
		if err != nil {
			err = fmt.Errorf("call %d: %w", number, err)
		}
		busy.take(asked, response, err, 0)
	}
}

// A client that does nothing wrong: one call after the other, of a good key and of a revoked one.
func witness(conn caller, wanted *order, end time.Time, seen *tally) {
	for number := 0; time.Now().Before(end); number++ {
		asked := wanted.Good
		if number%2 == 1 {
			asked = wanted.Revoked
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		start := time.Now()
		response, err := conn.call(ctx, asked.Request, false)
		cancel()
		seen.take(asked, response, err, time.Since(start))
	}
}

func (seen *tally) take(asked example, response []byte, err error, took time.Duration) {
	seen.mutex.Lock()
	defer seen.mutex.Unlock()
	seen.Calls++
	seen.Longest = max(seen.Longest, float64(took.Milliseconds()))
	switch {
	case err != nil:
		seen.Failed++
		seen.note(err)
	case !bytes.Equal(response, asked.Response):
		seen.Wrong++
		seen.note(errors.New("another answer than the contract's"))
	}
}

func (seen *tally) note(err error) {
	if len(seen.Faults) < keptFaults {
		seen.Faults = append(seen.Faults, err.Error())
	}
}
