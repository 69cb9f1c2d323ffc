package dataplane_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/hashicorp/consul/api"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
)

// passthrough is the cluster that leaves a connection as it is.
const passthrough = "PassthroughCluster"

// shards has a service grow until it does not fit into one object any more: proxies have to see one service, at every moment with all
// the instances that it had, whichever of its objects is written first.
func (s *scene) shards() {
	many := providers.Population{Block: 1, Interfaces: 1, Instances: 1010}
	const first = 990
	if err := s.fleet.RegisterAll(many.All()[:first]); err != nil {
		s.Fatal(err)
	}
	s.settle()
	watch := s.watch()
	if err := s.fleet.RegisterAll(many.All()[first:]); err != nil {
		s.Fatal(err)
	}
	s.Logf("a second object: %v", watch.types())
	host := many.Instance(0, 0).Endpoint().Host
	if got := s.published(s.Context()); got[host] == nil || got[host+"-2"] == nil {
		s.Errorf("there are no two objects of %s", host)
	}
	for name, proxy := range s.proxies() {
		for _, push := range proxy.Pushes(watch.from[name]) {
			if got := distinct(push.After.Endpoints[clusterName(host, 20880)]); got < first {
				s.Errorf("the proxy %s had %d endpoints after a push of %s", name, got, push.Type)
			}
		}
	}

	watch = s.watch()
	for _, k := range []int{0, 1, 2, 3, 500, 1000} {
		if err := s.fleet.Deregister(many.Instance(0, k), 0); err != nil {
			s.Fatal(err)
		}
	}
	s.awaitEqual()
	watch.onlyEndpoints(host)
}

// distinct counts the addresses behind a cluster.
func distinct(assignment *endpointv3.ClusterLoadAssignment) int {
	addresses := map[string]bool{}
	for _, group := range assignment.GetEndpoints() {
		for _, e := range group.GetLbEndpoints() {
			addresses[placeOf(nil, e).address] = true
		}
	}
	return len(addresses)
}

