package kube_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// live reads what is live.
func live(t *testing.T, out output.Output) []plan.Live {
	t.Helper()
	list, err := out.Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// write writes objects over what is live, and wants no error.
func write(t *testing.T, out output.Output, objects ...*translate.Object) []output.Result {
	t.Helper()
	list := live(t, out)
	var p plan.Plan
	for _, o := range objects {
		c := plan.Change{Op: plan.Create, Key: o.Key, Object: o}
		if i := slices.IndexFunc(list, func(l plan.Live) bool { return l.Object.Key == o.Key }); i >= 0 {
			c.Op, c.Live = plan.Update, &list[i]
		}
		p.Apply = append(p.Apply, c)
	}
	results := out.Write(t.Context(), p)
	if len(results) != len(objects) {
		t.Fatalf("results are %+v", results)
	}
	return results
}

func mustWrite(t *testing.T, out output.Output, objects ...*translate.Object) {
	t.Helper()
	for _, r := range write(t, out, objects...) {
		if r.Err != nil {
			t.Fatalf("%s: %v", r.Key, r.Err)
		}
	}
}

func set(t *testing.T, object map[string]any, value any, path ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(object, value, path...); err != nil {
		t.Fatal(err)
	}
}

// foreignFieldsStay adds to an object by hand, and wants to see nothing of it: what Live does not show is not written.
func (s *scene) foreignFieldsStay() {
	t, p := s.T, s.place
	out, a := p.Open(t), outputtest.Object("a.acme", "10.0.0.1")
	a.ServiceEntry.Addresses = nil
	mustWrite(t, out, a)
	p.edit(t, a.Key, func(object map[string]any) {
		set(t, object, "me", "metadata", "labels", "owner")
		set(t, object, "why", "metadata", "annotations", "note")
		set(t, object, []any{"spiffe://acme/a"}, "spec", "subjectAltNames")
		set(t, object, []any{"."}, "spec", "exportTo")
		set(t, object, []any{"240.1.1.1"}, "spec", "addresses")
		ports, _, _ := unstructured.NestedSlice(object, "spec", "ports")
		ports[0].(map[string]any)["targetPort"] = int64(4000) //nolint:errcheck // It is one.
		set(t, object, append(ports, map[string]any{"name": "extra", "number": int64(81), "protocol": "TCP"}), "spec", "ports")
	})
	list := live(t, out)
	if diff := cmp.Diff(a, list[0].Object); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
	before := p.Get(t, a.Key)
	mustWrite(t, out, a)
	if diff := cmp.Diff(before, p.Get(t, a.Key)); diff != "" {
		t.Errorf("the same object was written differently (-before +after):\n%s", diff)
	}
	b := outputtest.Object("a.acme", "10.0.0.1", "10.0.0.2")
	b.ServiceEntry.Addresses = nil
	mustWrite(t, out, b)
	spec, _ := p.Get(t, a.Key)["spec"].(map[string]any)
	if ports, _ := spec["ports"].([]any); spec["subjectAltNames"] == nil || spec["exportTo"] == nil || spec["addresses"] == nil || len(ports) != 2 {
		t.Errorf("a field that was added by hand is gone: %v", spec)
	}
	if diff := cmp.Diff(b, live(t, out)[0].Object); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
}

// coOwnedEndpointsGo lets somebody else apply the endpoints that are there, so that dropping ours alone would leave them.
func (s *scene) coOwnedEndpointsGo() {
	t, p := s.T, s.place
	out, a := p.Open(t), outputtest.Object("a.acme", "10.0.0.1")
	mustWrite(t, out, a)
	spec, _ := p.Get(t, a.Key)["spec"].(map[string]any)
	theirs := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
		"metadata": map[string]any{"name": a.Key.Name, "namespace": a.Key.Namespace},
		"spec":     map[string]any{"hosts": spec["hosts"], "endpoints": spec["endpoints"]},
	}}
	applied, err := p.entries.Apply(t.Context(), a.Key.Name, theirs, metav1.ApplyOptions{FieldManager: person, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	p.out.expected[a.Key] = applied.GetResourceVersion()
	empty := outputtest.Object("a.acme")
	mustWrite(t, out, empty)
	spec, _ = p.Get(t, a.Key)["spec"].(map[string]any)
	if _, there := spec["endpoints"]; there {
		t.Errorf("endpoints are still there: %v", spec)
	}
	if diff := cmp.Diff(empty, live(t, out)[0].Object); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
}

// foreign makes a ServiceEntry of somebody else in namespace elsewhere, until the test ends.
func (p *place) foreign(t *testing.T, host string, exportTo ...any) {
	t.Helper()
	p.namespace(t, "elsewhere")
	spec := map[string]any{
		"hosts": []any{host}, "resolution": "DNS", "ports": []any{map[string]any{"name": "http", "number": int64(80), "protocol": "HTTP"}},
	}
	if exportTo != nil {
		spec["exportTo"] = exportTo
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": map[string]any{"name": "foreign-" + host}, "spec": spec,
	}}
	if _, err := p.in("elsewhere").Create(t.Context(), u, metav1.CreateOptions{FieldManager: person}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.in("elsewhere").Delete(context.WithoutCancel(t.Context()), u.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// hostsOfOthers publishes hosts that somebody else has.
func (s *scene) hostsOfOthers() {
	t, p := s.T, s.place
	p.namespace(t, "acme")
	p.foreign(t, "a.acme")
	p.foreign(t, "c.acme", ".")
	p.foreign(t, "d.acme", "~")
	service := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "b"},
		"spec": map[string]any{"ports": []any{map[string]any{"port": int64(80)}}},
	}}
	services := p.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "services"}).Namespace("acme")
	if _, err := services.Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := services.Delete(context.WithoutCancel(t.Context()), "b", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	out := p.Open(t)
	refused := map[string]string{}
	for _, r := range write(t, out, outputtest.Object("a.acme"), outputtest.Object("b.acme"), outputtest.Object("c.acme"),
		outputtest.Object("d.acme"), outputtest.Object("e.acme")) {
		switch {
		case errors.Is(r.Err, output.ErrRefused) && strings.Contains(r.Err.Error(), string(reason.HostConflict)):
			_, refused[r.Key.Name], _ = strings.Cut(r.Err.Error(), " belongs to ")
		case r.Err != nil:
			t.Errorf("%s: %v", r.Key, r.Err)
		}
	}
	want := map[string]string{
		"a.acme": "ServiceEntry elsewhere/foreign-a.acme", "b.acme": "Service acme/b",
		"c.acme": "ServiceEntry elsewhere/foreign-c.acme",
	}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	// What is live stays, whoever comes.
	p.foreign(t, "e.acme")
	p.Open(t)
	mustWrite(t, p.out, outputtest.Object("e.acme", "10.0.0.1"))
}
