// Package tokenauthoritytest has a token authority in memory, for unit tests of what calls one.
package tokenauthoritytest

import (
	"context"
	"net"
	"time"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// timeout is what an outage takes.
const timeout = 500 * time.Millisecond

// Fake is a client whose authority is in this process and in memory: empty at first, it decides as the real one does.
//
// Every caller may do everything. It has one page of everything, and refuses filters that it does not know as
// Unimplemented: Account, Types, Livemode, States and Permission of tokens, TokenId, AfterRevision and OldestFirst of
// changes, and Prefix of accounts are known. Changes have no hash and no facts.
type Fake struct {
	*tokenauthority.Client
	service *service
	server  *grpc.Server
}

// New makes a Fake. Close ends it.
func New() *Fake {
	// A connection through memory: no port, and nothing to wait for.
	pipe := bufconn.Listen(64 * 1024)
	fake := &Fake{service: newService()}
	fake.server = grpc.NewServer(grpc.UnaryInterceptor(fake.service.intercept))
	tokenv1.RegisterTokenServiceServer(fake.server, fake.service)
	go fake.server.Serve(pipe)
	client, err := tokenauthority.Dial("127.0.0.1:1", tokenauthority.Plaintext(),
		tokenauthority.WithAuthenticateTimeout(timeout), tokenauthority.WithTimeout(timeout),
		tokenauthority.WithDialOptions(
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }),
		))
	if err != nil {
		panic(err)
	}
	fake.Client = client
	return fake
}

// SetDown begins and ends an outage: while it lasts, calls fail with Unavailable, after half a second.
func (f *Fake) SetDown(down bool) {
	f.service.mutex.Lock()
	defer f.service.mutex.Unlock()
	f.service.isDown = down
}

// SetClock says what the Fake takes for now. Without it: the machine's clock.
func (f *Fake) SetClock(now func() time.Time) {
	f.service.mutex.Lock()
	defer f.service.mutex.Unlock()
	f.service.now = now
}

// Close ends the client and its authority.
func (f *Fake) Close() error {
	err := f.Client.Close()
	f.server.Stop()
	return err
}

func (s *service) intercept(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.isDown {
		return nil, status.Error(codes.Unavailable, "the fake is down")
	}
	return handle(ctx, request)
}
