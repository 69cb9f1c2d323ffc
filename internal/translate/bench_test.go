package translate_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// population is a registry of Dubbo services with the given number of instances each.
func population(services, instances int) (model.Snapshot, *translate.Options) {
	reg := &translate.Registry{
		Namespace: "mesh", Name: "zk", Type: "zookeeper", PublishWarning: true,
		Sources:   []translate.Source{{ID: "zk.0a1b2c3d", Dubbo: true, DefaultWeight: 100}},
		Endpoints: translate.Endpoints{CopyLabels: []string{"version", "group"}, DenyCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Output:    translate.Output{ExportTo: []string{"*"}, VIPs: netip.MustParsePrefix("240.239.0.0/16")},
	}
	all := make([]*model.Service, services)
	for i := range all {
		all[i] = populated(i, instances, 0)
	}
	snap := model.Snapshot{Sources: []model.SourceServices{{ID: "zk.0a1b2c3d", Services: all}}}
	return snap, &translate.Options{Instance: "bench", Registries: []*translate.Registry{reg}}
}

// populated is the i-th service. Another generation is on other addresses.
func populated(i, instances, generation int) *model.Service {
	name := fmt.Sprintf("com.acme.shop%05d.OrderService", i)
	svc := &model.Service{
		Ref:       model.Ref{Source: "zk.0a1b2c3d", Unit: name, Name: name + ":1.0.0"},
		Metadata:  map[string]string{model.MetaDubboInterface: name, model.MetaDubboVersion: "1.0.0"},
		Instances: make([]model.Instance, instances),
	}
	for j := range svc.Instances {
		address := fmt.Sprintf("10.%d.%d.%d", i%250, j%250, (i/250+j/250+generation)%250)
		svc.Instances[j] = model.Instance{
			ID: "dubbo://" + address + ":20880", Address: address, Ports: []model.Port{{Protocol: "dubbo", Number: 20880}}, Weight: 100,
			Metadata: map[string]string{"version": "1.0.0", "side": "provider", "application": "shop", "methods": "a,b,c"},
		}
	}
	return svc
}

// applied is what is live once everything is written.
func applied(result translate.Result) map[translate.Key]translate.Prior {
	prior := make(map[translate.Key]translate.Prior, len(result.Objects))
	for _, o := range result.Objects {
		prior[o.Key] = translate.PriorOf(o)
	}
	return prior
}

// withChanged is snap with every n-th service replaced.
func withChanged(snap model.Snapshot, n, generation int) model.Snapshot {
	services := append([]*model.Service(nil), snap.Sources[0].Services...)
	for i := 0; i < len(services); i += n {
		services[i] = populated(i, len(services[i].Instances), generation)
	}
	return model.Snapshot{Sources: []model.SourceServices{{ID: snap.Sources[0].ID, Services: services}}}
}

// BenchmarkTranslateRouted5000x20 is the other one with data plane Envoy.
func BenchmarkTranslateRouted5000x20(b *testing.B) {
	snap, opts := population(5000, 20)
	opts.Registries[0].Dubbo = translate.Dubbo{Envoy: true, Mesh: true, Routes: func(string) bool { return true }}
	benchmark(b, snap, opts)
}

func BenchmarkTranslate5000x20(b *testing.B) {
	snap, opts := population(5000, 20)
	benchmark(b, snap, opts)
}

func benchmark(b *testing.B, snap model.Snapshot, opts *translate.Options) {
	b.Helper()
	first := translate.Translate(snap, nil, opts)
	prior := applied(first)
	b.Run("nothing", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			translate.Translate(snap, nil, opts)
		}
	})
	b.Run("restart", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			translate.Translate(snap, prior, opts)
		}
	})
	b.Run("changed1percent", func(b *testing.B) {
		b.ReportAllocs()
		t := translate.NewTranslator()
		t.Translate(snap, prior, opts)
		var versions []model.Snapshot
		for g := range 5 {
			versions = append(versions, withChanged(snap, 100, g+1))
		}
		i := 0
		for b.Loop() {
			t.Translate(versions[i%len(versions)], prior, opts)
			i++
		}
	})
	b.Run("idle", func(b *testing.B) {
		b.ReportAllocs()
		t := translate.NewTranslator()
		t.Translate(snap, prior, opts)
		for b.Loop() {
			t.Translate(snap, prior, opts)
		}
	})
}
