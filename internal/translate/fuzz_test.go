package translate_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/translate"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest"
)

// words are what a fuzzed registry holds.
type words struct {
	name, group, version, address, protocol, portName, key, value, region string
	port, weight                                                          uint32
	health                                                                uint8
	dubbo                                                                 bool
}

// FuzzTranslate: whatever a registry holds, each object is valid, nothing is lost without a Diagnostic, the order in which the registry
// names its instances does not matter, and applying the result changes nothing.
func FuzzTranslate(f *testing.F) {
	for _, w := range []words{
		{name: "com.acme.Greeter", version: "1.0.0", address: "10.0.0.1", protocol: "dubbo", port: 20880, weight: 100, dubbo: true},
		{name: "com.acme.Outer$Inner", group: "a/b", address: "::ffff:10.0.0.1", protocol: "tri", port: 50051, weight: 1, dubbo: true},
		{name: "a_b", address: "fe80::1%eth0", protocol: "http", port: 70000, weight: 1},
		{name: "\xff\xfe", address: "0.0.0.0", protocol: "HTTPS", portName: "Ä", key: "a b", value: "\x00", port: 1, weight: 1},
		{name: strings.Repeat("x", 300), address: "127.0.0.1", protocol: "grpc", key: "app/token", value: strings.Repeat("y", 64), port: 65535, weight: 1},
		{name: "x.svc.cluster.local", address: "host.example.com", key: "security.istio.io/tlsMode", value: "istio", port: 0, weight: 0, health: 7},
		{name: "12.34", address: "224.0.0.1", protocol: "tls", region: "a/b", port: 443, weight: 4294967295, dubbo: true},
	} {
		f.Add(w.name, w.group, w.version, w.address, w.protocol, w.portName, w.key, w.value, w.region, w.port, w.weight, w.health, w.dubbo)
	}
	f.Fuzz(func(t *testing.T, name, group, version, address, protocol, portName, key, value, region string, port, weight uint32, health uint8, dubbo bool) {
		w := words{name, group, version, address, protocol, portName, key, value, region, port, weight, health, dubbo}
		opts := w.options()
		snap := w.snapshot(opts, nil)
		prior := map[translate.Key]translate.Prior{}
		first := translate.Translate(snap, prior, opts)
		checkAll(t, snap, first)

		order := rand.New(rand.NewPCG(uint64(port), uint64(weight)))
		if diff := cmp.Diff(first, translate.Translate(w.snapshot(opts, order), prior, opts)); diff != "" {
			t.Errorf("the order of instances matters: %s", diff)
		}
		for _, o := range first.Objects {
			prior[o.Key] = translate.PriorOf(o)
		}
		if diff := cmp.Diff(first.Objects, translate.Translate(snap, prior, opts).Objects); diff != "" {
			t.Errorf("applying the result changes it: %s", diff)
		}
		w.port, w.protocol = w.port+1, w.portName
		w.name = strings.ToLower(w.name)
		changed := w.snapshot(opts, nil)
		checkAll(t, changed, translate.Translate(changed, prior, opts))
	})
}

func (w *words) options() *translate.Options {
	reg := &translate.Registry{
		Namespace: "mesh", Name: "zk", Type: "zookeeper", PublishWarning: true,
		Sources: []translate.Source{{ID: "zk.0a1b2c3d", Dubbo: w.dubbo, DefaultWeight: 100}},
		Endpoints: translate.Endpoints{
			CopyLabels: []string{"version", w.key}, DenyCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		},
		Output: translate.Output{ExportTo: []string{"*"}, VIPs: netip.MustParsePrefix("240.239.0.0/16")},
	}
	if w.weight%4 > 1 {
		reg.Endpoints.Mode = translate.WorkloadEntries
	}
	if w.port%2 == 0 {
		reg.Dubbo = translate.Dubbo{
			Envoy: true, Mesh: w.port%4 == 0, ByTag: w.weight%3 > 0, Routes: func(string) bool { return w.health%5 > 0 },
			Rules: []translate.DubboRule{{Name: "all", Interface: w.name, Shares: []translate.DubboShare{{Weight: 1}, {Version: &w.value, Tag: "a", Weight: 2}}}},
		}
		if !reg.Dubbo.Mesh {
			reg.Dubbo.Namespaces = []string{"shop"}
		}
	}
	opts := &translate.Options{Instance: "fuzz", Registries: []*translate.Registry{reg}}
	if w.weight%2 == 1 { // Rules stand in the way of what would be chosen otherwise.
		protocols := []translate.Protocol{"", translate.TCP, translate.HTTP, translate.TLS}
		reg.Rules = []translate.Rule{{ServicePort: w.port % 65536, Protocol: protocols[w.health%4], TLSMode: "istio"}}
	}
	return opts
}