// capture dials addresses as a workload does. What is ours takes the connections to its own address only, whatever port it shares with
// others, and a third party's entry without an address shows that this test would see more.
func (s *scene) capture() {
	s.awaitEqual()
	redis, sessions := s.vip("redis.service.consul"), s.vip("sessions.service.consul")
	foreign := "third.party.example"
	want := map[string]string{
		redis + ":6379":     clusterName("redis.service.consul", 6379),
		sessions + ":6379":  clusterName("sessions.service.consul", 6379),
		redis + ":6380":     passthrough,
		"10.1.1.1:6379":     passthrough, // An instance that is called by its own address, as before.
		"203.0.113.9:6379":  passthrough,
		"203.0.113.9:8080":  passthrough, // Not HTTP, on the port of HTTP services.
		"203.0.113.9:50051": passthrough,
		"10.0.0.1:20880":    passthrough, // A Dubbo consumer that dials what its registry told it.
	}
	host := population().Instance(0, 0).Endpoint().Host
	want[s.vip(host)+":20880"] = clusterName(host, 20880)
	s.awaitDestinations(s.proxy, want)
	s.awaitDestinations(s.capturing, want)
	for _, port := range []uint32{8080, 50051} {
		if got := s.proxy.Config().HTTPDestination("unknown.example", port); got != passthrough {
			s.Errorf("requests to an unknown host on port %d go to %q", port, got)
		}
	}

	entry := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": map[string]any{"name": "third-party"},
		"spec": map[string]any{
			"hosts": []any{foreign}, "resolution": "STATIC", "endpoints": []any{map[string]any{"address": "10.8.0.1"}},
			"ports": []any{map[string]any{"name": "tcp", "number": int64(6379), "protocol": "TCP"}},
		},
	}}
	if _, err := s.entries(elsewhere).Create(s.Context(), entry, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	// It takes all of the port that has no listener of its own, from a proxy that does not capture DNS.
	for _, address := range []string{"10.1.1.1:6379", "203.0.113.9:6379"} {
		want[address] = clusterName(foreign, 6379)
	}
	s.awaitDestinations(s.proxy, want)
	s.awaitEqual(foreign)
	if err := s.entries(elsewhere).Delete(s.Context(), "third-party", metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	for _, address := range []string{"10.1.1.1:6379", "203.0.113.9:6379"} {
		want[address] = passthrough
	}
	s.awaitDestinations(s.proxy, want)
	s.awaitDestinations(s.capturing, want)
}

func (s *scene) awaitDestinations(proxy *ads.Proxy, want map[string]string) {
	s.Helper()
	proxy.Await(s, patience, "connections go where they should", func(c *ads.Config) error {
		var wanted, got []string
		for address, cluster := range want {
			wanted = append(wanted, address+" to "+cluster)
			got = append(got, address+" to "+c.Destination(netip.MustParseAddrPort(address)))
		}
		slices.Sort(wanted)
		slices.Sort(got)
		return differ("destinations", wanted, got)
	})
}

// proxies returns both proxies, by what tells them apart.
func (s *scene) proxies() map[string]*ads.Proxy {
	return map[string]*ads.Proxy{"without DNS capture": s.proxy, "with DNS capture": s.capturing}
}

// settler is a provider that comes and goes to see that everything before has arrived.
func settler() providers.Provider { return population().Instance(1, 20) }

// settle waits until nothing that was done before can be pushed any more: istiod has written into the status of what it writes into, and
// a further change, which is pushed behind everything else, has arrived.
func (s *scene) settle() {
	s.Helper()
	s.awaitEqual()
	lab.Await(s, patience, "istiod has given addresses", func(ctx context.Context) error {
		for host, object := range s.published(ctx) {
			own, _, _ := unstructured.NestedSlice(object.Object, "spec", "addresses")
			given, _, _ := unstructured.NestedSlice(object.Object, "status", "addresses")
			if len(own)+len(given) == 0 {
				return fmt.Errorf("none to %s", host)
			}
		}
		return nil
	})
	if err := s.fleet.Register(settler()); err != nil {
		s.Fatal(err)
	}
	s.awaitEqual()
	if err := s.fleet.Deregister(settler(), 0); err != nil {
		s.Fatal(err)
	}
	s.awaitEqual()
}

// watch is what istiod has sent since a moment.
type watch struct {
	s        *scene
	from     map[string]int
	pushes   map[string]float64
	triggers map[string]float64
}

// watch begins to watch a settled system.
func (s *scene) watch() *watch {
	s.Helper()
	w := &watch{s: s, from: map[string]int{}, pushes: s.counters("pilot_xds_pushes"), triggers: s.counters("pilot_push_triggers")}
	for name, proxy := range s.proxies() {
		w.from[name] = len(proxy.Pushes(0))
	}
	return w
}

func (s *scene) counters(name string) map[string]float64 {
	s.Helper()
	values, err := s.istiod.Counters(s.Context(), name, "type")
	if err != nil {
		s.Fatal(err)
	}
	return values
}

// types settles and returns the kinds of pushes that arrived, sorted.
func (w *watch) types() []string {
	w.s.Helper()
	w.s.settle()
	types := map[string]bool{}
	for name, proxy := range w.s.proxies() {
		for _, push := range proxy.Pushes(w.from[name]) {
			types[string(push.Type)] = true
		}
	}
	return slices.Sorted(maps.Keys(types))
}

// onlyEndpoints fails the test unless istiod has sent the endpoints of these hosts and nothing else, and says so itself.
func (w *watch) onlyEndpoints(hosts ...string) {
	w.s.Helper()
	if got := w.types(); !slices.Equal(got, []string{string(ads.Endpoint)}) {
		w.s.Errorf("istiod has pushed %v", got)
	}
	hosts = append(hosts, settler().Endpoint().Host)
	slices.Sort(hosts)
	for name, proxy := range w.s.proxies() {
		names := map[string]bool{}
		for _, push := range proxy.Pushes(w.from[name]) {
			for _, n := range slices.Concat(push.Names, push.Removed) {
				names[n[strings.LastIndexByte(n, '|')+1:]] = true
			}
		}
		if err := differ("pushed to the proxy "+name, hosts, slices.Sorted(maps.Keys(names))); err != nil {
			w.s.Error(err)
		}
	}
	for _, c := range []struct {
		name, allowed string
		before        map[string]float64
	}{{"pilot_xds_pushes", "eds", w.pushes}, {"pilot_push_triggers", "endpoint", w.triggers}} {
		for kind, value := range w.s.counters(c.name) {
			if kind != c.allowed && value != c.before[kind] {
				w.s.Errorf("%s of type %s: %v more", c.name, kind, value-c.before[kind])
			}
		}
	}
}

// change is one that an instance goes through.
type change struct {
	name string
	do   func() error
}

// changes are all, in an order in which each is one.
func (s *scene) changes() []change {
	consul := func(name string, i instance) change {
		return change{name, func() error { s.registerInConsul(i); return nil }}
	}
	web, sessions := instances()[0], find("sessions")
	added := instance{service: "redis", address: "10.1.1.9", port: 6379}
	heavy, critical := sessions, web
	heavy.weight, critical.status = 9, api.HealthCritical
	newcomer, unequal := population().Instance(0, 7), population().Instance(9, 8)
	return []change{
		consul("Consul: added", added),
		{"Consul: removed", func() error { s.deregisterFromConsul(added); return nil }},
		consul("Consul: another weight", heavy),
		consul("Consul: its weight again", sessions),
		consul("Consul: critical", critical),
		consul("Consul: healthy again", web),
		{"Dubbo: added", func() error { return s.fleet.Register(newcomer) }},
		{"Dubbo: restarted", func() error { return s.fleet.Restart(newcomer) }},
		{"Dubbo: removed", func() error { return s.fleet.Deregister(newcomer, 0) }},
		{"Dubbo: one of another weight added", func() error { return s.fleet.Register(unequal) }},
		{"Dubbo: one of another weight removed", func() error { return s.fleet.Deregister(unequal, 0) }},
	}
}

// find returns the first instance of a service.
func find(service string) instance {
	all := instances()
	return all[slices.IndexFunc(all, func(i instance) bool { return i.service == service })]
}

// pushes changes instances in every way, and wants to see the endpoints of their services pushed and nothing else.
func (s *scene) pushes() {
	s.settle()
	watch := s.watch()
	for _, change := range s.changes() {
		seen, begin := len(s.proxy.Pushes(0)), time.Now()
		if err := change.do(); err != nil {
			s.Fatal(err)
		}
		s.awaitEqual()
		if pushes := s.proxy.Pushes(seen); len(pushes) == 0 {
			s.Logf("%s: nothing is pushed", change.name)
		} else {
			s.Logf("%s: pushed %v after the registry was told", change.name, pushes[len(pushes)-1].At.Sub(begin).Round(time.Millisecond))
		}
	}
	watch.onlyEndpoints("web.service.consul", "redis.service.consul", "sessions.service.consul",
		population().Instance(0, 0).Endpoint().Host, population().Instance(9, 0).Endpoint().Host)
}

// emptied takes the last instance of a service away, and gives it back.
func (s *scene) emptied() {
	const host = "lonely.service.consul"
	only := instance{service: "lonely", address: "10.1.9.1", port: 7000}
	cluster := clusterName(host, 7000)
	s.settle()
	watch := s.watch()
	s.registerInConsul(only)
	// Not avoidable, and what shows that the test would see it elsewhere.
	if got := watch.types(); !slices.Contains(got, string(ads.Cluster)) {
		s.Errorf("of a new service, istiod has pushed %v only", got)
	}
	address := map[string]string{s.vip(host) + ":7000": cluster}
	s.awaitDestinations(s.proxy, address)

	watch = s.watch()
	begin := time.Now()
	s.deregisterFromConsul(only)
	s.proxy.Await(s, patience, "the service has no endpoint", func(c *ads.Config) error {
		if got := distinct(c.Endpoints[cluster]); got > 0 || c.Clusters[cluster] == nil {
			return fmt.Errorf("it has %d, cluster %v", got, c.Clusters[cluster])
		}
		return nil
	})
	if after := time.Since(begin); after < emptyGrace {
		s.Errorf("the last endpoint was gone after %v, which has to be at least %v", after, emptyGrace)
	}
	s.awaitDestinations(s.proxy, address)
	s.registerInConsul(only)
	s.awaitEqual()
	watch.onlyEndpoints(host)
}
