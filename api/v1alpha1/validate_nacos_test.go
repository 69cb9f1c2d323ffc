package v1alpha1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

func nacosRegistry() *v1alpha1.Registry {
	r := minimal()
	r.Spec.Source = v1alpha1.Source{Nacos: &v1alpha1.Nacos{Servers: []string{"nacos:8848"}}}
	return r
}

func TestNacosDefaults(t *testing.T) {
	r := nacosRegistry()
	v1alpha1.Default(r)
	want := &v1alpha1.Nacos{
		Servers: []string{"nacos:8848"}, GRPCPortOffset: new(int32(1000)), ContextPath: "/nacos", Layout: "Auto",
		Scopes: []v1alpha1.NacosScope{{Namespace: "public", Groups: []string{"DEFAULT_GROUP"}}},
	}
	if diff := cmp.Diff(want, r.Spec.Source.Nacos); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestValidateNacos(t *testing.T) {
	type edit = func(*v1alpha1.Nacos)
	server := func(s string) edit { return func(n *v1alpha1.Nacos) { n.Servers = []string{s} } }
	scopes := func(s ...v1alpha1.NacosScope) edit { return func(n *v1alpha1.Nacos) { n.Scopes = s } }
	key := func(k v1alpha1.NacosAccessKey) edit { return func(n *v1alpha1.Nacos) { n.AccessKey = &k } }
	group := func(g ...string) v1alpha1.NacosScope { return v1alpha1.NacosScope{Namespace: "public", Groups: g} }
	tests := []struct {
		name       string
		edit       edit
		path, hint string
	}{
		{"minimal", func(*v1alpha1.Nacos) {}, "", ""},
		{"IPv6", server("[2001:db8::1]:8848"), "", ""},
		{"no servers", func(n *v1alpha1.Nacos) { n.Servers = nil }, "servers", "nacos:8848"},
		{"no port", server("nacos"), "servers[0]", "e.g. nacos:8848"},
		{"scheme", server("http://nacos:8848"), "servers[0]", "spec.source.nacos.tls"},
		{"path", server("nacos:8848/nacos"), "servers[0]", "spec.source.nacos.contextPath"},
		{"list in one", server("a:8848,b:8848"), "servers[0]", "entry of its own"},
		{"no gRPC port", server("nacos:65000"), "grpcPortOffset", "66000"},
		{"server twice", func(n *v1alpha1.Nacos) { n.Servers = []string{"a:1", "a:1"} }, "servers[1]", ""},
		{"context path", func(n *v1alpha1.Nacos) { n.ContextPath = "nacos" }, "contextPath", "e.g. /nacos"},
		{"secret without name", func(n *v1alpha1.Nacos) { n.AuthSecretRef = &v1alpha1.SecretRef{} }, "authSecretRef.name", "nacos"},
		{"login without credentials", func(n *v1alpha1.Nacos) { n.LoginScheme = "HTTPS" }, "loginScheme", "authSecretRef"},
		{"login scheme", func(n *v1alpha1.Nacos) {
			n.LoginScheme, n.AuthSecretRef = "https", &v1alpha1.SecretRef{Name: "a"}
		}, "loginScheme", "written HTTPS"},
		{"key and password", func(n *v1alpha1.Nacos) {
			n.AuthSecretRef, n.AccessKey = &v1alpha1.SecretRef{Name: "a"}, &v1alpha1.NacosAccessKey{SecretRef: v1alpha1.SecretRef{Name: "a"}}
		}, "accessKey", "one of the two"},
		{"key", key(v1alpha1.NacosAccessKey{SecretRef: v1alpha1.SecretRef{Name: "a"}, Region: "cn-hangzhou"}), "", ""},
		{"key without name", key(v1alpha1.NacosAccessKey{}), "accessKey.secretRef.name", "nacos"},
		{"region", key(v1alpha1.NacosAccessKey{SecretRef: v1alpha1.SecretRef{Name: "a"}, Region: "cn hangzhou"}), "accessKey.region", "cn-hangzhou"},
		{"TLS", func(n *v1alpha1.Nacos) { n.TLS = &v1alpha1.TLS{ServerName: "a b"} }, "tls.serverName", "host name"},
		{"cluster", func(n *v1alpha1.Nacos) { n.Clusters = []string{"a,b"} }, "clusters[0]", "DEFAULT"},
		{"layout", func(n *v1alpha1.Nacos) { n.Layout = "auto" }, "layout", "written Auto"},
		{"namespace", scopes(v1alpha1.NacosScope{Namespace: "a b", Groups: []string{"a"}}), "scopes[0].namespace", "public"},
		{"namespace twice", scopes(group("a"), group("b")), "scopes[1].namespace", ""},
		{"group", scopes(group("a@@b")), "scopes[0].groups[0]", "DEFAULT_GROUP"},
		{"no group name", scopes(group("")), "scopes[0].groups[0]", "DEFAULT_GROUP"},
		{"group twice", scopes(group("a", "a")), "scopes[0].groups[1]", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := nacosRegistry()
			v1alpha1.Default(r)
			tt.edit(r.Spec.Source.Nacos)
			path := tt.path
			if path != "" {
				path = "spec.source.nacos." + path
			}
			checkOne(t, r, path, tt.hint)
		})
	}
	both := minimal()
	both.Spec.Source.Nacos = nacosRegistry().Spec.Source.Nacos
	v1alpha1.Default(both)
	checkOne(t, both, "spec.source.nacos", "of its own")
}
