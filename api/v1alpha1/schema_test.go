package v1alpha1_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest/crd"
)

// crdFile is the generated CustomResourceDefinition.
const crdFile = "../../deploy/helm/registry-bridge/files/crds/registry-bridge.io_registries.yaml"

// definition is the compiled CustomResourceDefinition.
var definition = sync.OnceValues(func() (*crd.Definition, error) {
	text, err := os.ReadFile(filepath.FromSlash(crdFile))
	if err != nil {
		return nil, err
	}
	return crd.Compile(text)
})

func compiled(t *testing.T) *crd.Definition {
	t.Helper()
	d, err := definition()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// object is a Registry as a client sends it.
func object(t *testing.T, r *v1alpha1.Registry) map[string]any {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := kubejson.Unmarshal(data, &m); err != nil { // It keeps integers what they are.
		t.Fatal(err)
	}
	return m
}

// TestDefaultsAreThoseOfTheSchema: what the API server fills in is what Default fills in, and Default finds nothing left to do.
func TestDefaultsAreThoseOfTheSchema(t *testing.T) {
	const meta = "{apiVersion: registry-bridge.io/v1alpha1, kind: Registry, metadata: {name: a, namespace: b}, spec: "
	specs := map[string]string{
		"zookeeper":        `{source: {zookeeper: {servers: ["zk:2181"]}}}`,
		"zookeeper secure": `{source: {zookeeper: {servers: ["zk:2181"], tls: {caRef: {name: ca}}, auth: {digestSecretRef: {name: d}}}}}`,
		"no TLS settings":  `{source: {zookeeper: {servers: ["zk:2181"], tls: {}}}}`,
		"layouts":          `{source: {zookeeper: {servers: ["zk:2181"], layouts: [{root: /a}, {name: b, root: /b}]}}}`,
		"consul":           `{source: {consul: {address: "https://consul:8501"}}}`,
		"consul secure":    `{source: {consul: {address: "https://consul:8501", tokenSecretRef: {name: t}, tls: {caRef: {kind: ConfigMap, name: ca}}}}}`,
		"eureka":           `{source: {eureka: {servers: [{url: "http://eureka:8761/eureka"}]}}}`,
		"eureka secure":    `{source: {eureka: {servers: [{url: "https://eureka/eureka", authSecretRef: {name: e}}], tls: {caRef: {name: ca}}}}}`,
		"http":             `{source: {http: {url: "https://cmdb/services"}}}`,
		"http secrets":     `{source: {http: {url: "https://cmdb/services", bearerSecretRef: {name: a}, headers: [{name: A, secretRef: {name: b}}, {name: B, value: c}], tls: {caRef: {name: ca}}}}}`,
		"file":             `{source: {file: {path: /services}}}`,
		"nacos":            `{source: {nacos: {servers: ["nacos:8848"]}}}`,
		"nacos scopes":     `{source: {nacos: {servers: ["nacos:8848"], tls: {caRef: {name: ca}}, scopes: [{groups: [a]}, {namespace: b}]}}}`,
		"objects":          `{source: {consul: {address: "http://c:8500"}}, services: {}, hosts: {}, endpoints: {}, dubbo: {}, output: {}, guards: {massRemoval: {}}}`,
		"nulls":            `{source: {consul: {address: "http://c:8500"}}, mode: null, guards: null, output: {vipCIDR: null}, endpoints: {denyCIDRs: null}}`,
		"set to nothing":   `{source: {consul: {address: "http://c:8500"}}, endpoints: {denyCIDRs: [], copyLabels: []}, output: {vipCIDR: ""}}`,
	}
	for _, enum := range property(t, "spec", "source", "zookeeper", "layouts", "type").Enum {
		specs["layout "+string(enum.Raw)] = `{source: {zookeeper: {servers: ["zk:2181"], layouts: [{type: ` + string(enum.Raw) + `}]}}}`
	}
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			sent := func() (m map[string]any) {
				if err := yaml.Unmarshal([]byte(meta+spec+"}"), &m); err != nil {
					t.Fatal(err)
				}
				return m
			}
			decode := func(m map[string]any) *v1alpha1.Registry {
				data, err := json.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				r := &v1alpha1.Registry{}
				if err := json.Unmarshal(data, r); err != nil {
					t.Fatal(err)
				}
				return r
			}
			want := decode(sent())
			v1alpha1.Default(want)
			defaulted := sent()
			compiled(t).Default(defaulted)
			got := decode(defaulted)
			// These depend on the type, which a schema cannot express.
			byType := cmpopts.IgnoreFields(v1alpha1.ZooKeeperLayout{}, "Root", "MetadataRoot")
			if diff := cmp.Diff(want, got, byType); diff != "" {
				t.Errorf("(-Default +schema)\n%s", diff)
			}
			if errs := compiled(t).Validate(t.Context(), defaulted, nil); len(errs) > 0 {
				t.Errorf("what the schema fills in is refused: %v", errs)
			}
			v1alpha1.Default(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Default changed what the schema had filled in\n%s", diff)
			}
		})
	}
}

