package chart_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"
)

// shorten replaces the files that the chart only passes on, so that a golden shows how they are passed on and does not change with them.
func shorten(c *chart.Chart) {
	c.Files = nil
	for name, text := range map[string]string{
		"files/crds/registry-bridge.io_registries.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n" +
			"metadata:\n  name: registries.registry-bridge.io\n  annotations: {generator: v1}\nspec: {group: registry-bridge.io}\n",
		"files/alerts.yaml": "groups:\n- name: some\n  rules:\n" +
			"  - {alert: Some, expr: up == 0, annotations: {summary: \"{{ $labels.pod }} is down\"}}\n",
		"files/dashboard.json": "{\n  \"title\": \"{{registry}}\"\n}\n",
	} {
		c.Files = append(c.Files, &common.File{Name: name, Data: []byte(text)})
	}
}

// TestGolden renders testdata/*.in.yaml into *.out.yaml.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatal("no input", err)
	}
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			r := &release{Name: "registry-bridge", Namespace: "mesh"}
			if err := yaml.UnmarshalStrict(text, r); err != nil {
				t.Fatal(err)
			}
			c := load(t)
			shorten(c)
			files, err := r.render(c)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			for _, name := range slices.Sorted(maps.Keys(files)) {
				if name == "NOTES.txt" {
					fmt.Fprintf(&out, "# NOTES.txt\n#\n# %s\n", strings.ReplaceAll(strings.TrimSpace(files[name]), "\n", "\n# "))
					continue
				}
				for _, document := range documents(files[name]) {
					fmt.Fprintf(&out, "---\n# %s\n%s\n", name, document)
				}
			}
			golden(t, strings.TrimSuffix(input, ".in.yaml")+".out.yaml", bytes.ReplaceAll(out.Bytes(), []byte(" \n"), []byte("\n")))
		})
	}
}

// TestLint is helm lint, with the values of each golden.
func TestLint(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			text, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			var r release
			if err := yaml.UnmarshalStrict(text, &r); err != nil {
				t.Fatal(err)
			}
			for _, message := range lint.RunAll(chartDir, r.Values, "mesh").Messages {
				if message.Severity > support.InfoSev {
					t.Error(message)
				}
			}
		})
	}
}

// TestValues: every bad value is refused, and the message names it.
func TestValues(t *testing.T) {
	for _, test := range []struct{ name, values, want string }{
		{"unknown value", `replicaCount: 3`, "replicaCount"},
		{"unknown value inside", `image: {name: x}`, "name"},
		{"replicas as text", `replicas: "3"`, "/replicas"},
		{"replicas below zero", `replicas: -1`, "/replicas"},
		{"no list of namespaces", `watchNamespaces: shop`, "/watchNamespaces"},
		{"namespace twice", `watchNamespaces: [shop, shop]`, "/watchNamespaces"},
		{"namespace that is none", `watchNamespaces: ["*"]`, "/watchNamespaces/0"},
		{"secrets everywhere", `rbac: {secretNamespaces: ["*"]}`, "/rbac/secretNamespaces/0"},
		{"instance that is no label", `instance: "a b"`, "/instance"},
		{"instance too long", `instance: ` + strings.Repeat("a", 64), "/instance"},
		{"digest", `image: {digest: "sha256:abc"}`, "/image/digest"},
		{"tag", `image: {tag: "v1 "}`, "/image/tag"},
		{"pull policy", `image: {pullPolicy: Sometimes}`, "/image/pullPolicy"},
		{"pull secret by name only", `image: {pullSecrets: [regcred]}`, "/image/pullSecrets/0"},
		{"log level", `log: {level: verbose}`, "/log/level"},
		{"duration without a unit", `leaderElection: {leaseDuration: "15"}`, "/leaderElection/leaseDuration"},
		{"duration as a number", `uninstall: {timeout: 60}`, "/uninstall/timeout"},
		{"no time to stop", `terminationGracePeriodSeconds: 1`, "/terminationGracePeriodSeconds"},
		{"budget that lets none go", `podDisruptionBudget: {maxUnavailable: 0}`, "/podDisruptionBudget/maxUnavailable"},
		{"argument that is no flag", `extraArgs: [plan]`, "/extraArgs/0"},
		{"port", `service: {port: 70000}`, "/service/port"},
		{"label that is no text", `podLabels: {a: 1}`, "/podLabels/a"},
		{"Registry without a name", `registries: [{spec: {source: {consul: {}}}}]`, "/registries/0"},
		{"Registry without a source", `registries: [{name: a, spec: {}}]`, "/registries/0/spec"},
		{"Registry with two sources", `registries: [{name: a, spec: {source: {consul: {}, zookeeper: {}}}}]`, "/registries/0/spec/source"},
		{"long default of instance", `fullnameOverride: ` + strings.Repeat("a", 50), "longer than 63 characters"},
		{"no service account", `serviceAccount: {create: false}`, "serviceAccount.name is needed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &release{Name: "registry-bridge", Namespace: strings.Repeat("n", 20)}
			if err := yaml.UnmarshalStrict([]byte(test.values), &r.Values); err != nil {
				t.Fatal(err)
			}
			if _, err := r.render(load(t)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want one with %q", err, test.want)
			}
		})
	}
}

