package file_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/controller/file"
)

// watching runs a watcher over path and returns where each new content is described.
func watching(t *testing.T, path string, recheck time.Duration) <-chan string {
	t.Helper()
	w := file.NewWatcher(file.WatcherOptions{Paths: []string{path}, Quiet: 10 * time.Millisecond, Recheck: recheck})
	w.Load()
	sets := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		w.Run(ctx, func(s file.Set) {
			select {
			case sets <- describe(s):
			case <-ctx.Done():
			}
		})
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return sets
}

// expect waits until the content is as wanted; contents on the way there are allowed.
func expect(t *testing.T, sets <-chan string, want string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	last := "no change at all"
	for {
		select {
		case last = <-sets:
			if last == want {
				return
			}
		case <-deadline:
			t.Fatalf("got %q, want %q", last, want)
		}
	}
}

func TestWatch(t *testing.T) {
	// The long interval shows that the file system's hints work, the short one that they are not needed.
	for name, recheck := range map[string]time.Duration{"hints": time.Hour, "recheck": 20 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "r.yaml")
			write(t, path, registry("a", "Active"))
			sets := watching(t, dir, recheck)

			write(t, path, registry("a", "Paused"))
			expect(t, sets, "a=Paused")

			write(t, filepath.Join(dir, "new"), registry("a", "Observe"))
			if err := os.Rename(filepath.Join(dir, "new"), path); err != nil {
				t.Fatal(err)
			}
			expect(t, sets, "a=Observe")

			write(t, filepath.Join(dir, "s.yaml"), registry("b", "Active"))
			expect(t, sets, "a=Observe b=Active")

			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			expect(t, sets, "b=Active")
		})
	}
}

func TestWatchOneFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.yaml")
	write(t, path, registry("a", "Active"))
	sets := watching(t, path, time.Hour)
	write(t, filepath.Join(dir, "other.yaml"), registry("b", "Active"))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect(t, sets, "")
	write(t, path, registry("a", "Paused"))
	expect(t, sets, "a=Paused")
}

// TestWatchMountedConfigMap swaps the link "..data" as the kubelet does: the files themselves are never touched.
func TestWatchMountedConfigMap(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "r.yaml"), text)
		tmp := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(name, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", registry("a", "Active"))
	link := filepath.Join(dir, "r.yaml")
	if err := os.Symlink(filepath.Join("..data", "r.yaml"), link); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"folder": dir, "file": link} {
		t.Run(name, func(t *testing.T) {
			sets := watching(t, path, time.Hour)
			version("..2"+name, registry("a", "Paused"))
			expect(t, sets, "a=Paused")
			version("..3"+name, registry("a", "Active"))
			expect(t, sets, "a=Active")
		})
	}
}
