package installation_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/installation"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// names renders objects in their order.
func names(objects []installation.Published) []string {
	list := []string{}
	for i := range objects {
		list = append(list, objects[i].String()+" of "+objects[i].Registry.Name)
	}
	return list
}

func purgeWorld(t *testing.T) client.Client {
	t.Helper()
	workload := published("WorkloadEntry", "cart-0123456789abcdef", "a", "")
	labels := workload.GetLabels()
	labels[translate.LabelHost] = "cart"
	workload.SetLabels(labels)
	alien := published("ServiceEntry", "alien", "a", "shop")
	alien.SetLabels(map[string]string{translate.LabelInstance: "a"}) // Somebody has taken a label away.
	return newClient(t,
		published("ServiceEntry", "cart", "a", "shop"), workload, published("ServiceEntry", "old", "a", "gone"),
		published("ServiceEntry", "lost", "a", ""), published("ServiceEntry", "other", "b", "shop"), alien, registry(shop),
		published("DestinationRule", "cart", "a", "shop"), published("EnvoyFilter", "registry-bridge-dubbo-20880", "a", ""),
	)
}

func TestSelect(t *testing.T) {
	c := purgeWorld(t)
	ids, err := installation.Instances(t.Context(), c, nil)
	if err != nil || !slices.Equal(ids, []string{"a", "b"}) {
		t.Fatalf("instances: %v, %v", ids, err)
	}
	all, err := installation.Everything(t.Context(), c, "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	registries, err := installation.Registries(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		selection installation.Selection
		want      []string
	}{
		{"all", installation.Selection{All: true}, []string{
			"WorkloadEntry dubbo/cart-0123456789abcdef of shop", "ServiceEntry dubbo/cart of shop", "ServiceEntry dubbo/lost of ", "ServiceEntry dubbo/old of gone",
			"DestinationRule dubbo/cart of shop", "EnvoyFilter dubbo/registry-bridge-dubbo-20880 of ",
		}},
		{"orphans", installation.Selection{Orphans: true}, []string{"ServiceEntry dubbo/old of gone"}},
		{"one Registry", installation.Selection{Registries: []types.NamespacedName{shop}}, []string{
			"WorkloadEntry dubbo/cart-0123456789abcdef of shop", "ServiceEntry dubbo/cart of shop", "DestinationRule dubbo/cart of shop",
		}},
		{"a Registry of another namespace", installation.Selection{Registries: []types.NamespacedName{{Namespace: "x", Name: "shop"}}}, []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, names(tt.selection.Select(all, registries))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for mode, want := range map[v1alpha1.Mode][]string{
		v1alpha1.ModeActive: {"dubbo/shop"}, v1alpha1.ModePaused: nil, v1alpha1.ModeObserve: nil,
	} {
		registries[0].Spec.Mode = mode
		if got := installation.Publishing(all, registries); !slices.Equal(got, want) {
			t.Errorf("%s: %v would publish again, want %v", mode, got, want)
		}
	}
}

// TestPurge: what has changed since it was listed stays, and is told.
func TestPurge(t *testing.T) {
	c := purgeWorld(t)
	all, err := installation.Everything(t.Context(), c, "a", []string{shop.Namespace})
	if err != nil {
		t.Fatal(err)
	}
	changed := published("ServiceEntry", "old", "a", "gone")
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(changed), changed); err != nil {
		t.Fatal(err)
	}
	changed.SetLabels(nil)
	if err := c.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), published("ServiceEntry", "lost", "a", "")); err != nil {
		t.Fatal(err)
	}
	n := 0
	err = installation.Purge(t.Context(), c, all, func(*installation.Published) { n++ })
	if !errors.Is(err, installation.ErrNotPurged) || n != 5 {
		t.Errorf("got %d deletions and %v", n, err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(changed), changed); err != nil {
		t.Errorf("what was let go of meanwhile is gone: %v", err)
	}
	if left, err := installation.Everything(t.Context(), c, "a", nil); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", names(left), err)
	}
}