// snapshot makes services of the words: one with the words as they are, one whose name differs a little, and one of several
// instances around the words.
func (w *words) snapshot(opts *translate.Options, order *rand.Rand) model.Snapshot {
	src := opts.Registries[0].Sources[0].ID
	inst := model.Instance{
		ID: "plain", Address: w.address, Weight: w.weight, Health: model.Health(w.health % 8),
		Ports:    []model.Port{{Name: w.portName, Protocol: w.protocol, Number: w.port}},
		Locality: model.Locality{Region: w.region, Zone: w.value},
		Metadata: map[string]string{w.key: w.value, "protocol": w.portName, "dubbo.tag": w.value},
	}
	two, other, bad, named := inst, inst, inst, inst
	two.ID, two.Ports = "two", []model.Port{{Protocol: w.protocol, Number: w.port}, {Name: w.portName, Protocol: w.protocol, Number: 7}}
	other.ID, other.Address, other.Ports = "other", "10.0.0.2", []model.Port{{Protocol: w.portName, Number: 9}}
	bad.ID, bad.Problem = "bad", w.value+": "+w.key
	named.ID, named.Address, named.Weight, named.Health = "named", "10.0.0.3", 100, model.Healthy
	meta := map[string]string{model.MetaDubboInterface: w.name, model.MetaDubboGroup: w.group, model.MetaDubboVersion: w.version}
	services := []*model.Service{
		{Ref: model.Ref{Source: src, Unit: w.group, Name: w.name}, Instances: []model.Instance{inst}, Metadata: meta},
		{Ref: model.Ref{Source: src, Unit: w.name, Name: strings.ReplaceAll(w.name, "_", "-") + "A"}, Instances: []model.Instance{named}},
		{Ref: model.Ref{Source: src, Unit: w.name, Name: "many"}, Instances: []model.Instance{two, other, bad, named, inst}},
	}
	if order != nil {
		for _, s := range services {
			order.Shuffle(len(s.Instances), func(i, j int) { s.Instances[i], s.Instances[j] = s.Instances[j], s.Instances[i] })
		}
		order.Shuffle(len(services), func(i, j int) { services[i], services[j] = services[j], services[i] })
	} else {
		slices.SortFunc(services, func(a, b *model.Service) int { return a.Ref.Compare(b.Ref) })
	}
	return model.Snapshot{Sources: []model.SourceServices{{ID: src, Services: services}}}
}

// checkAll checks that the objects are valid, and that each instance is an endpoint or has a Diagnostic.
func checkAll(t *testing.T, snap model.Snapshot, result translate.Result) {
	t.Helper()
	if err := translatetest.Check(result.Objects); err != nil {
		t.Error(err)
	}
	for _, svc := range snap.Sources[0].Services {
		for i := range svc.Instances {
			if !told(svc, &svc.Instances[i], result) {
				t.Errorf("instance %q of %q is lost without a word", svc.Instances[i].ID, svc.Ref.Name)
			}
		}
	}
}

func told(svc *model.Service, inst *model.Instance, result translate.Result) bool {
	addr, err := netip.ParseAddr(inst.Address)
	for _, d := range result.Diagnostics {
		if d.Ref == svc.Ref && (d.Instance == inst.ID || d.Instance == "") {
			return true
		}
	}
	for _, o := range result.Objects {
		if err == nil && o.ServiceEntry != nil && slices.Contains(o.Origins, svc.Ref) && slices.ContainsFunc(o.ServiceEntry.Endpoints, func(e translate.Endpoint) bool {
			return e.Address == addr.Unmap().String()
		}) {
			return true
		}
	}
	return false
}
