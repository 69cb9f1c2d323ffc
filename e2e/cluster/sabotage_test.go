package cluster_test

import (
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

// sabotage plays a broken bridge, and wants the oracle to see what it does.
func (a act) sabotage() {
	t, shared := a.t, a.servers
	s := newSilentScene(t, shared, shared.kube.BridgeKubeconfig)
	s.loose = true
	one, two, stranger := usual().Instance(0, 0), usual().Instance(0, 1), usual().Instance(0, 40)
	host := one.Endpoint().Host
	apply := func(manager string, published ...providers.Provider) {
		t.Helper()
		if _, err := s.entries().Apply(t.Context(), host, entry(host, published...), metav1.ApplyOptions{FieldManager: manager}); err != nil {
			t.Fatal(err)
		}
	}
	apply("bridge", one, two)
	apply("bridge", one)                // loses a live endpoint,
	apply("bridge", one, two)           // finds it again,
	apply("bridge", one, two, stranger) // invents one,
	apply("twin", one, two, stranger)   // and writes what nobody can tell from before.
	if err := s.entries().Delete(t.Context(), host, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for s.recorder.Len() < 6 {
		s.pass(10 * time.Millisecond)
	}
	found := map[oracle.Fault][]string{}
	for _, f := range s.findings(nil) {
		found[f.Fault] = append(found[f.Fault], f.Endpoint.Address)
	}
	slices.Sort(found[oracle.Lost])
	want := map[oracle.Fault][]string{
		oracle.Lost:      {one.Address, two.Address}, // one when the object was deleted, the other one before; each once
		oracle.Invented:  {stranger.Address},
		oracle.Unchanged: {""},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// entry is a ServiceEntry that publishes some providers.
func entry(host string, published ...providers.Provider) *unstructured.Unstructured {
	endpoints := []any{}
	for _, p := range published {
		endpoints = append(endpoints, map[string]any{"address": p.Address, "ports": map[string]any{"tcp": int64(p.Port)}})
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": map[string]any{"name": strings.ToLower(host)},
		"spec": map[string]any{
			"hosts": []any{host}, "resolution": "STATIC", "endpoints": endpoints,
			"ports": []any{map[string]any{"name": "tcp", "number": int64(20880), "protocol": "TCP"}},
		},
	}}
}