// TestDefinition: the definition that is rendered is the generated one, with annotations and labels.
func TestDefinition(t *testing.T) {
	text, err := os.ReadFile(chartDir + "/files/crds/registry-bridge.io_registries.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := yaml.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for _, keep := range []bool{true, false} {
		r := &release{Name: "a", Namespace: "mesh", Values: map[string]any{"crds": map[string]any{"keep": keep}}}
		installed, _ := r.objects(t)
		at := slices.IndexFunc(installed, func(u *unstructured.Unstructured) bool { return u.GetKind() == "CustomResourceDefinition" })
		if at < 0 {
			t.Fatal("there is no definition")
		}
		if diff := cmp.Diff(want["spec"], installed[at].Object["spec"]); diff != "" {
			t.Errorf("the definition changes on its way (-file +rendered):\n%s", diff)
		}
		if policy := installed[at].GetAnnotations()["helm.sh/resource-policy"]; (policy == "keep") != keep {
			t.Errorf("crds.keep %t: the policy is %q", keep, policy)
		}
	}
}

// TestRegistriesOutliveVersions: Registries of the values are the same in the next version, so an upgrade does not write them.
func TestRegistriesOutliveVersions(t *testing.T) {
	registries := func(version string) []*unstructured.Unstructured {
		r := &release{Name: "a", Namespace: "mesh", version: version, Values: map[string]any{"registries": []any{map[string]any{
			"name": "consul", "spec": map[string]any{"source": map[string]any{"consul": map[string]any{"address": "http://consul:8500"}}},
		}}}}
		installed, _ := r.objects(t)
		return slices.DeleteFunc(installed, func(u *unstructured.Unstructured) bool { return u.GetKind() != "Registry" })
	}
	this, next := registries(""), registries("99.0.0")
	if len(this) != 1 {
		t.Fatalf("%d Registries are rendered, want 1", len(this))
	}
	if diff := cmp.Diff(this, next); diff != "" {
		t.Errorf("another version renders another Registry (-this +next):\n%s", diff)
	}
}

// deployments is a cluster with these Deployments in it.
type deployments struct{ client dynamic.Interface }

// GetClientFor implements engine.ClientProvider.
func (d deployments) GetClientFor(string, string) (dynamic.NamespaceableResourceInterface, bool, error) {
	return d.client.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}), true, nil
}

// TestInstanceIsUnique: releases with one instance id have a cluster-wide object in common, which Helm refuses, and others have none.
func TestInstanceIsUnique(t *testing.T) {
	wide := func(r release) map[string]bool {
		installed, _ := r.objects(t)
		names := map[string]bool{}
		for _, u := range installed {
			if u.GetNamespace() == "" && u.GetKind() != "CustomResourceDefinition" {
				names[u.GetKind()+" "+u.GetName()] = true
			}
		}
		return names
	}
	first := wide(release{Name: "registry-bridge", Namespace: "mesh"})
	for _, test := range []struct {
		name   string
		second release
		shared int
	}{
		{"default", release{Name: "registry-bridge", Namespace: "other"}, 0},
		{"the same id", release{Name: "second", Namespace: "other", Values: map[string]any{"instance": "mesh.registry-bridge"}}, 2},
		{"the same id, some namespaces", release{Name: "second", Namespace: "other", Values: map[string]any{
			"instance": "mesh.registry-bridge", "watchNamespaces": []any{"shop"},
		}}, 2},
		{"another id", release{Name: "second", Namespace: "other", Values: map[string]any{"instance": "second"}}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			shared := wide(test.second)
			maps.DeleteFunc(shared, func(name string, _ bool) bool { return !first[name] })
			if len(shared) != test.shared {
				t.Errorf("the second release shares %v with the first, want %d", shared, test.shared)
			}
		})
	}
}

// TestInstance: the instance id stays over an upgrade, whatever else changes.
func TestInstance(t *testing.T) {
	before := release{Name: "registry-bridge", Namespace: "mesh"}
	installed, _ := before.objects(t)
	var live []runtime.Object
	for _, u := range installed {
		if u.GetKind() == "Deployment" {
			live = append(live, u)
		}
	}
	kinds := map[schema.GroupVersionResource]string{{Group: "apps", Version: "v1", Resource: "deployments"}: "DeploymentList"}
	cluster := deployments{fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, live...)}
	for _, test := range []struct {
		name    string
		release release
		refused bool
	}{
		{"nothing changes", release{Name: "registry-bridge"}, false},
		{"the name changes", release{Name: "registry-bridge", Values: map[string]any{"fullnameOverride": "other"}}, true},
		{"the name changes, the id does not", release{Name: "registry-bridge", Values: map[string]any{"fullnameOverride": "other", "instance": "mesh.registry-bridge"}}, false},
		{"the id changes", release{Name: "registry-bridge", Values: map[string]any{"instance": "other"}}, true},
		{"another release", release{Name: "second", Values: map[string]any{"instance": "other"}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := test.release
			r.Namespace, r.upgrade, r.clients = "mesh", true, cluster
			_, err := r.render(load(t))
			if (err != nil) != test.refused {
				t.Fatalf("the error is %v, want one: %t", err, test.refused)
			}
			if err != nil && !strings.Contains(err.Error(), `set instance to "mesh.registry-bridge"`) {
				t.Errorf("the error does not say what to do: %v", err)
			}
		})
	}
}
