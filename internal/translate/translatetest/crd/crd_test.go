package crd

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

var update = flag.Bool("update", false, "take the CustomResourceDefinition from the module that go.mod names")

// TestCRDIsThatOfTheModule keeps the embedded copy equal to what the version of istio.io/api in go.mod ships.
func TestCRDIsThatOfTheModule(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "istio.io/api").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	all, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "kubernetes", "customresourcedefinitions.gen.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for plural, file := range map[string]string{
		"serviceentries": "serviceentry.crd.yaml", "workloadentries": "workloadentry.crd.yaml", "destinationrules": "destinationrule.crd.yaml",
		"envoyfilters": "envoyfilter.crd.yaml",
	} {
		var want []byte
		for document := range bytes.SplitSeq(all, []byte("\n---\n")) {
			if bytes.Contains(document, []byte("\n  name: "+plural+".networking.istio.io\n")) {
				want = append(bytes.TrimSpace(document), '\n')
			}
		}
		if len(want) == 0 {
			t.Fatalf("the module has no %s", plural)
		}
		if *update {
			if err := os.WriteFile(file, want, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the module; run the test with -update", file)
		}
	}
}

func TestBrokenCRD(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"not YAML", "a: ["},
		{"unknown field", "{speck: {}}"},
		{"nothing stored", "{spec: {versions: [{name: v1, storage: false}]}}"},
		{"not structural", `{spec: {versions: [{name: v1, storage: true, schema: {openAPIV3Schema: {type: object, $ref: "#/a"}}}]}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Compile([]byte(c.text)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// TestGoldens: the API server accepts each object in the golden files of package translate, also with WorkloadEntries.
func TestGoldens(t *testing.T) {
	definitions := map[translate.Kind]*Definition{}
	for kind, compile := range map[translate.Kind]func() (*Definition, error){
		translate.KindServiceEntry: New, translate.KindWorkloadEntry: NewWorkload, translate.KindDestinationRule: NewRule, translate.KindEnvoyFilter: NewFilter,
	} {
		var err error
		if definitions[kind], err = compile(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob("../../testdata/*.out.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	checked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var golden struct {
			Objects []map[string]any `json:"objects"`
		}
		if err := yaml.Unmarshal(text, &golden); err != nil {
			t.Fatal(err)
		}
		for _, m := range golden.Objects {
			o, err := manifest.Parse(m)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if o.ServiceEntry != nil && o.ServiceEntry.Mode == translate.Inline {
				checkSplit(t, definitions, o)
			}
			if err := definitions[o.Key.Kind].Check(t.Context(), object(t, o)); err != nil {
				t.Errorf("%s: %s: %v", file, o.Key, err)
			}
			checked++
		}
	}
	if checked < len(files) {
		t.Errorf("only %d objects in %d golden files", checked, len(files))
	}
}

// checkSplit checks the pieces of an object as if it were in mode WorkloadEntries.
func checkSplit(t *testing.T, definitions map[translate.Kind]*Definition, o *translate.Object) {
	t.Helper()
	split, spec := *o, *o.ServiceEntry
	spec.Mode, spec.Selector = translate.WorkloadEntries, translate.HostLabel(spec.Host)
	split.ServiceEntry = &spec
	for _, piece := range pieces.Split(&split) {
		if err := definitions[piece.Key.Kind].Check(t.Context(), object(t, piece)); err != nil {
			t.Errorf("%s: %v", piece.Key, err)
		}
	}
}

func object(t *testing.T, o *translate.Object) map[string]any {
	t.Helper()
	m, err := manifest.Map(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func valid() *translate.Object {
	return &translate.Object{
		Key: translate.Key{Kind: translate.KindServiceEntry, Namespace: "dubbo", Name: "com.acme.greeter"},
		ServiceEntry: &translate.ServiceEntry{
			Host: "com.acme.greeter", Addresses: []string{"240.239.0.9"}, Location: "MESH_INTERNAL", Resolution: "STATIC", ExportTo: []string{"."},
			Ports: []translate.ServicePort{{Name: "tcp-dubbo-20880", Number: 20880, Protocol: translate.TCP}},
		},
	}
}

func endpoints(n int) []translate.Endpoint {
	all := make([]translate.Endpoint, n)
	for i := range all {
		all[i] = translate.Endpoint{
			Address: fmt.Sprintf("10.0.%d.%d", i/250, i%250),
			Ports:   []translate.EndpointPort{{Name: "tcp-dubbo-20880", Number: 20880}},
			Labels:  []translate.Label{{Key: translate.LabelSource, Value: "zk.0a1b2c3d"}, {Key: "version", Value: "1.0.0"}},
		}
	}
	return all
}

// TestEachRuleRejects breaks a valid object in one way at a time.
func TestEachRuleRejects(t *testing.T) {
	definition, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		valid  bool
		change func(s *translate.ServiceEntry)
	}{
		{"nothing", true, func(*translate.ServiceEntry) {}},
		{"4096 endpoints", true, func(s *translate.ServiceEntry) { s.Endpoints = endpoints(4096) }},
		{"4097 endpoints", false, func(s *translate.ServiceEntry) { s.Endpoints = endpoints(4097) }},
		{"any host", false, func(s *translate.ServiceEntry) { s.Host = "*" }},
		{"unknown location", false, func(s *translate.ServiceEntry) { s.Location = "MARS" }},
		{"unknown resolution", false, func(s *translate.ServiceEntry) { s.Resolution = "MAGIC" }},
		{"long address", false, func(s *translate.ServiceEntry) { s.Addresses[0] = strings.Repeat("1", 65) }},
		{"port number 0", false, func(s *translate.ServiceEntry) { s.Ports[0].Number = 0 }},
		{"port number 65536", false, func(s *translate.ServiceEntry) { s.Ports[0].Number = 65536 }},
		{"port name twice", false, func(s *translate.ServiceEntry) {
			s.Ports = append(s.Ports, translate.ServicePort{Name: "tcp-dubbo-20880", Number: 20881, Protocol: translate.TCP})
		}},
		{"port number twice", false, func(s *translate.ServiceEntry) {
			s.Ports = append(s.Ports, translate.ServicePort{Name: "tcp-1", Number: 20880, Protocol: translate.TCP})
		}},
		{"resolution NONE with endpoints", false, func(s *translate.ServiceEntry) { s.Resolution, s.Endpoints = "NONE", endpoints(1) }},
		{"a range as address with resolution DNS", false, func(s *translate.ServiceEntry) {
			s.Addresses[0], s.Resolution = "10.0.0.0/8", "DNS"
		}},
		{"endpoint port 70000", false, func(s *translate.ServiceEntry) {
			s.Endpoints = endpoints(1)
			s.Endpoints[0].Ports[0].Number = 70000
		}},
		{"endpoint without address", false, func(s *translate.ServiceEntry) {
			s.Endpoints = endpoints(1)
			s.Endpoints[0].Address = ""
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := valid()
			c.change(o.ServiceEntry)
			if err := definition.Check(t.Context(), object(t, o)); (err == nil) != c.valid {
				t.Errorf("error %v, valid %v expected", err, c.valid)
			}
		})
	}
}
