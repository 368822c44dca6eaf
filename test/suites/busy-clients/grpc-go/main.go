// Calls a token authority as a busy gateway that is written in Go does, and prints what came of it as one line of JSON.
// grpc-go estimates its bandwidth by PINGs among DATA; with -keepalive it also sends PINGs while nothing is under way.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	service     = "/casapay.token.v1.TokenService/"
	workers     = 64
	bigCalls    = 500
	bigKeyBytes = 60_000
	// A connection may have 1 MiB of unfinished requests to Authenticate.
	bigWorkers = 16
	pageSize   = 1_000
	// The least that grpc-go takes.
	keepaliveTime = 10 * time.Second
	idleTime      = 2*keepaliveTime + 2*time.Second
	// The first bytes of an AuthenticateResponse: which field it has.
	principal = 0x0a
	refusal   = 0x12
)

var (
	address       = flag.String("address", "", "HOST:PORT of the server")
	withKeepalive = flag.Bool("keepalive", false, "send PINGs, also while nothing is under way, and be idle long enough for some")
	calls         = flag.Int("calls", 100_000, "calls of Authenticate; a half of them is cancelled early")
	account       = flag.String("account", "", "whose tokens to list")
	ca            = flag.String("ca", "", "PEM file of the server's authority; empty means plaintext")
	cert          = flag.String("cert", "", "PEM file of our certificate")
	certKey       = flag.String("cert-key", "", "PEM file of its private key")
)

// What came of it all.
type outcome struct {
	Connections int64    `json:"connections"`
	Answered    int64    `json:"answered"`
	Cancelled   int64    `json:"cancelled"`
	PageBytes   int      `json:"pageBytes"`
	IsReady     bool     `json:"isReadyAfterIdling"`
	Errors      []string `json:"errors"`
}

func main() {
	flag.Parse()
	result, err := run(os.Getenv("TOKEN_KEY"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(result)
}

func run(key string) (*outcome, error) {
	result := &outcome{IsReady: true, Errors: []string{}}
	conn, err := dial(&result.Connections)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var faults faultList

	if *withKeepalive {
		faults.add(authenticate(context.Background(), conn, key, principal))
		time.Sleep(idleTime)
		result.IsReady = conn.GetState() == connectivity.Ready
	}
	bigKey := strings.Repeat("k", bigKeyBytes)
	spread(bigCalls, bigWorkers, func(int) { faults.add(authenticate(context.Background(), conn, bigKey, refusal)) })
	list := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), pageSize)
	list = protowire.AppendString(protowire.AppendTag(list, 3, protowire.BytesType), *account)
	pages := make([]int, workers)
	spread(workers, workers, func(at int) {
		var page []byte
		faults.add(conn.Invoke(context.Background(), service+"List", &list, &page))
		pages[at] = len(page)
	})
	result.PageBytes = pages[0]

	spread(*calls, workers, func(at int) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if at%2 == 0 {
			timer := time.AfterFunc(time.Duration(rand.IntN(1_000))*time.Microsecond, cancel)
			defer timer.Stop()
		}
		switch err := authenticate(ctx, conn, key, principal); {
		case err == nil:
			atomic.AddInt64(&result.Answered, 1)
		case status.Code(err) == codes.Canceled && at%2 == 0:
			atomic.AddInt64(&result.Cancelled, 1)
		default:
			faults.add(err)
		}
	})
	faults.add(authenticate(context.Background(), conn, key, principal))
	result.Errors = append(result.Errors, faults.texts...)
	return result, nil
}

// Dials one connection at a time, and counts them.
func dial(connections *int64) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if *ca != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *certKey)
		if err != nil {
			return nil, err
		}
		pem, err := os.ReadFile(*ca)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		transport = credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots})
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(64<<20)),
		grpc.WithContextDialer(func(ctx context.Context, target string) (net.Conn, error) {
			atomic.AddInt64(connections, 1)
			return (&net.Dialer{}).DialContext(ctx, "tcp", target)
		}),
	}
	if *withKeepalive {
		params := keepalive.ClientParameters{Time: keepaliveTime, Timeout: 5 * time.Second, PermitWithoutStream: true}
		options = append(options, grpc.WithKeepaliveParams(params))
	}
	return grpc.NewClient("passthrough:///"+*address, options...)
}

// Asks for a key, and wants this outcome.
func authenticate(ctx context.Context, conn *grpc.ClientConn, key string, wanted byte) error {
	request := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key)
	var response []byte
	if err := conn.Invoke(ctx, service+"Authenticate", &request, &response); err != nil {
		return err
	}
	if len(response) == 0 || response[0] != wanted {
		return fmt.Errorf("answered another outcome than %#x", wanted)
	}
	return nil
}

// Does a number of things, as many of them at once as there are workers.
func spread(count, workers int, act func(at int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for at := next.Add(1) - 1; at < int64(count); at = next.Add(1) - 1 {
				act(int(at))
			}
		})
	}
	group.Wait()
}

// Keeps the first few.
type faultList struct {
	mutex sync.Mutex
	texts []string
}

func (list *faultList) add(err error) {
	if err == nil {
		return
	}
	list.mutex.Lock()
	defer list.mutex.Unlock()
	if len(list.texts) < 10 {
		list.texts = append(list.texts, err.Error())
	}
}

// Messages that are bytes already.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (rawCodec) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte{}, data...)
	return nil
}
