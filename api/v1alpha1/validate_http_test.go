package v1alpha1_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

func httpRegistry() *v1alpha1.Registry {
	r := minimal()
	r.Spec.Source = v1alpha1.Source{HTTP: &v1alpha1.HTTP{URL: "https://cmdb/services"}}
	return r
}

func fileRegistry() *v1alpha1.Registry {
	r := minimal()
	r.Spec.Source = v1alpha1.Source{File: &v1alpha1.File{Path: "/services"}}
	return r
}

func TestHTTPDefaults(t *testing.T) {
	r := httpRegistry()
	h := r.Spec.Source.HTTP
	h.BearerSecretRef = &v1alpha1.SecretKeyRef{Name: "cmdb"}
	h.Headers = []v1alpha1.HTTPHeader{{Name: "A", SecretRef: &v1alpha1.SecretKeyRef{Name: "cmdb"}}}
	v1alpha1.Default(r)
	want := &v1alpha1.HTTP{
		URL: "https://cmdb/services", Format: "Native", ServiceLabel: "job", PollInterval: &metav1.Duration{Duration: 10 * time.Second},
		BearerSecretRef: &v1alpha1.SecretKeyRef{Name: "cmdb", Key: "token"},
		Headers:         []v1alpha1.HTTPHeader{{Name: "A", SecretRef: &v1alpha1.SecretKeyRef{Name: "cmdb", Key: "token"}}},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestValidateHTTP(t *testing.T) {
	type edit = func(*v1alpha1.HTTP)
	url := func(u string) edit { return func(h *v1alpha1.HTTP) { h.URL = u } }
	header := func(headers ...v1alpha1.HTTPHeader) edit { return func(h *v1alpha1.HTTP) { h.Headers = headers } }
	ref := &v1alpha1.SecretKeyRef{Name: "a", Key: "b"}
	duration := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	for _, tt := range []struct {
		name       string
		edit       edit
		path, hint string
	}{
		{"minimal", func(*v1alpha1.HTTP) {}, "", ""},
		{"query", url("https://[2001:db8::1]:8443/a?b=c&d=e"), "", ""},
		{"no URL", url(""), "url", "https://cmdb.example"},
		{"no scheme", url("cmdb/services"), "url", "needs to be a URL"},
		{"other scheme", url("ftp://cmdb/services"), "url", "needs to be a URL"},
		{"no host", url("https:///services"), "url", "with a host"},
		{"credentials", url("https://a:b@cmdb/services"), "url", "basicSecretRef"},
		{"fragment", url("https://cmdb/services#a"), "url", "behind the path"},
		{"format", func(h *v1alpha1.HTTP) { h.Format = "native" }, "format", "written Native"},
		{"no label", func(h *v1alpha1.HTTP) { h.ServiceLabel = " " }, "serviceLabel", "name of a label"},
		{"polls without a pause", func(h *v1alpha1.HTTP) { h.PollInterval = duration(time.Millisecond) }, "pollInterval", "between 1s and 1h"},
		{"long poll", func(h *v1alpha1.HTTP) { h.LongPoll = duration(55 * time.Second) }, "", ""},
		{"no long poll", func(h *v1alpha1.HTTP) { h.LongPoll = duration(0) }, "", ""},
		{"short long poll", func(h *v1alpha1.HTTP) { h.LongPoll = duration(time.Millisecond) }, "longPoll", "between 1s and 10m"},
		{"bearer without name", func(h *v1alpha1.HTTP) { h.BearerSecretRef = &v1alpha1.SecretKeyRef{Key: "a"} }, "bearerSecretRef.name", "name of a secret"},
		{"bearer key", func(h *v1alpha1.HTTP) { h.BearerSecretRef = &v1alpha1.SecretKeyRef{Name: "a", Key: "b/c"} }, "bearerSecretRef.key", "token"},
		{"basic without name", func(h *v1alpha1.HTTP) { h.BasicSecretRef = &v1alpha1.SecretRef{} }, "basicSecretRef.name", "name of a secret"},
		{"bearer and basic", func(h *v1alpha1.HTTP) {
			h.BearerSecretRef, h.BasicSecretRef = ref, &v1alpha1.SecretRef{Name: "a"}
		}, "basicSecretRef", "room for one"},
		{"headers", header(v1alpha1.HTTPHeader{Name: "X-A", Value: "a"}, v1alpha1.HTTPHeader{Name: "Authorization", SecretRef: ref}), "", ""},
		{"header without a value", header(v1alpha1.HTTPHeader{Name: "X-A"}), "headers[0]", "either value or secretRef"},
		{"header with two values", header(v1alpha1.HTTPHeader{Name: "X-A", Value: "a", SecretRef: ref}), "headers[0]", "either value or secretRef"},
		{"header that is no name", header(v1alpha1.HTTPHeader{Name: "X A", Value: "a"}), "headers[0].name", "name of a header"},
		{"header of the bridge", header(v1alpha1.HTTPHeader{Name: "if-none-match", Value: "a"}), "headers[0].name", "by the bridge itself"},
		{"header with a line end", header(v1alpha1.HTTPHeader{Name: "A", Value: "a\r\nB: c"}), "headers[0].value", "line end"},
		{"header twice", header(v1alpha1.HTTPHeader{Name: "X-A", Value: "a"}, v1alpha1.HTTPHeader{Name: "x-a", Value: "b"}), "headers[1].name", ""},
		{"secret header without name", header(v1alpha1.HTTPHeader{Name: "X-A", SecretRef: &v1alpha1.SecretKeyRef{Key: "a"}}), "headers[0].secretRef.name", "name of a secret"},
		{"two authorizations", func(h *v1alpha1.HTTP) {
			h.BearerSecretRef, h.Headers = ref, []v1alpha1.HTTPHeader{{Name: "authorization", Value: "a"}}
		}, "headers[0].name", "one of the two"},
		{"TLS over http", func(h *v1alpha1.HTTP) { h.URL, h.TLS = "http://cmdb/services", &v1alpha1.TLS{} }, "url", "needs https"},
		{"TLS", func(h *v1alpha1.HTTP) { h.TLS = &v1alpha1.TLS{ServerName: "a b"} }, "tls.serverName", "host name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httpRegistry()
			v1alpha1.Default(r)
			tt.edit(r.Spec.Source.HTTP)
			path := tt.path
			if path != "" {
				path = "spec.source.http." + path
			}
			checkOne(t, r, path, tt.hint)
		})
	}
}

func TestValidateFile(t *testing.T) {
	for _, tt := range []struct {
		name       string
		edit       func(*v1alpha1.File)
		path, hint string
	}{
		{"minimal", func(*v1alpha1.File) {}, "", ""},
		{"no path", func(f *v1alpha1.File) { f.Path = "" }, "path", "a file or a folder"},
		{"relative", func(f *v1alpha1.File) { f.Path = "services" }, "path", "begin with a slash"},
		{"root", func(f *v1alpha1.File) { f.Path = "/" }, "path", "names between its slashes"},
		{"above", func(f *v1alpha1.File) { f.Path = "/a/../b" }, "path", "names between its slashes"},
		{"slash at the end", func(f *v1alpha1.File) { f.Path = "/a/" }, "path", "none at its end"},
		{"format", func(f *v1alpha1.File) { f.Format = "YAML" }, "format", "one of Native, PrometheusSD"},
		{"label", func(f *v1alpha1.File) { f.ServiceLabel = "" }, "serviceLabel", "name of a label"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := fileRegistry()
			v1alpha1.Default(r)
			tt.edit(r.Spec.Source.File)
			path := tt.path
			if path != "" {
				path = "spec.source.file." + path
			}
			checkOne(t, r, path, tt.hint)
		})
	}
}
