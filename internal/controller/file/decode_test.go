package file_test

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller/file"
)

var update = flag.Bool("update", false, "write the golden files")

// TestInvalid compares everything that is said of testdata/invalid/*.yaml with *.errors.txt.
func TestInvalid(t *testing.T) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "invalid", "*.yaml"))
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			data, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, p := range file.Decode(filepath.Base(input), data).Problems {
				b.WriteString(p.String() + "\n")
			}
			golden := strings.TrimSuffix(input, ".yaml") + ".errors.txt"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if b.Len() == 0 {
				t.Error("no problem was found")
			}
		})
	}
}

func TestOneBadDocumentLeavesTheOthers(t *testing.T) {
	const good = `apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: NAME, namespace: ns}
spec: {source: {zookeeper: {servers: ["zk:2181"]}}}
`
	text := strings.Join([]string{strings.Replace(good, "NAME", "a", 1), "kind: [\n", strings.Replace(good, "NAME", "c", 1)}, "---\n")
	d := file.Decode("f.yaml", []byte(text))
	var names []string
	for _, e := range d.Registries {
		names = append(names, e.Registry.Name)
	}
	if diff := cmp.Diff([]string{"a", "c"}, names); diff != "" {
		t.Errorf("registries (-want +got):\n%s", diff)
	}
	if len(d.Problems) != 1 || d.Problems[0].Document != 2 || d.Problems[0].Line != 6 {
		t.Errorf("got problems %v, want one in document 2 at line 6", d.Problems)
	}
}

// TestEverythingSet decodes files with every field, and wants each value to arrive. Each kind of registry has a file of its own.
func TestEverythingSet(t *testing.T) {
	spec := decodeValid(t, "everything.yaml").Spec
	spec.Source.Consul = decodeValid(t, "consul.yaml").Spec.Source.Consul
	spec.Source.Eureka = decodeValid(t, "eureka.yaml").Spec.Source.Eureka
	spec.Dubbo.Consumers.Mesh = decodeValid(t, "mesh.yaml").Spec.Dubbo.Consumers.Mesh
	routes := spec.Dubbo.Routes // One condition each.
	routes[0].Method.Prefix, routes[0].Method.Suffix, routes[0].Method.Regex = routes[1].Method.Prefix, routes[2].Method.Suffix, routes[3].Method.Regex
	spec.Dubbo.Routes = routes[:1]
	spec.Source.HTTP = decodeValid(t, "http.yaml").Spec.Source.HTTP
	// What cannot stand beside something else.
	spec.Source.HTTP.BasicSecretRef = &v1alpha1.SecretRef{Name: "a"}
	for i := range spec.Source.HTTP.Headers {
		spec.Source.HTTP.Headers[i].Value, spec.Source.HTTP.Headers[i].SecretRef = "a", &v1alpha1.SecretKeyRef{Name: "a", Key: "b"}
	}
	spec.Source.File = decodeValid(t, "file.yaml").Spec.Source.File
	spec.Source.Nacos = decodeValid(t, "nacos.yaml").Spec.Source.Nacos
	spec.Source.Nacos.AccessKey = decodeValid(t, "nacos-access-key.yaml").Spec.Source.Nacos.AccessKey
	unset(t, reflect.ValueOf(spec), "spec")
}

// decodeValid decodes a file with one Registry, and compares the result with what a plain decoder makes of it.
func decodeValid(t *testing.T, name string) *v1alpha1.Registry {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "valid", name))
	if err != nil {
		t.Fatal(err)
	}
	d := file.Decode(name, data)
	if len(d.Problems) > 0 || len(d.Registries) != 1 {
		t.Fatalf("got %d registries and problems %v", len(d.Registries), d.Problems)
	}
	var want v1alpha1.Registry
	if err := yaml.UnmarshalStrict(data, &want); err != nil {
		t.Fatal(err)
	}
	v1alpha1.Default(&want)
	if diff := cmp.Diff(want, d.Registries[0].Registry); diff != "" {
		t.Errorf("registry (-want +got):\n%s", diff)
	}
	return &want
}

// unset fails for each field that the file does not set, so that new fields are added to it.
func unset(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	if v.IsZero() {
		t.Errorf("%s is not set", path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		unset(t, v.Elem(), path)
	case reflect.Struct:
		for f, fv := range v.Fields() {
			if f.IsExported() {
				unset(t, fv, path+"."+f.Name)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			unset(t, v.Index(i), path+"[]")
		}
	default:
	}
}

func FuzzDecode(f *testing.F) {
	for _, pattern := range []string{"testdata/invalid/*.yaml", "testdata/valid/*.yaml"} {
		inputs, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, input := range inputs {
			data, err := os.ReadFile(input)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, e := range file.Decode("f.yaml", data).Registries {
			if errs := v1alpha1.Validate(&e.Registry); len(errs) > 0 {
				t.Errorf("an invalid Registry came through: %v", errs)
			}
		}
	})
}
