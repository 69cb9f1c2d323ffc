package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Lock takes a lock of the lab by its name until the end of the test, and waits while another test has it, in this or another process.
func Lock(t testing.TB, name string) {
	t.Helper()
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := lockFile(t.Context(), filepath.Join(cache, name+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
}

// lockFile takes the lock of a file, which is made when it is not there, and waits for it until ctx ends. The lock ends with the
// process, so a crash leaves none behind.
func lockFile(ctx context.Context, name string) (unlock func(), err error) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		unlock, err := tryLockFile(name)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", name, ctx.Err())
		case <-ticker.C:
		}
	}
}

// tryLockFile is lockFile without waiting: syscall.EWOULDBLOCK says that somebody else has the lock.
func tryLockFile(name string) (unlock func(), err error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { file.Close() }, nil
}

// The ports that FreePort hands out: below the range from which systems take ports for outgoing connections, so that a stopped server
// finds its port free when it comes back.
const (
	firstPort = 15000
	lastPort  = 30000
)

// FreePort returns a port of 127.0.0.1 on which nobody listens. It stays reserved until the end of the test against all other tests
// that ask this function, in this and in other processes, so a server may be stopped and started again on it.
func FreePort(t testing.TB) int {
	t.Helper()
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "ports")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort) //nolint:gosec // Any port will do.
		unlock, err := tryLockFile(filepath.Join(dir, strconv.Itoa(port)))
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !listenable(t.Context(), port) {
			unlock()
			continue
		}
		t.Cleanup(unlock)
		return port
	}
	t.Fatalf("no free port between %d and %d", firstPort, lastPort)
	return 0
}

func listenable(ctx context.Context, port int) bool {
	var config net.ListenConfig
	// All addresses: Dubbo providers listen on *:port.
	listener, err := config.Listen(ctx, "tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	listener.Close()
	return true
}
