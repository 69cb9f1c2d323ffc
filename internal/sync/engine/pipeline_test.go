package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/dir"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/sync/store"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// fakeRegistry is a registry that tests move about, and a Source that watches it.
type fakeRegistry struct {
	mu       sync.Mutex
	services map[string][]string
	// unreadable units are skipped.
	unreadable map[string]bool
	// fault, when set, ends each run: before the listing, or at once when one is under way.
	fault   error
	changed chan string
}

func newFakeRegistry() *fakeRegistry {
	return &fakeRegistry{services: map[string][]string{}, unreadable: map[string]bool{}, changed: make(chan string, 1000)}
}

// set registers the instances of a service, none for none.
func (r *fakeRegistry) set(name string, addresses ...string) {
	r.mu.Lock()
	r.services[name] = addresses
	r.mu.Unlock()
	r.tell(name)
}

// remove takes the whole service away.
func (r *fakeRegistry) remove(name string) {
	r.mu.Lock()
	delete(r.services, name)
	r.mu.Unlock()
	r.tell(name)
}

// lose empties the registry as a restart without its data does.
func (r *fakeRegistry) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.services)
}

// breakWith sets the fault, nil for none.
func (r *fakeRegistry) breakWith(err error) {
	r.mu.Lock()
	r.fault = err
	r.mu.Unlock()
	r.tell("")
}

func (r *fakeRegistry) tell(name string) {
	select {
	case r.changed <- name:
	default: // Nobody watches: the next listing shows it.
	}
}

// name tells one service to the sink.
func (r *fakeRegistry) name(sink source.Sink, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref := model.Ref{Source: sourceID, Unit: name, Name: name}
	addresses, exists := r.services[name]
	switch {
	case r.fault != nil:
		return r.fault
	case name == "":
	case !exists:
		sink.Delete(ref)
	case r.unreadable[name]:
		sink.Skip(ref, source.ErrMalformed)
	default:
		svc := &model.Service{Ref: ref, Metadata: map[string]string{model.MetaDubboInterface: name}}
		for _, a := range addresses {
			svc.Instances = append(svc.Instances, model.Instance{
				ID: "dubbo://" + a + ":20880", Address: a, Weight: 100, Ports: []model.Port{{Protocol: "dubbo", Number: 20880}},
			})
		}
		sink.Upsert(svc)
	}
	return nil
}

// Run implements source.Source.
func (r *fakeRegistry) Run(ctx context.Context, sink source.Sink) error {
	r.mu.Lock()
	for len(r.changed) > 0 {
		<-r.changed
	}
	names := slices.Collect(maps.Keys(r.services))
	r.mu.Unlock()
	for _, name := range append(names, "") {
		if err := r.name(sink, name); err != nil {
			return err
		}
	}
	sink.Synced()
	for {
		select {
		case <-ctx.Done():
			return nil
		case name := <-r.changed:
			if err := r.name(sink, name); err != nil {
				return err
			}
		}
	}
}

// world is the whole pipeline, from a registry to a folder that istiod would read.
type world struct {
	*testing.T
	registry *fakeRegistry
	folder   string
	engine   *engine.Engine
	policy   plan.Policy
	stop     func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{
		T: t, registry: newFakeRegistry(), folder: t.TempDir(),
		policy: plan.Policy{
			Namespace: "registry", Name: "zk", Sources: []model.SourceID{sourceID}, Mode: plan.Active,
			EmptyGrace: 3 * time.Minute, DeleteAfter: 10 * time.Minute, MassRemovalPercent: 30, MassRemovalHold: 10 * time.Minute,
		},
	}
}

func (w *world) config() *engine.Config {
	return &engine.Config{
		Options: &translate.Options{Instance: outputtest.Instance, Registries: []*translate.Registry{{
			Namespace: "registry", Name: "zk", Type: "zookeeper", PublishWarning: true,
			Sources: []translate.Source{{ID: sourceID, Scope: "iface", Dubbo: true, DefaultWeight: 100}},
			Output:  translate.Output{VIPs: netip.MustParsePrefix("240.239.0.0/16")},
		}}},
		Policies: []plan.Policy{w.policy},
	}
}