// checkSchema compares the two validations. What Validate accepts, the schema accepts; what the schema refuses, it refuses at the same
// field, or at the one around it.
func checkSchema(t *testing.T, r *v1alpha1.Registry, path string) {
	t.Helper()
	if r.Namespace == "" || r.APIVersion != v1alpha1.APIVersion || r.Kind != v1alpha1.KindRegistry || strings.HasPrefix(path, "metadata.name") {
		return // The API server has its own rules for these.
	}
	errs := compiled(t).Validate(t.Context(), object(t, r), nil)
	for _, err := range errs {
		if path == "" || !strings.HasPrefix(path, err.Field) && !strings.HasPrefix(err.Field, path) {
			t.Errorf("the schema refuses %v; Validate refuses %q", err, path)
		}
	}
}

// TestSchemaRefuses is what a person sees at once, at kubectl apply, before the bridge has a look.
func TestSchemaRefuses(t *testing.T) {
	rule := v1alpha1.Rule{Name: "a", Match: v1alpha1.Match{Services: []string{"*"}}}
	tests := []struct {
		name        string
		edit        func(s *v1alpha1.RegistrySpec)
		field, hint string
	}{
		{"no source", func(s *v1alpha1.RegistrySpec) { s.Source.ZooKeeper = nil }, "spec.source", "exactly one"},
		{"two sources", func(s *v1alpha1.RegistrySpec) { s.Source.Consul = &v1alpha1.Consul{Address: "http://c:1"} }, "spec.source", "exactly one"},
		{"key and password", func(s *v1alpha1.RegistrySpec) {
			s.Source = v1alpha1.Source{Nacos: &v1alpha1.Nacos{
				Servers: []string{"n:1"}, AuthSecretRef: &v1alpha1.SecretRef{Name: "a"}, AccessKey: &v1alpha1.NacosAccessKey{SecretRef: v1alpha1.SecretRef{Name: "a"}},
			}}
			v1alpha1.Default(&v1alpha1.Registry{Spec: *s})
		}, "spec.source.nacos.accessKey", "beside authSecretRef"},
		{"namespace twice", func(s *v1alpha1.RegistrySpec) {
			s.Source = v1alpha1.Source{Nacos: &v1alpha1.Nacos{Servers: []string{"n:1"}, Scopes: []v1alpha1.NacosScope{{Namespace: "a"}, {Namespace: "a"}}}}
		}, "spec.source.nacos.scopes[1]", "Duplicate"},
		{"no server", func(s *v1alpha1.RegistrySpec) { s.Source.ZooKeeper.Servers = nil }, "spec.source.zookeeper.servers", ""},
		{"no port", func(s *v1alpha1.RegistrySpec) { s.Source.ZooKeeper.Servers = []string{"zk"} }, "spec.source.zookeeper.servers[0]", ""},
		{"server twice", func(s *v1alpha1.RegistrySpec) { s.Source.ZooKeeper.Servers = []string{"a:1", "a:1"} }, "spec.source.zookeeper.servers[1]", "Duplicate"},
		{"layout twice", func(s *v1alpha1.RegistrySpec) {
			s.Source.ZooKeeper.Layouts = slices.Repeat(s.Source.ZooKeeper.Layouts, 2)
		}, "spec.source.zookeeper.layouts[1]", "Duplicate"},
		{"mode", func(s *v1alpha1.RegistrySpec) { s.Mode = "active" }, "spec.mode", "Active"},
		{"policy", func(s *v1alpha1.RegistrySpec) { s.DeletionPolicy = "Keep" }, "spec.deletionPolicy", "Retain"},
		{"max", func(s *v1alpha1.RegistrySpec) { s.Services.Max = new(int32(0)) }, "spec.services.max", "1"},
		{"constant host", func(s *v1alpha1.RegistrySpec) { s.Hosts.Template = "a.b" }, "spec.hosts.template", "same host"},
		{"suffix", func(s *v1alpha1.RegistrySpec) { s.Hosts.Suffix = ".dubbo" }, "spec.hosts.suffix", ""},
		{"range with bits", func(s *v1alpha1.RegistrySpec) { s.Endpoints.DenyCIDRs = []string{"10.0.0.1/8"} }, "spec.endpoints.denyCIDRs[0]", "10.0.0.0/8"},
		{"no range", func(s *v1alpha1.RegistrySpec) { s.Endpoints.AllowCIDRs = []string{"10.0.0.1"} }, "spec.endpoints.allowCIDRs[0]", "10.0.0.0/8"},
		{"small VIP range", func(s *v1alpha1.RegistrySpec) { s.Output.VIPCIDR = new("240.0.0.0/24") }, "spec.output.vipCIDR", "/22"},
		{"IPv6 VIP range", func(s *v1alpha1.RegistrySpec) { s.Output.VIPCIDR = new("fd00::/16") }, "spec.output.vipCIDR", "IPv4"},
		{"all and one", func(s *v1alpha1.RegistrySpec) { s.Output.ExportTo = []string{"a", "*"} }, "spec.output.exportTo", "combined"},
		{"data plane", func(s *v1alpha1.RegistrySpec) { s.Dubbo.DataPlanes = []v1alpha1.DataPlane{"MOSN"} }, "spec.dubbo.dataPlanes[0]", "TCP"},
		{"rule twice", func(s *v1alpha1.RegistrySpec) {
			rule.TLSMode = "istio"
			s.Rules = []v1alpha1.Rule{rule, rule}
		}, "spec.rules[1]", "Duplicate"},
		{"rule for nothing", func(s *v1alpha1.RegistrySpec) { s.Rules = []v1alpha1.Rule{{Name: "a", Protocol: "TCP"}} }, "spec.rules[0].match.services", ""},
		{"port", func(s *v1alpha1.RegistrySpec) {
			s.Rules = []v1alpha1.Rule{{Name: "a", Match: rule.Match, ServicePort: new(int32(70000))}}
		}, "spec.rules[0].servicePort", "65535"},
		{"sets nothing", func(s *v1alpha1.RegistrySpec) { s.Rules = []v1alpha1.Rule{{Name: "a", Match: rule.Match}} }, "spec.rules[0]", "sets nothing"},
		{"no grace", func(s *v1alpha1.RegistrySpec) { s.Guards.EmptyGrace.Duration = 0 }, "spec.guards.emptyGrace", "1s"},
		{"negative", func(s *v1alpha1.RegistrySpec) { s.Guards.MaxHold.Duration = -time.Second }, "spec.guards.maxHold", ""},
		{"session", func(s *v1alpha1.RegistrySpec) { s.Source.ZooKeeper.SessionTimeout.Duration = time.Hour }, "spec.source.zookeeper.sessionTimeout", "10m"},
		{"percent", func(s *v1alpha1.RegistrySpec) { s.Guards.MassRemoval.MaxPercent = new(int32(101)) }, "spec.guards.massRemoval.maxPercent", "100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := minimal()
			v1alpha1.Default(r)
			tt.edit(&r.Spec)
			errs := compiled(t).Validate(t.Context(), object(t, r), nil)
			if len(errs) != 1 || errs[0].Field != tt.field || !strings.Contains(errs[0].Error(), tt.hint) {
				t.Errorf("got %v, want one error at %s with %q", errs, tt.field, tt.hint)
			}
		})
	}
}

