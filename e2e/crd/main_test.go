// Package crd_test installs the CustomResourceDefinition of Registry in a real API server, and uses it as people do: with kubectl.
package crd_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// settleLimit is how long anything may take that takes milliseconds on an idle machine.
const settleLimit = 30 * time.Second

// namespace is where the Registries of these tests live.
const namespace = "registries"

const (
	crdFile  = "../../deploy/helm/registry-bridge/files/crds/registry-bridge.io_registries.yaml"
	examples = "../../examples/*.yaml"
	// everything are files that set every field, one for each kind of registry.
	everything = "../../internal/controller/file/testdata/valid/*.yaml"
)

// scene is one test with an API server that knows Registries.
type scene struct {
	*testing.T
	kube    *lab.Kube
	kubectl *lab.Kubectl
	client  dynamic.ResourceInterface
}

// TestCRD shares one API server among all tests of this package.
func TestCRD(t *testing.T) {
	k := lab.StartKube(t)
	c := k.Kubectl(t)
	c.DefineRegistries(t)
	c.Run(t, "create", "namespace", namespace)
	client := k.Client(t).Resource(v1alpha1.GroupVersion().WithResource("registries")).Namespace(namespace)
	for _, test := range []struct {
		name string
		run  func(*scene)
	}{
		{"Definition", (*scene).definition},
		{"Accepted", (*scene).accepted},
		{"Refused", (*scene).refused},
		{"ChangesRefused", (*scene).changesRefused},
		{"Explain", (*scene).explain},
		{"Columns", (*scene).columns},
		{"Wait", (*scene).wait},
		{"StatusApply", (*scene).statusApply},
		{"TypedList", (*scene).typedList},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(&scene{T: t, kube: k, kubectl: c, client: client}) })
	}
}

// readFile reads a file of the repository.
func (s *scene) readFile(name string) []byte {
	s.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		s.Fatal(err)
	}
	return text
}

// manifest is a Registry with a spec in YAML.
func manifest(name, spec string) string {
	return "apiVersion: registry-bridge.io/v1alpha1\nkind: Registry\nmetadata: {name: " + name + ", namespace: " + namespace + "}\nspec: " + spec + "\n"
}

// smallest is a spec that sets as little as possible.
const smallest = `{source: {zookeeper: {servers: ["zk:2181"]}}}`

// create makes a Registry with the smallest spec, and removes it with the test.
func (s *scene) create(name string) {
	s.Helper()
	s.kubectl.Feed(s, manifest(name, smallest), "apply", "-f", "-")
	s.Cleanup(func() {
		if err := s.client.Delete(context.WithoutCancel(s.Context()), name, metav1.DeleteOptions{}); err != nil {
			s.Error(err)
		}
	})
}

// get reads a Registry.
func (s *scene) get(name string) *v1alpha1.Registry {
	s.Helper()
	u, err := s.client.Get(s.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return s.decode(u.Object)
}

func (s *scene) decode(object map[string]any) *v1alpha1.Registry {
	s.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		s.Fatal(err)
	}
	r := &v1alpha1.Registry{}
	if err := yaml.UnmarshalStrict(data, r); err != nil {
		s.Fatal(err)
	}
	return r
}

// applyStatus writes a status by server-side apply, as the bridge does, and returns the version of the object.
func (s *scene) applyStatus(name, manager string, status *v1alpha1.RegistryStatus) (version string, err error) {
	s.Helper()
	return s.applyFields(name, manager, s.plain(status))
}

// plain is a status as a client sends it.
func (s *scene) plain(status *v1alpha1.RegistryStatus) map[string]any {
	s.Helper()
	data, err := json.Marshal(status)
	if err != nil {
		s.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		s.Fatal(err)
	}
	return fields
}

// applyFields applies some fields of a status.
func (s *scene) applyFields(name, manager string, fields map[string]any) (version string, err error) {
	s.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{"status": fields}}
	u.SetAPIVersion(v1alpha1.APIVersion)
	u.SetKind(v1alpha1.KindRegistry)
	u.SetName(name)
	u, err = s.client.Apply(s.Context(), name, u, metav1.ApplyOptions{FieldManager: manager, Force: true}, "status")
	if err != nil {
		return "", err
	}
	return u.GetResourceVersion(), nil
}

// ready is a status with one condition.
func ready(status metav1.ConditionStatus, generation int64) *v1alpha1.RegistryStatus {
	return &v1alpha1.RegistryStatus{
		ObservedGeneration: generation, SourceType: v1alpha1.SourceTypeZooKeeper,
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: status, Reason: "InUse", ObservedGeneration: generation,
			LastTransitionTime: metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		}},
		Summary: v1alpha1.Summary{Services: 12, Instances: 345, Published: 340, Held: 6},
	}
}
