package explain_test

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/explain"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// world is a bridge of one Registry with one source whose plans are all carried out, without a clock.
type world struct {
	now      time.Time
	services map[string]*model.Service
	registry *translate.Registry
	policy   plan.Policy
	status   model.Status
	frozen   bool
	orphaned bool
	live     map[translate.Key]plan.Live
	memory   plan.Memory
	refused  map[translate.Key]engine.Failure
	version  int
}

const source = model.SourceID("shop.0123abcd")

func newWorld() *world {
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	return &world{
		now: now, services: map[string]*model.Service{}, live: map[translate.Key]plan.Live{},
		registry: &translate.Registry{
			Namespace: "dubbo", Name: "shop", Type: "zookeeper", PublishWarning: true,
			Sources:   []translate.Source{{ID: source, Scope: "iface", Dubbo: true, DefaultWeight: 100}},
			Endpoints: translate.Endpoints{DenyCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
			Output:    translate.Output{ExportTo: []string{"*"}, VIPs: netip.MustParsePrefix("240.239.0.0/16")},
		},
		policy: plan.Policy{
			Namespace: "dubbo", Name: "shop", Sources: []model.SourceID{source}, Mode: plan.Active, EmptyGrace: 3 * time.Minute,
			DeleteAfter: 10 * time.Minute, MassRemovalPercent: 30, MassRemovalHold: 10 * time.Minute,
		},
		status: model.Status{Namespace: "dubbo", Registry: "shop", State: model.Synced, Since: now.Add(-time.Hour)},
	}
}

// register sets the instances of an interface, as "address:port[ problem]".
func (w *world) register(iface string, instances ...string) {
	svc := &model.Service{
		Ref: model.Ref{Source: source, Unit: iface, Name: iface}, Metadata: map[string]string{model.MetaDubboInterface: iface},
	}
	for _, text := range instances {
		at, problem, _ := strings.Cut(text, " ")
		host, port, _ := strings.Cut(at, ":")
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			panic(err)
		}
		i := model.Instance{ID: "dubbo://" + at, Address: host, Weight: 100, Ports: []model.Port{{Protocol: "dubbo", Number: uint32(number)}}}
		if problem == "disabled" {
			i.Health = model.Disabled
		}
		svc.Instances = append(svc.Instances, i)
	}
	w.services[iface] = svc
}

// step lets time pass, and makes and carries out a plan.
func (w *world) step(after time.Duration) *engine.State {
	w.now = w.now.Add(after)
	snapshot := model.Snapshot{}
	config := &engine.Config{Options: &translate.Options{Instance: "test"}, Frozen: w.frozen}
	statuses := map[model.SourceID]model.Status{}
	if !w.orphaned {
		services := make([]*model.Service, 0, len(w.services))
		for _, svc := range w.services {
			services = append(services, svc)
		}
		slices.SortFunc(services, func(a, b *model.Service) int { return a.Ref.Compare(b.Ref) })
		snapshot.Sources = []model.SourceServices{{ID: source, Services: services}}
		config.Options.Registries, config.Policies = []*translate.Registry{w.registry}, []plan.Policy{w.policy}
		statuses[source] = w.status
	}
	priors := map[translate.Key]translate.Prior{}
	for key, l := range w.live {
		priors[key] = translate.PriorOf(l.Object)
	}
	result := translate.Translate(snapshot, priors, config.Options)
	p := plan.Compute(plan.Input{
		Now: w.now, Desired: result, Live: w.list(), Sources: statuses, Policies: config.Policies, Frozen: w.frozen, Memory: w.memory,
	})
	w.memory = p.Memory
	for _, c := range slices.Concat(p.Apply, p.Delete) {
		if _, refused := w.refused[c.Key]; refused {
			continue
		}
		w.version++
		delete(w.live, c.Key)
		if c.Op != plan.Delete {
			w.live[c.Key] = plan.Live{Object: c.Object, UID: c.Key.Name, ResourceVersion: strconv.Itoa(w.version)}
		}
	}
	return &engine.State{
		Cycle: 1, Time: w.now, Config: config, Snapshot: snapshot, Statuses: statuses, Result: result, Live: w.list(), Plan: p, WriteErrors: w.refused,
	}
}

