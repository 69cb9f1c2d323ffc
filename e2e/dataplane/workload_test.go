package dataplane_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
)

// application is what the instances of the first interface of a population say of themselves.
const application = "service0000-app"

// churning is registered under a root of its own, whose instances are WorkloadEntries.
func churning() providers.Population {
	return providers.Population{Block: 3, Interfaces: 3, Instances: 4}
}

func workloadEntries() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "workloadentries"}
}

// workloads has services whose instances are objects of their own.
func (s *scene) workloads() {
	s.settle()
	stranger := s.strangers()
	s.subset()
	s.settle()
	watch := s.watch()
	host := churning().Instance(0, 0).Endpoint().Host
	before := s.storedWorkloads()
	newcomer := churning().Instance(0, 7)
	if err := s.churn.Register(newcomer); err != nil {
		s.Fatal(err)
	}
	s.awaitEqual()
	after := s.storedWorkloads()
	if len(after) != len(before)+1 {
		s.Errorf("there are %d WorkloadEntries, want one more than %d", len(after), len(before))
	}
	for name, version := range before {
		if after[name] != version {
			s.Errorf("%s was written for another instance", name)
		}
	}
	if err := s.churn.Deregister(newcomer, 0); err != nil {
		s.Fatal(err)
	}
	s.awaitEqual()
	watch.onlyEndpoints(host)
	s.awaitAddresses(stranger, "10.7.7.7")
}

// strangers has somebody else select, in the namespace of our WorkloadEntries, by what the registry says of their instances: a Service and
// a ServiceEntry, which come when ours are published already. They get their own instance only. It returns the cluster of the Service,
// which stays.
func (s *scene) strangers() string {
	labels := map[string]any{"application": application}
	s.create("WorkloadEntry", "stranger", map[string]any{"address": "10.7.7.7", "labels": labels})
	s.create("Service", "stranger", map[string]any{"selector": labels, "ports": []any{map[string]any{"port": int64(20880)}}})
	remove := s.create("ServiceEntry", "stranger", map[string]any{
		"hosts": []any{"stranger.example"}, "resolution": "STATIC", "workloadSelector": map[string]any{"labels": labels},
		"ports": []any{map[string]any{"number": int64(80), "name": "http", "protocol": "HTTP"}},
	})
	service := clusterName("stranger."+churnNamespace+kubernetesSuffix, 20880)
	s.awaitAddresses(service, "10.7.7.7")
	s.awaitAddresses(clusterName("stranger.example", 80), "10.7.7.7")
	remove()
	return service
}

// subset has somebody address a part of a service, by the private keys of the labels of its instances.
func (s *scene) subset() {
	instance := churning().Instance(0, 0)
	host := instance.Endpoint().Host
	remove := s.create("DestinationRule", "subsets", map[string]any{"host": host, "subsets": []any{
		map[string]any{"name": "all", "labels": map[string]any{"label.registry-bridge.io/application": application}},
		map[string]any{"name": "none", "labels": map[string]any{"label.registry-bridge.io/application": "other"}},
	}})
	var all []string
	for k := range churning().Instances {
		all = append(all, churning().Instance(0, k).Address)
	}
	port := strconv.FormatUint(uint64(instance.Port), 10)
	s.awaitAddresses("outbound|"+port+"|all|"+host, all...)
	s.awaitAddresses("outbound|" + port + "|none|" + host)
	remove()
}

// create makes an object beside our WorkloadEntries, and returns how it goes again.
func (s *scene) create(kind, name string, spec map[string]any) (remove func()) {
	s.Helper()
	version := "networking.istio.io/v1"
	if kind == "Service" {
		version = "v1"
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec,
	}}
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	objects := s.kube.Client(s).Resource(resource).Namespace(churnNamespace)
	if _, err := objects.Create(s.Context(), object, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	return func() {
		s.Helper()
		if err := objects.Delete(s.Context(), name, metav1.DeleteOptions{}); err != nil {
			s.Fatal(err)
		}
	}
}

// awaitAddresses waits until a proxy has a cluster with exactly these addresses, which are sorted.
func (s *scene) awaitAddresses(cluster string, want ...string) {
	s.Helper()
	s.proxy.Await(s, patience, "the proxy has the endpoints of "+cluster, func(c *ads.Config) error {
		if c.Clusters[cluster] == nil {
			return errors.New("there is no such cluster")
		}
		var got []string
		for _, group := range c.Endpoints[cluster].GetEndpoints() {
			for _, e := range group.GetLbEndpoints() {
				got = append(got, placeOf(nil, e).address)
			}
		}
		slices.Sort(got)
		return differ("addresses", want, got)
	})
}

// storedWorkloads returns the version of each WorkloadEntry of the bridge.
func (s *scene) storedWorkloads() map[string]string {
	s.Helper()
	list, err := s.kube.Client(s).Resource(workloadEntries()).Namespace(churnNamespace).List(s.Context(), metav1.ListOptions{
		LabelSelector: "registry-bridge.io/instance=" + owner,
	})
	if err != nil {
		s.Fatal(err)
	}
	versions := map[string]string{}
	for i := range list.Items {
		versions[list.Items[i].GetName()] = fmt.Sprint(list.Items[i].GetUID(), list.Items[i].GetResourceVersion())
	}
	return versions
}
