// Watchers is as many gateways as are asked for, which watch one authority as the clients do: each holds a lease,
// renews it twice a second, and acknowledges each word at once. It prints a line when all hold a lease, and gives the
// leases back when its standard input ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"casapay/token-authority/bench/tokenv1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const renewEvery = 500 * time.Millisecond

var watch = grpc.StreamDesc{StreamName: "Watch", ServerStreams: true, ClientStreams: true}

type watcher struct {
	stream grpc.ClientStream
	// mutex orders requests.
	mutex             sync.Mutex
	sequence, applied int64
}

func main() {
	address := flag.String("address", "", "HOST:PORT of the authority, in cleartext")
	count := flag.Int("watchers", 1000, "how many watch")
	connections := flag.Int("connections", 50, "over how many connections")
	flag.Parse()

	channels := make([]*grpc.ClientConn, *connections)
	for i := range channels {
		channels[i] = must(grpc.NewClient(*address, grpc.WithTransportCredentials(insecure.NewCredentials())))
	}
	watchers := make([]*watcher, *count)
	var leased, ended sync.WaitGroup
	leased.Add(*count)
	for i := range watchers {
		path := "/casapay.token.v1.TokenService/Watch"
		watchers[i] = &watcher{stream: must(channels[i%len(channels)].NewStream(context.Background(), &watch, path))}
		watchers[i].send(0, false)
		ended.Go(func() { watchers[i].run(leased.Done) })
	}
	leased.Wait()
	fmt.Println(`{"leased":true}`)

	end := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(end)
	}()
	// Each renews at its own time, as gateways do.
	ticks := time.NewTicker(renewEvery / time.Duration(*count))
	for i := 0; ; i++ {
		select {
		case <-ticks.C:
			watchers[i%len(watchers)].send(0, false)
		case <-end:
			for _, one := range watchers {
				one.send(0, true)
			}
			ended.Wait()
			return
		}
	}
}

func (w *watcher) send(applied int64, release bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.sequence++
	w.applied = max(w.applied, applied)
	request := &tokenv1.WatchRequest{Sequence: w.sequence, AppliedRevision: w.applied, Release: release}
	if err := w.stream.SendMsg(request); err != nil && err != io.EOF {
		log.Fatal(err)
	}
	if release {
		_ = w.stream.CloseSend()
	}
}

func (w *watcher) run(leased func()) {
	hasLease := false
	for {
		response := &tokenv1.WatchResponse{}
		if err := w.stream.RecvMsg(response); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		switch event := response.Event.(type) {
		case *tokenv1.WatchResponse_Lease:
			if !hasLease {
				hasLease = true
				leased()
			}
			w.mutex.Lock()
			w.applied = max(w.applied, event.Lease.Revision)
			w.mutex.Unlock()
		case *tokenv1.WatchResponse_Forget:
			if !event.Forget.More {
				w.send(event.Forget.Revision, false)
			}
		case *tokenv1.WatchResponse_Reset_:
			w.send(event.Reset_.Revision, false)
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
