package cluster_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
)

// installation is what Leave looks at: Registries, a ServiceAccount, and the ConfigMap that it writes.
type installation struct {
	objects
	// bridge is how long the bridge takes to take its finalizers away; none runs when it is 0.
	bridge time.Duration
	// refused are the patches that fail.
	refused   error
	told      time.Time
	configMap *corev1.ConfigMap
	// patched counts what Leave has written into Registries.
	patched int
}

func (i *installation) Get(_ context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	into.SetName("bridge")
	into.SetUID("a-uid")
	return nil
}

func (i *installation) List(ctx context.Context, into client.ObjectList, opts ...client.ListOption) error {
	if i.bridge > 0 && !i.told.IsZero() && time.Since(i.told) >= i.bridge {
		for n := range i.registries {
			i.registries[n].Finalizers = nil
		}
	}
	return i.objects.List(ctx, into, opts...)
}

func (i *installation) Patch(ctx context.Context, changed client.Object, patch client.Patch, opts ...client.PatchOption) error {
	if i.refused != nil {
		return i.refused
	}
	i.patched++
	return i.objects.Patch(ctx, changed, patch, opts...)
}

// Apply implements client.Client for the ConfigMap.
func (i *installation) Apply(_ context.Context, o runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
	i.told, i.configMap = time.Now(), &corev1.ConfigMap{}
	u := o.(interface{ UnstructuredContent() map[string]any }) //nolint:errcheck // Nothing else is applied.
	return runtime.DefaultUnstructuredConverter.FromUnstructured((&unstructured.Unstructured{Object: u.UnstructuredContent()}).Object, i.configMap)
}

func TestLeave(t *testing.T) {
	errForbidden := errors.New("forbidden")
	held := func() []v1alpha1.Registry {
		return []v1alpha1.Registry{
			{ObjectMeta: metav1.ObjectMeta{Name: "kept"}},
			{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{cluster.Finalizer, "other.example/x"}}},
		}
	}
	for _, test := range []struct {
		name         string
		installation installation
		// want is the error, patched how many finalizers Leave takes away itself, after how long it is done.
		want    error
		patched int
		after   time.Duration
	}{
		{name: "nothing to leave", after: 2 * time.Second},
		{name: "the bridge does it", installation: installation{objects: objects{registries: held()}, bridge: 3 * time.Second}, after: 5 * time.Second},
		{name: "no bridge runs", installation: installation{objects: objects{registries: held()}}, patched: 1, after: 13 * time.Second},
		{
			name: "no bridge and no right", installation: installation{objects: objects{registries: held()}, refused: errForbidden},
			want: cluster.ErrNotLeft, after: 30 * time.Second,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, begin := &test.installation, time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				err := cluster.Leave(ctx, cluster.LeaveOptions{
					Client: i, Namespace: "mesh", Name: "bridge", ServiceAccount: "bridge", Patience: 10 * time.Second, Logger: slog.New(slog.DiscardHandler),
				})
				if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
					t.Errorf("Leave: %v, want %v", err, test.want)
				}
				if took := time.Since(begin); took != test.after {
					t.Errorf("it took %s, want %s", took, test.after)
				}
				if i.patched != test.patched {
					t.Errorf("it has written %d Registries, want %d", i.patched, test.patched)
				}
				freeze := cluster.ReadFreeze(i.configMap)
				if freeze == nil || !freeze.Leaving || !freeze.Since.Equal(begin.UTC().Truncate(time.Second)) {
					t.Errorf("the ConfigMap says %+v, want that the bridge leaves", freeze)
				}
				want := []metav1.OwnerReference{{APIVersion: "v1", Kind: "ServiceAccount", Name: "bridge", UID: "a-uid"}}
				if diff := cmp.Diff(want, i.configMap.OwnerReferences); diff != "" {
					t.Errorf("owner of the ConfigMap (-want +got):\n%s", diff)
				}
			})
		})
	}
}
