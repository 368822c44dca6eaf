// Package tokenauthority asks CasaPay's token authority: whether an API key may pass, and everything else that its
// contract offers.
//
// A key that may not pass is a value, a [Refusal]. Whatever could not be decided is an [*Error], so that an outage
// never looks like a bad key. Each Authenticate asks the authority, so that a revoked key is refused from the moment of
// its revocation. With [WithCache] a Client decides from memory, and that stays true: the authority tells it of every
// revocation, and answers none before the Client has forgotten the key or may decide no more.
package tokenauthority

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Version is that of this module. Its tag in the repository is clients/go/v and this.
const Version = "0.1.0"

const (
	defaultAuthenticateTimeout = 3 * time.Second
	defaultTimeout             = 10 * time.Second
	defaultKeepaliveTime       = 30 * time.Second
	defaultKeepaliveTimeout    = 10 * time.Second
	// grpc-go raises what is less to this.
	minKeepaliveTime = 10 * time.Second
	// Requests wait at a gateway while we wait: a restart takes about a second, and should cost little more.
	firstDelay = 10 * time.Millisecond
	maxDelay   = 250 * time.Millisecond
	// A connection that takes longer to be made goes nowhere: a peer that is lost answers nothing at all.
	connectTimeout = time.Second
	// How soon a connection that ended is made again when no call asks for it.
	reconnectDelay = time.Second
)

// Client is a connection to the authority, for as many goroutines as like. It is made again whenever it ends.
type Client struct {
	connection *grpc.ClientConn
	service    tokenv1.TokenServiceClient
	settings   settings
	stop       context.CancelFunc
	// cache and watch are nil where the client has no cache.
	cache *keyCache
	watch *watch
}

type settings struct {
	authenticateTimeout time.Duration
	timeout             time.Duration
	keepalive           keepalive.ClientParameters
	withoutRequestIDs   bool
	dialOptions         []grpc.DialOption
	hasCache            bool
	cacheBytes          int
}

// Option changes a setting of a Client.
type Option func(*settings)

// WithAuthenticateTimeout bounds every Authenticate, its retries included. Default: 3 s. A context may shorten it for
// one call.
func WithAuthenticateTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.authenticateTimeout = timeout }
}

// WithTimeout bounds every other call, its retries included. Default: 10 s. A context may shorten it for one call.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.timeout = timeout }
}

// WithKeepalive says after how much silence the connection is probed, with or without calls under way, and how long the
// answer may take before the connection is made again. Default: 30 s and 10 s. The least time is 10 s. Stay below the
// silence after which anything between here and the authority drops a connection.
func WithKeepalive(time, timeout time.Duration) Option {
	return func(s *settings) {
		s.keepalive.Time, s.keepalive.Timeout = time, timeout
	}
}

// WithoutRequestIDs is for an authority without a sealing secret: Create and RotateKey send no request_id of their own,
// and are then never sent twice.
func WithoutRequestIDs() Option {
	return func(s *settings) { s.withoutRequestIDs = true }
}

// WithDialOptions adds options of grpc-go, such as a stats handler for telemetry.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dialOptions = append(s.dialOptions, options...) }
}

