package cluster_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
)

// objects are the Registries and the ConfigMap of an API server, as far as the reconciler looks at them.
type objects struct {
	client.Client
	registries []v1alpha1.Registry
	freeze     *cluster.Freeze
	frozen     bool
}

func (o *objects) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	list := &v1alpha1.RegistryList{Items: o.registries}
	list.DeepCopyInto(into.(*v1alpha1.RegistryList)) //nolint:errcheck // Nothing else is listed.
	return nil
}

func (o *objects) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if !o.frozen {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, key.Name)
	}
	cluster.WriteFreeze(key.Namespace, "bridge", o.freeze).DeepCopyInto(into.(*corev1.ConfigMap)) //nolint:errcheck // Nothing else is read.
	return nil
}

func (o *objects) Patch(_ context.Context, changed client.Object, _ client.Patch, _ ...client.PatchOption) error {
	for i := range o.registries {
		if o.registries[i].Name == changed.GetName() {
			o.registries[i].Finalizers = changed.GetFinalizers()
		}
	}
	return nil
}

// rig is a reconciler over objects, and what it hands on.
type rig struct {
	*cluster.Registries
	objects *objects
	applied []v1alpha1.Registry
	frozen  bool
}

func newRig(registries ...v1alpha1.Registry) *rig {
	r := &rig{objects: &objects{registries: registries}}
	r.Registries = &cluster.Registries{
		Client: r.objects, Logger: slog.New(slog.DiscardHandler), FreezeName: types.NamespacedName{Namespace: "system", Name: "bridge-freeze"},
		Apply: func(_ context.Context, registries []v1alpha1.Registry, frozen bool) {
			r.applied, r.frozen = registries, frozen
		},
	}
	return r
}

// run reconciles once and returns the names of what is in use, those on their way out with a "-".
func (r *rig) run(t *testing.T) []string {
	t.Helper()
	if _, err := r.Reconcile(t.Context(), reconcile.Request{}); err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for i := range r.applied {
		name := r.applied[i].Name
		if r.applied[i].DeletionTimestamp != nil {
			name += "-"
		}
		names = append(names, name)
	}
	return names
}

func zookeeper(name string, edits ...func(*v1alpha1.Registry)) v1alpha1.Registry {
	r := v1alpha1.Registry{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Generation: 1}}
	r.Spec.Source.ZooKeeper = &v1alpha1.ZooKeeper{Servers: []string{"zk:2181"}}
	for _, edit := range edits {
		edit(&r)
	}
	return r
}

func deletes(r *v1alpha1.Registry) { r.Spec.DeletionPolicy = v1alpha1.DeletionDelete }
func going(r *v1alpha1.Registry) {
	r.DeletionTimestamp = new(metav1.NewTime(noon()))
	r.Finalizers = []string{cluster.Finalizer}
}

func broken(r *v1alpha1.Registry) {
	r.Generation++
	r.Spec.Source.ZooKeeper = &v1alpha1.ZooKeeper{Servers: []string{"not a server"}}
}

func TestLastGoodSpecStaysInUse(t *testing.T) {
	r := newRig(zookeeper("a"), zookeeper("b", broken))
	if diff := cmp.Diff([]string{"a"}, r.run(t)); diff != "" {
		t.Errorf("in use (-want +got):\n%s", diff)
	}
	broken(&r.objects.registries[0])
	if diff := cmp.Diff([]string{"a"}, r.run(t)); diff != "" {
		t.Errorf("in use after a bad edit (-want +got):\n%s", diff)
	}
	if got := r.applied[0].Spec.Source.ZooKeeper.Servers[0]; got != "zk:2181" {
		t.Errorf("servers are %q, want the last good ones", got)
	}
	for _, known := range r.Set().Registries {
		if len(known.Mistakes) == 0 {
			t.Errorf("%s has no mistake", known.Seen.Name)
		}
	}
	// Another one of that name is not the one whose last good spec is known.
	r.objects.registries[0].UID = "another"
	if diff := cmp.Diff([]string{}, r.run(t)); diff != "" {
		t.Errorf("in use after it was made anew (-want +got):\n%s", diff)
	}
}

// TestBrokenRegistryCanGo: also in a process that has never seen it without a mistake.
func TestBrokenRegistryCanGo(t *testing.T) {
	r := newRig(zookeeper("a", broken, deletes, going))
	if diff := cmp.Diff([]string{"a-"}, r.run(t)); diff != "" {
		t.Errorf("in use (-want +got):\n%s", diff)
	}
	if got := r.applied[0].Spec.DeletionPolicy; got != v1alpha1.DeletionDelete {
		t.Errorf("policy is %q", got)
	}
}

func TestFinalizers(t *testing.T) {
	has := func(r *v1alpha1.Registry) { r.Finalizers = []string{"other", cluster.Finalizer} }
	without := func(r *v1alpha1.Registry) { r.Finalizers = []string{"other"} }
	tests := []struct {
		name     string
		registry v1alpha1.Registry
		leaving  bool
		want     bool
	}{
		{"retains", zookeeper("a"), false, false},
		{"retained only lately", zookeeper("a", has), false, false},
		{"deletes", zookeeper("a", deletes), false, true},
		{"deletes and has it", zookeeper("a", deletes, has), false, true},
		{"is going", zookeeper("a", deletes, going), false, true},
		{"is going, and retains now", zookeeper("a", going), false, false},
		{"is going without it", zookeeper("a", deletes, going, without), false, false},
		{"the bridge leaves", zookeeper("a", deletes, has), true, false},
		{"the bridge leaves while it is going", zookeeper("a", deletes, going), true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(tt.registry)
			if tt.leaving {
				r.objects.frozen, r.objects.freeze = true, &cluster.Freeze{Leaving: true}
			}
			r.run(t)
			left := r.objects.registries[0].Finalizers
			if got := slices.Contains(left, cluster.Finalizer); got != tt.want {
				t.Errorf("finalizers are %v", left)
			}
			if slices.Contains(tt.registry.Finalizers, "other") && !slices.Contains(left, "other") {
				t.Errorf("the finalizer of somebody else is gone: %v", left)
			}
			if r.frozen != tt.leaving {
				t.Errorf("frozen is %t", r.frozen)
			}
		})
	}
}

func TestFreeze(t *testing.T) {
	r := newRig(zookeeper("a"))
	for _, tt := range []struct {
		there  bool
		freeze *cluster.Freeze
		want   *cluster.Freeze
	}{
		{false, nil, nil},
		{true, nil, nil},
		{true, &cluster.Freeze{Reason: "incident 7", Since: noon()}, &cluster.Freeze{Reason: "incident 7", Since: noon()}},
		{true, nil, nil},
	} {
		r.objects.frozen, r.objects.freeze = tt.there, tt.freeze
		r.run(t)
		if diff := cmp.Diff(tt.want, r.Set().Freeze); diff != "" || r.frozen != (tt.want != nil) {
			t.Errorf("freeze (-want +got), frozen %t:\n%s", r.frozen, diff)
		}
	}
	byHand := &corev1.ConfigMap{Data: map[string]string{"since": "yesterday", "reason": "stop it!"}}
	if diff := cmp.Diff(&cluster.Freeze{Reason: "stop it!"}, cluster.ReadFreeze(byHand)); diff != "" {
		t.Errorf("freeze that was written by hand (-want +got):\n%s", diff)
	}
}
