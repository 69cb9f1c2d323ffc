package figures_test

import (
	"maps"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
)

// fast are flags for a first synchronisation that nobody wants to wait for.
func fast() []string { return []string{"--kube-api-qps", "1000", "--kube-api-burst", "1000"} }

// TestIdle watches a bridge of 5,000 services in which nothing happens: it writes nothing.
func TestIdle(t *testing.T) {
	t.Parallel()
	population := providers.Population{Interfaces: 5000, Instances: 1}
	s := newScene(t, newZooKeeper(t, population), population, fast()...)
	t.Logf("first synchronisation: %v", s.firstSync())
	pass(t, 5*time.Second)
	before, writes, versions := usageOf(t, s.bridge), s.cluster.writes(), s.cluster.stored()
	pass(t, *idleLength)
	after := usageOf(t, s.bridge)
	t.Logf("CPU: %.2f %% of a core; resident memory: %.0f MiB", 100*(after.cpu-before.cpu)/after.at.Sub(before.at).Seconds(), after.rss)
	if got := s.cluster.writes() - writes; got != 0 {
		t.Errorf("%d writes in %v", got, *idleLength)
	}
	if got := s.cluster.stored(); len(got) != population.Interfaces || !maps.Equal(got, versions) {
		t.Errorf("%d objects have other versions than before, or are new or gone", len(got))
	}
}

// TestCosts counts what a single change costs: one write, and at most two requests to the registry.
func TestCosts(t *testing.T) {
	t.Parallel()
	const changes = 40
	for name, start := range registries() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			population := providers.Population{Interfaces: 10, Instances: 3}
			r := start(t, population)
			requests := r.counted()
			s := newScene(t, r, population)
			s.firstSync()
			pass(t, 3*time.Second)
			asked, writes, begin := requests(), s.cluster.writes(), time.Now()
			for i := range changes {
				s.change(i)
			}
			pass(t, 3*time.Second) // What is late is not forgotten.
			if got := s.cluster.writes() - writes; got != changes {
				t.Errorf("%d changes made %d writes, want one each", changes, got)
			}
			// Besides, each registry is asked for signs of life from time to time.
			signs := 2 * (1 + int(time.Since(begin)/(5*time.Second)))
			if got := requests() - asked; got > 2*changes+signs {
				t.Errorf("%d changes made %d requests to the registry, want two each at most", changes, got)
			} else {
				t.Logf("%.2f requests to the registry for each change", float64(got)/changes)
			}
		})
	}
}

// stored returns the version of every object.
func (c *cluster) stored() map[string]string {
	c.tb.Helper()
	entries := c.kube.Client(c.tb).Resource(schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"})
	list, err := entries.List(c.tb.Context(), metav1.ListOptions{})
	if err != nil {
		c.tb.Fatal(err)
	}
	versions := map[string]string{}
	for i := range list.Items {
		versions[list.Items[i].GetName()] = list.Items[i].GetResourceVersion()
	}
	return versions
}
