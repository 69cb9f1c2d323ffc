package kube_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/kube"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/sync/store"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

const sourceID = model.SourceID("zk.00000001")

// bridge is an engine over the API server, behind a registry that the test plays.
type bridge struct {
	engine *engine.Engine
	sink   source.Sink
	stop   func()
}

// startBridge starts a bridge that ends with the test at the latest.
func startBridge(t *testing.T, p *place) *bridge {
	t.Helper()
	k, err := kube.New(kube.Options{Config: p.cluster.Config(), Instance: outputtest.Instance})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New()
	b := &bridge{engine: engine.New(engine.Deps{Store: s, Output: k, Translate: translateNaively})}
	s.Configure(map[model.SourceID]store.Owner{sourceID: {Namespace: namespace, Registry: "zk"}})
	b.sink, _ = s.Runs(sourceID).Begin()
	b.engine.Configure(&engine.Config{
		Options: &translate.Options{Instance: outputtest.Instance},
		Policies: []plan.Policy{{
			Namespace: namespace, Name: "zk", Sources: []model.SourceID{sourceID}, Mode: plan.Active,
			EmptyGrace: time.Hour, DeleteAfter: time.Hour, MassRemovalPercent: 100, MassRemovalHold: time.Hour,
		}},
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { k.Run(ctx) })
	running.Go(func() { _ = b.engine.Run(ctx) }) // It fails only over metrics, of which there are none.
	b.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(b.stop)
	return b
}

// translateNaively makes one object of each service.
func translateNaively(snap model.Snapshot, _ map[translate.Key]translate.Prior, _ *translate.Options) translate.Result {
	var result translate.Result
	for _, src := range snap.Sources {
		for _, svc := range src.Services {
			var addresses []string
			for _, i := range svc.Instances {
				addresses = append(addresses, i.Address)
			}
			result.Objects = append(result.Objects, outputtest.Object(svc.Ref.Name, addresses...))
		}
	}
	slices.SortFunc(result.Objects, func(a, b *translate.Object) int { return a.Key.Compare(b.Key) })
	return result
}

// register names services, each with instances at these addresses.
func (b *bridge) register(services []string, addresses ...string) {
	for _, name := range services {
		svc := &model.Service{Ref: model.Ref{Source: sourceID, Unit: name, Name: name}}
		for _, a := range addresses {
			svc.Instances = append(svc.Instances, model.Instance{ID: a, Address: a, Weight: 1, Ports: []model.Port{{Protocol: "dubbo", Number: 20881}}})
		}
		b.sink.Upsert(svc)
	}
}

// services returns n names.
func services(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("s%03d.acme", i)
	}
	return list
}

// published returns the addresses behind each name, as they are stored.
func (p *place) published(ctx context.Context) (map[string][]string, error) {
	list, err := p.entries.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for i := range list.Items {
		var addresses []string
		endpoints, _, _ := unstructured.NestedSlice(list.Items[i].Object, "spec", "endpoints")
		for _, e := range endpoints {
			addresses = append(addresses, fmt.Sprint(e.(map[string]any)["address"])) //nolint:errcheck // It is one.
		}
		all[list.Items[i].GetName()] = addresses
	}
	return all, nil
}

// await waits until exactly these services are published at these addresses.
func (p *place) await(t *testing.T, services []string, addresses ...string) {
	t.Helper()
	want := map[string][]string{}
	for _, name := range services {
		want[name] = addresses
	}
	lab.Await(t, 2*time.Minute, "what is published is what is registered", func(ctx context.Context) error {
		got, err := p.published(ctx)
		if err == nil && !maps.EqualFunc(got, want, slices.Equal) {
			err = fmt.Errorf("%d of %d objects; differences (-want +got):\n%.1000s", len(got), len(want), cmp.Diff(want, got))
		}
		return err
	})
}

// awaitSettled waits until the bridge has seen everything and has nothing to write.
func (b *bridge) awaitSettled(t *testing.T) {
	t.Helper()
	lab.Await(t, settleLimit, "the bridge has settled", func(context.Context) error {
		if state := b.engine.State(); !state.Settled() || state.Statuses[sourceID].State != model.Synced || !state.Plan.Empty() {
			return fmt.Errorf("its plan has %d applies; trouble: %+v; errors: %v", len(state.Plan.Apply), state.Output, state.WriteErrors)
		}
		return nil
	})
}

