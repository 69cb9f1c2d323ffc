package zookeeper

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// nodes is a ZooKeeper in memory, as a lookup.
type nodes struct {
	data  map[string]string
	parse func(path string, data []byte) any
}

// readNodes reads lines of a path and, behind a space, its data.
func readNodes(t *testing.T, file string) nodes {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n := nodes{data: map[string]string{}}
	for line := range strings.Lines(string(text)) {
		path, data, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n.data[path] = data
		for at := strings.LastIndexByte(path, '/'); at > 0; at = strings.LastIndexByte(path, '/') {
			path = path[:at]
			if _, known := n.data[path]; !known {
				n.data[path] = ""
			}
		}
	}
	return n
}

func (n nodes) List(path string) []string {
	var names []string
	for p := range n.data {
		if name, below := strings.CutPrefix(p, path+"/"); below && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (n nodes) Data(path string) any {
	data, ok := n.data[path]
	if !ok {
		return nil
	}
	return n.parse(path, []byte(data))
}

// evaluateAll evaluates every application with both layouts.
func evaluateAll(n nodes) map[string]map[string]any {
	out := map[string]map[string]any{}
	note := func(layout, app string, services map[string][]*model.Service, err error) {
		switch {
		case err != nil:
			out[layout][app] = err.Error()
		case len(services) > 0:
			out[layout][app] = services
		}
	}
	out["DubboApplication"], out["SpringCloud"] = map[string]any{}, map[string]any{}
	dubbo, _ := newApplications(Config{Root: DefaultServices, MetadataRoot: DefaultRoot}, nil, nil).(*apps)
	a, _ := dubbo.flavour.(*applications)
	n.parse = a.parse
	a.takeOver(n.List(a.mappingRoot()))
	for iface, m := range a.mappings {
		apps, _ := n.Data(a.mappingRoot() + "/" + iface).([]string)
		a.remap(m, apps)
	}
	spring := springCloud{root: DefaultServices}
	for _, app := range n.List(DefaultServices) {
		n.parse = a.parse
		services, err := a.evaluate(n, app)
		note("DubboApplication", app, services, err)
		n.parse = spring.parse
		services, err = spring.evaluate(n, app)
		note("SpringCloud", app, services, err)
	}
	return out
}

// TestApplications shows what becomes of nodes; local, remote and stopped are what Dubbo 3.3.6 wrote.
func TestApplications(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/applications/*.in.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			got, err := json.MarshalIndent(evaluateAll(readNodes(t, file)), "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".in.txt") + ".out.json"
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if strings.Contains(string(got), "s3cret") {
				t.Error("a secret became metadata")
			}
		})
	}
}

// FuzzApplications: whatever nodes hold, each layout evaluates them, the same way twice, and an instance has ports or a Problem.
func FuzzApplications(f *testing.F) {
	f.Add("10.0.0.1:20880", `{"address":"10.0.0.1","port":20880,"payload":{"metadata":{"dubbo.endpoints":"[{\"port\":1,\"protocol\":\"dubbo\"}]","dubbo.metadata.revision":"r"}}}`,
		`{"services":{"a":{"name":"a.B","protocol":"dubbo","port":1}}}`, "app", `{"parameters":{"group":"g"}}`)
	f.Add("id", `{"address":"h","sslPort":8443,"payload":{"@class":"x","metadata":{"instance_status":"UP"}}}`, "[", ",", "null")
	f.Add("id", "", "", "", "")
	f.Fuzz(func(t *testing.T, node, instance, revision, mapping, definition string) {
		if node == "" || strings.ContainsAny(node, "/ \n") {
			t.Skip("no name of a node")
		}
		n := nodes{data: map[string]string{
			"/services/app/" + node: instance, "/dubbo/metadata/app/r": revision, "/dubbo/mapping/a.B": mapping,
			"/dubbo/metadata/a.B/1/provider/app": definition, "/dubbo/metadata/a.B/1/provider": "", "/dubbo/metadata/a.B/1": "",
			"/dubbo/metadata/a.B": "",
			"/services/app":       "",
		}}
		first := evaluateAll(n)
		if diff := cmp.Diff(first, evaluateAll(n)); diff != "" {
			t.Errorf("two evaluations differ\n%s", diff)
		}
		for _, apps := range first {
			for _, result := range apps {
				units, _ := result.(map[string][]*model.Service)
				for list := range maps.Values(units) {
					checkServices(t, list)
				}
			}
		}
	})
}

func checkServices(t *testing.T, list []*model.Service) {
	t.Helper()
	for _, svc := range list {
		if svc.Ref.Name == "" || svc.Ref.Unit == "" {
			t.Errorf("a service without a name: %+v", svc.Ref)
		}
		for _, inst := range svc.Instances {
			if inst.ID == "" || inst.Problem == "" && len(inst.Ports) == 0 {
				t.Errorf("an instance without ID or ports: %+v", inst)
			}
		}
	}
}

// TestMalformedRevision: what cannot be understood says nothing about what is offered.
func TestMalformedRevision(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "[", "null", "[]", `{"services":{"a":null}}`, `{"services":{"a":{"name":""}}}`, `{"services":{"a":{"name":"a/b"}}}`, `{"services":{"a":{"name":"a","port":"x"}}}`} {
		n := nodes{data: map[string]string{
			"/services/app":           "",
			"/services/app/1.1.1.1:1": `{"address":"1.1.1.1","port":1,"payload":{"metadata":{"dubbo.metadata.revision":"r"}}}`,
			"/dubbo/metadata/app/r":   text,
		}}
		got, _ := evaluateAll(n)["DubboApplication"]["app"].(string)
		if !strings.Contains(got, source.ErrMalformed.Error()) {
			t.Errorf("%q: %q", text, got)
		}
	}
}
