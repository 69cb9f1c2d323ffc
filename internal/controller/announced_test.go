package controller_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller"
)

// policies renders the policies that the engine got last.
func (h *harness) policies() []string {
	var got []string
	for _, p := range h.last().Policies {
		got = append(got, fmt.Sprintf("%s deleted=%t", p.Name, p.Deleted))
	}
	return got
}

func deletes(r *v1alpha1.Registry) { r.Spec.DeletionPolicy = v1alpha1.DeletionDelete }

func leaves(r *v1alpha1.Registry) {
	r.DeletionTimestamp = &metav1.Time{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// TestAnnouncedRemoval: where deletions are announced, only an announced one deletes what was published.
func TestAnnouncedRemoval(t *testing.T) {
	h := newHarness(t, func(d *controller.Deps) { d.Announced = true })
	h.apply(t, 3, registry("vanishes", deletes), registry("deleted", deletes), registry("retained"))

	h.apply(t, 0, registry("deleted", deletes, leaves), registry("retained", leaves))
	if n := len(h.running()); n != 0 {
		t.Errorf("%d sources run, want none", n)
	}
	if diff := cmp.Diff([]string{"deleted deleted=true"}, h.policies()); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}

	h.apply(t, 0, registry("deleted", leaves))
	if diff := cmp.Diff([]string(nil), h.policies()); diff != "" {
		t.Errorf("policies after its policy became Retain (-want +got):\n%s", diff)
	}
}

// TestAnnouncedRemovalAfterRestart: a new process deletes what an earlier one had been told to.
func TestAnnouncedRemovalAfterRestart(t *testing.T) {
	h := newHarness(t, func(d *controller.Deps) { d.Announced = true })
	h.apply(t, 0, registry("deleted", deletes, leaves))
	if diff := cmp.Diff([]string{"deleted deleted=true"}, h.policies()); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
	h.apply(t, 1, registry("deleted", deletes))
	if diff := cmp.Diff([]string{"deleted deleted=false"}, h.policies()); diff != "" {
		t.Errorf("policies of a new Registry of that name (-want +got):\n%s", diff)
	}
}
