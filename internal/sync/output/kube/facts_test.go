package kube

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func TestFacts(t *testing.T) {
	const meta = "metadata: {namespace: shop, name: x}\n"
	filter := func(applyTo, match string) string {
		return "kind: EnvoyFilter\n" + meta + "spec: {configPatches: [{applyTo: " + applyTo + ", match: " + match + "}]}"
	}
	on := func(port uint32) facts {
		return facts{filters: []translate.ForeignFilter{{Namespace: "shop", Name: "x", Port: port}}}
	}
	for name, test := range map[string]struct {
		object string
		want   facts
	}{
		"a DestinationRule": {"kind: DestinationRule\n" + meta + "spec: {host: Orders.ACME, subsets: [{name: v1}]}", facts{rule: "orders.acme"}},
		"a ServiceEntry": {
			"kind: ServiceEntry\n" + meta + "spec: {hosts: [A.acme, b.acme], exportTo: [.], ports: [{number: 20880, name: tcp-a, protocol: TCP}, {number: 53, name: udp, protocol: UDP}]}",
			facts{
				hosts: []translate.ForeignHost{
					{Host: "a.acme", Namespace: "shop", Name: "x", ExportTo: []string{"."}}, {Host: "b.acme", Namespace: "shop", Name: "x", ExportTo: []string{"."}},
				},
				ports: []translate.ForeignPort{{
					Kind: "ServiceEntry", Namespace: "shop", Name: "x", ExportTo: []string{"."}, Number: 20880, PortName: "tcp-a", Protocol: "TCP",
				}},
			},
		},
		"a Service": {
			"kind: Service\nmetadata: {namespace: shop, name: x, annotations: {networking.istio.io/exportTo: \".\"}}\n" +
				"spec: {ports: [{port: 20880, name: dubbo, protocol: TCP, appProtocol: tcp}, {port: 53, protocol: UDP}, {port: 81}]}",
			facts{ports: []translate.ForeignPort{
				{Kind: "Service", Namespace: "shop", Name: "x", ExportTo: []string{"."}, Number: 20880, PortName: "dubbo", Protocol: "tcp"},
				{Kind: "Service", Namespace: "shop", Name: "x", ExportTo: []string{"."}, Number: 81},
			}},
		},
		"a filter of a port":        {filter("NETWORK_FILTER", "{context: SIDECAR_OUTBOUND, listener: {portNumber: 20880}}"), on(20880)},
		"a filter of a listener":    {filter("NETWORK_FILTER", "{context: ANY, listener: {name: 0.0.0.0_20880}}"), on(20880)},
		"a filter of all listeners": {filter("NETWORK_FILTER", "{}"), on(0)},
		"a filter beside tcp_proxy": {
			filter("NETWORK_FILTER", "{listener: {portNumber: 1, filterChain: {filter: {name: envoy.filters.network.tcp_proxy}}}}"), on(1),
		},
		"a filter of HTTP": {
			filter("NETWORK_FILTER", "{listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}"), facts{},
		},
		"a filter of what comes in":  {filter("NETWORK_FILTER", "{context: SIDECAR_INBOUND, listener: {portNumber: 20880}}"), facts{}},
		"a filter of virtualInbound": {filter("NETWORK_FILTER", "{listener: {name: virtualInbound}}"), facts{}},
		"a cluster":                  {filter("CLUSTER", "{}"), facts{}},
	} {
		t.Run(name, func(t *testing.T) {
			u := parse(t, "apiVersion: networking.istio.io/v1\n"+test.object)
			i := read(u, "me")
			if u.GetKind() == "Service" {
				i = readService(u)
			}
			if diff := cmp.Diff(test.want, i.facts, cmp.AllowUnexported(facts{})); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllocatedEntries(t *testing.T) {
	for text, want := range map[string]bool{
		"{addresses: [{value: 240.240.0.1}]}": true,
		"{}":                                  false,
	} {
		u := parse(t, stored+"\nstatus: "+text)
		delete(u.Object["spec"].(map[string]any), "addresses") //nolint:errcheck // It has one.
		if got := read(u, "me").facts.allocated; got != want {
			t.Errorf("status %s: allocated %t", text, got)
		}
		labels := u.GetLabels()
		labels[translate.LabelAutoAllocate] = translate.AutoAllocateOff
		u.SetLabels(labels)
		if read(u, "me").facts.allocated {
			t.Error("an entry that wants no address counts as allocated")
		}
	}
}

func TestNeighboursKeepTheirPointer(t *testing.T) {
	n := newNeighbours()
	name := func(s string) types.NamespacedName { return types.NamespacedName{Namespace: "shop", Name: s} }
	if !n.set(feedOtherRules, name("a"), facts{rule: "a.acme"}) || !n.set(feedOtherRules, name("b"), facts{rule: "a.acme"}) {
		t.Error("a new rule is no news")
	}
	first := n.list()
	if n.set(feedOtherRules, name("a"), facts{rule: "a.acme"}) || n.set(feedOthers, name("a"), facts{}) || n.list() != first {
		t.Error("the same again is news")
	}
	if !n.set(feedOtherRules, name("a"), facts{}) || !n.hasRule("a.acme") {
		t.Error("one of two rules has gone, and none is there")
	}
	if !n.reset(feedOtherRules, nil) || n.hasRule("a.acme") || len(n.list().DestinationRules) > 0 || n.reset(feedOtherRules, nil) {
		t.Error("a listing without it has not removed the other")
	}
}

// TestRoutingIsWatchedWhenAllowed looks at what is listed, and at what is refused without.
func TestRoutingIsWatchedWhenAllowed(t *testing.T) {
	for _, routing := range []bool{false, true} {
		a := newAPI(t)
		var mu sync.Mutex
		asked := map[string]bool{}
		a.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked[r.URL.Path] = true
			mu.Unlock()
			a.ServeHTTP(w, r)
		})
		k := a.openWith(t, Options{Routing: routing})
		mu.Lock()
		got := slices.ContainsFunc([]string{"v1alpha3/envoyfilters", "v1/destinationrules"}, func(path string) bool {
			return asked["/apis/networking.istio.io/"+path]
		})
		mu.Unlock()
		if got != routing {
			t.Errorf("routing %t, and listed %v", routing, asked)
		}
		if (k.Foreign() != nil) != routing {
			t.Errorf("routing %t, and foreign facts are %v", routing, k.Foreign())
		}
		for _, o := range []*translate.Object{outputtest.Table("consumers"), outputtest.Rule("a.acme")} {
			err := k.Check(plan.Change{Op: plan.Create, Key: o.Key, Object: o})
			if refused := errors.Is(err, output.ErrRefused) && strings.Contains(err.Error(), "--envoy-filters"); refused == routing {
				t.Errorf("routing %t, and creating %s: %v", routing, o.Key, err)
			}
		}
		k.neighbours.set(feedOtherRules, types.NamespacedName{Name: "x"}, facts{rule: "a.acme"})
		o := outputtest.Rule("a.acme")
		if err := k.Check(plan.Change{Op: plan.Create, Key: o.Key, Object: o}); routing && !errors.Is(err, output.ErrTaken) {
			t.Errorf("a rule for a host of which somebody has one: %v", err)
		}
	}
}
