package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func TestComputeOrdersWrites(t *testing.T) {
	w := newWorld(t)
	w.offline = true
	w.line("0s live c 1 2; live b 3 4; live a 5; live d 6; sync s; want c 1; want b 3; want a 5 7; want z 8; want y 9")
	w.line("1m withdraw d s; live e x/9")
	var got []string
	for _, c := range slices.Concat(w.plan.Apply, w.plan.Delete) {
		got = append(got, c.Op.String()+" "+c.Key.Name)
	}
	want := []string{"remove b", "remove c", "update a", "create y", "create z", "delete d", "delete e"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestComputeIgnoresForeignKinds(t *testing.T) {
	w := newWorld(t)
	in := w.input()
	foreign := &translate.Object{Key: translate.Key{Kind: "EnvoyFilter", Namespace: "ns", Name: "f"}}
	in.Live = []Live{{Object: foreign}, {}}
	in.Desired.Objects = []*translate.Object{foreign}
	if p := Compute(in); !p.Empty() || len(p.Held) > 0 {
		t.Errorf("plan = %v", p)
	}
}

// TestComputeLeavesInputAlone runs a plan with everything in it, and wants the input as it was.
func TestComputeLeavesInputAlone(t *testing.T) {
	w := newWorld(t)
	w.line("0s sync s; sync t; want a 1 2 3; want b 4 t/5; want c 6; many 12 1")
	w.offline = true
	w.line("1m fail t; want b 4; ports a tcp-90; want a 1; want c; withdraw n1 s; want n1; live o x/1; annotate o registry z")
	before, err := json.Marshal(w.input())
	if err != nil {
		t.Fatal(err)
	}
	in := w.input()
	Compute(in)
	in.Memory = Memory{}
	Compute(in)
	after, err := json.Marshal(w.input())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("input changed:\n%s", diff)
	}
}

// TestMemoryBranches computes two futures of one memory, and the first one again: it must not have learnt from the second.
func TestMemoryBranches(t *testing.T) {
	w := newWorld(t)
	w.line("0s sync s; sync t; want a 1 2 3; want b 4 t/5; many 20 2")
	root := *w
	future := func(script ...string) []byte {
		branch := root
		branch.desired, branch.live, branch.sources = maps.Clone(root.desired), maps.Clone(root.live), maps.Clone(root.sources)
		for _, line := range script {
			branch.line(line)
		}
		p := branch.plan
		p.Memory = Memory{}
		out, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	wipe := []string{"1m want a; many 20 0", "2m want a 1", "2m30s want n3 6", "9m event"}
	first := future(wipe...)
	future("1m want a 1; fail t; want b 4", "5m want a; want b; many 5 7", "30m event")
	if diff := cmp.Diff(string(first), string(future(wipe...))); diff != "" {
		t.Errorf("the second time it is different:\n%s", diff)
	}
}

func TestHoldIDs(t *testing.T) {
	w := newWorld(t)
	w.line("0s sync s; sync t; want a 1 2; want b 3; want c t/4")
	w.line("1m want a; want b; want c")
	ids := map[string]string{}
	for _, h := range w.plan.Held {
		if was, ok := ids[h.ID]; ok && was != string(h.Source) {
			t.Errorf("sources %s and %s share %s", was, h.Source, h.ID)
		}
		ids[h.ID] = string(h.Source)
		if len(h.ID) != 10 || h.ID[:2] != "h-" || h.Detail == "" || !h.Since.Equal(start().Add(time.Minute)) {
			t.Errorf("hold %+v", h)
		}
	}
	if len(ids) != 2 {
		t.Fatalf("ids %v", ids)
	}
	w.line("2m event; want x 99:1")
	w.line("2m want x")
	for _, h := range w.plan.Held {
		if h.Endpoint != "" && h.Source == "t" && ids[h.ID] != "t" {
			t.Errorf("the id has changed: %+v", h)
		}
	}
}

// scale makes an input of so many services of 20 endpoints each, on distinct addresses.
func scale(services int) Input {
	in := Input{
		Now:     start(),
		Sources: map[model.SourceID]model.Status{"s": {State: model.Synced, Since: start()}},
		Policies: []Policy{{
			Namespace: "ns", Name: "r", Sources: []model.SourceID{"s"}, Mode: Active, EmptyGrace: 3 * time.Minute,
			DeleteAfter: 10 * time.Minute, MassRemovalPercent: 30, MassRemovalHold: 10 * time.Minute, MaxServices: 10000,
		}},
	}
	for i := range services {
		in.Desired.Objects = append(in.Desired.Objects, scaleObject(i, 20))
	}
	return in
}

func scaleObject(i, endpoints int) *translate.Object {
	name := fmt.Sprintf("com.acme.orders.service%05d", i)
	o := &translate.Object{
		Key:         key(name),
		Labels:      map[string]string{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: "bridge"},
		Annotations: map[string]string{translate.AnnotationService: name, translate.AnnotationRegistry: "r"},
		ServiceEntry: &translate.ServiceEntry{
			Host: name, Addresses: []string{"240.239.0.1"}, Location: "MESH_INTERNAL", Resolution: "STATIC",
			Ports: []translate.ServicePort{{Name: "tcp-dubbo-20880", Number: 20880, Protocol: translate.TCP}},
		},
	}
	ports := []translate.EndpointPort{{Name: "tcp-dubbo-20880", Number: 20880}}
	labels := []translate.Label{{Key: translate.LabelSource, Value: "s"}}
	for n := range endpoints {
		at := i*20 + n
		o.ServiceEntry.Endpoints = append(o.ServiceEntry.Endpoints, translate.Endpoint{
			Address: fmt.Sprintf("10.%d.%d.%d", at>>16, at>>8&255, at&255), Ports: ports, Labels: labels,
		})
	}
	slices.SortFunc(o.ServiceEntry.Endpoints, func(a, b translate.Endpoint) int { return a.Compare(&b) })
	return o
}

// written is the input after the plan was written.
func written(in Input, p Plan) Input {
	in.Memory = p.Memory
	in.Live = nil
	for _, o := range in.Desired.Objects {
		read := *o
		in.Live = append(in.Live, Live{Object: &read, ResourceVersion: "1", UID: o.Key.Name})
	}
	return in
}

// TestIdleAllocations wants an idle Compute to allocate nothing per service, whether or not something woke it.
func TestIdleAllocations(t *testing.T) {
	allocations := func(services int, wake bool) float64 {
		in := written(scale(services), Compute(scale(services)))
		in.Memory = Compute(in).Memory
		return testing.AllocsPerRun(5, func() {
			in.Now = in.Now.Add(time.Second)
			if in.Frozen = !in.Frozen; !wake {
				in.Frozen = false
			}
			in.Memory = Compute(in).Memory
		})
	}
	for _, wake := range []bool{false, true} {
		few, many := allocations(10, wake), allocations(1000, wake)
		if many > few {
			t.Errorf("idle (something else changed: %v): %v allocations with 1,000 services, %v with 10", wake, many, few)
		}
	}
}

func BenchmarkCompute(b *testing.B) {
	const services = 5000
	fresh := scale(services)
	b.Run("from nothing", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Compute(fresh)
		}
	})
	steady := written(fresh, Compute(fresh))
	b.Run("restart into what is live", func(b *testing.B) {
		b.ReportAllocs()
		in := steady
		in.Memory = Memory{}
		for b.Loop() {
			Compute(in)
		}
	})
	steady.Memory = Compute(steady).Memory
	b.Run("idle", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Compute(steady)
		}
	})
	for _, c := range []struct {
		name  string
		count int
	}{{"1 percent changed", 19}, {"1 percent emptied", 0}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			in := steady
			in.Desired.Objects = slices.Clone(in.Desired.Objects)
			for i := 0; i < services; i += 100 {
				in.Desired.Objects[i] = scaleObject(i, c.count)
			}
			if c.count == 0 {
				in.Desired.Objects = slices.DeleteFunc(in.Desired.Objects, func(o *translate.Object) bool { return len(o.ServiceEntry.Endpoints) == 0 })
			}
			for b.Loop() {
				Compute(in)
			}
		})
	}
	b.Run("everything held", func(b *testing.B) {
		b.ReportAllocs()
		in := steady
		in.Desired.Objects = nil
		for b.Loop() {
			Compute(in)
		}
	})
}
