package tokenauthority_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"casapay.com/tokenauthority"
)

func TestREADMEHasTheExamplesAsTheyStand(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"example/main.go", "example/keys/main.go", "tokenauthoritytest/example_test.go"} {
		example, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), "```go\n"+string(example)+"```\n") {
			t.Errorf("README.md and %s differ", file)
		}
	}
	if !strings.Contains(string(readme), "casapay.com/tokenauthority@v"+tokenauthority.Version) {
		t.Error("README.md gets another version")
	}
}

func TestTheExampleOfKeys(t *testing.T) {
	t.Parallel()
	command := exec.Command("go", "run", "./example/keys")
	command.Env = append(os.Environ(), "AUTHORITY="+startAuthority(t).address)
	output, err := command.CombinedOutput()
	if want := "may read events: acct_1\nmay not: TOKEN_REVOKED\n"; err != nil || string(output) != want {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestTheExample(t *testing.T) {
	t.Parallel()
	authority := startAuthority(t, mutualTLS(t)...)
	operator := dialWith(t, authority.address, callerFiles(t, "operator"))
	created := mustCreate(t, operator)

	program := filepath.Join(t.TempDir(), "example")
	if output, err := exec.Command("go", "build", "-o", program, "./example").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	listen := freeAddress(t)
	command := exec.Command(program)
	command.Dir = rigSetting(t, "DIRECTORY")
	command.Env = []string{"AUTHORITY=" + authority.address, "LISTEN=" + listen}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})

	expect := func(key string, want string) {
		t.Helper()
		if got := charges(t, listen, key); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	expect(created.Key.Reveal(), "200 the charges of acct_1\n")
	expect("sk_live_0", "401")
	if _, err := operator.Revoke(t.Context(), created.Token.GetId(), ""); err != nil {
		t.Fatal(err)
	}
	expect(created.Key.Reveal(), "401")
	authority.kill()
	expect(created.Key.Reveal(), "503")
}

// charges asks until the example listens: it does not say when.
func charges(t *testing.T, address, key string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/charges", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(key, "")
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.DefaultClient.Do(request)
		if errors.Is(err, syscall.ECONNREFUSED) && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Sprint(response.StatusCode)
		}
		return fmt.Sprintf("%d %s", response.StatusCode, body)
	}
}
