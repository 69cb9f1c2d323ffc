package plan

import (
	"maps"
	"slices"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// full is an object with everything in it.
func full() *translate.Object {
	return &translate.Object{
		Key: key("a"), Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "1"},
		ServiceEntry: &translate.ServiceEntry{
			Host: "a", Addresses: []string{"240.0.0.1"}, Location: "MESH_INTERNAL", Resolution: "STATIC", ExportTo: []string{"*"},
			Ports: []translate.ServicePort{{Name: "tcp-80", Number: 80, Protocol: translate.TCP}},
			Endpoints: []translate.Endpoint{{
				Address: "10.0.0.1", Ports: []translate.EndpointPort{{Name: "tcp-80", Number: 8080}},
				Labels: []translate.Label{{Key: "k", Value: "v"}}, Weight: 5, Locality: "r/z", Network: "n",
			}},
		},
	}
}

func TestCovers(t *testing.T) {
	for name, c := range map[string]struct {
		live func(o *translate.Object)
		want bool
	}{
		"the same":              {func(*translate.Object) {}, true},
		"a label by hand":       {func(o *translate.Object) { o.Labels["x"] = "y" }, true},
		"an annotation by hand": {func(o *translate.Object) { o.Annotations["x"] = "y" }, true},
		"a port by hand": {func(o *translate.Object) {
			o.ServiceEntry.Ports = append(o.ServiceEntry.Ports, translate.ServicePort{Name: "x", Number: 9, Protocol: translate.TCP})
		}, true},
		"a port in front by hand": {func(o *translate.Object) {
			o.ServiceEntry.Ports = slices.Insert(o.ServiceEntry.Ports, 0, translate.ServicePort{Name: "x", Number: 9, Protocol: translate.TCP})
		}, true},
		"no label":               {func(o *translate.Object) { o.Labels = nil }, false},
		"another label":          {func(o *translate.Object) { o.Labels["l"] = "2" }, false},
		"another annotation":     {func(o *translate.Object) { o.Annotations["a"] = "" }, false},
		"another host":           {func(o *translate.Object) { o.ServiceEntry.Host = "b" }, false},
		"no VIP":                 {func(o *translate.Object) { o.ServiceEntry.Addresses = nil }, false},
		"another location":       {func(o *translate.Object) { o.ServiceEntry.Location = "MESH_EXTERNAL" }, false},
		"another resolution":     {func(o *translate.Object) { o.ServiceEntry.Resolution = "DNS" }, false},
		"exported elsewhere":     {func(o *translate.Object) { o.ServiceEntry.ExportTo = []string{"."} }, false},
		"another protocol":       {func(o *translate.Object) { o.ServiceEntry.Ports[0].Protocol = translate.HTTP }, false},
		"another name of a port": {func(o *translate.Object) { o.ServiceEntry.Ports[0].Name = "x" }, false},
		"no endpoint":            {func(o *translate.Object) { o.ServiceEntry.Endpoints = nil }, false},
		"another address":        {func(o *translate.Object) { o.ServiceEntry.Endpoints[0].Address = "10.0.0.2" }, false},
		"another real port":      {func(o *translate.Object) { o.ServiceEntry.Endpoints[0].Ports[0].Number = 1 }, false},
		"another weight":         {func(o *translate.Object) { o.ServiceEntry.Endpoints[0].Weight = 1 }, false},
		"another locality":       {func(o *translate.Object) { o.ServiceEntry.Endpoints[0].Locality = "" }, false},
		"another network":        {func(o *translate.Object) { o.ServiceEntry.Endpoints[0].Network = "" }, false},
		"no label of endpoint":   {func(o *translate.Object) { o.ServiceEntry.Endpoints[0].Labels = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			live := full()
			c.live(live)
			if got := covers(live, full()); got != c.want {
				t.Errorf("covers = %v", got)
			}
		})
	}
}

// TestForeignEditsCauseNoWrite goes through Compute: what somebody added by hand stays, what somebody changed of ours is repaired.
func TestForeignEditsCauseNoWrite(t *testing.T) {
	w := newWorld(t)
	w.line("0s sync s; want a 1")
	edit := func(change func(o *translate.Object)) {
		o := *w.live[key("a")].Object
		entry := *o.ServiceEntry
		o.ServiceEntry, o.Labels = &entry, maps.Clone(o.Labels)
		change(&o)
		w.put(&o)
		w.offline = true
		w.settle()
		w.offline = false
	}
	edit(func(o *translate.Object) {
		o.Labels["team"] = "x"
		o.ServiceEntry.Ports = append(slices.Clone(o.ServiceEntry.Ports), translate.ServicePort{Name: "by-hand", Number: 9, Protocol: translate.TCP})
	})
	if !w.plan.Empty() || len(w.plan.Held) > 0 {
		t.Errorf("plan = %v", w.plan)
	}
	edit(func(o *translate.Object) { o.ServiceEntry.Location = "MESH_EXTERNAL" })
	if len(w.plan.Apply) != 1 || w.plan.Apply[0].Op != Update || w.plan.Apply[0].Live == nil {
		t.Errorf("plan = %v", w.plan)
	}
}

func TestEndpointIDString(t *testing.T) {
	for id, want := range map[endpointID]string{{"10.0.0.1", 80}: "10.0.0.1:80", {"fd00::1", 8080}: "[fd00::1]:8080"} {
		if got := id.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestRemap(t *testing.T) {
	e := &translate.Endpoint{Ports: []translate.EndpointPort{{Name: "a", Number: 9}, {Name: "b", Number: 8}}}
	got := remap(e, []translate.ServicePort{{Name: "z", Number: 1}, {Name: "a", Number: 2}})
	if want := []translate.EndpointPort{{Name: "a", Number: 9}, {Name: "z", Number: 8}}; !slices.Equal(got, want) {
		t.Errorf("remap = %v, want %v", got, want)
	}
}
