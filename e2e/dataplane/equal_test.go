package dataplane_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
)

// kubernetesSuffix is that of the hosts that istiod knows without us: those of Kubernetes' own Services.
const kubernetesSuffix = ".svc.cluster.local"

// instance is one of Consul's.
type instance struct {
	service, address string
	port             int
	protocol         string
	weight           int
	zone             string
	status           string
}

// id is that of the service on its node, and the name of the node.
func (i *instance) id() string { return i.service + "-" + i.address }

// instances are registered in Consul from the start.
func instances() []instance {
	return []instance{
		{service: "web", address: "10.1.0.1", port: 8080, protocol: "http"},
		{service: "web", address: "10.1.0.2", port: 8080, protocol: "http"},
		{service: "web", address: "10.1.0.3", port: 9090, protocol: "http"},
		{service: "web", address: "10.1.0.4", port: 8080, protocol: "http", status: api.HealthCritical},
		{service: "shop", address: "10.1.3.1", port: 8080, protocol: "http", zone: "a"},
		{service: "shop", address: "10.1.3.2", port: 8080, protocol: "http", zone: "b"},
		{service: "redis", address: "10.1.1.1", port: 6379},
		{service: "redis", address: "10.1.1.2", port: 6379, status: api.HealthWarning},
		{service: "sessions", address: "10.1.2.1", port: 6379, weight: 5},
		{service: "sessions", address: "10.1.2.2", port: 6379, weight: 2},
		{service: "search", address: "10.1.4.1", port: 50051, protocol: "grpc"},
		{service: "search", address: "fd00::41", port: 50051, protocol: "grpc"},
	}
}

// population is registered in ZooKeeper from the start: some interfaces have a group, a version, or providers of different weights.
func population() providers.Population { return providers.Population{Interfaces: 10, Instances: 3} }

func (s *scene) register() {
	s.Helper()
	for _, i := range instances() {
		s.registerInConsul(i)
	}
	for fleet, population := range map[*providers.Fleet]providers.Population{s.fleet: population(), s.churn: churning()} {
		if err := fleet.RegisterAll(population.All()); err != nil {
			s.Fatal(err)
		}
	}
}

func (s *scene) registerInConsul(i instance) {
	s.Helper()
	weight := cmp.Or(i.weight, 1)
	r := &api.CatalogRegistration{
		Node: i.id(), Address: "10.255.0.1",
		Service: &api.AgentService{
			ID: i.id(), Service: i.service, Address: i.address, Port: i.port, Weights: api.AgentWeights{Passing: weight, Warning: weight},
		},
		Checks: api.HealthChecks{{Node: i.id(), CheckID: i.id(), Name: "check", ServiceID: i.id(), Status: cmp.Or(i.status, api.HealthPassing)}},
	}
	if i.protocol != "" {
		r.Service.Meta = map[string]string{"protocol": i.protocol}
	}
	if i.zone != "" {
		r.Service.Locality = &api.Locality{Region: "lab", Zone: i.zone}
	}
	if _, err := s.consul.Client.Catalog().Register(r, nil); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) deregisterFromConsul(i instance) {
	s.Helper()
	if _, err := s.consul.Client.Catalog().Deregister(&api.CatalogDeregistration{Node: i.id()}, nil); err != nil {
		s.Fatal(err)
	}
}

// place is an endpoint as it has to be in a proxy. Weight 0 stands for none, which a proxy is told as 1.
type place struct {
	address      string
	port, weight uint32
	// locality is region/zone/subzone.
	locality string
	// sidecar says that the proxy speaks mutual TLS with it.
	sidecar bool
}

