package tokenauthority

import (
	"context"
	"io"
	"time"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// Without a lease for so long, a stream is given up.
	maxSilent = 10 * time.Second
	// As many requests may be unanswered: a renewal comes twice a second.
	maxPending     = 64
	maxUsesAtOnce  = 1_000
	maxUseRequests = 10
	maxUseAge      = time.Hour
)

// watchStream is one stream of the authority's words of what to forget, each applied in its order and then
// acknowledged, and of leases, each counted from before its request was made. watch.mutex guards its fields.
type watchStream struct {
	watch *watch
	from  *place
	// acknowledge and release wake whoever sends.
	acknowledge, release chan struct{}
	ended                chan struct{}
	isReleased           bool
	isLeased             bool
	sequence, applied    int64
	// asked is when the unanswered requests were made.
	asked map[int64]moment
}

var errUnknownEvent = status.Error(codes.Unimplemented, "an event came that this version does not know")

func newWatchStream(w *watch, from *place) *watchStream {
	s := &watchStream{
		watch: w, from: from,
		acknowledge: make(chan struct{}, 1), release: make(chan struct{}), ended: make(chan struct{}),
		asked: map[int64]moment{},
	}
	if from != nil {
		s.applied = from.revision
	}
	return s
}

// run returns when the stream has ended: nil where that was in good order.
func (s *watchStream) run() error {
	ctx, cancel := context.WithCancel(s.watch.ctx)
	defer cancel()
	silence := time.AfterFunc(maxSilent, cancel)
	defer silence.Stop()
	stream, err := s.watch.service.Watch(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s.send(stream)
	}()
	for err == nil {
		var response *tokenv1.WatchResponse
		if response, err = stream.Recv(); err == nil {
			err = s.apply(response)
		}
		if response.GetLease() != nil {
			silence.Reset(maxSilent)
		}
	}
	cancel()
	<-sent
	if err == io.EOF {
		return nil
	}
	return err
}

// send returns when the stream has ended. What is lost with it, Recv tells.
func (s *watchStream) send(stream tokenv1.TokenService_WatchClient) {
	first := &tokenv1.WatchRequest{}
	if s.from != nil {
		first.AppliedHash = s.from.hash
	}
	if s.sendOne(stream, first) != nil {
		return
	}
	renewal := time.NewTicker(renewEvery)
	defer renewal.Stop()
	for {
		var err error
		select {
		case <-stream.Context().Done():
			return
		case <-s.release:
			if s.sendOne(stream, &tokenv1.WatchRequest{Release: true, Uses: s.takeUses()}) == nil {
				_ = stream.CloseSend()
			}
			return
		case <-s.acknowledge:
			err = s.sendOne(stream, &tokenv1.WatchRequest{})
		case <-renewal.C:
			err = s.renew(stream)
		}
		if err != nil {
			return
		}
	}
}

// renew also reports what was accepted from memory. Some may be left for the next time.
func (s *watchStream) renew(stream tokenv1.TokenService_WatchClient) error {
	// Clocks that moved apart are noticed also while nobody asks.
	s.watch.cache.isHeld()
	s.watch.mutex.Lock()
	mayReport := s.watch.mayReportLocked(s)
	s.watch.mutex.Unlock()
	for range maxUseRequests {
		if !mayReport {
			break
		}
		uses := s.takeUses()
		if len(uses) < maxUsesAtOnce {
			return s.sendOne(stream, &tokenv1.WatchRequest{Uses: uses})
		}
		if err := s.sendOne(stream, &tokenv1.WatchRequest{Uses: uses}); err != nil {
			return err
		}
	}
	return s.sendOne(stream, &tokenv1.WatchRequest{})
}

func (s *watchStream) sendOne(stream tokenv1.TokenService_WatchClient, request *tokenv1.WatchRequest) error {
	s.watch.mutex.Lock()
	s.sequence++
	request.Sequence, request.AppliedRevision = s.sequence, s.applied
	if len(s.asked) < maxPending {
		s.asked[s.sequence] = s.watch.cache.now()
	}
	s.watch.mutex.Unlock()
	return stream.Send(request)
}

func (s *watchStream) takeUses() []*tokenv1.ReportedUse {
	now := s.watch.cache.now().monotonic
	taken := s.watch.cache.takeUses(maxUsesAtOnce)
	uses := make([]*tokenv1.ReportedUse, 0, len(taken))
	for i := range taken {
		uses = append(uses, &tokenv1.ReportedUse{
			Digest:        taken[i].digest[:],
			Age:           durationpb.New(min(max(now-taken[i].at, 0), maxUseAge)),
			AcceptedCount: taken[i].accepted,
		})
	}
	return uses
}

// releaseLocked says that no lease of this stream is held any more, and ends it.
func (s *watchStream) releaseLocked() {
	if !s.isReleased {
		s.isReleased = true
		close(s.release)
	}
}

func (s *watchStream) apply(response *tokenv1.WatchResponse) error {
	s.watch.mutex.Lock()
	defer s.watch.mutex.Unlock()
	switch event := response.GetEvent().(type) {
	case *tokenv1.WatchResponse_Lease:
		s.takeLocked(event.Lease)
	case *tokenv1.WatchResponse_Forget:
		return s.forgetLocked(event.Forget)
	case *tokenv1.WatchResponse_Reset_:
		s.resetLocked(event.Reset_)
	default:
		return s.unknownLocked()
	}
	return nil
}

// takeLocked takes no lease of a stream that was released: the authority waits for it no more.
func (s *watchStream) takeLocked(granted *tokenv1.Lease) {
	asked, isAsked := s.asked[granted.GetSequence()]
	if !isAsked || s.isReleased {
		return
	}
	for sequence := range s.asked {
		if sequence <= granted.GetSequence() {
			delete(s.asked, sequence)
		}
	}
	s.applied = max(s.applied, granted.GetRevision())
	s.watch.place = &place{granted.GetRevision(), granted.GetHash()}
	s.watch.cache.renew(asked, granted.GetDuration().AsDuration(), granted.GetRevision())
	s.isLeased = true
	s.watch.holdLocked(s)
}

func (s *watchStream) forgetLocked(what *tokenv1.Forget) error {
	revision := what.GetRevision()
	switch of := what.GetWhat().(type) {
	case *tokenv1.Forget_Digest:
		if len(of.Digest) != len(digest{}) {
			return s.unknownLocked()
		}
		s.watch.cache.forgetKey(digest(of.Digest), revision)
	case *tokenv1.Forget_Account:
		s.watch.cache.forgetAccount(of.Account, revision)
	default:
		return s.unknownLocked()
	}
	// The others of this revision are not applied yet.
	if !what.GetMore() {
		s.applied = max(s.applied, revision)
		s.acknowledgeLocked()
	}
	return nil
}

func (s *watchStream) resetLocked(reset *tokenv1.Reset) {
	s.watch.cache.reset(reset.GetRevision())
	s.watch.place = &place{reset.GetRevision(), reset.GetHash()}
	// Where the history is another one, its revisions may be lower.
	s.applied = reset.GetRevision()
	s.acknowledgeLocked()
}

// unknownLocked: what this version does not know may be about any key.
func (s *watchStream) unknownLocked() error {
	s.watch.cache.forgetAll()
	s.watch.place = nil
	return errUnknownEvent
}

// acknowledgeLocked is at once, but once for all that came together.
func (s *watchStream) acknowledgeLocked() {
	select {
	case s.acknowledge <- struct{}{}:
	default:
	}
}
