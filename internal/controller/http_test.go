package controller

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// documents compiles a Registry with a source of documents.
func documents(s v1alpha1.Source) *compiled {
	r := &v1alpha1.Registry{}
	r.Namespace, r.Name, r.Spec.Source = "ns", "cmdb", s
	v1alpha1.Default(r)
	return compile(r)
}

// TestCompileDocuments: another URL, path or format is the same source, so what is published stays.
func TestCompileDocuments(t *testing.T) {
	for name, tt := range map[string]struct{ one, other v1alpha1.Source }{
		"http": {
			v1alpha1.Source{HTTP: &v1alpha1.HTTP{URL: "https://a/services"}},
			v1alpha1.Source{HTTP: &v1alpha1.HTTP{URL: "https://b/services", Format: "PrometheusSD"}},
		},
		"file": {v1alpha1.Source{File: &v1alpha1.File{Path: "/a"}}, v1alpha1.Source{File: &v1alpha1.File{Path: "/b"}}},
	} {
		one, other := documents(tt.one), documents(tt.other)
		id := one.sources[0].ID
		want := []translate.Source{{ID: id, Scope: name, DefaultWeight: 1}}
		if diff := cmp.Diff(want, one.registry.Sources); diff != "" || one.registry.Type != name {
			t.Errorf("type %q, sources (-want +got)\n%s", one.registry.Type, diff)
		}
		if other.sources[0].ID != id {
			t.Errorf("%s: another document has another id", name)
		}
		if cmp.Equal(one.sources, other.sources) {
			t.Errorf("%s: another document does not restart the source", name)
		}
		if src := (Sources{}).New(one.sources[0]); src == nil {
			t.Errorf("%s: no source", name)
		}
	}
}

// TestHTTPHeader: headers are those of the secrets as they are now.
func TestHTTPHeader(t *testing.T) {
	dir := t.TempDir()
	keep := func(key, value string) {
		if err := os.MkdirAll(filepath.Join(dir, "ns", "cmdb"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "ns", "cmdb", key), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := Sources{Secrets: SecretsDir(dir)}
	h := &v1alpha1.HTTP{
		BearerSecretRef: &v1alpha1.SecretKeyRef{Name: "cmdb", Key: "token"},
		Headers: []v1alpha1.HTTPHeader{
			{Name: "x-tenant", Value: "shop"}, {Name: "X-Api-Key", SecretRef: &v1alpha1.SecretKeyRef{Name: "cmdb", Key: "key"}},
		},
	}
	if _, err := s.header(t.Context(), "ns", h); !errors.Is(err, source.ErrSecret) {
		t.Errorf("without secrets: %v", err)
	}
	for _, rotated := range []string{"1", "2"} {
		keep("token", "t"+rotated)
		keep("key", "k"+rotated)
		got, err := s.header(t.Context(), "ns", h)
		want := http.Header{"Authorization": {"Bearer t" + rotated}, "X-Tenant": {"shop"}, "X-Api-Key": {"k" + rotated}}
		if err != nil || !cmp.Equal(want, got) {
			t.Errorf("got %v, %v", got, err)
		}
	}
	keep("username", "jane")
	keep("password", "p:w")
	got, err := s.header(t.Context(), "ns", &v1alpha1.HTTP{BasicSecretRef: &v1alpha1.SecretRef{Name: "cmdb"}})
	if want := (http.Header{"Authorization": {"Basic amFuZTpwOnc="}}); err != nil || !cmp.Equal(want, got) {
		t.Errorf("got %v, %v", got, err)
	}
}
