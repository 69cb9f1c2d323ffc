package dir

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder is outputtest.Place over a folder.
type folder struct {
	path string
	dir  *Dir
	log  bytes.Buffer
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	return &folder{path: t.TempDir()}
}

func (f *folder) open(t *testing.T) *Dir {
	t.Helper()
	if f.dir != nil {
		if err := f.dir.Close(); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := Open(Options{Path: f.path, Instance: outputtest.Instance, Logger: slog.New(slog.NewTextHandler(&f.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	f.dir = dir
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

func (f *folder) Open(t *testing.T) output.Output {
	t.Helper()
	return f.open(t)
}

func (f *folder) file(key translate.Key) string { return filepath.Join(f.path, fileName(key)) }

func (f *folder) Get(t *testing.T, key translate.Key) map[string]any {
	t.Helper()
	text, err := os.ReadFile(f.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (f *folder) Put(t *testing.T, key translate.Key, object map[string]any) {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	f.put(t, fileName(key), string(text))
}

func (f *folder) put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.path, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *folder) Remove(t *testing.T, key translate.Key) {
	t.Helper()
	if err := os.Remove(f.file(key)); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	outputtest.Run(t, func(t *testing.T) outputtest.Place {
		t.Helper()
		return newFolder(t)
	})
}

func live(t *testing.T, d *Dir) []plan.Live {
	t.Helper()
	list, err := d.Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// apply writes o as a create, or as an update of what is live.
func apply(t *testing.T, d *Dir, o *translate.Object) error {
	t.Helper()
	c := plan.Change{Op: plan.Create, Key: o.Key, Object: o}
	for _, l := range live(t, d) {
		if l.Object.Key == o.Key {
			c.Op, c.Live = plan.Update, &l
		}
	}
	results := d.Write(t.Context(), plan.Plan{Apply: []plan.Change{c}})
	if len(results) != 1 {
		t.Fatalf("%d results, want 1", len(results))
	}
	return results[0].Err
}

// visible lists the files that istiod would read.
func (f *folder) visible(t *testing.T) []string {
	t.Helper()
	var names []string
	entries, err := os.ReadDir(f.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".yml" {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestBrokenFiles(t *testing.T) {
	object := outputtest.Object("a.acme", "10.0.0.1")
	tests := map[string]struct {
		text string
		// known is whether the bridge has seen the file whole before.
		known bool
		// want is how writing the object ends, nil for well.
		want error
	}{
		"was ours, nonsense now":        {text: "{{{", known: true},
		"was ours, cut":                 {text: "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nspec:\n  hosts: [a", known: true},
		"was ours, blank now":           {known: true},
		"unknown, blank":                {text: "\x00\x00\n"},
		"unknown, with our owner label": {text: "metadata:\n  labels:\n    registry-bridge.io/instance: outputtest\nspec: {{\n"},
		"unknown, of another instance": {
			text: "metadata:\n  labels:\n    registry-bridge.io/instance: other\nspec: {{\n", want: output.ErrRefused,
		},
		"unknown, nonsense":             {text: "{{{", want: output.ErrRefused},
		"was ours, another kind now":    {text: "kind: ConfigMap\n", known: true, want: output.ErrRefused},
		"was ours, two documents now":   {text: "kind: ServiceEntry\n---\nkind: ConfigMap\n", known: true, want: output.ErrRefused},
		"unknown, wrong type of fields": {text: "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {labels: 7}\n", want: output.ErrRefused},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			d := f.open(t)
			if tc.known {
				if err := apply(t, d, object); err != nil {
					t.Fatal(err)
				}
				live(t, d)
			}
			f.put(t, fileName(object.Key), tc.text)
			list := live(t, d)
			if tc.known && tc.want == nil {
				if len(list) != 1 || list[0].Object.ServiceEntry.Endpoints[0].Address != "10.0.0.1" {
					t.Errorf("live is %+v, want what the file held", list)
				}
				r := d.Write(t.Context(), plan.Plan{Delete: []plan.Change{{Op: plan.Delete, Key: object.Key, Live: &list[0]}}})
				if !errors.Is(r[0].Err, output.ErrRefused) {
					t.Errorf("deleting a file that does not parse: %v", r[0].Err)
				}
			} else if len(list) != 0 {
				t.Errorf("live is %+v, want nothing", list)
			}
			if text, err := os.ReadFile(f.file(object.Key)); err != nil || string(text) != tc.text {
				t.Errorf("the file was touched: %q, %v", text, err)
			}
			live(t, d)
			if got := strings.Count(f.log.String(), "level=WARN"); got != 1 {
				t.Errorf("%d warnings, want 1:\n%s", got, f.log.String())
			}
			if err := apply(t, d, object); !errors.Is(err, tc.want) {
				t.Fatalf("write: %v, want %v", err, tc.want)
			}
			if tc.want == nil && len(live(t, d)) != 1 {
				t.Error("the object is not live again")
			}
		})
	}
}

func TestOtherFilesAreNotTouched(t *testing.T) {
	f := newFolder(t)
	d := f.open(t)
	if err := apply(t, d, outputtest.Object("a.acme")); err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile(f.file(outputtest.Object("a.acme").Key))
	if err != nil {
		t.Fatal(err)
	}
	// A copy of a file of ours, a file that istiod does not read, something that is no file.
	f.put(t, "serviceentry_registry_copy.yaml", string(ours))
	f.put(t, "notes.txt", "mine")
	if err := os.Mkdir(f.file(outputtest.Object("b.acme").Key), 0o700); err != nil {
		t.Fatal(err)
	}
	if list := live(t, d); len(list) != 1 {
		t.Errorf("live has %d objects, want 1", len(list))
	}
	if err := apply(t, d, outputtest.Object("b.acme")); !errors.Is(err, output.ErrRefused) {
		t.Errorf("writing over a folder: %v", err)
	}
	for _, name := range []string{"serviceentry_registry_copy.yaml", "notes.txt"} {
		if _, err := os.Stat(filepath.Join(f.path, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestLeftoversAreRemovedAndNeverRead(t *testing.T) {
	f := newFolder(t)
	d := f.open(t)
	leftover := d.prefix + ".tmp"
	f.put(t, leftover, "half a fi")
	if got := f.visible(t); len(got) != 0 {
		t.Errorf("istiod would read %q", got)
	}
	f.open(t)
	if _, err := os.Stat(filepath.Join(f.path, leftover)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
}

func TestLock(t *testing.T) {
	f := newFolder(t)
	d := f.open(t)
	if _, err := Open(Options{Path: f.path, Instance: outputtest.Instance}); err == nil {
		t.Error("two bridges with one instance id share a folder")
	}
	other, err := Open(Options{Path: f.path, Instance: "other"})
	if err != nil {
		t.Fatalf("another instance id: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	reader, err := Open(Options{Path: f.path, Instance: outputtest.Instance, ReadOnly: true})
	if err != nil {
		t.Fatalf("reading only: %v", err)
	}
	if err := apply(t, d, outputtest.Object("a.acme")); err != nil {
		t.Fatal(err)
	}
	if got := len(live(t, reader)); got != 1 {
		t.Errorf("the reader sees %d objects, want 1", got)
	}
	if err := apply(t, reader, outputtest.Object("b.acme")); !errors.Is(err, output.ErrOutput) {
		t.Errorf("the reader wrote: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	again, err := Open(Options{Path: f.path, Instance: outputtest.Instance})
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestReadOnlyWithoutFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	d, err := Open(Options{Path: path, Instance: "a", ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := live(t, d); len(got) != 0 {
		t.Errorf("live is %v", got)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("reading made the folder")
	}
}

func TestFolderThatVanishes(t *testing.T) {
	f := newFolder(t)
	f.path = filepath.Join(f.path, "out")
	d := f.open(t)
	a, b := outputtest.Object("a.acme"), outputtest.Object("b.acme")
	if err := apply(t, d, a); err != nil {
		t.Fatal(err)
	}
	moved := f.path + ".moved"
	if err := os.Rename(f.path, moved); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Live(t.Context()); !errors.Is(err, output.ErrOutput) {
		t.Errorf("Live without the folder: %v", err)
	}
	create := plan.Plan{Apply: []plan.Change{{Op: plan.Create, Key: b.Key, Object: b}, {Op: plan.Create, Key: a.Key, Object: a}}}
	if r := d.Write(t.Context(), create); len(r) != 1 || !errors.Is(r[0].Err, output.ErrOutput) {
		t.Errorf("Write without the folder: %+v, want one ErrOutput", r)
	}
	if err := os.Rename(moved, f.path); err != nil {
		t.Fatal(err)
	}
	if got := len(live(t, d)); got != 1 {
		t.Errorf("%d objects in the folder that came back, want 1", got)
	}
	if err := apply(t, d, b); err != nil {
		t.Error(err)
	}
	if _, err := Open(Options{Path: f.path, Instance: outputtest.Instance}); err == nil {
		t.Error("the lock was lost with the folder")
	}
}

func TestOpenFails(t *testing.T) {
	f := newFolder(t)
	f.put(t, "file", "")
	if _, err := Open(Options{Path: filepath.Join(f.path, "file"), Instance: "a"}); err == nil {
		t.Error("a file serves as folder")
	}
}

func TestClassify(t *testing.T) {
	for err, want := range map[error]error{
		syscall.ENOSPC: output.ErrOutput, syscall.EROFS: output.ErrOutput, syscall.EACCES: output.ErrOutput, syscall.EIO: output.ErrOutput,
		syscall.EDQUOT: output.ErrOutput, syscall.ENAMETOOLONG: output.ErrRefused, syscall.EINVAL: output.ErrRefused,
	} {
		if got := classify("write", &fs.PathError{Op: "write", Path: "x", Err: err}); !errors.Is(got, want) || !errors.Is(got, err) {
			t.Errorf("%v becomes %v, want it to wrap %v", err, got, want)
		}
	}
}

func TestFileName(t *testing.T) {
	long := strings.Repeat("a", 240)
	tests := map[string]struct {
		key  translate.Key
		want string
	}{
		"plain":       {translate.Key{Kind: "ServiceEntry", Namespace: "ns", Name: "com.acme.greeter"}, "serviceentry_ns_com.acme.greeter.yaml"},
		"long":        {translate.Key{Kind: "ServiceEntry", Namespace: "ns", Name: long}, ""},
		"path":        {translate.Key{Kind: "ServiceEntry", Namespace: "..", Name: "../../etc/passwd"}, ""},
		"underscores": {translate.Key{Kind: "ServiceEntry", Namespace: "a_b", Name: "c"}, ""},
		"other":       {translate.Key{Kind: "ServiceEntry", Namespace: "a", Name: "b_c"}, ""},
		"upper case":  {translate.Key{Kind: "ServiceEntry", Namespace: "A", Name: "c"}, ""},
	}
	seen := map[string]string{}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := fileName(tc.key)
			if tc.want != "" && got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if len(got) > maxName || strings.ContainsAny(got, "/\\") || !isObjectName(got) {
				t.Errorf("%q is no good name", got)
			}
			if other, taken := seen[got]; taken {
				t.Errorf("%q is also the name of %s", got, other)
			}
			seen[got] = name
		})
	}
}
