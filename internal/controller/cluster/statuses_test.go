package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// api takes what is written, and holds one Registry.
type api struct {
	client.Client
	registry v1alpha1.Registry
	fails    error
	statuses int
	status   runtime.ApplyConfiguration
	patches  int
	events   []string
}

// subresource writes the status.
type subresource struct {
	client.SubResourceWriter
	api *api
}

func (a *api) Status() client.SubResourceWriter { return subresource{api: a} }

func (a subresource) Apply(_ context.Context, o runtime.ApplyConfiguration, _ ...client.SubResourceApplyOption) error {
	a.api.statuses++
	a.api.status = o
	return a.api.fails
}

// written returns the status that was written last.
func (a *api) written(t *testing.T) v1alpha1.RegistryStatus {
	t.Helper()
	u := a.status.(interface{ UnstructuredContent() map[string]any }) //nolint:errcheck // Nothing else is applied.
	var r v1alpha1.Registry
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.UnstructuredContent(), &r); err != nil {
		t.Fatal(err)
	}
	return r.Status
}

func (a *api) Get(_ context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	a.registry.DeepCopyInto(into.(*v1alpha1.Registry)) //nolint:errcheck // Nothing else is read.
	return a.fails
}

func (a *api) Patch(_ context.Context, changed client.Object, _ client.Patch, _ ...client.PatchOption) error {
	a.patches++
	if a.fails == nil {
		a.registry.Finalizers = changed.GetFinalizers()
	}
	return a.fails
}

//nolint:revive // The signature is that of client-go.
func (a *api) Eventf(_, _ runtime.Object, kind, reason, action, _ string, _ ...any) {
	a.events = append(a.events, fmt.Sprint(kind, " ", action, " ", reason))
}

// Served and Missing implement cluster.Cluster.
func (*api) Served() string { return "v1" }
func (*api) Missing() bool  { return false }

// desk is Statuses over an api, and what the engine and the reconciler say.
type desk struct {
	*cluster.Statuses
	api   *api
	state *engine.State
	set   cluster.Set
}

func newDesk(edits ...func(*v1alpha1.Registry)) *desk {
	r := zookeeper("zk", edits...)
	inUse := r.DeepCopy()
	v1alpha1.Default(inUse)
	d := &desk{api: &api{registry: r}, set: cluster.Set{Registries: []cluster.Registry{{Seen: &r, InUse: inUse}}}}
	d.Statuses = &cluster.Statuses{
		Client: d.api, Events: d.api, Cluster: d.api, Logger: slog.New(slog.DiscardHandler),
		State: func() *engine.State { return d.state }, Set: func() cluster.Set { return d.set },
	}
	d.sees(1)
	return d
}

// sees has the engine see a source with so many instances.
func (d *desk) sees(instances int, edits ...func(*engine.State)) {
	const id = model.SourceID("zk.1")
	svc := &model.Service{Ref: model.Ref{Source: id, Unit: "a", Name: "a"}, Instances: make([]model.Instance, instances)}
	deleted := d.set.Registries[0].Seen.DeletionTimestamp != nil
	d.state = &engine.State{
		Cycle: 1, Time: time.Now(),
		Config: &engine.Config{
			Options:  &translate.Options{Registries: []*translate.Registry{{Namespace: "shop", Name: "zk", Sources: []translate.Source{{ID: id, Scope: "iface"}}}}},
			Policies: []plan.Policy{{Namespace: "shop", Name: "zk", Sources: []model.SourceID{id}, Deleted: deleted}},
		},
		Snapshot: model.Snapshot{Sources: []model.SourceServices{{ID: id, Services: []*model.Service{svc}}}},
		Statuses: map[model.SourceID]model.Status{id: {Namespace: "shop", Registry: "zk", State: model.Synced, Since: time.Now()}},
	}
	for _, edit := range edits {
		edit(d.state)
	}
}

func fails(s *engine.State) {
	status := s.Statuses["zk.1"]
	status.State, status.Err, status.Cause = model.Failing, "refused", "Unreachable"
	s.Statuses["zk.1"] = status
}

