package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/controller/file"
)

// registry is a manifest with one word to change.
func registry(name, mode string) string {
	return fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: %s, namespace: ns}
spec: {mode: %s, source: {zookeeper: {servers: ["zk:2181"]}}}
---
`, name, mode)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// describe lists the Registries of a set as name=mode.
func describe(s file.Set) string {
	var parts []string
	for _, e := range s.Registries {
		parts = append(parts, e.Registry.Name+"="+string(e.Registry.Spec.Mode))
	}
	return strings.Join(parts, " ")
}

func TestLoadFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b.yaml"), registry("b", "Active"))
	write(t, filepath.Join(dir, "a.yml"), registry("c", "Paused")+registry("a", "Active"))
	write(t, filepath.Join(dir, "note.txt"), "not a Registry")
	write(t, filepath.Join(dir, ".hidden.yaml"), "not a Registry")
	write(t, filepath.Join(dir, "comment.yaml"), "# Nothing here.\n")
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := file.Load([]string{dir})
	if len(s.Problems) > 0 {
		t.Errorf("problems: %v", s.Problems)
	}
	if got, want := describe(s), "a=Active b=Active c=Paused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLoadReportsWhatIsTwiceOrMissing(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "1.yaml"), filepath.Join(dir, "2.yaml")
	empty, missing := filepath.Join(dir, "3.yaml"), filepath.Join(dir, "4.yaml")
	write(t, one, registry("a", "Active"))
	write(t, two, registry("b", "Active")+registry("a", "Paused"))
	write(t, empty, "\n")
	var got []string
	s := file.Load([]string{one, two, empty, missing})
	for _, p := range s.Problems {
		got = append(got, strings.ReplaceAll(p.String(), dir+string(filepath.Separator), ""))
	}
	want := []string{
		`2.yaml:6: metadata.name: "a": is the name of the Registry in 1.yaml:1 too, in namespace "ns"; give one of them another name`,
		"3.yaml: is empty; to configure nothing, remove the file or leave a comment in it",
		"4.yaml: does not exist",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if got, want := describe(s), "a=Active b=Active"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKeeping(t *testing.T) {
	tests := []struct {
		name string
		// edit changes a folder that holds 1.yaml with a and b, and 2.yaml with c.
		edit func(t *testing.T, dir string)
		want string
	}{
		{"nothing", func(*testing.T, string) {}, "a=Active b=Active c=Active"},
		{"an edit", func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, "2.yaml"), registry("c", "Paused"))
		}, "a=Active b=Active c=Paused"},
		{"a removal", func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, "1.yaml"), registry("a", "Active"))
		}, "a=Active c=Active"},
		{"a file is removed", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, "1.yaml")); err != nil {
				t.Fatal(err)
			}
		}, "c=Active"},
		{"a bad edit of one Registry beside a good one", func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, "1.yaml"), registry("a", "Nonsense")+registry("b", "Paused"))
		}, "a=Active b=Paused c=Active"},
		{"not YAML", func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, "1.yaml"), "{[")
		}, "a=Active b=Active c=Active"},
		{"truncated to nothing", func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, "1.yaml"), "")
		}, "a=Active b=Active c=Active"},
		{"moved to another file while its own is broken", func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, "1.yaml"), "{[")
			write(t, filepath.Join(dir, "2.yaml"), registry("a", "Paused"))
		}, "a=Paused b=Active"},
		{"the folder is gone", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}, "a=Active b=Active c=Active"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "config")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "1.yaml"), registry("a", "Active")+registry("b", "Active"))
			write(t, filepath.Join(dir, "2.yaml"), registry("c", "Active"))
			last := file.Load([]string{dir})
			tt.edit(t, dir)
			if got := describe(file.Load([]string{dir}).Keeping(last)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
