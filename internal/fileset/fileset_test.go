package fileset_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/fileset"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.json": "a", "b.yaml": "b", ".c.json": "c", "d.txt": "d", "large.json": "123456"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	got := fileset.Read(fileset.Options{
		Paths:      []string{dir + "/", filepath.Join(dir, "d.txt"), filepath.Join(dir, "missing"), os.DevNull},
		Extensions: []string{".json"}, MaxSize: 5,
	})
	want := fileset.Content{
		Files: map[string][]byte{filepath.Join(dir, "a.json"): []byte("a"), filepath.Join(dir, "d.txt"): []byte("d")},
		Failed: map[string]string{
			filepath.Join(dir, "large.json"): "is larger than 5 bytes",
			filepath.Join(dir, "link.json"):  "does not exist",
			filepath.Join(dir, "missing"):    "does not exist",
			os.DevNull:                       "cannot be read: it is no regular file",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || !got.Equal(want) {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
