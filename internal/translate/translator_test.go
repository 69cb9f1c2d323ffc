package translate_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// byKey indexes objects by name.
func byKey(result translate.Result) map[string]*translate.Object {
	objects := map[string]*translate.Object{}
	for _, o := range result.Objects {
		objects[o.Key.Name] = o
	}
	return objects
}

func TestTranslatorKeepsPointersOfWhatDidNotChange(t *testing.T) {
	snap, opts := population(20, 3)
	tr := translate.NewTranslator()
	first := tr.Translate(snap, nil, opts)
	second := tr.Translate(snap, applied(first), opts)
	if !slices.Equal(first.Objects, second.Objects) {
		t.Error("applying the objects gives them other pointers")
	}
	changed := withChanged(snap, 20, 1)
	third := tr.Translate(changed, applied(first), opts)
	before, after := byKey(second), byKey(third)
	for name, o := range after {
		if same := o == before[name]; same != (name != "v-1.0.0.com.acme.shop00000.orderservice") {
			t.Errorf("%s: same pointer %v", name, same)
		}
	}
	if diff := cmp.Diff(translate.Translate(changed, applied(first), opts), third); diff != "" {
		t.Errorf("the Translator's memory changes the result: -fresh +remembering:\n%s", diff)
	}
}

func TestTranslatorKeepsObjectsOfServicesThatAreReadAgain(t *testing.T) {
	snap, opts := population(3, 2)
	tr := translate.NewTranslator()
	first := tr.Translate(snap, nil, opts)
	again := withChanged(snap, 1, 0) // Other pointers, the same content.
	if second := tr.Translate(again, nil, opts); !slices.Equal(first.Objects, second.Objects) {
		t.Error("objects without a change have other pointers")
	}
}

// TestTranslatorNoticesEveryInput changes one input at a time, and expects what a Translator without memory says.
func TestTranslatorNoticesEveryInput(t *testing.T) {
	base, opts := population(4, 2)
	prior := applied(translate.Translate(base, nil, opts))
	key := translate.Key{Kind: translate.KindServiceEntry, Namespace: "mesh", Name: "v-1.0.0.com.acme.shop00001.orderservice"}
	withPrior := func(change func(p *translate.Prior)) map[translate.Key]translate.Prior {
		changed := map[translate.Key]translate.Prior{}
		for k, p := range prior {
			if k == key {
				change(&p)
			}
			changed[k] = p
		}
		return changed
	}
	for _, c := range []struct {
		name  string
		snap  func() model.Snapshot
		prior func() map[translate.Key]translate.Prior
		opts  func() *translate.Options
	}{
		{name: "a service", snap: func() model.Snapshot { return withChanged(base, 4, 7) }},
		{name: "one service less", snap: func() model.Snapshot {
			return model.Snapshot{Sources: []model.SourceServices{{ID: base.Sources[0].ID, Services: base.Sources[0].Services[1:]}}}
		}},
		{name: "no source", snap: func() model.Snapshot { return model.Snapshot{} }},
		{name: "another source", snap: func() model.Snapshot {
			return model.Snapshot{Sources: []model.SourceServices{{ID: "other", Services: base.Sources[0].Services}}}
		}},
		{name: "a live port", prior: func() map[translate.Key]translate.Prior {
			return withPrior(func(p *translate.Prior) {
				p.Ports = []translate.ServicePort{{Name: "tcp-dubbo-1", Number: 1, Protocol: translate.TCP}}
			})
		}},
		{name: "a live address", prior: func() map[translate.Key]translate.Prior {
			return withPrior(func(p *translate.Prior) { p.Addresses = []string{"10.1.1.1"} })
		}},
		{name: "a live original", prior: func() map[translate.Key]translate.Prior {
			return withPrior(func(p *translate.Prior) { p.Service = "another" })
		}},
		{name: "a live host", prior: func() map[translate.Key]translate.Prior {
			return withPrior(func(p *translate.Prior) { p.Host = "by.hand" })
		}},
		{name: "one live object less", prior: func() map[translate.Key]translate.Prior {
			return withPrior(func(p *translate.Prior) { *p = translate.Prior{} })
		}},
		{name: "nothing live", prior: func() map[translate.Key]translate.Prior { return nil }},
		{name: "another live object", prior: func() map[translate.Key]translate.Prior {
			changed := withPrior(func(*translate.Prior) {})
			delete(changed, key)
			changed[translate.Key{Kind: translate.KindServiceEntry, Namespace: "mesh", Name: "other"}] = translate.Prior{Host: "other.host"}
			return changed
		}},
		{name: "the owner", opts: func() *translate.Options { return &translate.Options{Instance: "other", Registries: opts.Registries} }},
		{name: "a Registry", opts: func() *translate.Options {
			reg := *opts.Registries[0]
			reg.Output.External = true
			return &translate.Options{Instance: opts.Instance, Registries: []*translate.Registry{&reg}}
		}},
		{name: "no Registry", opts: func() *translate.Options { return &translate.Options{Instance: opts.Instance} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := translate.NewTranslator()
			tr.Translate(base, prior, opts)
			nextSnap, nextPrior, nextOpts := base, prior, opts
			if c.snap != nil {
				nextSnap = c.snap()
			}
			if c.prior != nil {
				nextPrior = c.prior()
			}
			if c.opts != nil {
				nextOpts = c.opts()
			}
			want := translate.Translate(nextSnap, nextPrior, nextOpts)
			if diff := cmp.Diff(want, tr.Translate(nextSnap, nextPrior, nextOpts)); diff != "" {
				t.Errorf("-fresh +remembering:\n%s", diff)
			}
			want = translate.Translate(base, prior, opts)
			if diff := cmp.Diff(want, tr.Translate(base, prior, opts)); diff != "" {
				t.Errorf("and back: -fresh +remembering:\n%s", diff)
			}
		})
	}
}

