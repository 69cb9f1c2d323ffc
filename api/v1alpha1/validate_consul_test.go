package v1alpha1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

func consulRegistry() *v1alpha1.Registry {
	r := minimal()
	r.Spec.Source = v1alpha1.Source{Consul: &v1alpha1.Consul{Address: "https://consul:8501"}}
	return r
}

func TestConsulDefaults(t *testing.T) {
	r := consulRegistry()
	r.Spec.Source.Consul.TokenSecretRef = &v1alpha1.SecretKeyRef{Name: "consul"}
	r.Spec.Source.Consul.TLS = &v1alpha1.TLS{CARef: &v1alpha1.ObjectKeyRef{Name: "ca"}}
	v1alpha1.Default(r)
	want := &v1alpha1.Consul{
		Address: "https://consul:8501", Warning: "Publish", AddressFrom: "Service",
		TokenSecretRef: &v1alpha1.SecretKeyRef{Name: "consul", Key: "token"},
		TLS:            &v1alpha1.TLS{CARef: &v1alpha1.ObjectKeyRef{Kind: "Secret", Name: "ca", Key: "ca.crt"}},
	}
	if diff := cmp.Diff(want, r.Spec.Source.Consul); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestValidateConsul(t *testing.T) {
	type edit = func(*v1alpha1.Consul)
	address := func(a string) edit { return func(c *v1alpha1.Consul) { c.Address = a } }
	from := func(a string) edit { return func(c *v1alpha1.Consul) { c.AddressFrom = a } }
	tests := []struct {
		name       string
		edit       edit
		path, hint string
	}{
		{"minimal", func(*v1alpha1.Consul) {}, "", ""},
		{"IPv6, path", address("http://[2001:db8::1]:8500/consul"), "", ""},
		{"no address", address(""), "address", "https://consul:8501"},
		{"no scheme", address("consul:8501"), "address", "needs to be a URL"},
		{"other scheme", address("unix:///run/consul.sock"), "address", "needs to be a URL"},
		{"no host", address("http://:8500"), "address", "with a host"},
		{"credentials", address("https://a:b@consul:8501"), "address", "tokenSecretRef"},
		{"query", address("https://consul:8501?dc=1"), "address", "behind the path"},
		{"API path", address("https://consul:8501/v1/"), "address", "without /v1"},
		{"datacenter", func(c *v1alpha1.Consul) { c.Datacenter = "dc1,dc2" }, "datacenter", "one name"},
		{"namespace", func(c *v1alpha1.Consul) { c.Namespace = "*" }, "namespace", "one name"},
		{"blank filter", func(c *v1alpha1.Consul) { c.Filter = " " }, "filter", "remove filter"},
		{"token without name", func(c *v1alpha1.Consul) { c.TokenSecretRef = &v1alpha1.SecretKeyRef{Key: "t"} }, "tokenSecretRef.name", "consul"},
		{"token key", func(c *v1alpha1.Consul) { c.TokenSecretRef = &v1alpha1.SecretKeyRef{Name: "a", Key: "a/b"} }, "tokenSecretRef.key", "token"},
		{"TLS over http", func(c *v1alpha1.Consul) { c.Address, c.TLS = "http://consul:8500", &v1alpha1.TLS{} }, "address", "needs https"},
		{"warning", func(c *v1alpha1.Consul) { c.Warning = "drop" }, "warning", "written Drop"},
		{"tagged address", from("wan_ipv4"), "", ""},
		{"address of service", from("service"), "addressFrom", "written Service"},
		{"virtual address", from("virtual"), "addressFrom", "virtual address"},
		{"blank", from(" wan"), "addressFrom", "tagged address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := consulRegistry()
			v1alpha1.Default(r)
			tt.edit(r.Spec.Source.Consul)
			path := tt.path
			if path != "" {
				path = "spec.source.consul." + path
			}
			checkOne(t, r, path, tt.hint)
		})
	}
	both := minimal()
	both.Spec.Source.Consul = consulRegistry().Spec.Source.Consul
	v1alpha1.Default(both)
	checkOne(t, both, "spec.source.consul", "of its own")
}
