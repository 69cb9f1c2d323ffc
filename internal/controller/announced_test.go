package controller_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller"
	"github.com/registry-bridge/registry-bridge/internal/model"
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

// TestOneOfManyEdited: of 200 Registries one is edited; its source restarts, and nobody else's.
func TestOneOfManyEdited(t *testing.T) {
	const n = 200
	registries := func(edited int, edits ...func(*v1alpha1.Registry)) []*v1alpha1.Registry {
		var all []*v1alpha1.Registry
		for i := range n {
			r := registry(fmt.Sprintf("r%03d", i))
			if i == edited {
				r = registry(r.Name, edits...)
			}
			all = append(all, r)
		}
		return all
	}
	h := newHarness(t)
	h.apply(t, n, registries(-1)...)
	before := h.startedBySource()
	h.apply(t, 1, registries(77, server("other:2181"))...)
	after := h.startedBySource()
	var restarted []model.SourceID
	for id, times := range after {
		if times != before[id] {
			restarted = append(restarted, id)
		}
	}
	if len(after) != n || len(restarted) != 1 {
		t.Errorf("of %d sources %v were started again, want one of %d", len(after), restarted, n)
	}
	// An edit that no source depends on restarts none.
	h.apply(t, 0, registries(77, server("other:2181"), func(r *v1alpha1.Registry) { r.Spec.Mode = v1alpha1.ModeObserve })...)
	if diff := cmp.Diff(after, h.startedBySource()); diff != "" {
		t.Errorf("starts (-before +after):\n%s", diff)
	}
}

// startedBySource returns how often each source was started.
func (h *harness) startedBySource() map[model.SourceID]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.started)
}