func (w *world) list() []plan.Live {
	var list []plan.Live
	for _, l := range w.live {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b plan.Live) int { return a.Object.Key.Compare(b.Object.Key) })
	return list
}

// outcomes are the answers that docs/explain.md shows.
var outcomes = []struct {
	name, query string
	build       func(*world) *engine.State
}{
	{"published", "com.acme.Cart", func(w *world) *engine.State {
		w.registry.Rules = []translate.Rule{{Name: "web", Match: func(s string) bool { return s == "com.acme.Cart" }, Protocol: translate.HTTP, ServicePort: 80}}
		w.register("com.acme.Cart", "10.0.0.1:8080", "10.0.0.2:8081")
		return w.step(0)
	}},
	{"tcp", "com.acme.cart", func(w *world) *engine.State {
		w.registry.Output.ExportTo, w.registry.Output.ExportToSet = []string{"shop", "."}, true
		w.register("com.acme.Cart", "10.0.0.1:20880")
		return w.step(0)
	}},
	{"address-denied", "127.0.0.1:20880", func(w *world) *engine.State {
		w.register("com.acme.Cart", "10.0.0.1:20880", "127.0.0.1:20880")
		return w.step(0)
	}},
	{"unusable", "10.0.0.2", func(w *world) *engine.State {
		w.register("com.acme.Cart", "10.0.0.1:20880", "10.0.0.2:20880 disabled")
		return w.step(0)
	}},
	{"excluded", "com.acme.Cart", func(w *world) *engine.State {
		w.registry.Selects = func(s string) bool { return s != "com.acme.Cart" }
		w.register("com.acme.Cart", "10.0.0.1:20880")
		return w.step(0)
	}},
	{"host-collision", "com.acme.cart", func(w *world) *engine.State {
		w.register("com.acme.Cart", "10.0.0.1:20880")
		w.register("com.acme.cart", "10.0.0.2:20880")
		return w.step(0)
	}},
	{"host-conflict", "com.acme.Cart", func(w *world) *engine.State {
		w.register("com.acme.Cart", "10.0.0.1:20880")
		key := translate.Key{Kind: translate.KindServiceEntry, Namespace: "dubbo", Name: "com.acme.cart"}
		w.refused = map[translate.Key]engine.Failure{key: {Err: fmt.Errorf("%w: ServiceEntry other/cart has the host", output.ErrTaken), Since: w.now}}
		return w.step(0)
	}},
	{"held-empty-service", "com.acme.Cart", func(w *world) *engine.State {
		w.register("com.acme.Cart", "10.0.0.1:20880")
		w.register("com.acme.User", "10.0.0.9:20880")
		w.step(0)
		w.register("com.acme.Cart")
		w.step(time.Minute)
		return w.step(time.Second)
	}},
	{"held-mass-removal", "10.0.1.3", func(w *world) *engine.State {
		var all []string
		for i := range 40 {
			all = append(all, fmt.Sprintf("10.0.1.%d:20880", i))
		}
		w.register("com.acme.Cart", all...)
		w.step(0)
		w.register("com.acme.Cart", all[30:]...)
		w.step(10 * time.Minute)
		return w.step(time.Second)
	}},
	{"held-unsynced", "com.acme.cart", func(w *world) *engine.State {
		w.register("com.acme.Cart", "10.0.0.1:20880")
		w.step(0)
		w.services, w.memory = map[string]*model.Service{}, plan.Memory{}
		w.status.State, w.status.Err = model.Listing, "dial tcp 10.1.1.1:2181: connection refused"
		return w.step(time.Minute)
	}},
	{"failing-unit", "com.acme.Cart", func(w *world) *engine.State {
		w.register("com.acme.User", "10.0.0.9:20880")
		w.status.FailingUnits = map[string]model.UnitFailure{"com.acme.Cart": {Since: w.now, Err: "list /dubbo/com.acme.Cart/providers: not authenticated"}}
		return w.step(0)
	}},
	{"orphan", "com.acme.cart", func(w *world) *engine.State {
		w.register("com.acme.Cart", "10.0.0.1:20880")
		w.step(0)
		w.orphaned = true
		return w.step(time.Minute)
	}},
	{"tcp-without-address", "com.acme.cart", func(w *world) *engine.State {
		w.registry.Output.VIPs = netip.Prefix{}
		w.register("com.acme.Cart", "10.0.0.1:20880")
		return w.step(0)
	}},
	{"port-drift", "com.acme.cart", func(w *world) *engine.State {
		w.register("com.acme.Cart", "10.0.0.1:20880", "10.0.0.2:20880")
		w.step(0)
		w.register("com.acme.Cart", "10.0.0.1:20999", "10.0.0.2:20999")
		return w.step(time.Minute)
	}},
	{"frozen", "10.0.0.2:20880", func(w *world) *engine.State {
		w.register("com.acme.Cart", "10.0.0.1:20880")
		w.step(0)
		w.frozen = true
		w.register("com.acme.Cart", "10.0.0.1:20880", "10.0.0.2:20880")
		return w.step(time.Minute)
	}},
	{"unknown", "com.acme.Kart", func(w *world) *engine.State {
		w.registry.Selects = func(s string) bool { return !strings.Contains(s, "Kart") }
		w.register("com.acme.Cart", "10.0.0.1:20880")
		w.register("com.acme.KartService", "10.0.0.1:20880")
		return w.step(0)
	}},
}