// start starts a bridge; the registry and the folder are those of the one before.
func (w *world) start() {
	w.Helper()
	out, err := dir.Open(dir.Options{Path: w.folder, Instance: outputtest.Instance})
	if err != nil {
		w.Fatal(err)
	}
	sources := store.New()
	sources.Configure(map[model.SourceID]store.Owner{sourceID: {Namespace: "registry", Registry: "zk"}})
	w.engine = engine.New(engine.Deps{Store: sources, Output: out})
	w.engine.Configure(w.config())
	ctx, cancel := context.WithCancel(w.Context())
	var running sync.WaitGroup
	running.Go(func() { source.Supervise(ctx, w.registry, sources.Runs(sourceID), source.SuperviseOptions{}) })
	running.Go(func() {
		if err := w.engine.Run(ctx); err != nil {
			w.Error(err)
		}
	})
	w.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := out.Close(); err != nil {
			w.Error(err)
		}
	})
	w.Cleanup(w.stop)
	w.after(200 * time.Millisecond)
}

func (w *world) restart() {
	w.Helper()
	w.stop()
	w.start()
}

func (w *world) after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// endpoints reads the folder as istiod would, without any code of ours.
func (w *world) endpoints() map[string][]string {
	w.Helper()
	files, err := filepath.Glob(filepath.Join(w.folder, "*.yaml"))
	if err != nil {
		w.Fatal(err)
	}
	hosts := map[string][]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			w.Fatal(err)
		}
		var manifest struct {
			Spec struct {
				Hosts     []string
				Endpoints []struct{ Address string }
			}
		}
		if err := yaml.Unmarshal(text, &manifest); err != nil {
			w.Fatalf("%s: %v", name, err)
		}
		addresses := []string{}
		for _, e := range manifest.Spec.Endpoints {
			addresses = append(addresses, e.Address)
		}
		slices.Sort(addresses)
		hosts[manifest.Spec.Hosts[0]] = addresses
	}
	return hosts
}

func (w *world) want(when string, want map[string][]string) {
	w.Helper()
	if got := w.endpoints(); !maps.EqualFunc(want, got, slices.Equal) {
		w.Errorf("%s: the folder has %v, want %v", when, got, want)
	}
}

// always checks the folder 60 times while time passes.
func (w *world) always(when string, during time.Duration, want map[string][]string) {
	w.Helper()
	for passed := time.Duration(0); passed < during && !w.Failed(); passed += during / 60 {
		w.after(during / 60)
		w.want(fmt.Sprintf("%s, %s on", when, passed), want)
	}
}

// populate registers eight services with three instances each, and returns what the folder should have then.
func (w *world) populate() map[string][]string {
	want := map[string][]string{}
	for i := range 8 {
		var addresses []string
		for j := range 3 {
			addresses = append(addresses, fmt.Sprintf("10.0.%d.%d", i, j+1))
		}
		w.registry.set(fmt.Sprintf("com.acme.service%d", i), addresses...)
		want[fmt.Sprintf("com.acme.service%d", i)] = addresses
	}
	return want
}

var errDown = fmt.Errorf("dial: %w", source.ErrUnavailable)

func TestPipelineFollowsTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		want := w.populate()
		w.start()
		w.want("at first", want)
		w.registry.set("com.acme.service0", "10.0.0.1", "10.0.0.3")
		w.registry.set("com.acme.new", "10.1.0.1")
		w.after(200 * time.Millisecond)
		want["com.acme.service0"] = []string{"10.0.0.1", "10.0.0.3"}
		want["com.acme.new"] = []string{"10.1.0.1"}
		w.want("after a change", want)
	})
}

func TestPipelineOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		want := w.populate()
		w.start()
		w.registry.breakWith(errDown)
		w.always("registry down", time.Hour, want)
		w.restart()
		w.always("registry down, bridge restarted", time.Hour, want)
		w.registry.set("com.acme.service1", "10.0.1.1")
		w.registry.breakWith(nil)
		w.after(time.Minute)
		want["com.acme.service1"] = []string{"10.0.1.1"}
		w.want("registry back", want)
	})
}

func TestPipelineEmptyRegistryAfterItsRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		want := w.populate()
		w.start()
		w.after(10 * time.Minute)
		w.registry.breakWith(errDown)
		w.after(10 * time.Second)
		w.registry.lose()
		w.registry.breakWith(nil)
		w.always("registry restarted empty", 9*time.Minute, want)
		if len(w.engine.State().Plan.Held) == 0 {
			t.Error("nothing is held")
		}
		w.populate()
		w.always("providers came back", 15*time.Minute, want)
		if held := w.engine.State().Plan.Held; len(held) != 0 {
			t.Errorf("still held: %+v", held[0])
		}
	})
}

func TestPipelineWipeDuringARestartOfTheBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		want := w.populate()
		w.start()
		w.stop()
		w.registry.lose()
		w.start()
		w.always("wiped while the bridge was away", 9*time.Minute, want)
		// A registry that stays empty is believed in the end: the endpoints go, later the objects.
		w.after(2 * time.Hour)
		w.want("a long time later", map[string][]string{})
	})
}

func TestPipelineHoldAndRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		want := w.populate()
		w.start()
		w.after(10 * time.Minute)
		for i := range 7 {
			w.registry.set(fmt.Sprintf("com.acme.service%d", i))
		}
		w.always("mass removal", 2*time.Minute, want)
		w.policy.Released = []string{"*"}
		w.engine.Configure(w.config())
		w.after(time.Second)
		got := w.endpoints()
		for i := range 7 {
			if n := len(got[fmt.Sprintf("com.acme.service%d", i)]); n != 0 {
				t.Errorf("service %d still has %d endpoints after the release", i, n)
			}
		}
		if n := len(got["com.acme.service7"]); n != 3 {
			t.Errorf("the service that was not touched has %d endpoints", n)
		}
	})
}

func TestPipelineLastInstanceReallyGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		want := w.populate()
		w.start()
		w.after(10 * time.Minute)
		w.registry.remove("com.acme.service3")
		w.always("within the grace", 2*time.Minute+50*time.Second, want)
		w.after(15 * time.Second)
		want["com.acme.service3"] = []string{}
		w.want("after the grace", want)
		w.after(11 * time.Minute)
		delete(want, "com.acme.service3")
		w.want("after the second grace", want)
	})
}

func TestPipelineUnreadableUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		want := w.populate()
		w.start()
		w.registry.mu.Lock()
		w.registry.unreadable["com.acme.service2"] = true
		w.registry.mu.Unlock()
		w.registry.set("com.acme.service2", "10.9.9.9")
		w.registry.set("com.acme.service3", "10.0.3.2")
		w.restart()
		want["com.acme.service3"] = []string{"10.0.3.2"}
		w.always("one unit cannot be read", 30*time.Minute, want)
	})
}

func TestPipelineFolderInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		want := w.populate()
		w.folder = filepath.Join(w.folder, "out")
		w.start()
		if err := os.Rename(w.folder, w.folder+".away"); err != nil {
			t.Fatal(err)
		}
		w.registry.set("com.acme.service0", "10.0.0.1")
		w.after(5 * time.Minute)
		if f := w.engine.State().Output; f == nil || f.Attempts < 3 {
			t.Errorf("trouble with the output is %+v", f)
		}
		if _, err := os.Stat(w.folder); !errors.Is(err, os.ErrNotExist) {
			t.Error("the folder was made anew")
		}
		if err := os.Rename(w.folder+".away", w.folder); err != nil {
			t.Fatal(err)
		}
		w.after(61 * time.Second)
		want["com.acme.service0"] = []string{"10.0.0.1"}
		w.want("the folder is back", want)
	})
}

func TestPipelineIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.populate()
		w.start()
		stamps := func() map[string]time.Time {
			files, err := filepath.Glob(filepath.Join(w.folder, "*.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			times := map[string]time.Time{}
			for _, name := range files {
				info, err := os.Stat(name)
				if err != nil {
					t.Fatal(err)
				}
				times[name] = info.ModTime()
			}
			return times
		}
		before := stamps()
		for range 60 {
			w.populate() // Everything is told again.
			w.after(time.Second)
		}
		w.restart()
		w.after(time.Minute)
		if after := stamps(); len(before) != 8 || !maps.Equal(before, after) {
			t.Error("files were written although nothing changed")
		}
	})
}
