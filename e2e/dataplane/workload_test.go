package dataplane_test

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
)

// churning is registered under a root of its own, whose instances are WorkloadEntries.
func churning() providers.Population {
	return providers.Population{Block: 3, Interfaces: 3, Instances: 4}
}

func workloadEntries() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "workloadentries"}
}

// workloads has services whose instances are objects of their own, in a namespace where somebody else has a WorkloadEntry with the same
// copied label, which no service of ours gets.
func (s *scene) workloads() {
	entries := s.kube.Client(s).Resource(workloadEntries()).Namespace(churnNamespace)
	foreign := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
		"metadata": map[string]any{"name": "foreign", "labels": map[string]any{"application": "service0000-app"}},
		"spec":     map[string]any{"address": "10.7.7.7", "labels": map[string]any{"application": "service0000-app"}},
	}}
	if _, err := entries.Create(s.Context(), foreign, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
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