func TestSchemaRefusesChanges(t *testing.T) {
	live := &v1alpha1.NamingStatus{Version: v1alpha1.NamingVersion}
	tests := []struct {
		name   string
		naming *v1alpha1.NamingStatus
		edit   func(s *v1alpha1.RegistrySpec)
		field  string
	}{
		{"other servers", live, func(s *v1alpha1.RegistrySpec) { s.Source.ZooKeeper.Servers = []string{"zk-2:2181"} }, ""},
		{"another registry", nil, func(s *v1alpha1.RegistrySpec) {
			s.Source = v1alpha1.Source{Consul: &v1alpha1.Consul{Address: "http://c:1"}}
		}, "spec.source"},
		{"template", live, func(s *v1alpha1.RegistrySpec) { s.Hosts.Template = "{service}.x" }, "spec.hosts"},
		{"suffix", live, func(s *v1alpha1.RegistrySpec) { s.Hosts.Suffix = "x" }, "spec.hosts"},
		{"priority", live, func(s *v1alpha1.RegistrySpec) { s.Hosts.Priority = 3 }, ""},
		{"template without live objects", nil, func(s *v1alpha1.RegistrySpec) { s.Hosts.Template = "{service}.x" }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old := minimal()
			old.Status.Naming = tt.naming
			v1alpha1.Default(old)
			edited := old.DeepCopy()
			tt.edit(&edited.Spec)
			before, after := object(t, old), object(t, edited)
			compiled(t).Default(before)
			compiled(t).Default(after)
			errs := compiled(t).Validate(t.Context(), after, before)
			switch {
			case tt.field == "" && len(errs) > 0:
				t.Errorf("refused: %v", errs)
			case tt.field != "" && (len(errs) != 1 || errs[0].Field != tt.field || !strings.Contains(errs[0].Detail, "create another Registry")):
				t.Errorf("got %v, want one error at %s that says what to do", errs, tt.field)
			}
		})
	}
}

