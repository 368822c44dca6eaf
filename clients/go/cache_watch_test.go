package tokenauthority_test

import (
	"context"
	"net"
	"testing"
	"time"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// scriptedAuthority lets a test say what a Watch is told, and accepts every key.
type scriptedAuthority struct {
	tokenv1.UnimplementedTokenServiceServer
	t       *testing.T
	server  *grpc.Server
	watches chan *scriptedWatch
}

type scriptedWatch struct {
	t        *testing.T
	stream   tokenv1.TokenService_WatchServer
	requests chan *tokenv1.WatchRequest
	end      chan error
}

func startScripted(t *testing.T, address string) (*scriptedAuthority, string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	a := &scriptedAuthority{t: t, server: grpc.NewServer(), watches: make(chan *scriptedWatch, 100)}
	tokenv1.RegisterTokenServiceServer(a.server, a)
	go a.server.Serve(listener)
	t.Cleanup(a.server.Stop)
	return a, listener.Addr().String()
}

func (a *scriptedAuthority) Watch(stream tokenv1.TokenService_WatchServer) error {
	watch := &scriptedWatch{a.t, stream, make(chan *tokenv1.WatchRequest, 1_000), make(chan error, 1)}
	a.watches <- watch
	go func() {
		defer close(watch.requests)
		for {
			request, err := stream.Recv()
			if err != nil {
				return
			}
			watch.requests <- request
			if request.GetRelease() {
				watch.end <- nil
			}
		}
	}()
	select {
	case err := <-watch.end:
		return err
	case <-stream.Context().Done():
		return nil
	}
}

func (a *scriptedAuthority) Authenticate(
	_ context.Context, request *tokenv1.AuthenticateRequest,
) (*tokenv1.AuthenticateResponse, error) {
	response := &tokenv1.AuthenticateResponse{Outcome: &tokenv1.AuthenticateResponse_Principal{
		Principal: &tokenv1.Principal{TokenId: "tok_1", Account: "acct_1", Type: tokenauthority.Secret},
	}}
	if request.GetCacheRules() > 0 {
		response.Revision, response.CacheFor = 7, durationpb.New(time.Hour)
	}
	return response, nil
}

func (a *scriptedAuthority) next() *scriptedWatch {
	a.t.Helper()
	select {
	case watch := <-a.watches:
		return watch
	case <-time.After(20 * time.Second):
		a.t.Fatal("nobody watches")
		return nil
	}
}

// until returns the first request that is so.
func (w *scriptedWatch) until(isSo func(*tokenv1.WatchRequest) bool) *tokenv1.WatchRequest {
	w.t.Helper()
	for timeout := time.After(20 * time.Second); ; {
		select {
		case request, ok := <-w.requests:
			if !ok {
				w.t.Fatal("the stream has ended")
			}
			if isSo(request) {
				return request
			}
		case <-timeout:
			w.t.Fatal("no such request comes")
		}
	}
}

func (w *scriptedWatch) first() *tokenv1.WatchRequest {
	w.t.Helper()
	return w.until(func(*tokenv1.WatchRequest) bool { return true })
}

func (w *scriptedWatch) acknowledged(revision int64) *tokenv1.WatchRequest {
	w.t.Helper()
	return w.until(func(r *tokenv1.WatchRequest) bool { return r.GetAppliedRevision() == revision })
}

func (w *scriptedWatch) send(response *tokenv1.WatchResponse) {
	w.t.Helper()
	if err := w.stream.Send(response); err != nil {
		w.t.Fatal(err)
	}
}

// grant answers the request with a lease of an hour.
func (w *scriptedWatch) grant(request *tokenv1.WatchRequest, revision int64) {
	w.t.Helper()
	w.send(&tokenv1.WatchResponse{Event: &tokenv1.WatchResponse_Lease{Lease: &tokenv1.Lease{
		Sequence: request.GetSequence(), Duration: durationpb.New(time.Hour), Revision: revision, Hash: hashAt(revision),
	}}})
}

func hashAt(revision int64) []byte { return []byte{31: byte(revision)} }

func forgetting(revision int64, key string, more bool) *tokenv1.WatchResponse {
	digest := tokenauthority.Digest(key)
	return &tokenv1.WatchResponse{Event: &tokenv1.WatchResponse_Forget{Forget: &tokenv1.Forget{
		Revision: revision, What: &tokenv1.Forget_Digest{Digest: digest[:]}, More: more,
	}}}
}

func sourceOf(t *testing.T, client *tokenauthority.Client, key string) tokenauthority.Source {
	t.Helper()
	decision, err := client.Authenticate(t.Context(), key, tokenauthority.Question{})
	if err != nil {
		t.Fatal(err)
	}
	return decision.Source
}

// startRemembering has a client that holds a lease as of revision 7, and decides about the keys "one" and "two" from
// memory.
func startRemembering(t *testing.T) (*scriptedAuthority, *scriptedWatch, *tokenauthority.Client, string) {
	t.Helper()
	authority, address := startScripted(t, freeAddress(t))
	client := dialCached(t, address)
	watch := authority.next()
	request := watch.first()
	if request.GetSequence() != 1 || request.GetAppliedRevision() != 0 || len(request.GetAppliedHash()) != 0 {
		t.Errorf("it begins with %v", request)
	}
	watch.grant(request, 7)
	for _, key := range []string{"one", "two"} {
		askUntilKept(t, client, key)
	}
	return authority, watch, client, address
}

func TestAWordIsAppliedBeforeItIsAcknowledgedWithTheLastOfItsRevision(t *testing.T) {
	t.Parallel()
	_, watch, client, _ := startRemembering(t)
	watch.send(forgetting(8, "one", true))
	for sourceOf(t, client, "one") == tokenauthority.FromCache {
		time.Sleep(time.Millisecond)
	}
	last := watch.acknowledged(7).GetSequence()
	watch.until(func(r *tokenv1.WatchRequest) bool { return r.GetSequence() > last && r.GetAppliedRevision() == 7 })
	watch.send(forgetting(8, "two", false))
	watch.acknowledged(8)
	if got := sourceOf(t, client, "two"); got != tokenauthority.FromAuthority {
		t.Error("acknowledged, and not applied")
	}
}

func TestAnotherStreamGoesOnWhereTheFirstOneEnded(t *testing.T) {
	t.Parallel()
	authority, watch, client, _ := startRemembering(t)
	watch.send(forgetting(8, "one", false))
	watch.acknowledged(8)
	watch.end <- status.Error(codes.Unavailable, "it stops")
	again := authority.next()
	request := again.first()
	// Up to the last lease, with which there came a hash.
	if request.GetSequence() != 1 || request.GetAppliedRevision() != 7 || string(request.GetAppliedHash()) != string(hashAt(7)) {
		t.Errorf("it goes on with %v", request)
	}
	if got := sourceOf(t, client, "two"); got != tokenauthority.FromCache {
		t.Error("the lease has outlived its stream in vain")
	}
}

func TestAResetForgetsAllAndGoesOnFromThere(t *testing.T) {
	t.Parallel()
	authority, watch, client, _ := startRemembering(t)
	watch.send(&tokenv1.WatchResponse{Event: &tokenv1.WatchResponse_Reset_{Reset_: &tokenv1.Reset{
		Revision: 3, Reason: tokenv1.ResetReason_RESET_REASON_HISTORY_DIFFERS, Hash: hashAt(3),
	}}})
	request := watch.acknowledged(3)
	if got := sourceOf(t, client, "one"); got != tokenauthority.FromAuthority {
		t.Error("it remembers")
	}
	watch.grant(request, 3)
	askUntilKept(t, client, "one")
	watch.end <- status.Error(codes.Unavailable, "it stops")
	if got := authority.next().first().GetAppliedRevision(); got != 3 {
		t.Errorf("it goes on from %d", got)
	}
}

func TestAnEventOfALaterVersionMayBeAboutAnyKey(t *testing.T) {
	t.Parallel()
	_, watch, client, _ := startRemembering(t)
	watch.send(&tokenv1.WatchResponse{})
	for sourceOf(t, client, "one") == tokenauthority.FromCache {
		time.Sleep(time.Millisecond)
	}
	<-watch.stream.Context().Done()
}

func TestAConnectionThatEndsInGoodOrderIsLeftForTheNextOne(t *testing.T) {
	t.Parallel()
	authority, watch, client, address := startRemembering(t)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		authority.server.GracefulStop()
	}()
	var next *scriptedAuthority
	for next == nil {
		// The port is free once the first one listens no more.
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			next, _ = startScripted(t, address)
		}
		time.Sleep(time.Millisecond)
	}
	second := next.next()
	request := second.first()
	if request.GetAppliedRevision() != 7 {
		t.Errorf("it goes on with %v", request)
	}
	select {
	case <-stopped:
		t.Error("the first lease was given back before there was another one")
	default:
	}
	if got := sourceOf(t, client, "one"); got != tokenauthority.FromCache {
		t.Error("a connection that ends costs the lease")
	}
	second.grant(request, 7)
	watch.until((*tokenv1.WatchRequest).GetRelease)
	<-stopped
	if got := sourceOf(t, client, "one"); got != tokenauthority.FromCache {
		t.Error("a connection that ends costs the lease")
	}
}
