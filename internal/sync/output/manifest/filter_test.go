package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func target(host, subset string, weight uint32) translate.DubboTarget {
	return translate.DubboTarget{Host: host, Port: 20880, Subset: subset, Weight: weight}
}

// table is a whole table with everything that a table can say.
func table() *translate.Object {
	plain := []translate.DubboMatch{{To: []translate.DubboTarget{target("com.acme.greeter", "", 0)}}}
	return &translate.Object{
		Key:    translate.TableKey("shop", 20880),
		Labels: map[string]string{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: "a"},
		EnvoyFilter: &translate.EnvoyFilter{Port: 20880, Routes: []translate.DubboRoute{
			{Interface: "com.acme.Greeter", Group: "blue", Version: "1.0.0", Matches: plain},
			{Interface: "com.acme.Greeter", Matches: []translate.DubboMatch{
				{Tag: "gray", To: []translate.DubboTarget{target("com.acme.greeter", "tag-gray", 0)}},
				{Method: translate.MethodMatch{Exact: "greet"}, To: []translate.DubboTarget{target("com.acme.greeter", "", 90), target("v-2.com.acme.greeter", "", 10)}},
				{Method: translate.MethodMatch{Prefix: "get"}, To: []translate.DubboTarget{target("a.b", "", 0)}},
				{Method: translate.MethodMatch{Suffix: "Async"}, To: []translate.DubboTarget{target("a.b", "", 0)}},
				{Method: translate.MethodMatch{Regex: "find|list"}, Tag: "red", To: []translate.DubboTarget{target("a.b", "", 0)}},
				{To: []translate.DubboTarget{target("com.acme.greeter", "untagged", 0)}},
			}},
		}},
	}
}

func part(p translate.TablePart, mesh bool) *translate.Object {
	o := table()
	o.EnvoyFilter.Part, o.EnvoyFilter.Mesh = p, mesh
	if p == translate.TableBase || p == translate.TableRest {
		o.EnvoyFilter.Routes = nil
	}
	return o
}

func rule() *translate.Object {
	return &translate.Object{
		Key:    translate.Key{Kind: translate.KindDestinationRule, Namespace: "dubbo", Name: "com.acme.greeter"},
		Labels: map[string]string{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: "a", "team": "x"},
		Annotations: map[string]string{
			translate.AnnotationService: "com.acme.Greeter", translate.AnnotationRegistry: "zk",
		},
		DestinationRule: &translate.DestinationRule{Host: "com.acme.greeter", Subsets: []translate.Subset{
			{Name: "tag-gray", Labels: []translate.Label{{Key: translate.LabelDubboTag, Value: "tag-gray"}}},
			{Name: "untagged", Labels: []translate.Label{{Key: translate.LabelDubboTag, Value: "untagged"}}},
		}},
	}
}

func TestTablesAndRules(t *testing.T) {
	for name, o := range map[string]*translate.Object{
		"filter": table(), "filter-mesh": part(translate.WholeTable, true), "filter-base": part(translate.TableBase, true),
		"filter-routes": part(translate.TableRoutes, false), "filter-rest": part(translate.TableRest, false), "rule": rule(),
	} {
		t.Run(name, func(t *testing.T) {
			roundTrip(t, name, o)
			m, err := Map(o)
			if err != nil {
				t.Fatal(err)
			}
			overlaid, err := Overlay(m, o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(m, overlaid); diff != "" {
				t.Errorf("overlaid: -want +got:\n%s", diff)
			}
			if back, err := Parse(m); err != nil || cmp.Diff(o, back) != "" {
				t.Errorf("read back from a map: %v\n%s", err, cmp.Diff(o, back))
			}
		})
	}
}

// TestTablesThatEnvoyRefuses never leave.
func TestTablesThatEnvoyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		want   string
		change func(m *translate.DubboMatch)
	}{
		"no target":   {"value length must be at least 1", func(m *translate.DubboMatch) { m.To = []translate.DubboTarget{} }},
		"not a text":  {"invalid UTF-8", func(m *translate.DubboMatch) { m.Tag = "\xff" }},
		"line breaks": {"", func(m *translate.DubboMatch) { m.Tag = "a\nb" }},
	} {
		t.Run(name, func(t *testing.T) {
			o := table()
			c.change(&o.EnvoyFilter.Routes[0].Matches[0])
			_, err := Map(o)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), "dubbo_proxy")) {
				t.Errorf("error %v", err)
			}
			if _, yamlErr := YAML(o); (err == nil) != (yamlErr == nil) {
				t.Errorf("as YAML: %v", yamlErr)
			}
		})
	}
}

// TestTablesThatAreNotOurs differ from every table that should exist, whatever was done to them.
func TestTablesThatAreNotOurs(t *testing.T) {
	text, err := YAML(table())
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(spec map[string]any){
		"a selector": func(spec map[string]any) {
			spec["workloadSelector"] = map[string]any{"labels": map[string]any{"a": "b"}}
		},
		"no patches": func(spec map[string]any) { delete(spec, "configPatches") },
		"two patches": func(spec map[string]any) {
			if list, ok := spec["configPatches"].([]any); ok {
				spec["configPatches"] = append(list, list[0])
			}
		},
		"another priority": func(spec map[string]any) { spec["priority"] = 7 },
		"wrong types":      func(spec map[string]any) { spec["configPatches"] = "none" },
		"empty":            func(spec map[string]any) { clear(spec) },
	} {
		t.Run(name, func(t *testing.T) {
			var m map[string]any
			if err := yaml.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			edit(child(m, "spec"))
			o, err := Parse(m)
			if err != nil {
				t.Fatal(err)
			}
			if o.EnvoyFilter.Unknown == "" || o.EnvoyFilter.Same(table().EnvoyFilter) || o.Key != table().Key || o.Labels[translate.LabelInstance] != "a" {
				t.Errorf("read as %+v", o)
			}
			repaired, err := Overlay(m, table())
			if err != nil {
				t.Fatal(err)
			}
			if back, err := Parse(repaired); err != nil || !back.EnvoyFilter.Same(table().EnvoyFilter) {
				t.Errorf("not repaired: %v, %+v", err, back)
			}
		})
	}
}
