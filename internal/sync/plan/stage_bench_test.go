package plan

import (
	"slices"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// routedScale is scale with all services routed by tables in these namespaces.
func routedScale(services int, namespaces ...string) Input {
	in := scale(services)
	tables := map[string]*translate.EnvoyFilter{}
	for _, namespace := range namespaces {
		tables[namespace] = &translate.EnvoyFilter{Port: 20880}
	}
	for _, o := range in.Desired.Objects {
		o.ServiceEntry.Addresses, o.ServiceEntry.ExportTo = nil, namespaces
		for _, namespace := range namespaces {
			tables[namespace].Routes = append(tables[namespace].Routes, translate.DubboRoute{
				Interface: o.ServiceEntry.Host, Matches: []translate.DubboMatch{{To: []translate.DubboTarget{{Host: o.ServiceEntry.Host, Port: 20880}}}},
			})
		}
	}
	for _, namespace := range namespaces {
		in.Desired.Objects = append(in.Desired.Objects, &translate.Object{Key: translate.TableKey(namespace, 20880), EnvoyFilter: tables[namespace]})
	}
	slices.SortFunc(in.Desired.Objects, func(a, b *translate.Object) int { return a.Key.Compare(b.Key) })
	return in
}

func BenchmarkComputeRouted(b *testing.B) {
	const services = 5000
	in := routedScale(services, "shop", "stock", "web")
	steady := written(in, Plan{})
	steady.Memory = Compute(steady).Memory
	b.Run("one service changed", func(b *testing.B) {
		b.ReportAllocs()
		in := steady
		in.Desired.Objects = slices.Clone(in.Desired.Objects)
		changed := scaleObject(7, 19)
		changed.ServiceEntry.Addresses, changed.ServiceEntry.ExportTo = nil, []string{"shop", "stock", "web"}
		for i, o := range in.Desired.Objects {
			if o.Key == changed.Key {
				in.Desired.Objects[i] = changed
			}
		}
		for b.Loop() {
			if p := Compute(in); len(p.Apply) != 1 {
				b.Fatalf("%d changes", len(p.Apply))
			}
		}
	})
	b.Run("tables pending", func(b *testing.B) {
		b.ReportAllocs()
		in := steady
		in.Live = slices.Clone(in.Live)
		for i := range in.Live {
			if o := in.Live[i].Object; o.EnvoyFilter != nil {
				fewer := *o
				fewer.EnvoyFilter = o.EnvoyFilter.Keep(func(r *translate.DubboRoute) bool { return r.Interface[len(r.Interface)-1] != '7' })
				in.Live[i].Object = &fewer
			}
		}
		for b.Loop() {
			Compute(in)
		}
	})
}