// TestStatusIsWrittenWhenItChanges: states at once, numbers now and then, and nothing when there is no news.
func TestStatusIsWrittenWhenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		look := func(want int, what string) {
			t.Helper()
			d.Look(t.Context())
			if d.api.statuses != want {
				t.Errorf("%s: %d statuses were written, want %d", what, d.api.statuses, want)
			}
			<-time.After(time.Second)
		}
		look(1, "the first look")
		look(1, "no news")
		d.sees(1)
		look(1, "another cycle without news")
		d.sees(2)
		look(1, "another number, a moment later")
		<-time.After(15 * time.Second)
		look(2, "another number, some time later")
		d.sees(2, fails)
		look(3, "a source fails")
		for range 100 {
			d.sees(2, fails)
			look(3, "it goes on failing")
		}
		d.api.fails = errors.New("503")
		d.sees(2)
		look(4, "it recovers, and the API server does not answer")
		look(5, "it is tried again")
		d.api.fails = nil
		look(6, "it answers again")
		look(6, "no news")
	})
}

// TestTakeOverIsNoNews: a new leader says of a Registry what the last one said until it knows better, but not for ever.
func TestTakeOverIsNoNews(t *testing.T) {
	unread := func(s *engine.State) { *s = engine.State{} }
	lists := func(s *engine.State) {
		status := s.Statuses["zk.1"]
		status.State = model.Listing
		s.Statuses["zk.1"], s.Snapshot = status, model.Snapshot{}
	}
	refused := func(s *engine.State) {
		lists(s)
		status := s.Statuses["zk.1"]
		status.Err, status.Cause = "refused", "Unreachable"
		s.Statuses["zk.1"] = status
	}
	edited := func(d *desk) { d.set.Registries[0].Seen.Generation++ }
	frozen := func(d *desk) { d.set.Freeze = &cluster.Freeze{} }
	for _, tt := range []struct {
		name string
		// last is how it was when the last leader wrote, now is how it is for the new one at first, news what else has happened.
		last, now []func(*engine.State)
		news      func(*desk)
		// written is how many statuses the new leader writes, wait how long it looks.
		written int
		wait    time.Duration
	}{
		{"nothing is planned yet", nil, []func(*engine.State){unread}, nil, 0, 30 * time.Second},
		{"the registry is read", nil, []func(*engine.State){lists}, nil, 0, 50 * time.Second},
		{"the registry is read for too long", nil, []func(*engine.State){lists}, nil, 1, 61 * time.Second},
		{"nothing is planned for too long", nil, []func(*engine.State){unread}, nil, 1, 61 * time.Second},
		{"the registry has been read", nil, nil, nil, 0, time.Hour},
		{"the registry does not answer", nil, []func(*engine.State){refused}, nil, 1, time.Second},
		{"it goes on not to answer", []func(*engine.State){refused}, []func(*engine.State){refused}, nil, 0, time.Hour},
		{"somebody freezes", nil, []func(*engine.State){lists}, frozen, 1, time.Second},
		{"somebody freezes before anything is planned", nil, []func(*engine.State){unread}, frozen, 0, time.Second},
		{"the Registry is edited", nil, []func(*engine.State){lists}, edited, 1, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				last := newDesk()
				last.sees(3, tt.last...)
				last.Look(t.Context())
				<-time.After(time.Hour)
				d := newDesk(func(r *v1alpha1.Registry) { r.Status = last.api.written(t) })
				if tt.news != nil {
					tt.news(d)
				}
				d.sees(3, tt.now...)
				for begin := time.Now(); time.Since(begin) < tt.wait; {
					d.Look(t.Context())
					<-time.After(time.Second)
				}
				if d.api.statuses != tt.written {
					t.Errorf("the new leader has written %d statuses in %s, want %d", d.api.statuses, tt.wait, tt.written)
				}
			})
		})
	}
}

