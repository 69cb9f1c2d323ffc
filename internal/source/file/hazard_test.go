package file_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
	"github.com/registry-bridge/registry-bridge/internal/source/file"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

const (
	// patience is how long what must come may take, grace how long a test looks whether something happens that must not.
	patience = 20 * time.Second
	grace    = 300 * time.Millisecond
)

// watch runs a source until the end of the test. Only hints of the file system tell it of changes.
func watch(t *testing.T, path string) *sourcetest.Runs {
	t.Helper()
	return sourcetest.Start(t, file.New(file.Config{
		SourceID: sourcetest.ID, Path: path, Quiet: 10 * time.Millisecond, Recheck: time.Hour,
	}), patience)
}

// services is a document; each argument is a service and its addresses, at port 80.
func services(list ...string) string {
	var all []string
	for _, words := range list {
		var instances []string
		fields := strings.Fields(words)
		for _, address := range fields[1:] {
			instances = append(instances, fmt.Sprintf(`{"address": %q, "ports": [{"number": 80}]}`, address))
		}
		all = append(all, fmt.Sprintf(`{"name": %q, "instances": [%s]}`, fields[0], strings.Join(instances, ", ")))
	}
	return `{"services": [` + strings.Join(all, ", ") + `]}`
}

// has says that the service has exactly these addresses, at port 80.
func has(service string, addresses ...string) func(sourcetest.State) bool {
	for i := range addresses {
		addresses[i] += ":80"
	}
	return func(s sourcetest.State) bool { return fmt.Sprint(s.Addresses(service)) == fmt.Sprint(addresses) }
}

// edit writes a file where it lies, as some editors do.
func edit(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBadEdit: an edit that makes no sense changes nothing, says so, and is over at once when it is repaired.
func TestBadEdit(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]string{
		"empty":                     "",
		"cut off":                   services("orders 10.0.0.2")[:20],
		"YAML":                      "services: []\n",
		"HTML":                      "<html></html>",
		"null":                      "null",
		"another format":            "[]",
		"not of the schema":         `{"services": {}}`,
		"a service without a name":  `{"services": [{"instances": []}]}`,
		"a service that is unclear": `{"services": [{"name": "orders"}]}`,
		"too large":                 `{"services": [` + strings.Repeat(" ", document.MaxSize) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "services.json")
			replace(t, path, services("orders 10.0.0.1", "stock 10.0.0.9"))
			r := watch(t, path)
			r.AwaitSynced()
			edit(t, path, bad)
			state := r.Await("Skip", func(s sourcetest.State) bool { return s.Skipped["services.json"] != nil })
			if !has("orders", "10.0.0.1")(state) || !has("stock", "10.0.0.9")(state) {
				t.Errorf("the last good state is lost: %s", state)
			}
			edit(t, path, services("orders 10.0.0.2"))
			state = r.Await("the repaired file", has("orders", "10.0.0.2"))
			if len(state.Skipped) > 0 || state.Service("stock") != nil || len(r.Errors()) > 0 {
				t.Errorf("after the repair: %s, %v", state, r.Errors())
			}
		})
	}
}

// TestBadFileAtTheStart: what a file held is not known, so it is not gone.
func TestBadFileAtTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	replace(t, filepath.Join(dir, "a.json"), services("orders 10.0.0.1"))
	replace(t, filepath.Join(dir, "b.json"), "{")
	state := watch(t, dir).AwaitSynced()
	if !has("orders", "10.0.0.1")(state) || len(state.Skipped) != 1 || !errors.Is(state.Skipped["b.json"], source.ErrMalformed) {
		t.Errorf("%s", state)
	}
}

// TestNothingThere: neither a missing path nor a folder without documents is an empty registry.
func TestNothingThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	replace(t, filepath.Join(dir, "notes.txt"), services("orders 10.0.0.1"))
	replace(t, filepath.Join(dir, ".hidden.json"), services("orders 10.0.0.1"))
	for path, want := range map[string]string{filepath.Join(dir, "missing"): "does not exist", dir: "has no file *.json"} {
		state, err := watch(t, path).AwaitError()
		if !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), want) || state.Synced > 0 {
			t.Errorf("%s: %v, want %q; %s", path, err, want, state)
		}
	}
}

// TestFolderIsLost: what was read stays when the folder is unmounted, or its last document is removed.
func TestFolderIsLost(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mount")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.json")
	replace(t, path, services("orders 10.0.0.1"))
	r := watch(t, dir)
	r.AwaitSynced()
	remove(t, path)
	if _, err := r.AwaitError(); !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	r.Steady(grace, "as before", has("orders", "10.0.0.1"))
	replace(t, path, services("orders 10.0.0.2"))
	r.Await("recovery", has("orders", "10.0.0.2"))
}

// TestMountedConfigMap swaps the link "..data" as the kubelet does: all files change at once, and none of them is touched.
func TestMountedConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount := func(version string, files map[string]string) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			edit(t, filepath.Join(dir, version, name), text)
		}
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
	}
	mount("..1", map[string]string{"a.json": services("orders 10.0.0.1"), "b.json": services("stock 10.0.0.9")})
	for _, name := range []string{"a.json", "b.json"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	folder, one := watch(t, dir), watch(t, filepath.Join(dir, "a.json"))
	folder.AwaitSynced()
	one.AwaitSynced()
	// A service moves to the other file: at no time is it absent.
	mount("..2", map[string]string{"a.json": services("stock 10.0.0.9"), "b.json": services("orders 10.0.0.1 10.0.0.2")})
	folder.Await("both", func(s sourcetest.State) bool {
		return has("orders", "10.0.0.1", "10.0.0.2")(s) && has("stock", "10.0.0.9")(s) && len(s.Services) == 2
	})
	one.Await("the other service", func(s sourcetest.State) bool { return has("stock", "10.0.0.9")(s) && len(s.Services) == 1 })
	if errs := append(folder.Errors(), one.Errors()...); len(errs) > 0 {
		t.Errorf("runs failed: %v", errs)
	}
}

// TestServiceInTwoFiles: the first file has it, the other is not believed, until it is the only one.
func TestServiceInTwoFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	replace(t, filepath.Join(dir, "a.json"), services("orders 10.0.0.1"))
	replace(t, filepath.Join(dir, "b.json"), services("orders 10.0.0.2", "stock 10.0.0.9"))
	r := watch(t, dir)
	state := r.AwaitSynced()
	if !has("orders", "10.0.0.1")(state) || state.Skipped["b.json"] == nil {
		t.Errorf("%s", state)
	}
	remove(t, filepath.Join(dir, "a.json"))
	r.Await("the other file", func(s sourcetest.State) bool {
		return has("orders", "10.0.0.2")(s) && has("stock", "10.0.0.9")(s) && len(s.Skipped) == 0
	})
}

// TestOlderFile: it is the content that counts, and not the time of a file, which a clock that jumps back makes older.
func TestOlderFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "services.json")
	replace(t, path, services("orders 10.0.0.1"))
	r := watch(t, path)
	r.AwaitSynced()
	edit(t, path+".new", services("orders 10.0.0.2"))
	if err := os.Chtimes(path+".new", time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	rename(t, path+".new", path)
	r.Await("the older file", has("orders", "10.0.0.2"))
}
