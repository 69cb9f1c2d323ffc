package image

import (
	"io"
	"log"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/registry-bridge/registry-bridge/hack/release/program"
)

// TestPush: what the layout holds arrives under its name, once; a tag never changes what it means.
func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	tag, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/registry-bridge:v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "oci")
	index, _ := testIndex(t)
	if err := WriteLayout(dir, index, tag); err != nil {
		t.Fatal(err)
	}
	want, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	written, named, err := ReadLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	if named != tag {
		t.Errorf("name in the layout: %s", named)
	}
	if err := validate.Index(written); err != nil {
		t.Errorf("what the layout holds is not valid: %v", err)
	}
	for range 2 { // The second time it is there already.
		if ref, err := Push(t.Context(), dir); err != nil || ref.DigestStr() != want.String() {
			t.Fatalf("got %v, %v, want %s", ref, err, want)
		}
	}
	if there, err := remote.Head(tag); err != nil || there.Digest != want {
		t.Errorf("in the registry: %v, %v", there, err)
	}

	pushChanged := func(change func(p *program.Program)) error {
		p := testProgram(t, "amd64")
		change(&p)
		img, err := New(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		index, err := NewIndex([]program.Program{p}, []v1.Image{img})
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "oci")
		if err := WriteLayout(dir, index, tag); err != nil {
			t.Fatal(err)
		}
		_, err = Push(t.Context(), dir)
		return err
	}
	for name, tc := range map[string]struct {
		change func(p *program.Program)
		want   string
	}{
		"another commit":  {func(p *program.Program) { p.Revision = "another" }, "exists already"},
		"changed files":   {func(p *program.Program) { p.Version += "+dirty" }, "changed files"},
		"unknown version": {func(p *program.Program) { p.Version, p.Revision = "(devel)", "" }, "does not know its commit"},
	} {
		if err := pushChanged(tc.change); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}
