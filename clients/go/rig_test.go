package tokenauthority_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const startTimeout = 60 * time.Second

// authority is a process of the real one, which ends with the test.
type authority struct {
	t        *testing.T
	settings []string
	address  string
	command  *exec.Cmd
	// ended closes when the process has.
	ended chan struct{}

	mutex sync.Mutex
	lines []string
}

func rigSetting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv("AUTHORITY_RIG_" + name)
	if value == "" {
		t.Fatalf("AUTHORITY_RIG_%s is not set: run `npm run suite:clients`", name)
	}
	return value
}

// rigFile is the path of a file that the rig made.
func rigFile(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(rigSetting(t, "DIRECTORY"), name)
}

// startAuthority starts one on a free port of 127.0.0.1, with settings such as "PLAINTEXT_ROLE=gateway", and waits
// until it serves.
func startAuthority(t *testing.T, settings ...string) *authority {
	t.Helper()
	a := &authority{t: t, settings: append([]string{
		"LISTEN=" + freeAddress(t),
		"ADMIN_LISTEN=off",
		"DATA_DIR=" + t.TempDir(),
		"SEALING_SECRET=" + rigFile(t, "sealing-secret"),
	}, settings...)}
	t.Cleanup(func() {
		a.kill()
		if t.Failed() {
			a.mutex.Lock()
			defer a.mutex.Unlock()
			t.Logf("the authority said last:\n%s", strings.Join(a.lines, "\n"))
		}
	})
	a.start()
	return a
}

// mutualTLS are the settings of an authority that knows the rig's callers.
func mutualTLS(t *testing.T) []string {
	t.Helper()
	return []string{
		"TLS_CERT=" + rigFile(t, "server.pem"), "TLS_KEY=" + rigFile(t, "server.key"),
		"TLS_CLIENT_CA=" + rigFile(t, "ca.pem"), "CALLERS=" + rigFile(t, "callers.json"),
	}
}

func callerFiles(t *testing.T, name string) tokenauthority.Security {
	t.Helper()
	return tokenauthority.MutualTLSFiles(rigFile(t, "ca.pem"), rigFile(t, name+".pem"), rigFile(t, name+".key"))
}

// start also starts it again, at the same address.
func (a *authority) start() {
	a.t.Helper()
	a.command = exec.Command(rigSetting(a.t, "NODE"), rigSetting(a.t, "MAIN"))
	a.command.Env = []string{"PATH=" + os.Getenv("PATH")}
	for _, setting := range a.settings {
		a.command.Env = append(a.command.Env, "TOKEN_AUTHORITY_"+setting)
	}
	output, err := a.command.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	a.command.Stderr = a.command.Stdout
	if err := a.command.Start(); err != nil {
		a.t.Fatal(err)
	}
	listening := make(chan string, 1)
	a.ended = make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(output); lines.Scan(); {
			a.keep(lines.Text())
			var said struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &said) == nil && said.Msg == "listening" {
				listening <- said.Address
			}
		}
		_ = a.command.Wait()
		close(a.ended)
	}()
	select {
	case a.address = <-listening:
	case <-a.ended:
		a.t.Fatal("the authority did not start")
	case <-time.After(startTimeout):
		a.t.Fatal("the authority takes too long to start")
	}
}

func (a *authority) keep(line string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.lines = append(a.lines, line)
	if len(a.lines) > 50 {
		a.lines = a.lines[1:]
	}
}

func (a *authority) signal(signal syscall.Signal) {
	a.t.Helper()
	if err := a.command.Process.Signal(signal); err != nil {
		a.t.Fatal(err)
	}
}

// stop ends it in good order, kill as it stands.
func (a *authority) stop() {
	a.t.Helper()
	a.signal(syscall.SIGTERM)
	<-a.ended
}

func (a *authority) kill() {
	if a.ended != nil {
		_ = a.command.Process.Kill()
		<-a.ended
	}
}

// freeAddress is outside of the range that the system takes ports for clients from: a client that tries to reach an
// authority which is not there must not take its port, or connect to itself.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000)))
		if err == nil {
			defer listener.Close()
			return listener.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

func dial(t *testing.T, address string, options ...tokenauthority.Option) *tokenauthority.Client {
	t.Helper()
	return dialWith(t, address, tokenauthority.Plaintext(), options...)
}

func dialWith(
	t *testing.T, address string, security tokenauthority.Security, options ...tokenauthority.Option,
) *tokenauthority.Client {
	t.Helper()
	client, err := tokenauthority.Dial(address, security, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// mustCreate makes a restricted live token that may read charges, with changes to the request.
func mustCreate(t *testing.T, client *tokenauthority.Client, changes ...func(*tokenv1.CreateRequest)) *tokenauthority.Created {
	t.Helper()
	request := &tokenv1.CreateRequest{
		Account: "acct_1", Name: "Till", Type: tokenauthority.Restricted, Livemode: true, Permissions: []string{"charges:read"},
	}
	for _, change := range changes {
		change(request)
	}
	created, err := client.Create(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// fakeService answers what the real authority does not. It embeds the refusal of all RPCs.
type fakeService struct {
	tokenv1.UnimplementedTokenServiceServer
	authenticate func(context.Context, *tokenv1.AuthenticateRequest) (*tokenv1.AuthenticateResponse, error)
	create       func(*tokenv1.CreateRequest) (*tokenv1.CreateResponse, error)
	list         func(*tokenv1.ListRequest) (*tokenv1.ListResponse, error)
}

func (f *fakeService) Authenticate(
	ctx context.Context, request *tokenv1.AuthenticateRequest,
) (*tokenv1.AuthenticateResponse, error) {
	return f.authenticate(ctx, request)
}

func (f *fakeService) Create(_ context.Context, request *tokenv1.CreateRequest) (*tokenv1.CreateResponse, error) {
	return f.create(request)
}

func (f *fakeService) List(_ context.Context, request *tokenv1.ListRequest) (*tokenv1.ListResponse, error) {
	return f.list(request)
}

// startFake returns the address of a server with the service.
func startFake(t *testing.T, service *fakeService) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(insecure.NewCredentials()))
	tokenv1.RegisterTokenServiceServer(server, service)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// answering makes Authenticate answer always the same.
func answering(
	answer *tokenv1.AuthenticateResponse,
) func(context.Context, *tokenv1.AuthenticateRequest) (*tokenv1.AuthenticateResponse, error) {
	return func(context.Context, *tokenv1.AuthenticateRequest) (*tokenv1.AuthenticateResponse, error) {
		return answer, nil
	}
}
