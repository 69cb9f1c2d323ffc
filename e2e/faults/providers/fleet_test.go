package providers_test

import (
	"maps"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

// TestFleet checks the driver itself: what it says to have registered is what a real registry has, also after churn and after a wipe.
func TestFleet(t *testing.T) {
	t.Parallel()
	zookeeper := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
	fleet, err := providers.Connect(t.Context(), providers.Options{Server: zookeeper.Addr, Journal: &oracle.Journal{}, Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fleet.Close() })
	population := providers.Population{Interfaces: 20, Instances: 10}
	if err := fleet.RegisterAll(population.All()); err != nil {
		t.Fatal(err)
	}
	registered := func() oracle.Endpoints {
		t.Helper()
		all, err := fleet.Registered()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	all := registered()
	for _, p := range population.All() {
		if _, ok := all[p.Endpoint()]; !ok {
			t.Fatalf("%s is not registered", p.Endpoint())
		}
	}
	churn := providers.NewChurn(fleet, population, 1)
	for range 100 {
		if err := churn.Step(0); err != nil {
			t.Fatal(err)
		}
	}
	before := registered()
	if len(before) < 190 || len(before) > 200 || maps.Equal(before, all) {
		t.Errorf("%d endpoints after the churn", len(before))
	}
	zookeeper.Wipe(t)
	begin := time.Now()
	if err := fleet.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("restored in %s", time.Since(begin))
	if diff := oracle.Diff(registered(), before, time.Now()); len(diff) > 0 {
		t.Errorf("after the wipe: %v", diff)
	}
}
