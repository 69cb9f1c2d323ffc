package cluster_test

import (
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// startKube starts an API server at which the bridge may do what its documentation asks for, and nothing else.
func startKube(t *testing.T) *lab.Kube {
	t.Helper()
	kube := lab.StartKube(t)
	text, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, behind, _ := strings.Cut(string(text), "```yaml\n")
	rules, _, _ := strings.Cut(behind, "```")
	role := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(rules), &role.Object); err != nil {
		t.Fatal(err)
	}
	const name = "registry-bridge"
	role.SetName(name)
	binding := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": name},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
		"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bridge"}},
	}}
	for resource, u := range map[string]*unstructured.Unstructured{"clusterroles": role, "clusterrolebindings": binding} {
		u.SetAPIVersion("rbac.authorization.k8s.io/v1")
		u.SetKind(map[string]string{"clusterroles": "ClusterRole", "clusterrolebindings": "ClusterRoleBinding"}[resource])
		client := kube.Client(t).Resource(schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: resource})
		if _, err := client.Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return kube
}
