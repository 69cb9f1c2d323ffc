// Package lab starts the real servers that the end-to-end suites run against: ZooKeeper, Consul, Eureka, Dubbo providers and consumers, the API
// server of Kubernetes, and istiod. They come from Maven Central, the Go module proxy and Debian through their ordinary clients, pinned to
// a version (etcd: what Debian has), and are prepared once into a cache folder outside the checkout,
// ${XDG_CACHE_HOME:-~/.cache}/registry-bridge-lab.
//
// Everything listens on 127.0.0.1, on ports that no other test uses at the time, keeps its data in t.TempDir and ends with the test
// that started it. Nothing waits a fixed time: readiness is asked for until it is there.
package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pollInterval is how often Await looks. The servers answer in microseconds; a test should not wait longer than it must.
const pollInterval = 20 * time.Millisecond

// CacheDir returns the folder outside the checkout where everything that takes long to get is kept, and makes it.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	dir := filepath.Join(base, "registry-bridge-lab")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	return dir, nil
}

// Await calls check until it returns nil, and ends the test with check's last error when that takes longer than limit. What names the
// thing waited for, as in "provider is registered". The context of check ends with the limit.
func Await(t testing.TB, limit time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		case <-ticker.C:
		}
	}
}

// Pass lets time pass, until the test ends at most.
func Pass(t testing.TB, length time.Duration) {
	t.Helper()
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