func TestOutcomes(t *testing.T) {
	page, err := os.ReadFile("../../docs/explain.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range outcomes {
		t.Run(tt.name, func(t *testing.T) {
			var text strings.Builder
			answer := explain.Explain(tt.build(newWorld()), tt.query)
			answer.WriteText(&text)
			if answer.Found == (tt.name == "unknown") {
				t.Errorf("found: %t", answer.Found)
			}
			path := filepath.Join("testdata", tt.name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(golden), text.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !strings.Contains(string(page), "```text\n"+string(golden)+"```") {
				t.Error("docs/explain.md does not show it")
			}
		})
	}
}

// TestAddresses: forms of one address are one address, and a virtual IP leads to its host.
func TestAddresses(t *testing.T) {
	w := newWorld()
	w.register("com.acme.Cart", "10.0.0.1:20880")
	state := w.step(0)
	vip := state.Live[0].Object.ServiceEntry.Addresses[0]
	for query, want := range map[string]bool{
		"10.0.0.1": true, "10.0.0.1:20880": true, "::ffff:10.0.0.1": true, "[::ffff:10.0.0.1]:20880": true, "\t10.0.0.1": true,
		"10.0.0.1:1": false, "10.0.0.2": false, vip: true, vip + ":20880": true, "com.acme.cart": true, "COM.ACME.CART": true, "": false,
	} {
		if got := explain.Explain(state, query).Found; got != want {
			t.Errorf("%q: found is %t, want %t", query, got, want)
		}
	}
}

// TestNothing: before the first plan nothing is known, and nothing breaks.
func TestNothing(t *testing.T) {
	for _, query := range []string{"com.acme.Cart", "10.0.0.1", ""} {
		if a := explain.Explain(&engine.State{}, query); a.Found {
			t.Errorf("%q: got %+v", query, a)
		}
	}
}

// TestTrouble: what keeps the output as a whole from being written is the reason of what waits.
func TestTrouble(t *testing.T) {
	w := newWorld()
	w.register("com.acme.Cart", "10.0.0.1:20880")
	state := w.step(0)
	state.Live, state.Output = nil, &engine.Failure{Err: errors.New("connection refused")}
	a := explain.Explain(state, "com.acme.cart")
	if len(a.Subjects) != 1 || a.Subjects[0].Outcome != explain.Waiting || a.Subjects[0].Reason != reason.OutputUnavailable {
		t.Errorf("got %+v", a.Subjects)
	}
}
