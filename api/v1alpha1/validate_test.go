package v1alpha1_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

func TestValidateReportsTheField(t *testing.T) {
	tests := []struct {
		name string
		edit func(*v1alpha1.Registry)
		// path is the field that is reported, empty when there is nothing to report.
		path, hint string
	}{
		{"minimal", func(*v1alpha1.Registry) {}, "", ""},
		{"no name", func(r *v1alpha1.Registry) { r.Name = "" }, "metadata.name", "e.g. dubbo-prod"},
		{"long name", func(r *v1alpha1.Registry) { r.Name = strings.Repeat("a", 64) }, "metadata.name", "has 64 characters"},
		{"63 characters", func(r *v1alpha1.Registry) { r.Name = strings.Repeat("a", 63) }, "", ""},
		{"upper case name", func(r *v1alpha1.Registry) { r.Name = "Dubbo" }, "metadata.name", "lower-case"},
		{"no namespace", func(r *v1alpha1.Registry) { r.Namespace = "" }, "metadata.namespace", "written into"},
		{"bad namespace", func(r *v1alpha1.Registry) { r.Namespace = "a.b" }, "metadata.namespace", "lower-case"},
		{"released", func(r *v1alpha1.Registry) { r.Annotations = release("h-3f2a91c0, h-0001") }, "", ""},
		{"released for ever", func(r *v1alpha1.Registry) { r.Annotations = release("*") }, "metadata.annotations[registry-bridge.io/release]", "h-3f2a91c0"},
		{"api version", func(r *v1alpha1.Registry) { r.APIVersion = "v1" }, "apiVersion", "registry-bridge.io/v1alpha1"},
		{"kind", func(r *v1alpha1.Registry) { r.Kind = "Service" }, "kind", "Registry"},
		{"mode in lower case", func(r *v1alpha1.Registry) { r.Spec.Mode = "active" }, "spec.mode", "written Active"},
		{"unknown mode", func(r *v1alpha1.Registry) { r.Spec.Mode = "On" }, "spec.mode", "Active, Observe, Paused"},
		{"deletion policy", func(r *v1alpha1.Registry) { r.Spec.DeletionPolicy = "Keep" }, "spec.deletionPolicy", "Retain, Delete"},
		{"no source", func(r *v1alpha1.Registry) { r.Spec.Source.ZooKeeper = nil }, "spec.source", "exactly one"},
		{"max", func(r *v1alpha1.Registry) { r.Spec.Services.Max = new(int32(0)) }, "spec.services.max", "Observe"},
		{"empty glob", func(r *v1alpha1.Registry) { r.Spec.Services.Include = []string{""} }, "spec.services.include[0]", "use *"},
		{"class glob", func(r *v1alpha1.Registry) { r.Spec.Services.Exclude = []string{"a", "[b"} }, "spec.services.exclude[1]", "use *"},
		{"space in glob", func(r *v1alpha1.Registry) { r.Spec.Services.Include = []string{"a b"} }, "spec.services.include[0]", "white space"},
		{"glob twice", func(r *v1alpha1.Registry) { r.Spec.Services.Include = []string{"a", "a"} }, "spec.services.include[1]", ""},
		{"placeholder", func(r *v1alpha1.Registry) { r.Spec.Hosts.Template = "{iface}.x" }, "spec.hosts.template", "{iface}"},
		{"open brace", func(r *v1alpha1.Registry) { r.Spec.Hosts.Template = "{service" }, "spec.hosts.template", "unknown placeholder"},
		{"closing brace", func(r *v1alpha1.Registry) { r.Spec.Hosts.Template = "{service}}" }, "spec.hosts.template", "no host has"},
		{"constant host", func(r *v1alpha1.Registry) { r.Spec.Hosts.Template = "{group}.x" }, "spec.hosts.template", "same host"},
		{"good template", func(r *v1alpha1.Registry) { r.Spec.Hosts.Template = "v-{version}.{interface}.x" }, "", ""},
		{"suffix with dot", func(r *v1alpha1.Registry) { r.Spec.Hosts.Suffix = ".dubbo" }, "spec.hosts.suffix", "leading dot"},
		{"local suffix", func(r *v1alpha1.Registry) { r.Spec.Hosts.Suffix = "shop.svc.cluster.local" }, "spec.hosts.suffix", "Kubernetes"},
		{"small VIP range", func(r *v1alpha1.Registry) { r.Spec.Output.VIPCIDR = new("240.0.0.0/24") }, "spec.output.vipCIDR", "too small"},
		{"IPv6 VIP range", func(r *v1alpha1.Registry) { r.Spec.Output.VIPCIDR = new("fd00::/64") }, "spec.output.vipCIDR", "IPv4"},
		{"no VIP range", func(r *v1alpha1.Registry) { r.Spec.Output.VIPCIDR = new("") }, "", ""},
		{"location", func(r *v1alpha1.Registry) { r.Spec.Output.Location = "MESH_INTERNAL" }, "spec.output.location", "MeshInternal"},
		{"all and one", func(r *v1alpha1.Registry) { r.Spec.Output.ExportTo = []string{"shop", "*"} }, "spec.output.exportTo[1]", "combined"},
		{"bad exportTo", func(r *v1alpha1.Registry) { r.Spec.Output.ExportTo = []string{"a/b"} }, "spec.output.exportTo[0]", "namespace"},
		{"our label", func(r *v1alpha1.Registry) {
			r.Spec.Output.Labels = map[string]string{"registry-bridge.io/instance": "x"}
		}, "spec.output.labels[registry-bridge.io/instance]", "another key"},
		{"label value", func(r *v1alpha1.Registry) { r.Spec.Output.Labels = map[string]string{"team": "a b"} }, "spec.output.labels[team]", "63"},
		{"address", func(r *v1alpha1.Registry) { r.Spec.Endpoints.AllowCIDRs = []string{"10.0.0.1"} }, "spec.endpoints.allowCIDRs[0]", "10.0.0.1/32"},
		{"host bits", func(r *v1alpha1.Registry) { r.Spec.Endpoints.DenyCIDRs = []string{"10.0.0.1/8"} }, "spec.endpoints.denyCIDRs[0]", "10.0.0.0/8"},
		{"token", func(r *v1alpha1.Registry) { r.Spec.Endpoints.CopyLabels = []string{"token"} }, "spec.endpoints.copyLabels[0]", "secret"},
		{"Istio's label", func(r *v1alpha1.Registry) {
			r.Spec.Endpoints.CopyLabels = []string{"security.istio.io/tlsMode"}
		}, "spec.endpoints.copyLabels[0]", "Istio"},
		{"endpoint mode", func(r *v1alpha1.Registry) { r.Spec.Endpoints.Mode = "Pods" }, "spec.endpoints.mode", "WorkloadEntry"},
		{"data plane", func(r *v1alpha1.Registry) { r.Spec.Dubbo.DataPlanes = []v1alpha1.DataPlane{"MOSN"} }, "spec.dubbo.dataPlanes[0]", "TCP"},
		{"no grace", func(r *v1alpha1.Registry) { r.Spec.Guards.EmptyGrace = &metav1.Duration{} }, "spec.guards.emptyGrace", "at least 1s"},
		{"negative", func(r *v1alpha1.Registry) {
			r.Spec.Guards.MaxHold = &metav1.Duration{Duration: -time.Second}
		}, "spec.guards.maxHold", "at least 0s"},
		{"percent", func(r *v1alpha1.Registry) {
			r.Spec.Guards.MassRemoval.MaxPercent = new(int32(101))
		}, "spec.guards.massRemoval.maxPercent", "1 and 100"},
		{"rule without anything", func(r *v1alpha1.Registry) {
			r.Spec.Rules = []v1alpha1.Rule{{Name: "a", Match: v1alpha1.Match{Services: []string{"*"}}}}
		}, "spec.rules[0]", "sets nothing"},
		{"rule for nothing", func(r *v1alpha1.Registry) {
			r.Spec.Rules = []v1alpha1.Rule{{Name: "a", Protocol: "TCP"}}
		}, "spec.rules[0].match.services", "com.acme"},
		{"rule's port", func(r *v1alpha1.Registry) {
			r.Spec.Rules = []v1alpha1.Rule{{Name: "a", Match: v1alpha1.Match{Services: []string{"*"}}, ServicePort: new(int32(70000))}}
		}, "spec.rules[0].servicePort", "65535"},
		{"rule's host", func(r *v1alpha1.Registry) {
			r.Spec.Rules = []v1alpha1.Rule{{Name: "a", Match: v1alpha1.Match{Services: []string{"*"}}, Host: "redis"}}
		}, "spec.rules[0].host", "a dot"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := minimal()
			v1alpha1.Default(r)
			tt.edit(r)
			checkOne(t, r, tt.path, tt.hint)
		})
	}
}

