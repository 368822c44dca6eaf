package tokenauthority

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc/codes"
)

const (
	// Four times in a lease.
	renewEvery  = 500 * time.Millisecond
	reportEvery = 5 * time.Second
	// Where asking again at once does not help: the authority is older, or the role may not watch.
	mistakeDelay = 10 * time.Second
	// How long Close waits for the authority to hear of it.
	releaseTimeout = 500 * time.Millisecond
)

// watch keeps a cache true: one stream at a time, and two while the next one takes over.
type watch struct {
	ctx     context.Context
	service tokenv1.TokenServiceClient
	cache   *keyCache

	// mutex guards all of this, and what its streams know.
	mutex   sync.Mutex
	streams map[*watchStream]struct{}
	// newest was opened last, and holder is the one whose lease is held. Either may be nil.
	newest, holder *watchStream
	place          *place
	delay          time.Duration
	reported       time.Duration
	warned         map[codes.Code]bool
	isClosed       bool
}

// place is up to where a cache knows all changes, with which another stream goes on.
type place struct {
	revision int64
	hash     []byte
}

func startWatch(ctx context.Context, service tokenv1.TokenServiceClient, cache *keyCache) *watch {
	w := &watch{
		ctx: ctx, service: service, cache: cache,
		streams: map[*watchStream]struct{}{}, delay: firstDelay, warned: map[codes.Code]bool{},
		reported: cache.now().monotonic,
	}
	w.open()
	return w
}

// moveOn: the connection takes no new streams. Another one takes over before this one ends.
func (w *watch) moveOn() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.newest != nil && w.newest == w.holder {
		w.openLocked()
	}
}

// close gives the lease back, so that nobody waits for it, and forgets all.
func (w *watch) close() {
	w.mutex.Lock()
	w.isClosed = true
	w.cache.endLease()
	timeout := time.After(releaseTimeout)
	var ended []chan struct{}
	for stream := range w.streams {
		stream.releaseLocked()
		if stream.isLeased {
			ended = append(ended, stream.ended)
		}
	}
	w.mutex.Unlock()
	for _, end := range ended {
		select {
		case <-end:
		case <-timeout:
		}
	}
	w.cache.forgetAll()
}

func (w *watch) open() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.openLocked()
}

func (w *watch) openLocked() {
	if w.isClosed {
		return
	}
	if w.place == nil || w.place.revision == 0 {
		// The authority will tell nothing of what was before.
		w.place = nil
		w.cache.forgetAll()
	}
	stream := newWatchStream(w, w.place)
	w.streams[stream] = struct{}{}
	w.newest = stream
	go func() { w.end(stream, stream.run()) }()
}

// holdLocked: this stream was granted a lease.
func (w *watch) holdLocked(stream *watchStream) {
	if w.holder == stream {
		return
	}
	if w.holder != nil {
		w.holder.releaseLocked()
	}
	w.holder, w.delay = stream, firstDelay
}

// end: the lease goes on to its end, since what the stream granted is still true.
func (w *watch) end(stream *watchStream, cause error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	delete(w.streams, stream)
	close(stream.ended)
	if w.holder == stream {
		w.holder = nil
	}
	if w.newest != stream || w.isClosed || w.ctx.Err() != nil {
		return
	}
	w.newest = nil
	delay := w.delay
	if w.isMistakeLocked(cause) {
		delay = mistakeDelay
	}
	w.delay = min(2*w.delay, maxDelay)
	// Drawn at random, so that the clients of an authority that starts again do not all come at once.
	time.AfterFunc(delay/2+rand.N(delay/2), w.open)
}

func (w *watch) isMistakeLocked(cause error) bool {
	if cause == nil {
		return false
	}
	failure := newError(w.ctx, "Watch", nil, cause)
	if !failure.IsMistake() && failure.Code != codes.ResourceExhausted {
		return false
	}
	if !w.warned[failure.Code] {
		w.warned[failure.Code] = true
		slog.Warn("the token authority is asked about every key, because it does not let itself be watched", "error", failure)
	}
	return true
}

// mayReportLocked is true at most every 5 seconds, for the stream whose lease is held.
func (w *watch) mayReportLocked(stream *watchStream) bool {
	now := w.cache.now().monotonic
	if w.holder != stream || now-w.reported < reportEvery {
		return false
	}
	w.reported = now
	return true
}