func TestTranslatorDoesNotRelyOnPriorItWasGiven(t *testing.T) {
	snap, opts := population(2, 1)
	tr := translate.NewTranslator()
	prior := applied(translate.Translate(snap, nil, opts))
	tr.Translate(snap, prior, opts)
	for key, p := range prior {
		p.Addresses = []string{"10.9.9.9"}
		prior[key] = p
		break
	}
	want := translate.Translate(snap, prior, opts)
	if diff := cmp.Diff(want, tr.Translate(snap, prior, opts)); diff != "" {
		t.Errorf("a change of the map goes unnoticed: -fresh +remembering:\n%s", diff)
	}
}

// TestIdleAllocatesNothing: an idle cycle costs no memory, however many services there are.
func TestIdleAllocatesNothing(t *testing.T) {
	for _, services := range []int{10, 200} {
		snap, opts := population(services, 3)
		tr := translate.NewTranslator()
		prior := applied(tr.Translate(snap, nil, opts))
		tr.Translate(snap, prior, opts)
		if n := testing.AllocsPerRun(10, func() { tr.Translate(snap, prior, opts) }); n != 0 {
			t.Errorf("%d services: %v allocations", services, n)
		}
	}
}

// TestEndpointsShareWhatIsEqual keeps the memory of 100,000 endpoints small.
func TestEndpointsShareWhatIsEqual(t *testing.T) {
	snap, opts := population(1, 20)
	endpoints := translate.Translate(snap, nil, opts).Objects[0].ServiceEntry.Endpoints
	for i := range endpoints[1:] {
		if &endpoints[i].Labels[0] != &endpoints[i+1].Labels[0] || &endpoints[i].Ports[0] != &endpoints[i+1].Ports[0] {
			t.Fatalf("endpoint %d has labels or ports of its own", i+1)
		}
	}
}

func TestServicesOfSourcesThatNobodyConfiguredAreIgnored(t *testing.T) {
	snap, opts := population(1, 1)
	opts.Registries[0].Sources[0].ID = "other"
	if diff := cmp.Diff(translate.Result{}, translate.Translate(snap, nil, opts)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestVIPsDoNotMoveWhenHostsJoin: an address that was chosen stays, whoever comes.
func TestVIPsDoNotMoveWhenHostsJoin(t *testing.T) {
	small, opts := population(100, 1)
	large, _ := population(300, 1)
	first := translate.Translate(small, nil, opts)
	second := byKey(translate.Translate(large, applied(first), opts))
	seen := map[string]string{}
	for _, o := range second {
		vip := o.ServiceEntry.Addresses[0]
		if other := seen[vip]; other != "" {
			t.Errorf("%s and %s have the address %s", other, o.Key.Name, vip)
		}
		seen[vip] = o.Key.Name
	}
	for _, o := range first.Objects {
		if got := second[o.Key.Name].ServiceEntry.Addresses; !slices.Equal(got, o.ServiceEntry.Addresses) {
			t.Errorf("%s moved from %s to %s", o.Key.Name, o.ServiceEntry.Addresses, got)
		}
	}
}

// TestVIPsOfVanishedHostsStayTaken: what is live, held perhaps, is nobody else's.
func TestVIPsOfVanishedHostsStayTaken(t *testing.T) {
	snap, opts := population(1, 1)
	o := translate.Translate(snap, nil, opts).Objects[0]
	gone := translate.Prior{Host: "gone.example", Addresses: o.ServiceEntry.Addresses}
	prior := map[translate.Key]translate.Prior{{Kind: translate.KindServiceEntry, Namespace: "mesh", Name: "gone.example"}: gone}
	if got := translate.Translate(snap, prior, opts).Objects[0].ServiceEntry.Addresses; slices.Equal(got, gone.Addresses) {
		t.Errorf("%s has two hosts", got)
	}
}

// TestTwoNamespacesThatAreBothLiveStay: nobody here knows which of them istiod serves, so neither is taken away. (No golden case,
// because such objects are valid only each by itself.)
func TestTwoNamespacesThatAreBothLiveStay(t *testing.T) {
	snap, opts := population(1, 1)
	second := *opts.Registries[0]
	second.Namespace, second.Sources = "other", []translate.Source{{ID: "zk.ffffffff", Dubbo: true, DefaultWeight: 100}}
	opts.Registries = append(opts.Registries, &second)
	snap.Sources = append(snap.Sources, model.SourceServices{ID: "zk.ffffffff", Services: snap.Sources[0].Services})
	alone := translate.Translate(snap, nil, opts)
	if len(alone.Objects) != 1 || alone.Objects[0].Key.Namespace != "mesh" || len(alone.Diagnostics) != 1 {
		t.Fatalf("nothing live: %d objects, %v", len(alone.Objects), alone.Diagnostics)
	}
	prior := applied(alone)
	key := alone.Objects[0].Key
	key.Namespace = "other"
	prior[key] = translate.PriorOf(alone.Objects[0])
	both := translate.Translate(snap, prior, opts)
	if len(both.Objects) != 2 || len(both.Diagnostics) != 2 {
		t.Errorf("both live: %d objects, %v", len(both.Objects), both.Diagnostics)
	}
}