// registered asks both registries, with clients that are not the bridge's, for the endpoints behind each host.
func (s *scene) registered() (map[string][]place, error) {
	all := map[string][]place{}
	for _, fleet := range []*providers.Fleet{s.fleet, s.churn} {
		dubbo, err := fleet.Registered()
		if err != nil {
			return nil, err
		}
		for endpoint, weight := range dubbo {
			all[endpoint.Host] = append(all[endpoint.Host], place{endpoint.Address, endpoint.Port, max(weight, 1), "//", false})
		}
	}
	services, _, err := s.consul.Client.Catalog().Services(nil)
	if err != nil {
		return nil, err
	}
	for name := range services {
		if name == "consul" {
			continue
		}
		list, _, err := s.consul.Client.Health().Service(name, "", false, nil)
		if err != nil {
			return nil, err
		}
		all[name+".service.consul"] = places(list, name == "search")
	}
	return all, nil
}

// places are those of the healthy instances. Weights are ten times Consul's, and none when all are equal.
func places(list []*api.ServiceEntry, sidecar bool) []place {
	var all []place
	equal := true
	for _, entry := range list {
		weight := entry.Service.Weights.Passing
		switch entry.Checks.AggregatedStatus() {
		case api.HealthPassing:
		case api.HealthWarning:
			weight = entry.Service.Weights.Warning
		default:
			continue
		}
		locality := "//"
		if l := entry.Service.Locality; l != nil {
			locality = l.Region + "/" + l.Zone + "/"
		}
		all = append(all, place{entry.Service.Address, uint32(entry.Service.Port), uint32(10 * weight), locality, sidecar})
		equal = equal && all[0].weight == all[len(all)-1].weight
	}
	for i := range all {
		if equal {
			all[i].weight = 1
		}
	}
	return all
}

// clusterOf returns the name of the cluster of a host: its port is the one that most of its instances have.
func clusterOf(host string, places []place) string {
	counts := map[uint32]int{}
	port := uint32(0)
	for _, p := range places {
		counts[p.port]++
		if counts[p.port] > counts[port] {
			port = p.port
		}
	}
	return clusterName(host, port)
}

func clusterName(host string, port uint32) string {
	return "outbound|" + strconv.FormatUint(uint64(port), 10) + "||" + host
}

// endpointText writes an endpoint with everything that a proxy is told of it.
func endpointText(cluster string, p place, health corev3.HealthStatus) string {
	return fmt.Sprintf("%s %s port %d weight %d locality %s sidecar %t %s", cluster, p.address, p.port, p.weight, p.locality, p.sidecar, health)
}

// wanted returns all clusters and endpoints that a proxy has to have, as sorted lines.
func (s *scene) wanted() (clusters, endpoints []string, err error) {
	registered, err := s.registered()
	if err != nil {
		return nil, nil, err
	}
	for host, places := range registered {
		cluster := clusterOf(host, places)
		clusters = append(clusters, cluster)
		for _, p := range places {
			// Not checked by anybody is what a proxy takes for healthy.
			endpoints = append(endpoints, endpointText(cluster, p, corev3.HealthStatus_UNKNOWN))
		}
	}
	slices.Sort(clusters)
	slices.Sort(endpoints)
	return clusters, endpoints, nil
}

// told returns all clusters and endpoints that a proxy has, as wanted does, without what is not ours.
func told(c *ads.Config, foreign ...string) (clusters, endpoints []string) {
	ours := func(cluster string) bool {
		host := cluster[strings.LastIndexByte(cluster, '|')+1:]
		return strings.HasPrefix(cluster, "outbound|") && !strings.HasSuffix(host, kubernetesSuffix) && !slices.Contains(foreign, host)
	}
	for name := range c.Clusters {
		if ours(name) {
			clusters = append(clusters, name)
		}
	}
	for name, assignment := range c.Endpoints {
		if !ours(name) || c.Clusters[name] == nil {
			continue // A proxy forgets the endpoints of a cluster with the cluster.
		}
		for _, group := range assignment.GetEndpoints() {
			for _, e := range group.GetLbEndpoints() {
				endpoints = append(endpoints, endpointText(name, placeOf(group.GetLocality(), e), e.GetHealthStatus()))
			}
		}
	}
	slices.Sort(clusters)
	slices.Sort(endpoints)
	return clusters, endpoints
}

