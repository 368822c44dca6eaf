// Load makes unary gRPC calls that each carry a key, for a bounded time, and prints what it saw as one line of JSON.
//
// It exists because h2load repeats one header block, which flatters a server that knows the block by its bytes. Here
// every call has its own grpc-timeout, traceparent and x-request-id, inserted into HPACK's dynamic table as grpc-go and
// Envoy do.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

const longest = 2 * time.Minute

type options struct {
	address, authority    string
	rpc                   rpc
	connections, streams  int
	duration, warmUp      time.Duration
	constantHeaders       bool
	keys                  string
	firstKey              int
	unknown               string
	serverPID             int
	tls                   tlsFiles
	rawRequest, rawAnswer int
}

func main() {
	o := readOptions()
	result, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(result)
}

func readOptions() options {
	var o options
	flag.StringVar(&o.address, "address", "", "HOST:PORT of the server")
	flag.StringVar(&o.authority, "authority", "localhost", "what :authority says, and the name that the certificate must have")
	flag.StringVar(&o.rpc.path, "path", "", "the :path")
	flag.Var(&o.rpc.beforeKey, "before-key", "what stands before the key in a request message, in hexadecimal")
	flag.Var(&o.rpc.afterKey, "after-key", "and after it")
	flag.Var(&o.rpc.accepted, "accepted", "how the answer begins when a key is accepted, in hexadecimal")
	flag.Var(&o.rpc.refused, "refused", "and when it is refused")
	flag.IntVar(&o.connections, "connections", 8, "connections")
	flag.IntVar(&o.streams, "streams", 8, "calls at once on each connection")
	flag.DurationVar(&o.duration, "duration", time.Second, "how long calls are counted")
	flag.DurationVar(&o.warmUp, "warm-up", 100*time.Millisecond, "how long calls are made before any is counted")
	flag.BoolVar(&o.constantHeaders, "constant-headers", false, "send the same headers with every call")
	flag.StringVar(&o.keys, "keys", "", "file of keys, one a line, taken in turn by all connections")
	flag.IntVar(&o.firstKey, "first-key", 0, "the place in the file to begin at")
	flag.StringVar(&o.unknown, "unknown", "none", "well-formed keys that nobody has, each another: none, connections (every second connection sends them) or calls (every second call)")
	flag.IntVar(&o.serverPID, "server-pid", 0, "the process whose CPU time is measured")
	flag.StringVar(&o.tls.ca, "tls-ca", "", "PEM file of CAs: TLS 1.3, and no cleartext")
	flag.StringVar(&o.tls.cert, "tls-cert", "", "PEM file of the caller's certificate")
	flag.StringVar(&o.tls.key, "tls-key", "", "PEM file of its private key")
	flag.IntVar(&o.rawRequest, "raw-request", 0, "no HTTP/2: send so many bytes, one call at a time on each connection")
	flag.IntVar(&o.rawAnswer, "raw-answer", 0, "and wait for so many")
	flag.Parse()
	if o.duration+o.warmUp > longest {
		fmt.Fprintf(os.Stderr, "load: -duration and -warm-up: at most %v together\n", longest)
		os.Exit(2)
	}
	return o
}

// A client makes calls on one connection until the window is over.
type client interface {
	// warm makes one call at a time, so that what a connection costs once is not counted.
	warm() error
	// run returns when no call is under way any more.
	run(w window) error
	tally() *tally
}

func run(o options) (*result, error) {
	clients, err := openAll(o)
	if err != nil {
		return nil, err
	}
	w := newWindow(o.warmUp, o.duration)
	errs := make([]error, len(clients))
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() { errs[i] = c.run(w) })
	}
	measured := measure(w, o.serverPID)
	all.Wait()
	sum := newTally()
	for i, c := range clients {
		if errs[i] != nil {
			return nil, errs[i]
		}
		sum.add(c.tally())
	}
	return summarize(sum, measured), nil
}

func openAll(o options) ([]client, error) {
	var keys *keyFile
	if o.rawRequest == 0 {
		var err error
		if keys, err = openKeyFile(o.keys, o.firstKey); err != nil {
			return nil, err
		}
	}
	headers := newHeaderValues(o.constantHeaders)
	clients := make([]client, o.connections)
	for i := range clients {
		conn, err := dial(o)
		if err != nil {
			return nil, err
		}
		conn.SetDeadline(time.Now().Add(longest + 10*time.Second))
		clients[i] = newClient(o, i, conn, keys, headers)
		if err := clients[i].warm(); err != nil {
			return nil, err
		}
	}
	return clients, nil
}

func newClient(o options, index int, conn net.Conn, keys *keyFile, headers *headerValues) client {
	if o.rawRequest > 0 {
		return newRawClient(conn, o.rawRequest, o.rawAnswer)
	}
	unknown := unknownNever
	switch {
	case o.unknown == "calls":
		unknown = unknownEverySecond
	case o.unknown == "connections" && index%2 == 1:
		unknown = unknownAlways
	}
	return newHTTP2Client(conn, o.streams, newRequests(o, keys, headers, unknown))
}
