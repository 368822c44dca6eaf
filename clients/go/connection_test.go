package tokenauthority_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc/codes"
)

func TestEachRoleMayWhatTheContractSays(t *testing.T) {
	t.Parallel()
	address := startAuthority(t, mutualTLS(t)...).address
	for _, c := range []struct{ caller, authenticate, createRestricted, createSecret, listAccounts string }{
		{"gateway", "", "ROLE_NOT_ALLOWED", "ROLE_NOT_ALLOWED", "ROLE_NOT_ALLOWED"},
		{"service", "ROLE_NOT_ALLOWED", "", "TYPE_NOT_GRANTED", "ROLE_NOT_ALLOWED"},
		{"dashboard", "ROLE_NOT_ALLOWED", "", "", "ROLE_NOT_ALLOWED"},
		{"operator", "", "", "", ""},
		{"stranger", "CALLER_UNKNOWN", "CALLER_UNKNOWN", "CALLER_UNKNOWN", "CALLER_UNKNOWN"},
	} {
		client := dialWith(t, address, callerFiles(t, c.caller))
		_, err := client.Authenticate(t.Context(), "key", tokenauthority.Question{})
		expectReason(t, c.caller+" authenticates", err, c.authenticate)
		restricted := &tokenv1.CreateRequest{
			Account: "acct_1", Name: "Till", Type: tokenauthority.Restricted, Permissions: []string{"charges:read"},
		}
		_, err = client.Create(t.Context(), restricted)
		expectReason(t, c.caller+" creates a restricted token", err, c.createRestricted)
		_, err = client.Create(t.Context(), &tokenv1.CreateRequest{Account: "acct_1", Name: "Till", Type: tokenauthority.Secret})
		expectReason(t, c.caller+" creates a secret token", err, c.createSecret)
		_, err = client.ListAccounts(t.Context(), nil)
		expectReason(t, c.caller+" lists accounts", err, c.listAccounts)
	}
}

func expectReason(t *testing.T, name string, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	} else if failure := asError(t, err); failure.Reason != want || !failure.IsMistake() {
		t.Errorf("%s: %v", name, err)
	}
}

func TestAServerOfAnotherAuthorityIsNotTalkedTo(t *testing.T) {
	t.Parallel()
	address := startAuthority(t, mutualTLS(t)...).address
	// The gateway's own certificate signed nothing.
	security := tokenauthority.MutualTLSFiles(rigFile(t, "gateway.pem"), rigFile(t, "gateway.pem"), rigFile(t, "gateway.key"))
	client := dialWith(t, address, security, tokenauthority.WithAuthenticateTimeout(time.Second))
	_, err := client.Authenticate(t.Context(), "key", tokenauthority.Question{})
	if codeOf(err) != codes.Unavailable || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Error(err)
	}
}