func release(ids string) map[string]string { return map[string]string{v1alpha1.AnnotationRelease: ids} }

// checkOne wants exactly one error, at path and with the hint; none at all when path is empty. The schema must not disagree.
func checkOne(t *testing.T, r *v1alpha1.Registry, path, hint string) {
	t.Helper()
	checkSchema(t, r, path)
	errs := v1alpha1.Validate(r)
	if path == "" {
		if len(errs) > 0 {
			t.Errorf("got %v, want no error", errs)
		}
		return
	}
	if len(errs) != 1 || errs[0].Field != path || !strings.Contains(errs[0].Detail, hint) {
		t.Errorf("got %v, want one error at %s with %q", errs, path, hint)
	}
}

func TestValidateServers(t *testing.T) {
	tests := []struct{ server, hint string }{
		{"zk:2181", ""},
		{"zk_1:2181", ""},
		{"10.0.0.1:2181", ""},
		{"[2001:db8::1]:2181", ""},
		{"zk", "needs host:port, e.g. zk:2181"},
		{":2181", "needs host:port"},
		{"zk:0", "between 1 and 65535"},
		{"zk:70000", "between 1 and 65535"},
		{"zk:http", "between 1 and 65535"},
		{"zk:2181,zk2:2181", "entry of its own"},
		{"zk:2181/prod", "zookeeper.chroot"},
		{"zookeeper://zk:2181", "without a scheme"},
		{"2001:db8::1:2181", "brackets"},
		{"[zk::x]:2181", "IPv6"},
		{"z k:2181", "entry of its own"},
		{"-zk:2181", "host name or an IP"},
	}
	for _, tt := range tests {
		t.Run(tt.server, func(t *testing.T) {
			r := minimal()
			r.Spec.Source.ZooKeeper.Servers = []string{tt.server}
			v1alpha1.Default(r)
			path := "spec.source.zookeeper.servers[0]"
			if tt.hint == "" {
				path = ""
			}
			checkOne(t, r, path, tt.hint)
		})
	}
}

