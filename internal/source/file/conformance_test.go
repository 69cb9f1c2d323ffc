package file_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
	"github.com/registry-bridge/registry-bridge/internal/source/document/documenttest"
	"github.com/registry-bridge/registry-bridge/internal/source/file"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// folder is a registry that is kept in a folder, a file for each service.
type folder struct {
	documenttest.Registry
	dir    string
	format document.Format
}

func newFolder(t *testing.T, format document.Format) *folder {
	t.Helper()
	f := &folder{dir: filepath.Join(t.TempDir(), "registry"), format: format}
	if err := os.Mkdir(f.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f.write(t) // A document that lists nothing.
	return f
}

// write replaces the files of the named services, or one that names none.
func (f *folder) write(t *testing.T, services ...string) {
	t.Helper()
	if len(services) == 0 {
		replace(t, filepath.Join(f.dir, "empty.json"), string((&documenttest.Registry{}).Document(f.format)))
	}
	for _, name := range services {
		replace(t, f.path(name), string(f.Document(f.format, name)))
	}
}

func (f *folder) path(service string) string { return filepath.Join(f.dir, service+".json") }

// replace writes a file beside the one that it is for, and renames it.
func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// OptOut is what files do not have.
func optOut(format document.Format) map[sourcetest.Feature]string {
	out := map[sourcetest.Feature]string{
		sourcetest.Outages:     "there is no connection to a file",
		sourcetest.Restarts:    "there is no server",
		sourcetest.Credentials: "there are none; a file that may not be read is one that cannot be read",
	}
	maps.Copy(out, documenttest.OptOut(format))
	return out
}

func (f *folder) fixture() *sourcetest.Fixture {
	return &sourcetest.Fixture{
		New: func(sourcetest.SourceOptions) source.Source {
			return file.New(file.Config{SourceID: sourcetest.ID, Path: f.dir, Format: f.format, Quiet: 10 * time.Millisecond})
		},
		Put: func(t *testing.T, service string, inst model.Instance) {
			t.Helper()
			f.Put(service, inst)
			f.write(t, service)
		},
		Remove: func(t *testing.T, service string, inst model.Instance) {
			t.Helper()
			f.Remove(service, inst)
			f.write(t, service)
		},
		RemoveService: func(t *testing.T, service string) {
			t.Helper()
			f.RemoveService(service)
			remove(t, f.path(service))
		},
		CorruptInstance: func(t *testing.T, service string) {
			t.Helper()
			f.CorruptInstance(service)
			f.write(t, service)
		},
		CorruptUnit: func(t *testing.T) {
			t.Helper()
			replace(t, f.path("broken"), `{"services": [{`)
		},
		FailListing: func(t *testing.T) func() {
			t.Helper()
			rename(t, f.dir, f.dir+".away")
			return func() { rename(t, f.dir+".away", f.dir) }
		},
		FailUnit: func(t *testing.T, service string) func() {
			t.Helper()
			replace(t, f.path(service), "")
			return func() { f.write(t, service) }
		},
		Wipe: func(t *testing.T) {
			t.Helper()
			for _, name := range f.Names() {
				remove(t, f.path(name))
			}
			f.Wipe()
		},
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, format := range []document.Format{document.Native, document.PrometheusSD} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			sourcetest.Suite{
				Setup: func(t *testing.T, _ bool) *sourcetest.Fixture {
					t.Helper()
					return newFolder(t, format).fixture()
				},
				OptOut:   optOut(format),
				Parallel: true,
			}.Run(t)
		})
	}
}

// TestPage keeps the page of the source honest.
func TestPage(t *testing.T) {
	t.Parallel()
	sourcetest.Page{
		Path: "../../../docs/registries/file.md", Code: []string{"*_test.go", "../../../e2e/sources/documents_test.go"},
		Least: 7, OptOut: optOut(document.Native),
	}.Check(t)
}
