package dataplane_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// golden is an object that the program says it would write.
type golden struct {
	file   string
	object *unstructured.Unstructured
}

// readGoldens returns all objects in the golden files of the translation and of the manifests.
func (s *scene) readGoldens() []golden {
	s.Helper()
	var all []golden
	internal := filepath.Join("..", "..", "internal")
	for _, pattern := range []string{
		filepath.Join(internal, "translate", "testdata", "*.out.yaml"),
		filepath.Join(internal, "sync", "output", "manifest", "testdata", "*.yaml"),
	} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			s.Fatalf("no files %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				s.Fatal(err)
			}
			var content struct {
				Objects []map[string]any `json:"objects"`
			}
			if err := yaml.Unmarshal(text, &content); err != nil {
				s.Fatalf("%s: %v", file, err)
			}
			if !strings.HasSuffix(file, ".out.yaml") {
				// The file is the object.
				var object map[string]any
				if err := yaml.Unmarshal(text, &object); err != nil {
					s.Fatalf("%s: %v", file, err)
				}
				content.Objects = append(content.Objects, object)
			}
			for _, object := range content.Objects {
				all = append(all, golden{filepath.Base(file), &unstructured.Unstructured{Object: object}})
			}
		}
	}
	return all
}

// workloadEntries returns what is stored of a golden when each of its endpoints is a WorkloadEntry.
func (s *scene) workloadEntries(g golden) []golden {
	s.Helper()
	object, err := manifest.Parse(g.object.DeepCopy().Object)
	if err != nil {
		s.Fatalf("%s: %v", g.file, err)
	}
	if object.ServiceEntry == nil {
		return nil // It has none, or is one.
	}
	object.ServiceEntry.Mode = translate.WorkloadEntries
	var all []golden
	for _, piece := range pieces.Split(object) {
		stored, err := manifest.Map(piece)
		if err != nil {
			s.Fatalf("%s: %v", g.file, err)
		}
		all = append(all, golden{g.file, &unstructured.Unstructured{Object: stored}})
	}
	return all
}

// goldens offers every object of all goldens to the API server, as it is and as WorkloadEntries. The API server asks its own schema and
// rules, and istiod's webhook. Nothing is written.
func (s *scene) goldens() {
	inline := s.readGoldens()
	all := slices.Clone(inline)
	for _, g := range inline {
		all = append(all, s.workloadEntries(g)...)
	}
	s.settle() // The webhook is asked about what the bridge writes, too.
	before := sum(s.counters("galley_validation_passed"))
	for _, g := range all {
		if err := s.offer(g.object); err != nil {
			s.Errorf("%s: %v", g.file, err)
		}
	}
	if asked := sum(s.counters("galley_validation_passed")) - before; int(asked) != len(all) {
		s.Errorf("the webhook has allowed %v of %d objects", asked, len(all))
	}
	s.Logf("%d objects, %d as WorkloadEntries", len(inline), len(all)-len(inline))

	for name, spoil := range map[string]func(port map[string]any){
		`admission webhook "validation.istio.io" denied the request`: func(port map[string]any) { port["protocol"] = "dubbo" },
		"spec.ports[0].number": func(port map[string]any) { port["number"] = int64(70000) },
	} {
		first := slices.IndexFunc(inline, func(g golden) bool { return g.object.GetKind() == string(translate.KindServiceEntry) })
		object := inline[first].object.DeepCopy()
		ports, _, err := unstructured.NestedSlice(object.Object, "spec", "ports")
		if err != nil {
			s.Fatal(err)
		}
		spoil(ports[0].(map[string]any)) //nolint:errcheck // It is one.
		if err := unstructured.SetNestedSlice(object.Object, ports, "spec", "ports"); err != nil {
			s.Fatal(err)
		}
		if err := s.offer(object); err == nil || !strings.Contains(err.Error(), name) {
			s.Errorf("a spoiled object: %v, want %s", err, name)
		}
	}
}

// offer has an object judged.
func (s *scene) offer(object *unstructured.Unstructured) error {
	s.kube.MakeNamespace(s, object.GetNamespace())
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	_, err := s.kube.Client(s).Resource(resource).Namespace(object.GetNamespace()).Create(s.Context(), object, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
	if err != nil {
		return fmt.Errorf("%s %s/%s: %w", object.GetKind(), object.GetNamespace(), object.GetName(), err)
	}
	return nil
}

func sum(values map[string]float64) float64 {
	var total float64
	for _, v := range values {
		total += v
	}
	return total
}
