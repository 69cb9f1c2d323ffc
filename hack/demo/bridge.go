package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// The guards of the demo.
const (
	emptyGrace  = 6 * time.Second
	deleteAfter = 5 * time.Second
	holdFor     = 30 * time.Second
)

// configuration is a Registry like one for production, but for its guards.
const configuration = `apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata:
  name: demo
  namespace: dubbo-demo
spec:
  source:
    zookeeper:
      servers: ["%s"]
      sessionTimeout: 4s
  guards:
    emptyGrace: %s
    deleteAfter: %s
    massRemoval:
      holdFor: %s
`

// bridge is the running program.
type bridge struct {
	cmd     *exec.Cmd
	address string
	output  *lockedBuffer
	exited  chan struct{}
}

// startBridge starts the built binary in an empty output folder and waits until it answers.
func startBridge(ctx context.Context, zookeeper string) (*bridge, error) {
	if err := os.RemoveAll(folder); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, err
	}
	config := filepath.Join(filepath.Dir(folder), "demo.yaml")
	text := fmt.Sprintf(configuration, zookeeper, emptyGrace, deleteAfter, holdFor)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	b := &bridge{address: address, output: &lockedBuffer{}, exited: make(chan struct{})}
	// It is stopped by stop and kill, not by the end of ctx: after Ctrl-C it should still end in order.
	b.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary, "run", "--config", config, "--output-dir", folder, "--listen", address)
	b.cmd.Stdout, b.cmd.Stderr = b.output, b.output
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the bridge: %w (is it built? make build)", err)
	}
	go func() {
		_ = b.cmd.Wait() // How it ended is in cmd.ProcessState.
		close(b.exited)
	}()
	_, err = await(ctx, "the bridge answers", func() (bool, error) {
		select {
		case <-b.exited:
			return false, fmt.Errorf("the bridge ended (%v):\n%s", b.cmd.ProcessState, b.log())
		default:
		}
		_, err := b.get(ctx, "/healthz")
		return err == nil, nil
	})
	if err != nil {
		b.kill()
		return nil, err
	}
	return b, nil
}

func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// stop ends the bridge as an operator would.
func (b *bridge) stop(ctx context.Context) error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_, err := await(ctx, "the bridge stops", func() (bool, error) {
		select {
		case <-b.exited:
			return true, nil
		default:
			return false, nil
		}
	})
	if err == nil && b.cmd.ProcessState.ExitCode() != 0 {
		err = fmt.Errorf("the bridge ended with %v", b.cmd.ProcessState)
	}
	return err
}

// kill ends the bridge if it still runs.
func (b *bridge) kill() {
	_ = b.cmd.Process.Kill() // Fails when it has ended.
	<-b.exited
}

func (b *bridge) log() string { return b.output.String() }

// hold is an incident in /debug/state: what one guard holds back.
type hold struct {
	ID        string `json:"id"`
	Guard     string `json:"guard"`
	Endpoints int    `json:"endpoints"`
}

// emptySource returns the hold of the guard EmptySource, nil when there is none.
func (b *bridge) emptySource(ctx context.Context) (*hold, error) {
	data, err := b.get(ctx, "/debug/state")
	if err != nil {
		return nil, err
	}
	var state struct {
		Holds []hold `json:"holds"`
	}
	if err := json.Unmarshal(data, &state); err != nil {
		return nil, fmt.Errorf("read the state of the bridge: %w", err)
	}
	for i := range state.Holds {
		if state.Holds[i].Guard == "EmptySource" {
			return &state.Holds[i], nil
		}
	}
	return nil, nil
}

func (b *bridge) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.address+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", path, response.Status)
	}
	return io.ReadAll(response.Body)
}

// lockedBuffer collects the bridge's log.
type lockedBuffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

// String returns everything written so far.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}