// TestSchemaRulesNameEveryRegistry: a member that the rules of the union forget could stand beside another one.
func TestSchemaRulesNameEveryRegistry(t *testing.T) {
	source := property(t, "spec", "source")
	for f := range reflect.TypeFor[v1alpha1.Source]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		for _, rule := range source.XValidations {
			if !strings.Contains(rule.Rule, "has(self."+name+")") {
				t.Errorf("the rule %q does not name %s", rule.Rule, name)
			}
		}
	}
}

// property returns the schema of a field of a Registry.
func property(t *testing.T, path ...string) apiextensionsv1.JSONSchemaProps {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(crdFile))
	if err != nil {
		t.Fatal(err)
	}
	var stored apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &stored); err != nil {
		t.Fatal(err)
	}
	p := *stored.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, name := range path {
		if p.Items != nil {
			p = *p.Items.Schema
		}
		child, ok := p.Properties[name]
		if !ok {
			t.Fatalf("the schema has no %s", strings.Join(path, "."))
		}
		p = child
	}
	return p
}

// TestEveryFieldIsExplained: kubectl explain has something to say about each field.
func TestEveryFieldIsExplained(t *testing.T) {
	var walk func(p apiextensionsv1.JSONSchemaProps, path string)
	walk = func(p apiextensionsv1.JSONSchemaProps, path string) {
		if p.Description == "" {
			t.Errorf("%s has no description", path)
		}
		for name, child := range p.Properties {
			walk(child, path+"."+name)
		}
		if p.Items != nil && p.Items.Schema.Type == "object" {
			walk(*p.Items.Schema, path+"[]")
		}
	}
	walk(property(t, "spec"), "spec")
	walk(property(t, "status"), "status")
}

// TestDurations: what the schema takes for a duration, Go reads. Otherwise a Registry that is stored could not be decoded, and with it
// no list of Registries.
func TestDurations(t *testing.T) {
	schema := property(t, "spec", "guards", "maxHold")
	pattern := regexp.MustCompile(schema.Pattern)
	for text, want := range map[string]bool{
		"0s": true, "3m": true, "1h30m": true, "1.5h": true, "250ms": true, "0.001s": true, "1s1s": true, "999999h999999h9m": true,
		"": false, "0": false, "9": false, "-1s": false, "+1s": false, ".5s": false, "1.s": false, "1us": false, "1µs": false, "1d": false,
		"1s s": false, "1s\n": false, "9999999h": false, "999999h999999h999999h": false,
	} {
		got := int64(len(text)) <= *schema.MaxLength && pattern.MatchString(text)
		if got != want {
			t.Errorf("%q: the schema says %t, want %t", text, got, want)
		}
		if _, err := time.ParseDuration(text); got && err != nil {
			t.Errorf("the schema takes %q, Go does not: %v", text, err)
		}
	}
}
