package controller_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/sync/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is a Controller with fake sources that sync at once and then wait.
type harness struct {
	*controller.Controller
	store *store.Store
	// configs are all configurations that the engine got.
	configs []*engine.Config

	mu      sync.Mutex
	started map[model.SourceID]int
	current map[model.SourceID]int
	events  chan struct{}
}

func newHarness(t *testing.T, edits ...func(*controller.Deps)) *harness {
	t.Helper()
	h := &harness{
		store: store.New(), started: map[model.SourceID]int{}, current: map[model.SourceID]int{},
		events: make(chan struct{}, 10_000),
	}
	deps := controller.Deps{
		Store:     h.store,
		Configure: func(c *engine.Config) { h.configs = append(h.configs, c) },
		NewSource: func(spec controller.SourceSpec) source.Source { return &fake{h: h, id: spec.ID} },
		Instance:  "test",
	}
	for _, edit := range edits {
		edit(&deps)
	}
	h.Controller = controller.New(deps)
	t.Cleanup(h.Stop)
	return h
}

// apply applies Registries and waits until as many sources have been started as are said to start.
func (h *harness) apply(t *testing.T, starts int, registries ...*v1alpha1.Registry) {
	t.Helper()
	list := make([]v1alpha1.Registry, len(registries))
	for i, r := range registries {
		list[i] = *r
	}
	before := h.starts()
	h.Apply(t.Context(), list)
	for h.starts() < before+starts {
		<-h.events
	}
}

func (h *harness) starts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	total := 0
	for _, n := range h.started {
		total += n
	}
	return total
}

func (h *harness) running() map[model.SourceID]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	running := map[model.SourceID]int{}
	for id, n := range h.current {
		if n != 0 {
			running[id] = n
		}
	}
	return running
}

func (h *harness) last() *engine.Config { return h.configs[len(h.configs)-1] }

// fake is a source that names one service and syncs.
type fake struct {
	h  *harness
	id model.SourceID
}

func (f *fake) Run(ctx context.Context, sink source.Sink) error {
	f.h.mu.Lock()
	f.h.started[f.id]++
	f.h.current[f.id]++
	f.h.mu.Unlock()
	sink.Upsert(&model.Service{Ref: model.Ref{Source: f.id, Unit: "u", Name: "u"}})
	sink.Synced()
	f.h.events <- struct{}{}
	<-ctx.Done()
	f.h.mu.Lock()
	f.h.current[f.id]--
	f.h.mu.Unlock()
	return nil
}

// registry returns a Registry with its defaults, after edits.
func registry(name string, edits ...func(*v1alpha1.Registry)) *v1alpha1.Registry {
	r := &v1alpha1.Registry{}
	r.APIVersion, r.Kind = v1alpha1.APIVersion, v1alpha1.KindRegistry
	r.Namespace, r.Name = "ns", name
	r.Spec.Source.ZooKeeper = &v1alpha1.ZooKeeper{Servers: []string{"zk:2181"}}
	for _, edit := range edits {
		edit(r)
	}
	v1alpha1.Default(r)
	return r
}

func server(address string) func(*v1alpha1.Registry) {
	return func(r *v1alpha1.Registry) { r.Spec.Source.ZooKeeper.Servers = []string{address} }
}

func TestEditRestartsOnlyWhatChanged(t *testing.T) {
	const n = 200
	h := newHarness(t)
	all := func(edit func(*v1alpha1.Registry)) []*v1alpha1.Registry {
		registries := make([]*v1alpha1.Registry, n)
		for i := range registries {
			registries[i] = registry(fmt.Sprintf("r%03d", i))
		}
		registries[7] = registry("r007", edit)
		return registries
	}
	h.apply(t, n, all(server("zk:2181"))...)
	unchanged := h.last().Options.Registries[8]

	h.apply(t, 1, all(server("other:2181"))...)
	if len(h.running()) != n {
		t.Errorf("%d sources run, want %d", len(h.running()), n)
	}
	if got := h.starts(); got != n+1 {
		t.Errorf("%d starts, want one more than %d", got, n)
	}
	if h.last().Options.Registries[8] != unchanged {
		t.Error("a Registry without a change has a new pointer, and is translated anew")
	}
}

func TestEditsThatRestartNothing(t *testing.T) {
	tests := map[string]func(*v1alpha1.Registry){
		"guards":   func(r *v1alpha1.Registry) { r.Spec.Guards.MassRemoval.MaxPercent = new(int32(50)) },
		"rules":    func(r *v1alpha1.Registry) { r.Spec.Rules = []v1alpha1.Rule{{Name: "a", Protocol: "HTTP"}} },
		"services": func(r *v1alpha1.Registry) { r.Spec.Services.Exclude = []string{"a"} },
		"mode":     func(r *v1alpha1.Registry) { r.Spec.Mode = v1alpha1.ModePaused },
		"labels":   func(r *v1alpha1.Registry) { r.Labels = map[string]string{"a": "b"} },
		"layout name": func(r *v1alpha1.Registry) {
			r.Spec.Source.ZooKeeper.Layouts = []v1alpha1.ZooKeeperLayout{{Name: "other"}}
		},
		"written out": func(r *v1alpha1.Registry) {
			r.Spec.Source.ZooKeeper.Layouts = []v1alpha1.ZooKeeperLayout{{Root: "/dubbo"}}
		},
		"nothing else": func(*v1alpha1.Registry) {},
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.apply(t, 1, registry("a"))
			h.apply(t, 0, registry("a", edit))
			if got := h.starts(); got != 1 {
				t.Errorf("%d starts, want 1", got)
			}
		})
	}
}

