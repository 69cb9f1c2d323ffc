package oracle_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put writes a file as a careful program does: beside it, then renamed.
func put(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	temporary := filepath.Join(dir, name+".tmp")
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func record(t *testing.T, dir string) *oracle.Recorder {
	t.Helper()
	r, err := oracle.Record(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// awaitVersions waits until n versions were kept or missed.
func awaitVersions(t *testing.T, r *oracle.Recorder, n int) (versions []oracle.Version, missed int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		changed := r.Changed()
		versions, missed = r.Versions()
		if len(versions)+missed >= n {
			return versions, missed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d versions, %d missed, want %d in all", len(versions), missed, n)
		}
	}
}

func TestRecorderKeepsEveryVersion(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "old.yaml", manifest(1))
	r := record(t, dir)
	put(t, dir, "a.yaml", manifest(1))
	awaitVersions(t, r, 2)
	put(t, dir, "a.yaml", manifest(1, 2))
	awaitVersions(t, r, 3)
	put(t, dir, "a.yaml", manifest(1, 2)) // the same bytes are a version too
	awaitVersions(t, r, 4)
	put(t, dir, "notes.txt", []byte("not ours"))
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	versions, missed := awaitVersions(t, r, 5)

	type version struct {
		File, Data string
		Found      bool
	}
	var got []version
	for _, v := range versions {
		got = append(got, version{File: v.File, Data: string(v.Data), Found: v.Found})
	}
	want := []version{
		{File: "old.yaml", Data: string(manifest(1)), Found: true},
		{File: "a.yaml", Data: string(manifest(1))},
		{File: "a.yaml", Data: string(manifest(1, 2))},
		{File: "a.yaml", Data: string(manifest(1, 2))},
		{File: "a.yaml"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if missed != 0 {
		t.Errorf("missed %d", missed)
	}
}

// TestRecorderKnowsWhatItMissed replaces a file as fast as the machine can: when a version is not kept, the recorder knows that it has missed
// some. How many it cannot always know: the kernel makes one of equal events that nobody has read yet.
func TestRecorderKnowsWhatItMissed(t *testing.T) {
	dir := t.TempDir()
	r := record(t, dir)
	const n = 500
	for i := range n {
		put(t, dir, "a.yaml", manifest(i%199+1))
	}
	put(t, dir, "a.yaml", manifest(200))
	versions, missed := awaitLast(t, r, manifest(200))
	if len(versions) < n+1 && missed == 0 {
		t.Errorf("kept %d of %d, and missed none", len(versions), n+1)
	}
	if len(versions)+missed > n+1 {
		t.Errorf("kept %d and missed %d of %d", len(versions), missed, n+1)
	}
}

// awaitLast waits until the last version is this one.
func awaitLast(t *testing.T, r *oracle.Recorder, want []byte) (versions []oracle.Version, missed int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		changed := r.Changed()
		versions, missed = r.Versions()
		if n := len(versions); n > 0 && bytes.Equal(versions[n-1].Data, want) {
			return versions, missed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the last of %d versions (%d missed) is not the last", len(versions), missed)
		}
	}
}

func TestRecorderSeesWritesInPlace(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.yaml", manifest(1))
	r := record(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), manifest(1, 2), 0o600); err != nil {
		t.Fatal(err)
	}
	versions, _ := awaitVersions(t, r, 2)
	if !versions[1].InPlace {
		t.Errorf("version %+v is not marked", versions[1])
	}
}

func TestRecorderAwait(t *testing.T) {
	dir := t.TempDir()
	r := record(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- r.Await(ctx, func(published oracle.Endpoints) bool { return len(published) == 3 })
	}()
	for i := range 3 {
		put(t, dir, strconv.Itoa(i)+".yaml", manifest(i+1))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
