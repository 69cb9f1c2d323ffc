package pieces_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// source is the provenance of the endpoints of outputtest.Object.
const source model.SourceID = "zk.00000001"

// bridge is what stands before an output: it plans and writes until nothing is left, as the engine does.
type bridge struct {
	*testing.T
	memory  *outputtest.Memory
	planner plan.Memory
	now     time.Time
}

// restart is a new process.
func (b *bridge) restart() {
	b.memory.Break(outputtest.Faults{})
	b.memory.Open(b.T)
	b.planner = plan.Memory{}
}

// plan plans for objects that should be; a host that is not among them was withdrawn by configuration.
func (b *bridge) plan(objects ...*translate.Object) plan.Plan {
	b.Helper()
	live, err := b.memory.Live(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	desired := translate.Result{Objects: objects}
	for _, l := range live {
		if !slices.ContainsFunc(objects, func(o *translate.Object) bool { return o.Key == l.Object.Key }) {
			desired.Withdrawn = append(desired.Withdrawn, translate.Withdrawal{Key: l.Object.Key, Source: source})
		}
	}
	p := plan.Compute(plan.Input{
		Now: b.now, Desired: desired, Live: live, Memory: b.planner,
		Sources:  map[model.SourceID]model.Status{source: {Namespace: "registry", Registry: "zk", State: model.Synced}},
		Policies: []plan.Policy{{Namespace: "registry", Name: "zk", Mode: plan.Active, Sources: []model.SourceID{source}, MassRemovalPercent: 100}},
	})
	b.planner = p.Memory
	return p
}

// converge plans and writes until nothing is left.
func (b *bridge) converge(objects ...*translate.Object) {
	b.Helper()
	for range 20 {
		p := b.plan(objects...)
		if p.Empty() && p.Wake.IsZero() {
			return
		}
		b.memory.Write(b.Context(), p)
		b.now = b.now.Add(time.Second)
	}
	b.Fatalf("it does not come to rest: %+v", b.plan(objects...))
}

// crash lets the process end after n writes of stored objects; it reports false when there are not so many.
func (b *bridge) crash(n int, objects ...*translate.Object) bool {
	b.Helper()
	crashed := false
	b.memory.Break(outputtest.Faults{Write: func(plan.Change) (time.Duration, error) {
		if n == 0 {
			crashed = true
			return 0, output.ErrOutput
		}
		n--
		return 0, nil
	}})
	for range 20 {
		p := b.plan(objects...)
		if crashed || p.Empty() && p.Wake.IsZero() {
			break
		}
		b.memory.Write(b.Context(), p)
		b.now = b.now.Add(time.Second)
	}
	b.restart()
	return crashed
}

// wantStored compares what is stored with the pieces of objects.
func (b *bridge) wantStored(objects ...*translate.Object) {
	b.Helper()
	want, got := []string{}, []string{}
	for _, o := range objects {
		for _, piece := range pieces.Split(o) {
			want = append(want, piece.Key.String())
		}
	}
	for _, key := range b.memory.Keys() {
		got = append(got, key.String())
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("stored (-want +got):\n%s", diff)
	}
	live, err := b.memory.Live(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for i, l := range live {
		if i < len(objects) && !plan.Satisfies(l.Object, objects[i]) {
			b.Errorf("live (-want +got):\n%s", cmp.Diff(objects[i], l.Object))
		}
	}
}

// lost returns the endpoints of a host that both objects have and that are not live.
func (b *bridge) lost(before, after *translate.Object) []string {
	live := b.memory.Endpoints()
	var lost []string
	if before == nil || after == nil {
		return nil
	}
	for _, e := range before.ServiceEntry.Endpoints {
		place := fmt.Sprintf("%s:%d", e.Address, e.Port())
		stays := slices.ContainsFunc(after.ServiceEntry.Endpoints, func(o translate.Endpoint) bool { return o.Address == e.Address && o.Port() == e.Port() })
		if stays && !slices.Contains(live[before.ServiceEntry.Host], place) {
			lost = append(lost, place)
		}
	}
	return lost
}

func withPort(o *translate.Object) *translate.Object {
	o.ServiceEntry.Ports = append(o.ServiceEntry.Ports, translate.ServicePort{Name: "tcp-dubbo-20990", Number: 20990, Protocol: translate.TCP})
	for i := range o.ServiceEntry.Endpoints {
		e := &o.ServiceEntry.Endpoints[i]
		e.Ports = append(e.Ports, translate.EndpointPort{Name: "tcp-dubbo-20990", Number: 20991})
	}
	return o
}

// TestCrash ends the process after each number of writes: what is left must lose nothing, and the next process must bring it to an end.
func TestCrash(t *testing.T) {
	host := func(addresses ...string) *translate.Object { return outputtest.Workloads("a.acme", addresses...) }
	for _, test := range []struct {
		name          string
		before, after *translate.Object
	}{
		{"create", nil, host("10.0.0.1", "10.0.0.2", "10.0.0.3")},
		{"add", host("10.0.0.1"), host("10.0.0.1", "10.0.0.2", "10.0.0.3")},
		{"remove", host("10.0.0.1", "10.0.0.2", "10.0.0.3"), host("10.0.0.2")},
		{"replace", host("10.0.0.1", "10.0.0.2"), host("10.0.0.2", "10.0.0.3")},
		{"another port", host("10.0.0.1", "10.0.0.2"), withPort(host("10.0.0.1", "10.0.0.3"))},
		{"a port less", withPort(host("10.0.0.1", "10.0.0.2")), host("10.0.0.1", "10.0.0.3")},
		{"delete", host("10.0.0.1", "10.0.0.2"), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			crashes := 0
			for n := 0; ; n++ {
				b := &bridge{T: t, memory: &outputtest.Memory{}, now: time.Unix(1_000_000, 0)}
				b.converge(list(test.before)...)
				b.wantStored(list(test.before)...)
				crashed := b.crash(n, list(test.after)...)
				if lost := b.lost(test.before, test.after); lost != nil {
					t.Errorf("after %d writes %v are lost", n, lost)
				}
				b.converge(list(test.after)...)
				b.wantStored(list(test.after)...)
				if !crashed {
					break
				}
				crashes++
			}
			if crashes < 2 {
				t.Errorf("only %d crashes", crashes)
			}
		})
	}
}

func list(o *translate.Object) []*translate.Object {
	if o == nil {
		return nil
	}
	return []*translate.Object{o}
}

// TestOneChangeIsOneWrite: pieces without a difference are not written.
func TestOneChangeIsOneWrite(t *testing.T) {
	b := &bridge{T: t, memory: &outputtest.Memory{}, now: time.Unix(1_000_000, 0)}
	o := outputtest.Workloads("a.acme", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	b.converge(o)
	for _, change := range []func() *translate.Object{
		func() *translate.Object {
			return outputtest.Workloads("a.acme", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
		},
		func() *translate.Object {
			return outputtest.Workloads("a.acme", "10.0.0.1", "10.0.0.3", "10.0.0.4")
		},
		func() *translate.Object {
			o := outputtest.Workloads("a.acme", "10.0.0.1", "10.0.0.3", "10.0.0.4")
			o.ServiceEntry.Endpoints[1].Weight = 7
			return o
		},
	} {
		before := len(b.memory.Writes())
		o = change()
		b.converge(o)
		if n := len(b.memory.Writes()) - before; n != 1 {
			t.Errorf("%d writes, want 1", n)
		}
		b.wantStored(o)
	}
}

func withIdentities(o *translate.Object, names ...string) *translate.Object {
	o.ServiceEntry.SubjectAltNames = names
	return o
}

// TestOrder looks at the order in which pieces are written.
func TestOrder(t *testing.T) {
	b := &bridge{T: t, memory: &outputtest.Memory{}, now: time.Unix(1_000_000, 0)}
	written := func(from int) []string {
		var kinds []string
		for _, w := range b.memory.Writes()[from:] {
			kinds = append(kinds, w.Op.String()+" "+string(w.Key.Kind))
		}
		return kinds
	}
	for _, step := range []struct {
		o    *translate.Object
		want []string
	}{
		{outputtest.Workloads("a.acme", "10.0.0.1"), []string{"create ServiceEntry", "create WorkloadEntry"}},
		{
			withPort(outputtest.Workloads("a.acme", "10.0.0.1")),
			[]string{"update WorkloadEntry", "update ServiceEntry"},
		},
		{
			withPort(outputtest.Workloads("a.acme", "10.0.0.2")),
			[]string{"delete WorkloadEntry", "create WorkloadEntry"},
		},
		{
			withIdentities(withPort(outputtest.Workloads("a.acme", "10.0.0.2", "10.0.0.3")), "a", "b"),
			[]string{"update ServiceEntry", "create WorkloadEntry"},
		},
		{
			withIdentities(withPort(outputtest.Workloads("a.acme", "10.0.0.3", "10.0.0.4")), "b"),
			[]string{"delete WorkloadEntry", "create WorkloadEntry", "update ServiceEntry"},
		},
		{nil, []string{"delete WorkloadEntry", "delete WorkloadEntry", "delete ServiceEntry"}},
	} {
		from := len(b.memory.Writes())
		b.converge(list(step.o)...)
		if diff := cmp.Diff(step.want, written(from)); diff != "" {
			t.Errorf("written (-want +got):\n%s", diff)
		}
	}
}

// TestRefusedPieceStopsOnlyItself: the other endpoints go on, apart from what needs the piece.
func TestRefusedPieceStopsOnlyItself(t *testing.T) {
	b := &bridge{T: t, memory: &outputtest.Memory{}, now: time.Unix(1_000_000, 0)}
	refuse := func(kind translate.Kind, name string) {
		b.memory.Break(outputtest.Faults{Write: func(c plan.Change) (time.Duration, error) {
			if c.Key.Kind == kind && (name == "" || c.Key.Name == name) {
				return 0, output.ErrRefused
			}
			return 0, nil
		}})
	}
	o := outputtest.Workloads("a.acme", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	refuse(translate.KindServiceEntry, "")
	b.memory.Write(t.Context(), b.plan(o))
	b.wantStored()

	bad := translate.WorkloadName("a.acme", &o.ServiceEntry.Endpoints[1])
	refuse(translate.KindWorkloadEntry, bad)
	results := b.memory.Write(t.Context(), b.plan(o))
	if len(results) != 1 || !errors.Is(results[0].Err, output.ErrRefused) || results[0].More || len(results[0].Live.Object.ServiceEntry.Endpoints) != 2 {
		t.Errorf("results are %+v", results)
	}
	if diff := cmp.Diff([]string{"10.0.0.1:20881", "10.0.0.3:20881"}, b.memory.Endpoints()["a.acme"]); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	b.memory.Break(outputtest.Faults{})
	b.converge(o)
	b.wantStored(o)

	refuse(translate.KindWorkloadEntry, bad)
	b.memory.Write(t.Context(), b.plan())
	if diff := cmp.Diff([]string{"10.0.0.2:20881"}, b.memory.Endpoints()["a.acme"]); diff != "" {
		t.Errorf("a ServiceEntry with an endpoint that cannot be deleted (-want +got):\n%s", diff)
	}
}

// TestSlowOutput: what had no time is found by the next plan.
func TestSlowOutput(t *testing.T) {
	b := &bridge{T: t, memory: &outputtest.Memory{}, now: time.Unix(1_000_000, 0)}
	b.memory.Break(outputtest.Faults{Slots: 2})
	o := outputtest.Workloads("a.acme", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	results := b.memory.Write(t.Context(), b.plan(o))
	if len(results) != 1 || !results[0].More || results[0].Err != nil || len(results[0].Live.Object.ServiceEntry.Endpoints) != 1 {
		t.Errorf("results are %+v", results)
	}
	b.converge(o)
	b.wantStored(o)
}