func placeOf(l *corev3.Locality, e *endpointv3.LbEndpoint) place {
	address := e.GetEndpoint().GetAddress().GetSocketAddress()
	// The socket that is used is chosen by this, in a cluster where some endpoints have a sidecar.
	match := e.GetMetadata().GetFilterMetadata()["envoy.transport_socket_match"].GetFields()
	return place{
		address.GetAddress(), address.GetPortValue(), e.GetLoadBalancingWeight().GetValue(),
		l.GetRegion() + "/" + l.GetZone() + "/" + l.GetSubZone(), match["tlsMode"].GetStringValue() == "istio",
	}
}

// awaitEqual waits until both proxies have exactly the clusters and endpoints that are registered now.
func (s *scene) awaitEqual(foreign ...string) {
	s.Helper()
	wantClusters, wantEndpoints, err := s.wanted()
	if err != nil {
		s.Fatal(err)
	}
	for name, proxy := range s.proxies() {
		proxy.Await(s, patience, "the proxy "+name+" has what is registered", func(c *ads.Config) error {
			clusters, endpoints := told(c, foreign...)
			return errors.Join(differ("clusters", wantClusters, clusters), differ("endpoints", wantEndpoints, endpoints))
		})
	}
}

func differ(what string, want, got []string) error {
	if slices.Equal(want, got) {
		return nil
	}
	return fmt.Errorf("%s (-want +got):\n%.2000s", what, gocmp.Diff(want, got))
}

// scope has a service that is published to the namespace of its Registry only, for which no proxy but those there has anything.
func (s *scene) scope() {
	hidden := providers.Population{Block: 2, Interfaces: 1, Instances: 1}.Instance(0, 0)
	if err := s.hidden.Register(hidden); err != nil {
		s.Fatal(err)
	}
	cluster := clusterName(hidden.Endpoint().Host, hidden.Port)
	insider := ads.Connect(s, ads.Options{Addr: s.istiod.Addr, Namespace: dubboNamespace, IP: "10.9.0.3"})
	insider.Await(s, patience, "a proxy of that namespace has it", func(c *ads.Config) error {
		if c.Clusters[cluster] == nil || distinct(c.Endpoints[cluster]) != 1 {
			return fmt.Errorf("no cluster %s, or no endpoint", cluster)
		}
		return nil
	})
	s.settle()
}

// equal compares clusters, endpoints, listeners and routes with the registries.
func (s *scene) equal() {
	s.awaitEqual()
	registered, err := s.registered()
	if err != nil {
		s.Fatal(err)
	}
	// TCP services have a listener of their own each, the others share one on each port.
	web := map[string]uint32{"web.service.consul": 8080, "shop.service.consul": 8080, "search.service.consul": 50051}
	want := map[string]bool{"virtualInbound": true, "virtualOutbound": true, "10.96.0.1_443": true}
	for host, places := range registered {
		port := strings.Split(clusterOf(host, places), "|")[1]
		address := "0.0.0.0"
		if web[host] == 0 {
			address = s.vip(host)
		}
		want[address+"_"+port] = true
	}
	for name, proxy := range s.proxies() {
		s.Run(name, func(t *testing.T) {
			proxy.Await(t, patience, "it has the listeners", func(c *ads.Config) error {
				return differ("listeners", slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(c.Listeners)))
			})
			proxy.Await(t, patience, "it has the routes", func(c *ads.Config) error {
				var problems []error
				for host, port := range web {
					if got := c.HTTPDestination(host, port); got != clusterName(host, port) {
						problems = append(problems, fmt.Errorf("requests to %s go to %q", host, got))
					}
				}
				return errors.Join(problems...)
			})
		})
	}
}
