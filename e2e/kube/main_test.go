// Package kube_test runs the output over Kubernetes, and the program with it, against a real API server.
package kube_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/kube"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// namespace is where outputtest.Object lives.
const namespace = "registry"

// settleLimit is how long anything may take that takes milliseconds on an idle machine.
const settleLimit = 30 * time.Second

// person is the field manager of whoever edits by hand.
const person = "kubectl-edit"

// scene is one test with an empty namespace of the cluster that all tests share.
type scene struct {
	*testing.T
	place *place
}

// TestKube shares one API server among all tests of this package.
func TestKube(t *testing.T) {
	c := cluster{Kube: lab.StartKube(t), owner: t}
	for _, test := range []struct {
		name string
		run  func(*scene)
	}{
		{"ForeignFieldsStay", (*scene).foreignFieldsStay},
		{"CoOwnedEndpointsGo", (*scene).coOwnedEndpointsGo},
		{"HostsOfOthers", (*scene).hostsOfOthers},
		{"HandEditsAreHeard", (*scene).handEditsAreHeard},
		{"Restart", (*scene).restart},
		{"Stopped", (*scene).stopped},
		{"Program", (*scene).program},
		{"Workloads", (*scene).workloads},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(&scene{T: t, place: newPlace(t, c)}) })
	}
	t.Run("Conformance", func(t *testing.T) { outputtest.Run(t, c.place) })
}

// cluster is the API server of all tests. It lives as long as its owner, also when another test starts it again.
type cluster struct {
	*lab.Kube
	owner *testing.T
}

func (c cluster) startAgain() { c.Start(c.owner) }

func (c cluster) place(t *testing.T) outputtest.Place {
	t.Helper()
	return newPlace(t, c)
}

// place is the namespace, and what a person sees and does there.
type place struct {
	cluster cluster
	client  dynamic.Interface
	entries dynamic.ResourceInterface
	// stop ends the output that Open returned last.
	stop func()
	out  *settled
}

// newPlace empties the namespace, which it makes at first.
func newPlace(t *testing.T, c cluster) *place {
	t.Helper()
	p := &place{cluster: c, client: c.Client(t), stop: func() {}}
	p.entries = p.in(namespace)
	for _, name := range []string{namespace, "consumers", "others"} {
		p.namespace(t, name)
		for _, kind := range translate.Kinds() {
			objects := p.objects(translate.Key{Kind: kind, Namespace: name})
			if err := objects.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() { p.stop() })
	return p
}

// namespace makes a namespace.
func (p *place) namespace(t *testing.T, name string) {
	t.Helper()
	n := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
	_, err := p.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Create(t.Context(), n, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

func (p *place) in(namespace string) dynamic.ResourceInterface {
	return p.client.Resource(serviceEntries()).Namespace(namespace)
}

// objects returns the objects of the kind and in the namespace of a key.
func (p *place) objects(key translate.Key) dynamic.ResourceInterface {
	resource := serviceEntries()
	switch key.Kind {
	case translate.KindWorkloadEntry:
		resource.Resource = "workloadentries"
	case translate.KindDestinationRule:
		resource.Resource = "destinationrules"
	case translate.KindEnvoyFilter:
		resource.Resource, resource.Version = "envoyfilters", "v1alpha3"
	case translate.KindServiceEntry:
	}
	return p.client.Resource(resource).Namespace(key.Namespace)
}

func serviceEntries() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
}

// Open implements outputtest.Place.
func (p *place) Open(t *testing.T) output.Output {
	t.Helper()
	p.stop()
	k, err := kube.New(kube.Options{Config: p.cluster.Config(), Instance: outputtest.Instance, Routing: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		k.Run(ctx)
		close(done)
	}()
	p.stop = func() {
		cancel()
		<-done
	}
	p.out = &settled{Kube: k, expected: map[translate.Key]string{}}
	return p.out
}

// Get implements outputtest.Place.
func (p *place) Get(t *testing.T, key translate.Key) map[string]any {
	t.Helper()
	u, err := p.objects(key).Get(t.Context(), key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return u.Object
}

// Put implements outputtest.Place.
func (p *place) Put(t *testing.T, key translate.Key, object map[string]any) {
	t.Helper()
	u := (&unstructured.Unstructured{Object: object}).DeepCopy()
	there := p.Get(t, key)
	var err error
	if there == nil {
		u, err = p.objects(key).Create(t.Context(), u, metav1.CreateOptions{FieldManager: person})
	} else {
		metadata, _ := there["metadata"].(map[string]any)
		if u.GetResourceVersion() == "" {
			u.SetResourceVersion(metadata["resourceVersion"].(string)) //nolint:errcheck // It always has one.
		}
		u, err = p.objects(key).Update(t.Context(), u, metav1.UpdateOptions{FieldManager: person})
	}
	if err != nil {
		t.Fatal(err)
	}
	labels := u.GetLabels()
	p.out.expected[key] = ""
	if labels[translate.LabelManagedBy] == translate.ManagedBy && labels[translate.LabelInstance] == outputtest.Instance {
		p.out.expected[key] = u.GetResourceVersion()
	}
}

// Remove implements outputtest.Place.
func (p *place) Remove(t *testing.T, key translate.Key) {
	t.Helper()
	if err := p.objects(key).Delete(t.Context(), key.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.out.expected[key] = ""
	if key.Kind == translate.KindServiceEntry && p.out.Kube != nil {
		p.out.awaitFree(t, key)
	}
}

// edit changes an object by hand.
func (p *place) edit(t *testing.T, key translate.Key, edit func(map[string]any)) {
	t.Helper()
	object := p.Get(t, key)
	edit(object)
	p.Put(t, key, object)
}

// versions returns the resource version of every object in the namespace.
func (p *place) versions(t *testing.T) map[string]string {
	t.Helper()
	list, err := p.entries.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for i := range list.Items {
		versions[list.Items[i].GetName()] = list.Items[i].GetResourceVersion()
	}
	return versions
}

// settled is an output whose Live waits until it shows what was done by hand, which a watch tells a moment later.
type settled struct {
	*kube.Kube
	// expected has the version of each object that was edited, "" for one that is not ours or gone.
	expected map[translate.Key]string
}

// awaitFree waits until the output has heard that the name of a ServiceEntry is free.
func (s *settled) awaitFree(t *testing.T, key translate.Key) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settleLimit)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	probe := &translate.Object{Key: key, ServiceEntry: &translate.ServiceEntry{Host: "nobody.has.this"}}
	for s.Check(plan.Change{Op: plan.Create, Key: key, Object: probe}) != nil {
		select {
		case <-ctx.Done():
			t.Fatalf("%s is still taken", key)
		case <-ticker.C:
		}
	}
}

// Live implements output.Output.
func (s *settled) Live(ctx context.Context) ([]plan.Live, error) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		live, err := s.Kube.Live(ctx)
		if err != nil {
			return nil, err
		}
		got := map[translate.Key]string{}
		for key := range s.expected {
			got[key] = ""
		}
		for _, l := range live {
			stored := []plan.Live{l}
			if l.Stored != nil {
				stored = *l.Stored
			}
			for _, piece := range stored {
				if _, edited := got[piece.Object.Key]; edited {
					got[piece.Object.Key] = piece.ResourceVersion
				}
			}
		}
		if maps.Equal(got, s.expected) {
			clear(s.expected)
			return live, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %s", ctx.Err(), cmp.Diff(s.expected, got))
		case <-ticker.C:
		}
	}
}
