package engine_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// fakePods are pods as a test wants them.
type fakePods struct {
	mu      sync.Mutex
	pods    *translate.Pods
	changed chan struct{}
}

func newFakePods() *fakePods {
	return &fakePods{pods: translate.UnknownPods(), changed: make(chan struct{}, 1)}
}

func (p *fakePods) Pods() *translate.Pods {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pods
}

func (p *fakePods) Changed() <-chan struct{} { return p.changed }

// set makes pods of these addresses.
func (p *fakePods) set(addresses ...string) {
	byAddress := map[string]translate.Pod{}
	for _, address := range addresses {
		byAddress[address] = translate.Pod{Identity: "spiffe://cluster.local/ns/shop/sa/cart", Locality: "eu/eu-1"}
	}
	p.mu.Lock()
	p.pods = translate.NewPods(byAddress)
	p.mu.Unlock()
	p.changed <- struct{}{}
}

// startWithPods runs an engine with the real core over an output, and registers a service that is synced.
func startWithPods(t *testing.T, memory *outputtest.Memory, pods *fakePods) *harness {
	t.Helper()
	h := newHarness(t, func(d *engine.Deps) { d.Output, d.Translate, d.Compute, d.Pods = memory, nil, nil, pods })
	h.memory = memory
	h.engine.Configure(&engine.Config{
		Options: &translate.Options{Instance: outputtest.Instance, Registries: []*translate.Registry{{
			Namespace: "registry", Name: "zk", Type: "zookeeper", DefaultProtocol: translate.HTTP,
			Sources: []translate.Source{{ID: sourceID, DefaultWeight: 1}}, Output: translate.Output{ExportTo: []string{"*"}},
			Rules: []translate.Rule{{Protocol: translate.HTTP}},
		}}},
		Policies: []plan.Policy{{Namespace: "registry", Name: "zk", Sources: []model.SourceID{sourceID}, Mode: plan.Active, MassRemovalPercent: 30}},
	})
	h.register("cart", "10.0.0.1", "10.0.0.2")
	h.sink.Synced()
	h.run()
	h.after(2 * time.Second)
	return h
}

// meshed returns the live endpoints with mutual TLS, and the identities of their host.
func (h *harness) meshed() (addresses, identities []string) {
	h.Helper()
	live, err := h.memory.Live(h.Context())
	if err != nil || len(live) != 1 {
		h.Fatalf("%d objects, error %v", len(live), err)
	}
	entry := live[0].Object.ServiceEntry
	for i := range entry.Endpoints {
		if entry.Endpoints[i].MutualTLS() {
			addresses = append(addresses, entry.Endpoints[i].Address)
		}
	}
	return addresses, entry.SubjectAltNames
}

func (h *harness) wantMeshed(what string, want ...string) {
	h.Helper()
	addresses, identities := h.meshed()
	if !slices.Equal(addresses, want) || len(identities) != min(len(want), 1) {
		h.Errorf("%s: %q with identities %q, want %q", what, addresses, identities, want)
	}
}

func TestPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, pods := &outputtest.Memory{}, newFakePods()
		h := startWithPods(t, memory, pods)
		h.wantMeshed("nobody has seen pods yet")
		pods.set("10.0.0.1", "10.9.9.9")
		h.after(2 * time.Second)
		h.wantMeshed("one is a pod", "10.0.0.1")
		writes := h.countWrites("")
		pods.set("10.0.0.1")
		h.after(time.Minute)
		if n := h.countWrites(""); n != writes {
			t.Errorf("%d writes because of a pod that nobody registered", n-writes)
		}
		h.stop()

		again := newFakePods()
		h = startWithPods(t, memory, again)
		h.after(time.Minute)
		h.wantMeshed("a restart before the pods are known", "10.0.0.1")
		again.set("10.0.0.1")
		h.after(time.Minute)
		if n := h.countWrites(""); n != writes {
			t.Errorf("%d writes because of a restart", n-writes)
		}
		again.set("10.0.0.2")
		h.after(2 * time.Second)
		h.wantMeshed("the other is a pod", "10.0.0.2")
		h.stop()
	})
}
