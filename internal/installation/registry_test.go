package installation_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/installation"
)

func TestPauseAndResume(t *testing.T) {
	for _, mode := range []v1alpha1.Mode{v1alpha1.ModeActive, v1alpha1.ModeObserve} {
		c := newClient(t, registry(shop, func(r *v1alpha1.Registry) { r.Spec.Mode = mode }))
		target := installation.Registry{Client: c, Name: shop}
		if was, err := target.Pause(t.Context()); was != mode || err != nil {
			t.Fatalf("pause: got %s, %v", was, err)
		}
		if got := read(t, c, shop).Spec.Mode; got != v1alpha1.ModePaused {
			t.Errorf("after pause: %s", got)
		}
		// Pausing twice does not forget what was before.
		if was, err := target.Pause(t.Context()); was != v1alpha1.ModePaused || err != nil {
			t.Fatalf("pause again: got %s, %v", was, err)
		}
		if is, err := target.Resume(t.Context()); is != mode || err != nil {
			t.Fatalf("resume: got %s, %v", is, err)
		}
		r := read(t, c, shop)
		if _, left := r.Annotations[installation.AnnotationResume]; left || r.Spec.Mode != mode {
			t.Errorf("after resume: %s, %v", r.Spec.Mode, r.Annotations)
		}
		before := r.ResourceVersion
		if is, err := target.Resume(t.Context()); is != mode || err != nil || read(t, c, shop).ResourceVersion != before {
			t.Errorf("resume again: got %s, %v, and it may have written", is, err)
		}
	}
}

func TestPauseNothing(t *testing.T) {
	if _, err := (installation.Registry{Client: newClient(t), Name: shop}).Pause(t.Context()); !errors.Is(err, installation.ErrNoRegistry) {
		t.Errorf("got %v", err)
	}
}

// holds gives a Registry holds, as "id guard".
func holds(list ...string) func(*v1alpha1.Registry) {
	return func(r *v1alpha1.Registry) {
		for _, h := range list {
			id, guard, _ := strings.Cut(h, " ")
			r.Status.Holds = append(r.Status.Holds, v1alpha1.HoldStatus{ID: id, Guard: guard})
		}
		r.Status.HoldCount = int32(len(list))
	}
}

func TestCheckRelease(t *testing.T) {
	r := registry(shop, holds("h-0001 MassRemoval", "h-0002 Unsynced"))
	for ids, want := range map[string]error{
		"h-0001": nil, "h-0002": installation.ErrFixed, "h-0003": installation.ErrNoHold, "h-0001 h-0003": installation.ErrNoHold,
	} {
		if err := installation.CheckRelease(r, strings.Fields(ids)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", ids, err, want)
		}
	}
}

func TestRelease(t *testing.T) {
	now := time.Now()
	// released says what is in the annotation, and how long it has been.
	released := func(ids string, age time.Duration, manager string) func(*v1alpha1.Registry) {
		return func(r *v1alpha1.Registry) {
			r.Annotations = map[string]string{v1alpha1.AnnotationRelease: ids, "other": "kept"}
			r.ManagedFields = []metav1.ManagedFieldsEntry{{
				Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: v1alpha1.APIVersion, Time: &metav1.Time{Time: now.Add(-age)},
				FieldsType: "FieldsV1",
				FieldsV1:   metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{"f:registry-bridge.io/release":{}}}}`),
			}}
		}
	}
	const mine = "registry-bridge-cli-release"
	tests := []struct {
		name string
		r    []func(*v1alpha1.Registry)
		ids  []string
		want []string
	}{
		{"first", []func(*v1alpha1.Registry){holds("h-0001 MassRemoval")}, []string{"h-0001"}, []string{"h-0001"}},
		{"twice", []func(*v1alpha1.Registry){holds("h-0001 MassRemoval"), released("h-0001", time.Hour, mine)}, []string{"h-0001"}, []string{"h-0001"}},
		{"what is under way stays", []func(*v1alpha1.Registry){holds("h-0002 MassRemoval"), released("h-0001", time.Minute, mine)}, []string{"h-0002"}, []string{"h-0001", "h-0002"}},
		{"what is over goes", []func(*v1alpha1.Registry){holds("h-0002 MassRemoval"), released("h-0001", time.Hour, mine)}, []string{"h-0002"}, []string{"h-0002"}},
		{"what is held stays", []func(*v1alpha1.Registry){holds("h-0001 Vanished", "h-0002 Vanished"), released("h-0001", time.Hour, mine)}, []string{"h-0002"}, []string{"h-0001", "h-0002"}},
		{"by hand stays", []func(*v1alpha1.Registry){holds("h-0002 MassRemoval"), released("h-0001", time.Hour, "kubectl")}, []string{"h-0002"}, []string{"h-0001", "h-0002"}},
		{"a status that is cut tells nothing", []func(*v1alpha1.Registry){
			holds("h-0002 MassRemoval"), released("h-0001", time.Hour, mine), func(r *v1alpha1.Registry) { r.Status.HoldCount = 21 },
		}, []string{"h-0002"}, []string{"h-0001", "h-0002"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := registry(shop, tt.r...)
			kept := before.Annotations["other"]
			c := newClient(t, before)
			got, err := installation.Registry{Client: c, Name: shop}.Release(t.Context(), tt.ids, now)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
			after := read(t, c, shop)
			if !slices.Equal(after.Released(), tt.want) || after.Annotations["other"] != kept {
				t.Errorf("annotations are %v", after.Annotations)
			}
		})
	}
}
