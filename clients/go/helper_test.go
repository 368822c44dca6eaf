package tokenauthority_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// helper is this program once more, as a gateway of its own that can be stopped.
type helper struct {
	t       *testing.T
	command *exec.Cmd
	input   io.Writer
	lines   *bufio.Scanner
}

// startHelper returns once the gateway decides about the key from memory.
func startHelper(t *testing.T, address, key string) *helper {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestHelperGateway$")
	command.Env = append(os.Environ(), "HELPER_GATEWAY="+address)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	h := &helper{t, command, input, bufio.NewScanner(output)}
	if got := h.tell(key); got != "kept" {
		t.Fatal(got)
	}
	return h
}

// ask returns whether the key is accepted, whence, and the error.
func (h *helper) ask() string { return h.tell("") }

func (h *helper) tell(line string) string {
	h.t.Helper()
	if _, err := io.WriteString(h.input, line+"\n"); err != nil {
		h.t.Fatal(err)
	}
	if !h.lines.Scan() {
		h.t.Fatal("the gateway ended")
	}
	return strings.TrimSpace(h.lines.Text())
}

func (h *helper) signal(signal syscall.Signal) {
	h.t.Helper()
	if err := h.command.Process.Signal(signal); err != nil {
		h.t.Fatal(err)
	}
}