func TestCertificatesAreReadAgainForANewConnection(t *testing.T) {
	t.Parallel()
	authority := startAuthority(t, mutualTLS(t)...)
	directory := t.TempDir()
	file := func(name string) string { return filepath.Join(directory, name) }
	become := func(caller string) {
		for _, kind := range []string{".pem", ".key"} {
			content, err := os.ReadFile(rigFile(t, caller+kind))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file("own"+kind), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	become("gateway")
	client := dialWith(t, authority.address,
		tokenauthority.MutualTLSFiles(rigFile(t, "ca.pem"), file("own.pem"), file("own.key")),
		tokenauthority.WithTimeout(30*time.Second))
	list := func() error {
		_, err := client.List(t.Context(), &tokenv1.ListRequest{Account: "acct_1"})
		return err
	}
	restart := func() {
		authority.stop()
		authority.start()
	}
	expectReason(t, "as gateway", list(), "ROLE_NOT_ALLOWED")
	become("service")
	restart()
	expectReason(t, "as service", list(), "")
	if err := os.WriteFile(file("own.pem"), []byte("half of a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	restart()
	expectReason(t, "still as service", list(), "")
}

func TestDialRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]func() (*tokenauthority.Client, error){
		"plaintext is for loopback": func() (*tokenauthority.Client, error) {
			return tokenauthority.Dial("authority.internal:443", tokenauthority.Plaintext())
		},
		"security must be": func() (*tokenauthority.Client, error) {
			return tokenauthority.Dial("localhost:50051", tokenauthority.Security{})
		},
		"HOST:PORT": func() (*tokenauthority.Client, error) {
			return tokenauthority.Dial("localhost", tokenauthority.Plaintext())
		},
		"a unix socket is plaintext": func() (*tokenauthority.Client, error) {
			return tokenauthority.Dial("unix:/run/authority", callerFiles(t, "gateway"))
		},
		"no such file": func() (*tokenauthority.Client, error) {
			return tokenauthority.Dial("localhost:50051", tokenauthority.MutualTLSFiles("none.pem", "none.pem", "none.key"))
		},
		"no PEM certificate": func() (*tokenauthority.Client, error) {
			return tokenauthority.Dial("localhost:50051", tokenauthority.MutualTLS(nil, nil, nil))
		},
		"timeout": func() (*tokenauthority.Client, error) {
			return tokenauthority.Dial("localhost:50051", tokenauthority.Plaintext(), tokenauthority.WithTimeout(0))
		},
		"keepalive": func() (*tokenauthority.Client, error) {
			return tokenauthority.Dial("localhost:50051", tokenauthority.Plaintext(), tokenauthority.WithKeepalive(time.Second, time.Second))
		},
	} {
		if client, err := dial(); client != nil || err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAUnixSocket(t *testing.T) {
	t.Parallel()
	directory, err := os.MkdirTemp("", "authority")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	address := "unix:" + filepath.Join(directory, "s")
	startAuthority(t, "LISTEN="+address)
	mustCreate(t, dial(t, address))
}

func TestPingsKeepAnIdleConnectionAlive(t *testing.T) {
	t.Parallel()
	proxy := startProxy(t, startAuthority(t).address)
	proxy.dropAfterSilence = 14 * time.Second
	client := dial(t, proxy.address, tokenauthority.WithKeepalive(10*time.Second, time.Second))
	key := mustCreate(t, client).Key.Reveal()
	// Two PINGs, each after 10 s of silence: 20 s without a call.
	for pings := 0; pings < 2; {
		select {
		case silence := <-proxy.silences:
			if silence > 5*time.Second {
				pings++
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the connection is silent")
		}
	}
	decision, err := client.Authenticate(t.Context(), key, tokenauthority.Question{})
	if err != nil || decision.Principal == nil {
		t.Error(decision, err)
	}
	if n := proxy.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestAConnectionThatWasDroppedSilentlyIsMadeAgainWithoutACall(t *testing.T) {
	t.Parallel()
	proxy := startProxy(t, startAuthority(t).address)
	client := dial(t, proxy.address, tokenauthority.WithKeepalive(10*time.Second, time.Second))
	key := mustCreate(t, client).Key.Reveal()
	<-proxy.opened
	proxy.drop()
	select {
	case <-proxy.opened:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody noticed")
	}
	decision, err := client.Authenticate(t.Context(), key, tokenauthority.Question{})
	if err != nil || decision.Principal == nil {
		t.Error(decision, err)
	}
}

// proxy hands on bytes as load balancers do, also in that it forgets connections and says nothing: the bytes then go
// nowhere.
type proxy struct {
	address string
	// dropAfterSilence forgets a connection of which nothing was heard for so long. 0 means never.
	dropAfterSilence time.Duration
	connections      atomic.Int32
	// opened tells of new connections, silences how long it was silent before the client sent something.
	opened   chan struct{}
	silences chan time.Duration

	mutex sync.Mutex
	live  []*proxied
}

type proxied struct {
	lastHeard atomic.Int64
	isDropped atomic.Bool
}

func startProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{
		address: listener.Addr().String(), opened: make(chan struct{}, 100), silences: make(chan time.Duration, 10_000),
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", upstream)
			if err != nil {
				client.Close()
				continue
			}
			connection := new(proxied)
			connection.lastHeard.Store(time.Now().UnixNano())
			p.mutex.Lock()
			p.live = append(p.live, connection)
			p.mutex.Unlock()
			p.connections.Add(1)
			p.opened <- struct{}{}
			go p.pass(connection, client, server, true)
			go p.pass(connection, server, client, false)
		}
	}()
	return p
}

func (p *proxy) pass(connection *proxied, from, to net.Conn, isClient bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32*1024)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		now := time.Now().UnixNano()
		silence := time.Duration(now - connection.lastHeard.Swap(now))
		if p.dropAfterSilence > 0 && silence > p.dropAfterSilence {
			connection.isDropped.Store(true)
		}
		if isClient {
			p.silences <- silence
		}
		if connection.isDropped.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil && err != io.EOF {
			return
		}
	}
}

// drop forgets all connections.
func (p *proxy) drop() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, connection := range p.live {
		connection.isDropped.Store(true)
	}
}
