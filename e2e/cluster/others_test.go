package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
)

// conflicts lets somebody else write to the same objects all the time, so that many writes meet another version than the plan saw.
func (a act) conflicts() {
	t, shared := a.t, a.servers
	s := newScene(t, shared, shared.kube.BridgeKubeconfig)
	s.loose = true
	s.start()
	const length = 10 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var editing errgroup.Group
	for range 4 {
		editing.Go(func() error { return s.annotate(ctx) })
	}
	// Removals have to show soon all the same.
	if err := s.churn.Run(ctx, churnInterval, removalLimit); err != nil {
		t.Fatal(err)
	}
	if err := editing.Wait(); err != nil {
		t.Fatal(err)
	}
	s.settle(removalLimit)
	s.works()
	conflicts, writes := 0, shared.kube.Writes(t, s.namespace, "bridge")
	for _, w := range writes {
		if w.Code == 409 {
			conflicts++
		}
	}
	t.Logf("%d of %d writes met a conflict", conflicts, len(writes))
	if conflicts == 0 {
		t.Error("nothing has met a conflict, so this test shows nothing")
	}
	list, err := s.entries().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if list.Items[i].GetAnnotations()["note"] == "" {
			t.Errorf("%s has lost an annotation of somebody else", list.Items[i].GetName())
		}
	}
}

// annotate writes an annotation to one object after the other, as fast as it can, until ctx ends.
func (s *scene) annotate(ctx context.Context) error {
	for ctx.Err() == nil {
		host := usual().Instance(rand.N(usual().Interfaces), 0).Endpoint().Host
		note := fmt.Appendf(nil, `{"metadata": {"annotations": {"note": "%d"}}}`, rand.N(1<<30))
		_, err := s.entries().Patch(ctx, host, types.MergePatchType, note, metav1.PatchOptions{FieldManager: "somebody"})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// takenHost registers a service whose host somebody else has, and one whose name somebody else has, until they go.
func (a act) takenHost() {
	t, shared := a.t, a.servers
	s := newScene(t, shared, shared.kube.BridgeKubeconfig)
	s.loose, s.foreign = true, "somebody-elses.acme"
	s.start()
	elsewhere := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": s.namespace + "-elsewhere"},
	}}
	namespaces := s.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	if _, err := namespaces.Create(t.Context(), elsewhere, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	registered, err := s.fleet.Registered()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		fresh           providers.Provider
		namespace, host string
	}{
		{usual().Instance(40, 0), elsewhere.GetName(), usual().Instance(40, 0).Endpoint().Host},
		{usual().Instance(41, 0), s.namespace, s.foreign},
	} {
		name := test.fresh.Endpoint().Host
		foreign := entry(test.host, usual().Instance(50, 0))
		foreign.SetName(name)
		spec, _ := foreign.Object["spec"].(map[string]any)
		spec["exportTo"] = []any{s.namespace}
		delete(spec, "endpoints")
		theirs := s.client.Resource(serviceEntries()).Namespace(test.namespace)
		if _, err := theirs.Create(t.Context(), foreign, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		s.register(test.fresh)
		s.logged("HostConflict")
		// By now it would be tried again after eight seconds only.
		s.pass(9 * time.Second)
		s.await(time.Second, registered)
		if err := theirs.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		registered[test.fresh.Endpoint()] = 0
		s.await(3*time.Second, registered)
	}
}