// Dial makes a Client. It does not wait for the authority: calls do, within their deadlines. The address is HOST:PORT,
// or unix:/PATH.
func Dial(address string, security Security, options ...Option) (*Client, error) {
	s := settings{
		authenticateTimeout: defaultAuthenticateTimeout,
		timeout:             defaultTimeout,
		keepalive:           keepalive.ClientParameters{Time: defaultKeepaliveTime, Timeout: defaultKeepaliveTimeout},
	}
	for _, option := range options {
		option(&s)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	target, err := security.target(address)
	if err != nil {
		return nil, err
	}
	s.keepalive.PermitWithoutStream = true
	connection, err := grpc.NewClient(target, append(s.dialOptions[:len(s.dialOptions):len(s.dialOptions)],
		grpc.WithTransportCredentials(security.credentials),
		grpc.WithKeepaliveParams(s.keepalive),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstDelay, Multiplier: 2, Jitter: 0.2, MaxDelay: maxDelay},
			MinConnectTimeout: connectTimeout,
		}),
		// Its retries know methods but not requests, so that Create could not be told from Create with a request_id; its
		// attempts are counted, where ours end at the deadline; and it cannot hedge.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		// Keys go nowhere else because of a variable in the environment.
		grpc.WithNoProxy(),
		grpc.WithIdleTimeout(0),
	)...)
	if err != nil {
		return nil, fmt.Errorf("tokenauthority: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	client := &Client{connection: connection, service: tokenv1.NewTokenServiceClient(connection), settings: s, stop: stop}
	if s.hasCache {
		client.cache = newKeyCache(s.cacheBytes, machineClocks)
		client.watch = startWatch(ctx, client.service, client.cache)
	}
	go client.keepConnected(ctx)
	return client, nil
}

func (s *settings) check() error {
	switch {
	case s.authenticateTimeout <= 0 || s.timeout <= 0:
		return errors.New("tokenauthority: a timeout must be more than 0")
	case s.keepalive.Time < minKeepaliveTime || s.keepalive.Timeout <= 0:
		return fmt.Errorf("tokenauthority: keepalive must be after %v or more, with a timeout of more than 0", minKeepaliveTime)
	}
	return s.checkCache()
}

// Close ends the connection and all calls that are under way. With a cache it gives the lease back first, so that no
// revocation waits for it, and takes up to half a second for that.
func (c *Client) Close() error {
	if c.watch != nil {
		c.watch.close()
	}
	c.stop()
	return c.connection.Close()
}

// keepConnected spares the next call the making of a connection: grpc-go makes the first, and one that ended, only for
// a call.
func (c *Client) keepConnected(ctx context.Context) {
	c.connection.Connect()
	for {
		state := c.connection.GetState()
		if state != connectivity.Ready && c.watch != nil {
			// Its stream may go on for as long as the connection is drained, and not longer.
			c.watch.moveOn()
		}
		if state == connectivity.Idle {
			select {
			case <-ctx.Done():
				return
			case <-time.After(reconnectDelay):
				c.connection.Connect()
			}
		}
		if !c.connection.WaitForStateChange(ctx, state) {
			return
		}
	}
}

// sending says whether a request may be sent again after an answer that leaves its outcome open.
type sending bool

const (
	once  sending = false
	again sending = true
)

// invoke calls the authority, and waits for it within the deadline where it cannot be reached. Its errors are *Error.
func invoke[Request, Response proto.Message](
	ctx context.Context,
	rpc string,
	timeout time.Duration,
	sending sending,
	method func(context.Context, Request, ...grpc.CallOption) (Response, error),
	request Request,
) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var lost error
	for delay := firstDelay; ; delay = min(2*delay, maxDelay) {
		var reached peer.Peer
		response, err := method(ctx, request, grpc.WaitForReady(true), grpc.Peer(&reached))
		if err == nil {
			return response, nil
		}
		if status.Code(err) == codes.DeadlineExceeded && (lost != nil || reached.Addr == nil) {
			// The deadline passed while there was no authority to ask, which says more than the deadline does.
			err = status.Errorf(codes.Unavailable, "no answer in time: %s", status.Convert(cmp.Or(lost, err)).Message())
		} else if status.Code(err) == codes.Unavailable && sending == again {
			lost = err
			if pause(ctx, delay) {
				continue
			}
		}
		var none Response
		return none, newError(ctx, rpc, request, err)
	}
}

// pause waits for a half to the whole of the delay, so that many callers do not ask at once. False where the context
// ends before that.
func pause(ctx context.Context, delay time.Duration) bool {
	delay = delay/2 + rand.N(delay/2)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= delay {
		return false
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