func TestEventsTellOfChanges(t *testing.T) {
	d := newDesk()
	for _, edits := range [][]func(*engine.State){nil, {fails}, {fails}, nil} {
		d.sees(1, edits...)
		d.Look(t.Context())
	}
	want := []string{
		"Warning Connected Unreachable", "Warning Synced Failing",
		"Normal Connected Connected", "Normal Synced Synced",
	}
	if diff := cmp.Diff(want, d.api.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestRegistryGoesWithItsLastObject: the finalizer is taken away when a plan that knows of the deletion has left nothing, once.
func TestRegistryGoesWithItsLastObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(deletes, going, func(r *v1alpha1.Registry) { r.Finalizers = append(r.Finalizers, "other") })
		object := &translate.Object{
			Key:         translate.Key{Kind: translate.KindServiceEntry, Namespace: "shop", Name: "a"},
			Annotations: map[string]string{translate.AnnotationRegistry: "zk"}, ServiceEntry: &translate.ServiceEntry{Host: "a.acme"},
		}
		holds := func(s *engine.State) { s.Live = []plan.Live{{Object: object}} }
		early := func(s *engine.State) { s.Time = s.Time.Add(-time.Second) }
		unknowing := func(s *engine.State) { s.Config.Policies[0].Deleted = false }
		for what, edit := range map[string]func(*engine.State){"something is live": holds, "the plan is older": early, "it does not know": unknowing} {
			d.set.Loaded = time.Now()
			d.sees(0, edit)
			d.Look(t.Context())
			if !slices.Contains(d.api.registry.Finalizers, cluster.Finalizer) {
				t.Fatalf("the finalizer is gone although %s", what)
			}
			<-time.After(10 * time.Second)
		}
		d.sees(0)
		d.api.fails = errors.New("409")
		d.Look(t.Context())
		<-time.After(time.Second)
		d.api.fails, d.api.patches = nil, 0
		for range 30 {
			d.sees(0)
			d.Look(t.Context())
			<-time.After(time.Second)
		}
		if diff := cmp.Diff([]string{"other"}, d.api.registry.Finalizers); diff != "" || d.api.patches != 1 {
			t.Errorf("finalizers after %d patches (-want +got):\n%s", d.api.patches, diff)
		}
	})
}

// TestRefusedObjectsAreNamed: a host of somebody else is another condition than an object that is refused.
func TestRefusedObjectsAreNamed(t *testing.T) {
	d := newDesk()
	key := func(name string) translate.Key {
		return translate.Key{Kind: translate.KindServiceEntry, Namespace: "shop", Name: name}
	}
	d.sees(1, func(s *engine.State) {
		s.WriteErrors = map[translate.Key]engine.Failure{key("a"): {Err: output.ErrTaken}, key("b"): {Err: output.ErrRefused}}
		for _, name := range []string{"a", "b"} {
			s.Result.Objects = append(s.Result.Objects, &translate.Object{
				Key: key(name), Registries: []string{"zk"}, ServiceEntry: &translate.ServiceEntry{Host: name + ".acme"},
			})
		}
	})
	d.Look(t.Context())
	want := []string{"Warning Ready WritesRefused", "Warning HostConflict HostConflict"}
	if diff := cmp.Diff(want, d.api.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestTablesThatAreRefused are told to every Registry whose services need them; a DestinationRule of somebody else is no conflict of hosts.
func TestTablesThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		table, rule := translate.TableKey("consumers", 20880), translate.Key{Kind: translate.KindDestinationRule, Namespace: "shop", Name: "a"}
		d.sees(1, func(s *engine.State) {
			s.Result.Objects = []*translate.Object{
				{Key: rule, Registries: []string{"zk"}, DestinationRule: &translate.DestinationRule{Host: "a"}},
				{Key: table, EnvoyFilter: &translate.EnvoyFilter{Port: 20880}},
				{Key: translate.Key{Kind: translate.KindServiceEntry, Namespace: "shop", Name: "a"}, Registries: []string{"zk"}, ServiceEntry: &translate.ServiceEntry{
					Host: "a", ExportTo: []string{"consumers"}, Ports: []translate.ServicePort{{Name: "tcp-dubbo-20880", Number: 20880, Protocol: translate.TCP}},
				}},
			}
			s.WriteErrors = map[translate.Key]engine.Failure{
				table: {Err: fmt.Errorf("%w: forbidden", output.ErrRefused)},
				rule:  {Err: fmt.Errorf("%w: somebody has one", output.ErrTaken)},
			}
		})
		d.Look(t.Context())
		status := d.api.written(t)
		i := slices.IndexFunc(status.Conditions, func(c metav1.Condition) bool { return c.Type == v1alpha1.ConditionReady })
		if i < 0 || status.Conditions[i].Reason != "WritesRefused" || !strings.Contains(status.Conditions[i].Message, table.String()) {
			t.Errorf("conditions are %+v", status.Conditions)
		}
		if slices.ContainsFunc(status.Conditions, func(c metav1.Condition) bool { return c.Type == "HostConflict" }) {
			t.Errorf("a conflict of hosts: %+v", status.Conditions)
		}
	})
}
