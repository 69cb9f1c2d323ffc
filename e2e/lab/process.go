package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stopLimit is how long a process may take to end after SIGTERM.
const stopLimit = 20 * time.Second

// logTail is how many lines of a process's output a failed test shows.
const logTail = 60

// Process is a running server, provider or bridge. It has a process group of its own and ends with the test at the latest; its output
// goes into the log of a test that failed.
type Process struct {
	name   string
	cmd    *exec.Cmd
	output *outputBuffer
	exited chan struct{}
}

// StartProcess starts a program. The name is for the log.
func StartProcess(t testing.TB, name, program string, args ...string) *Process {
	t.Helper()
	p := newProcess(t, name, program, args)
	p.start(t)
	return p
}

// StartConsole starts a program that is told what to do on its standard input, which it returns.
func StartConsole(t testing.TB, name, program string, args ...string) (*Process, io.WriteCloser) {
	t.Helper()
	p := newProcess(t, name, program, args)
	input, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.start(t)
	return p, input
}

func newProcess(t testing.TB, name, program string, args []string) *Process {
	t.Helper()
	// Not t.Context, which ends before the cleanups run: what was started last is to be stopped first.
	ctx := context.WithoutCancel(t.Context())
	p := &Process{
		name:   name,
		cmd:    exec.CommandContext(ctx, program, args...),
		output: &outputBuffer{},
		exited: make(chan struct{}),
	}
	p.cmd.Dir = t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = processGroup()
	return p
}

// start starts the program, until the end of the test.
func (p *Process) start(t testing.TB) {
	t.Helper()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		_ = p.cmd.Wait() // How it ended is in cmd.ProcessState.
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("end of the output of %s (%v):\n%s", p.name, p.cmd.ProcessState, p.output.tail(logTail))
		}
	})
}

// Stop asks the process to end (SIGTERM) and waits until it did.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopLimit):
		t.Errorf("%s did not end within %v of SIGTERM", p.name, stopLimit)
		p.Kill()
	}
}

// Kill ends the process and everything that it started, without asking (SIGKILL), and waits until it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.exited
}

// Signal sends a signal to the process group; SIGSTOP and SIGCONT make a server that does not answer. It does nothing once the
// process has ended.
func (p *Process) Signal(signal syscall.Signal) {
	select {
	case <-p.exited:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, signal) // The one way to fail is that it has just ended.
	}
}

// Wait waits until the process ends by itself and returns its exit code.
func (p *Process) Wait(t testing.TB, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(limit):
		t.Fatalf("%s did not end within %v", p.name, limit)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output returns what the process has written so far, standard output and error together.
func (p *Process) Output() string { return p.output.String() }

// OutputFrom returns what the process has written behind the first offset bytes.
func (p *Process) OutputFrom(offset int) string { return p.output.from(offset) }

// AwaitOutput waits until the process has written text, and fails at once when it has ended without.
func (p *Process) AwaitOutput(t testing.TB, limit time.Duration, text string) {
	t.Helper()
	Await(t, limit, fmt.Sprintf("%s writes %q", p.name, text), func(context.Context) error {
		if strings.Contains(p.Output(), text) {
			return nil
		}
		p.failIfExited(t)
		return fmt.Errorf("not in its %d bytes of output", len(p.Output()))
	})
}

// Err returns nil while the process runs, and how it ended afterwards.
func (p *Process) Err() error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s has ended: %v", p.name, p.cmd.ProcessState)
	default:
		return nil
	}
}

func (p *Process) failIfExited(t testing.TB) {
	t.Helper()
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
}

// outputBuffer collects what a process writes, for readers of other goroutines.
type outputBuffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

// Write implements io.Writer.
func (b *outputBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *outputBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

func (b *outputBuffer) from(offset int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data.Bytes()[offset:])
}

func (b *outputBuffer) tail(lines int) string {
	all := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