// handEditsAreHeard edits what a running bridge has published.
func (s *scene) handEditsAreHeard() {
	t, p := s.T, s.place
	b := startBridge(t, p)
	p.out = &settled{expected: map[translate.Key]string{}}
	b.register([]string{"a.acme", "b.acme"}, "10.0.0.1")
	b.sink.Synced()
	p.await(t, []string{"a.acme", "b.acme"}, "10.0.0.1")
	b.awaitSettled(t)
	a, other := outputtest.Object("a.acme").Key, outputtest.Object("b.acme").Key

	begin := time.Now()
	p.edit(t, a, func(object map[string]any) { set(t, object, "MESH_EXTERNAL", "spec", "location") })
	lab.Await(t, settleLimit, "a changed field is repaired", func(ctx context.Context) error {
		edited, err := p.entries.Get(ctx, a.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if got, _, _ := unstructured.NestedString(edited.Object, "spec", "location"); got != "MESH_INTERNAL" {
			return fmt.Errorf("location is %q", got)
		}
		return nil
	})
	t.Logf("a hand edit was repaired after %v", time.Since(begin))

	p.edit(t, a, func(object map[string]any) { set(t, object, []any{}, "spec", "endpoints") })
	p.await(t, []string{"a.acme", "b.acme"}, "10.0.0.1")
	p.Remove(t, other)
	p.await(t, []string{"a.acme", "b.acme"}, "10.0.0.1")

	// Without a label of ours it is not ours any more, and nothing is created over it.
	p.edit(t, a, func(object map[string]any) {
		unstructured.RemoveNestedField(object, "metadata", "labels", translate.LabelInstance)
		set(t, object, "MESH_EXTERNAL", "spec", "location")
	})
	detached := p.Get(t, a)
	lab.Await(t, settleLimit, "the bridge does not get its object back", func(context.Context) error {
		if err := b.engine.State().WriteErrors[a].Err; err == nil {
			return fmt.Errorf("no error")
		}
		return nil
	})
	if diff := cmp.Diff(detached, p.Get(t, a)); diff != "" {
		t.Errorf("the detached object was touched (-before +after):\n%s", diff)
	}
}

// restart kills the API server while a bridge writes, and runs a second bridge over what the first has written.
func (s *scene) restart() {
	t, p := s.T, s.place
	all := services(300)
	b := startBridge(t, p)
	b.register(all, "10.0.0.1", "10.0.0.2")
	b.sink.Synced()
	lab.Await(t, settleLimit, "the bridge writes", func(ctx context.Context) error {
		got, err := p.published(ctx)
		if err == nil && len(got) < 40 {
			err = fmt.Errorf("%d objects", len(got))
		}
		return err
	})
	p.cluster.Kill()
	b.register(all[:10], "10.0.0.2")
	p.cluster.startAgain()
	b.register(all, "10.0.0.1", "10.0.0.2")
	p.await(t, all, "10.0.0.1", "10.0.0.2")
	b.awaitSettled(t)
	before := p.versions(t)
	b.stop()

	b = startBridge(t, p)
	b.register(all, "10.0.0.1", "10.0.0.2")
	b.sink.Synced()
	b.awaitSettled(t)
	if diff := cmp.Diff(before, p.versions(t)); diff != "" {
		t.Errorf("a second run over the same registry wrote (-before +after):\n%s", diff)
	}
}

// stopped stops the API server for half a minute, while changes are pending.
func (s *scene) stopped() {
	t, p := s.T, s.place
	all := services(50)
	b := startBridge(t, p)
	b.register(all, "10.0.0.1", "10.0.0.2")
	b.sink.Synced()
	p.await(t, all, "10.0.0.1", "10.0.0.2")
	p.cluster.Process().Signal(syscall.SIGSTOP)
	t.Cleanup(func() { p.cluster.Process().Signal(syscall.SIGCONT) })
	b.register(all, "10.0.0.1", "10.0.0.3")
	<-time.After(30 * time.Second)
	b.register(all, "10.0.0.3", "10.0.0.4")
	p.cluster.Process().Signal(syscall.SIGCONT)
	begin := time.Now()
	p.await(t, all, "10.0.0.3", "10.0.0.4")
	t.Logf("all was written %v after the API server went on", time.Since(begin))
	b.awaitSettled(t)
	before := p.versions(t)
	b.stop()
	if diff := cmp.Diff(before, p.versions(t)); diff != "" {
		t.Errorf("a stop wrote (-before +after):\n%s", diff)
	}
}