// TestSourceIDSurvivesEdits: a new id is a source that is gone and a new one, so what it published would be removed.
func TestSourceIDSurvivesEdits(t *testing.T) {
	id := func(edits ...func(*v1alpha1.Registry)) model.SourceID {
		h := newHarness(t)
		h.apply(t, 1, registry("a", edits...))
		return h.last().Policies[0].Sources[0]
	}
	layout := func(name, chroot, root string) func(*v1alpha1.Registry) {
		return func(r *v1alpha1.Registry) {
			r.Spec.Source.ZooKeeper.Chroot = chroot
			r.Spec.Source.ZooKeeper.Layouts = []v1alpha1.ZooKeeperLayout{{Name: name, Root: root}}
		}
	}
	same := map[string]model.SourceID{
		"other servers":  id(server("other:2181")),
		"other name":     id(layout("other", "", "/dubbo")),
		"path in chroot": id(layout("a", "/prod", "/dubbo")),
	}
	want := map[string]model.SourceID{
		"other servers":  id(),
		"other name":     id(),
		"path in chroot": id(layout("a", "", "/prod/dubbo")),
	}
	if diff := cmp.Diff(want, same); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if id() == id(layout("a", "", "/other")) {
		t.Error("another root has the same id")
	}
}

func TestRestartedSourceKeepsItsData(t *testing.T) {
	h := newHarness(t)
	h.apply(t, 1, registry("a"))
	before := h.store.Snapshot().Sources[0].Services[0]
	h.apply(t, 1, registry("a", server("other:2181")))
	if after := h.store.Snapshot().Sources[0].Services[0]; before != after {
		t.Error("the service was lost on the way")
	}
}

func TestRemoval(t *testing.T) {
	h := newHarness(t)
	h.apply(t, 2, registry("kept"), registry("deleted", deletes))

	h.apply(t, 0)
	if n := len(h.running()); n != 0 {
		t.Errorf("%d sources run, want none", n)
	}
	if n := len(h.store.Snapshot().Sources); n != 0 {
		t.Errorf("the store has %d sources, want none", n)
	}
	if n := len(h.last().Options.Registries); n != 0 {
		t.Errorf("%d Registries are translated, want none", n)
	}
	var got []string
	for _, p := range h.last().Policies {
		got = append(got, fmt.Sprintf("%s deleted=%t sources=%d", p.Name, p.Deleted, len(p.Sources)))
	}
	if diff := cmp.Diff([]string{"deleted deleted=true sources=1"}, got); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}

	h.apply(t, 1, registry("deleted", deletes))
	if p := h.last().Policies; len(p) != 1 || p[0].Deleted {
		t.Errorf("got policies %+v, want one that is not deleted", p)
	}
}

// TestRemovedSourceIsUnknownToTheEngineFirst: data that goes before the engine knows why would look like a loss in the registry.
func TestRemovedSourceIsUnknownToTheEngineFirst(t *testing.T) {
	s := store.New()
	var held []int
	h := newHarness(t)
	c := controller.New(controller.Deps{
		Store: s,
		Configure: func(config *engine.Config) {
			held = append(held, len(s.Snapshot().Sources)-len(config.Options.Registries))
		},
		NewSource: func(spec controller.SourceSpec) source.Source { return &fake{h: h, id: spec.ID} },
	})
	t.Cleanup(c.Stop)
	c.Apply(t.Context(), []v1alpha1.Registry{*registry("a"), *registry("b")})
	c.Apply(t.Context(), []v1alpha1.Registry{*registry("a")})
	// The second time the store still has the source that goes.
	if diff := cmp.Diff([]int{0, 1}, held); diff != "" {
		t.Errorf("sources in the store beyond those configured (-want +got):\n%s", diff)
	}
}

func TestRelease(t *testing.T) {
	h := newHarness(t)
	h.apply(t, 1, registry("a"))
	h.apply(t, 0, registry("a", func(r *v1alpha1.Registry) {
		r.Annotations = map[string]string{v1alpha1.AnnotationRelease: "h-0001,h-0002"}
	}))
	if diff := cmp.Diff([]string{"h-0001", "h-0002"}, h.last().Policies[0].Released); diff != "" {
		t.Errorf("released (-want +got):\n%s", diff)
	}
	h.apply(t, 0, registry("a"))
	if got := h.last().Policies[0].Released; len(got) > 0 {
		t.Errorf("released %q, want nothing any more", got)
	}
}

func TestMergeOrder(t *testing.T) {
	h := newHarness(t)
	first := func(r *v1alpha1.Registry) { r.Spec.Hosts.Priority = 5 }
	h.apply(t, 3, registry("a"), registry("b"), registry("c", first))
	var got []string
	for _, r := range h.last().Options.Registries {
		got = append(got, r.Name)
	}
	if diff := cmp.Diff([]string{"c", "a", "b"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestPolicy(t *testing.T) {
	h := newHarness(t)
	h.apply(t, 1, registry("a", func(r *v1alpha1.Registry) { r.Spec.Mode = v1alpha1.ModeObserve }))
	got := h.last().Policies[0]
	want := plan.Policy{
		Namespace: "ns", Name: "a", Sources: []model.SourceID{"a.e22e412c"}, Mode: plan.Observe, MaxServices: 10_000,
		EmptyGrace: 3 * time.Minute, DeleteAfter: 10 * time.Minute, MassRemovalPercent: 30, MassRemovalHold: 10 * time.Minute,
		Released: []string{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}