func TestValidateZooKeeper(t *testing.T) {
	tests := []struct {
		name       string
		edit       func(*v1alpha1.ZooKeeper)
		path, hint string
	}{
		{"no server", func(z *v1alpha1.ZooKeeper) { z.Servers = nil }, "servers", "at least one"},
		{"server twice", func(z *v1alpha1.ZooKeeper) { z.Servers = []string{"a:1", "a:1"} }, "servers[1]", ""},
		{"relative chroot", func(z *v1alpha1.ZooKeeper) { z.Chroot = "prod" }, "chroot", "/prod"},
		{"chroot with slash", func(z *v1alpha1.ZooKeeper) { z.Chroot = "/prod/" }, "chroot", "end in a slash"},
		{"relative root", func(z *v1alpha1.ZooKeeper) { z.Layouts[0].Root = "dubbo" }, "layouts[0].root", "/dubbo"},
		{"dots in root", func(z *v1alpha1.ZooKeeper) { z.Layouts[0].Root = "/a/../b" }, "layouts[0].root", "between"},
		{"control character", func(z *v1alpha1.ZooKeeper) { z.Layouts[0].Root = "/a\x00" }, "layouts[0].root", "refuses"},
		{"layout type", func(z *v1alpha1.ZooKeeper) { z.Layouts[0].Type = "Dubbo" }, "layouts[0].type", "DubboInterface"},
		{"metadata of interfaces", func(z *v1alpha1.ZooKeeper) { z.Layouts[0].MetadataRoot = "/dubbo" }, "layouts[0].metadataRoot", "DubboApplication only"},
		{"relative metadata", func(z *v1alpha1.ZooKeeper) {
			z.Layouts[0].Type, z.Layouts[0].MetadataRoot = v1alpha1.LayoutDubboApplication, "dubbo"
		}, "layouts[0].metadataRoot", "/dubbo"},
		{"layout name", func(z *v1alpha1.ZooKeeper) { z.Layouts[0].Name = "A" }, "layouts[0].name", "lower-case"},
		{"layout name twice", func(z *v1alpha1.ZooKeeper) {
			z.Layouts = append(z.Layouts, z.Layouts[0])
			z.Layouts[1].Root = "/other"
		}, "layouts[1].name", ""},
		{"root twice", func(z *v1alpha1.ZooKeeper) {
			z.Layouts = append(z.Layouts, z.Layouts[0])
			z.Layouts[1].Name = "other"
		}, "layouts[1].root", "already read"},
		{"auth without secret", func(z *v1alpha1.ZooKeeper) { z.Auth = &v1alpha1.ZooKeeperAuth{} }, "auth.digestSecretRef", "username"},
		{"secret without name", func(z *v1alpha1.ZooKeeper) {
			z.Auth = &v1alpha1.ZooKeeperAuth{DigestSecretRef: &v1alpha1.SecretRef{}}
		}, "auth.digestSecretRef.name", "zk-digest"},
		{"secret outside", func(z *v1alpha1.ZooKeeper) {
			z.Auth = &v1alpha1.ZooKeeperAuth{DigestSecretRef: &v1alpha1.SecretRef{Name: "../x"}}
		}, "auth.digestSecretRef.name", "lower-case"},
		{"CA kind", func(z *v1alpha1.ZooKeeper) {
			z.TLS = &v1alpha1.TLS{CARef: &v1alpha1.ObjectKeyRef{Kind: "File", Name: "a", Key: "b"}}
		}, "tls.caRef.kind", "ConfigMap"},
		{"CA key", func(z *v1alpha1.ZooKeeper) {
			z.TLS = &v1alpha1.TLS{CARef: &v1alpha1.ObjectKeyRef{Kind: "Secret", Name: "a", Key: "../b"}}
		}, "tls.caRef.key", "ca.crt"},
		{"system CAs", func(z *v1alpha1.ZooKeeper) { z.TLS = &v1alpha1.TLS{} }, "", ""},
		{"server name", func(z *v1alpha1.ZooKeeper) { z.TLS = &v1alpha1.TLS{ServerName: "a b"} }, "tls.serverName", "host name"},
		{"session", func(z *v1alpha1.ZooKeeper) {
			z.SessionTimeout = &metav1.Duration{Duration: time.Millisecond}
		}, "sessionTimeout", "30s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := minimal()
			v1alpha1.Default(r)
			tt.edit(r.Spec.Source.ZooKeeper)
			path := tt.path
			if path != "" {
				path = "spec.source.zookeeper." + path
			}
			checkOne(t, r, path, tt.hint)
		})
	}
}
