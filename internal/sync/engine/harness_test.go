package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/sync/store"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sourceID = model.SourceID("zk.00000001")

// harness is an engine between a store that the test fills and an output in memory. It lives in a synctest bubble.
type harness struct {
	*testing.T
	store    *store.Store
	memory   *outputtest.Memory
	engine   *engine.Engine
	registry *prometheus.Registry
	sink     source.Sink
	log      *safeBuffer
	stop     func()
}

// change edits the dependencies of an engine before it is made.
type change func(*engine.Deps)

// newHarness makes an engine with a pure core that guards nothing, so that tests see the engine alone.
func newHarness(t *testing.T, changes ...change) *harness {
	t.Helper()
	h := &harness{
		T: t, store: store.New(), memory: &outputtest.Memory{}, registry: prometheus.NewRegistry(), log: &safeBuffer{},
	}
	deps := engine.Deps{
		Store: h.store, Output: h.memory, Logger: slog.New(slog.NewTextHandler(h.log, nil)), Registerer: h.registry,
		Translate: translateNaively, Compute: computeNaively,
	}
	for _, edit := range changes {
		edit(&deps)
	}
	h.engine = engine.New(deps)
	h.store.Configure(map[model.SourceID]store.Owner{sourceID: {Namespace: "registry", Registry: "zk"}})
	h.sink, _ = h.store.Runs(sourceID).Begin()
	return h
}

// start configures the engine and runs it until the test ends or calls stop.
func (h *harness) start() {
	h.Helper()
	h.engine.Configure(&engine.Config{Options: &translate.Options{Instance: outputtest.Instance}})
	h.run()
}

func (h *harness) run() {
	ctx, cancel := context.WithCancel(h.Context())
	done := make(chan error)
	go func() { done <- h.engine.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.Errorf("Run: %v", err)
		}
	})
	h.Cleanup(h.stop)
	synctest.Wait()
}

// after lets time pass and everything settle.
func (h *harness) after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// register names a service with instances at these addresses.
func (h *harness) register(name string, addresses ...string) {
	svc := &model.Service{Ref: model.Ref{Source: sourceID, Unit: name, Name: name}}
	for _, a := range addresses {
		svc.Instances = append(svc.Instances, model.Instance{
			ID: a, Address: a, Weight: 1, Ports: []model.Port{{Protocol: "dubbo", Number: 20881}},
		})
	}
	h.sink.Upsert(svc)
}

func (h *harness) wantEndpoints(want map[string][]string) {
	h.Helper()
	got := h.memory.Endpoints()
	if !maps.EqualFunc(want, got, slices.Equal) {
		h.Errorf("output has %v, want %v", got, want)
	}
}

// countWrites returns how many writes of the key's name there were, "" for all.
func (h *harness) countWrites(name string) int {
	n := 0
	for _, w := range h.memory.Writes() {
		if name == "" || w.Key.Name == name {
			n++
		}
	}
	return n
}

// translateNaively makes an object of each service with instances.
func translateNaively(snap model.Snapshot, _ map[translate.Key]translate.Prior, _ *translate.Options) translate.Result {
	var result translate.Result
	for _, src := range snap.Sources {
		for _, svc := range src.Services {
			var addresses []string
			for _, inst := range svc.Instances {
				addresses = append(addresses, inst.Address)
			}
			slices.Sort(addresses)
			if len(addresses) > 0 {
				result.Objects = append(result.Objects, outputtest.Object(svc.Ref.Name, addresses...))
			}
		}
	}
	return result
}

// computeNaively makes the output equal to what is desired, at once, as long as every source is synced.
func computeNaively(in plan.Input) plan.Plan {
	var p plan.Plan
	for _, status := range in.Sources {
		if status.State == model.Listing {
			return p
		}
	}
	live := map[translate.Key]*plan.Live{}
	for i := range in.Live {
		live[in.Live[i].Object.Key] = &in.Live[i]
	}
	for _, object := range in.Desired.Objects {
		there := live[object.Key]
		delete(live, object.Key)
		switch {
		case there == nil:
			p.Apply = append(p.Apply, plan.Change{Op: plan.Create, Key: object.Key, Object: object})
		case !equalObjects(there.Object, object):
			p.Apply = append(p.Apply, plan.Change{Op: plan.Update, Key: object.Key, Object: object, Live: there})
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(live), translate.Key.Compare) {
		p.Delete = append(p.Delete, plan.Change{Op: plan.Delete, Key: key, Live: live[key]})
	}
	return p
}

func equalObjects(a, b *translate.Object) bool {
	return a == b || fmt.Sprint(*a.ServiceEntry) == fmt.Sprint(*b.ServiceEntry)
}

// safeBuffer is a buffer for a log that is read while it is written.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// count returns how often text is in the log.
func (b *safeBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.buf.String(), text)
}

// laggingOutput shows what an output held some time ago, as a cache does.
type laggingOutput struct {
	output.Output
	lag   time.Duration
	shown []snapshotAt
}

type snapshotAt struct {
	at   time.Time
	live []plan.Live
}

func (o *laggingOutput) Live(ctx context.Context) ([]plan.Live, error) {
	if err := o.remember(ctx); err != nil {
		return nil, err
	}
	best := o.shown[0]
	for _, s := range o.shown {
		if time.Since(s.at) >= o.lag {
			best = s
		}
	}
	return best.live, nil
}

// Write remembers what was there before and after it.
func (o *laggingOutput) Write(ctx context.Context, p plan.Plan) []output.Result {
	results := o.Output.Write(ctx, p)
	_ = o.remember(ctx) // It cannot fail here.
	return results
}

func (o *laggingOutput) remember(ctx context.Context) error {
	live, err := o.Output.Live(ctx)
	o.shown = append(o.shown, snapshotAt{at: time.Now(), live: live})
	return err
}
