package engine_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// routed is a bridge with the real core, of a Registry with data plane Envoy.
type routed struct {
	*harness
	began time.Time
}

func newRouted(t *testing.T, memory *outputtest.Memory, namespaces ...string) *routed {
	t.Helper()
	h := newHarness(t, func(d *engine.Deps) { d.Output, d.Translate, d.Compute = memory, nil, nil })
	h.memory = memory
	r := &routed{harness: h, began: time.Now()}
	r.consumers(namespaces...)
	return r
}

// consumers configures the namespaces of the consumers.
func (r *routed) consumers(namespaces ...string) {
	r.engine.Configure(&engine.Config{
		Options: &translate.Options{Instance: outputtest.Instance, Registries: []*translate.Registry{{
			Namespace: "registry", Name: "zk", Type: "zookeeper", Output: translate.Output{ExportTo: []string{"*"}},
			Sources: []translate.Source{{ID: sourceID, Dubbo: true, DefaultWeight: 100}},
			Dubbo:   translate.Dubbo{Envoy: true, Namespaces: namespaces, ByTag: true, Routes: func(string) bool { return true }},
		}}},
		Policies: []plan.Policy{{
			Namespace: "registry", Name: "zk", Sources: []model.SourceID{sourceID}, Mode: plan.Active, MassRemovalPercent: 100,
			EmptyGrace: time.Minute, DeleteAfter: time.Minute,
		}},
	})
}

// provide names a Dubbo service with providers at these addresses; those of tagged have the tag gray.
func (r *routed) provide(name string, addresses []string, tagged ...string) {
	svc := &model.Service{Ref: model.Ref{Source: sourceID, Unit: name, Name: name}, Metadata: map[string]string{model.MetaDubboInterface: name}}
	for _, address := range append(slices.Clone(addresses), tagged...) {
		i := model.Instance{ID: address, Address: address, Weight: 100, Ports: []model.Port{{Protocol: "dubbo", Number: 20880}}}
		if slices.Contains(tagged, address) {
			i.Metadata = map[string]string{"dubbo.tag": "gray"}
		}
		svc.Instances = append(svc.Instances, i)
	}
	r.sink.Upsert(svc)
}

// written returns what was written from a number of writes on, and when.
func (r *routed) written(from int) []string {
	var list []string
	for _, w := range r.memory.Writes()[from:] {
		list = append(list, fmt.Sprintf("%v %v %s %s", w.Time.Sub(r.began).Round(time.Second), w.Op, w.Key.Kind, w.Key.Namespace))
	}
	return list
}

// check wants a table wherever an entry is seen that needs one, and what routes name where they are.
func check(t *testing.T, memory *outputtest.Memory, what string) {
	t.Helper()
	live, err := memory.Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	is := func(match func(*translate.Object) bool) bool {
		return slices.ContainsFunc(live, func(l plan.Live) bool { return match(l.Object) })
	}
	for _, l := range live {
		for _, key := range l.Object.Tables("istio-system") {
			if !is(func(o *translate.Object) bool { return o.Key == key }) {
				t.Errorf("%s: %s is seen without %s", what, l.Object.Key, key)
			}
		}
		if l.Object.EnvoyFilter == nil {
			continue
		}
		for i := range l.Object.EnvoyFilter.Routes {
			for target := range l.Object.EnvoyFilter.Routes[i].Targets {
				table := translate.TableKey(l.Object.Key.Namespace, target.Port)
				seen := is(func(o *translate.Object) bool {
					return o.ServiceEntry != nil && o.ServiceEntry.Host == target.Host && slices.Contains(o.Tables("istio-system"), table)
				})
				known := target.Subset == "" || is(func(o *translate.Object) bool {
					return o.DestinationRule != nil && o.DestinationRule.Host == target.Host &&
						slices.ContainsFunc(o.DestinationRule.Subsets, func(s translate.Subset) bool { return s.Name == target.Subset })
				})
				if !seen || !known {
					t.Errorf("%s: %s has a route to %v, which is not there", what, l.Object.Key, target)
				}
			}
		}
	}
}

// TestRoutingComesAndGoes looks at what is written when.
func TestRoutingComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouted(t, &outputtest.Memory{}, "shop")
		r.provide("com.acme.Orders", []string{"10.0.0.1"}, "10.0.0.2")
		r.sink.Synced()
		r.run()
		r.after(20 * time.Second)
		want := []string{
			"0s create DestinationRule registry", "0s create EnvoyFilter shop", "5s create ServiceEntry registry", "10s update EnvoyFilter shop",
		}
		if diff := cmp.Diff(want, r.written(0)); diff != "" {
			t.Errorf("it comes (-want +got):\n%s", diff)
		}
		check(t, r.memory, "it has come")

		from := len(r.memory.Writes())
		r.provide("com.acme.Orders", []string{"10.0.0.1", "10.0.0.3"})
		r.after(80 * time.Second)
		want = []string{
			"20s update EnvoyFilter shop", "20s update ServiceEntry registry", "21s remove ServiceEntry registry",
			// Without a tag, there are no endpoints without one to be told apart.
			"25s update EnvoyFilter shop", "1m25s delete DestinationRule registry",
		}
		if diff := cmp.Diff(want, r.written(from)); diff != "" {
			t.Errorf("a tag goes (-want +got):\n%s", diff)
		}

		from = len(r.memory.Writes())
		r.consumers("shop", "stock")
		r.after(15 * time.Second)
		r.consumers("stock")
		r.after(80 * time.Second)
		want = []string{
			"1m40s create EnvoyFilter stock", "1m45s update ServiceEntry registry", "1m50s update EnvoyFilter stock",
			// Connections go on with the routes that they began with until they are drained.
			"2m0s update EnvoyFilter shop", "3m0s update ServiceEntry registry", "3m5s delete EnvoyFilter shop",
		}
		if diff := cmp.Diff(want, r.written(from)); diff != "" {
			t.Errorf("consumers move (-want +got):\n%s", diff)
		}
		check(t, r.memory, "consumers have moved")
	})
}

// TestCrashWhileRoutingChanges ends the process after each number of writes. What is left is right at each of them, and the next process goes
// on to the end.
func TestCrashWhileRoutingChanges(t *testing.T) {
	for n := range 14 {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := &outputtest.Memory{}
				left, dead := n, false
				memory.Break(outputtest.Faults{Write: func(plan.Change) (time.Duration, error) {
					left--
					if dead = dead || left < 0; dead {
						return 0, output.ErrOutput
					}
					return 0, nil
				}})
				// live lets a process live through everything that happens.
				live := func(after string) {
					r := newRouted(t, memory, "shop", "stock")
					r.provide("com.acme.Orders", []string{"10.0.0.1"}, "10.0.0.2")
					r.provide("com.acme.Carts", []string{"10.0.1.1"})
					r.sink.Synced()
					r.run()
					for range 20 {
						r.after(time.Second)
						check(t, memory, after)
					}
					r.provide("com.acme.Orders", []string{"10.0.0.1"})
					r.consumers("stock")
					for range 90 {
						r.after(time.Second)
						check(t, memory, after)
					}
					r.stop()
				}
				live("before the end")
				memory.Break(outputtest.Faults{})
				memory.Open(t)
				live("after the restart")
				want := []string{"EnvoyFilter stock/registry-bridge-dubbo-20880", "ServiceEntry registry/com.acme.carts", "ServiceEntry registry/com.acme.orders"}
				var got []string
				for _, key := range memory.Keys() {
					got = append(got, key.String())
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("in the end (-want +got):\n%s", diff)
				}
			})
		})
	}
}
