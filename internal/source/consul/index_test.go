package consul_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source/consul/consultest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// TestRewind: after the restoration of a snapshot indexes are lower, and changes are seen all the same.
func TestRewind(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	for i := range 100 {
		s.Register(registration("a", "node-1", "10.0.0.1", 81+i))
	}
	s.Register(registration("a", "node-1", "10.0.0.1", 80))
	r := watch(t, s, nil)
	r.settled(s, 3)
	s.Rewind()
	r.Steady(grace, "as before", both)
	s.Register(registration("a", "node-1", "10.0.0.3", 80))
	r.Await("change", func(s sourcetest.State) bool { return is(s, "a", "10.0.0.3:80") })
	s.Register(registration("c", "node-1", "10.0.0.3", 80))
	r.Await("new service", func(s sourcetest.State) bool { return is(s, "c", "10.0.0.3:80") })
}

// TestSilentReplacement: behind one address another server takes over, with other data and lower indexes, and no query ends.
func TestSilentReplacement(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	r := watch(t, s, nil)
	r.settled(s, 3)
	s.Stop()
	s.Wipe()
	start(t, s)
	s.Register(registration("a", "node-1", "10.0.0.1", 80))
	r.Await("what is there now", func(s sourcetest.State) bool {
		return is(s, "a", "10.0.0.1:80") && s.Service("b") == nil && len(s.Skipped) == 0
	})
}

// TestRestore: the restoration of a snapshot ends every query with what the client knows already, and what is asked next with that index
// waits for a change that may never come. The state of the snapshot is there long before the wait of any query is over.
func TestRestore(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	snapshot := s.Snapshot()
	s.Register(registration("a", "node-1", "10.0.0.3", 80))
	s.Register(registration("c", "node-1", "10.0.0.4", 80))
	s.Deregister(&api.CatalogDeregistration{Node: "node-2", ServiceID: "b-1"})
	r := watch(t, s, nil)
	r.settled(s, 3)
	s.Restore(snapshot)
	r.Wait(t, "state of the snapshot", 5*time.Second, func(s sourcetest.State) bool { return both(s) && s.Service("c") == nil })
	s.Register(registration("a", "node-1", "10.0.0.3", 80))
	r.Await("change", func(s sourcetest.State) bool { return is(s, "a", "10.0.0.3:80") && is(s, "b", "10.0.0.2:80") })
	if len(r.Errors()) > 0 {
		t.Errorf("runs ended with %v", r.Errors())
	}
}

// TestRequestsPerChange: a change of an instance costs one query of its service and one of the catalogue; a change of a check the
// former only.
func TestRequestsPerChange(t *testing.T) {
	t.Parallel()
	const changes = 3
	s := serve(t, consultest.Options{})
	two(s)
	r := watch(t, s, nil)
	r.settled(s, 3)
	count := func(change func(i int), done func(i int) func(sourcetest.State) bool) map[string]int {
		before := s.Stats().Requests
		for i := range changes {
			change(i)
			r.Await("change", done(i))
			r.settled(s, 3)
		}
		after := s.Stats().Requests
		for path, n := range before {
			after[path] -= n
		}
		return after
	}
	moves := count(func(i int) { s.Register(registration("a", "node-1", fmt.Sprint("10.0.1.", i), 80)) },
		func(i int) func(sourcetest.State) bool {
			return func(s sourcetest.State) bool { return is(s, "a", fmt.Sprintf("10.0.1.%d:80", i)) }
		})
	if moves[healthPath+"a"] > changes || moves[listingPath] > changes || moves[healthPath+"b"] > 0 {
		t.Errorf("requests for %d changes of an instance: %v", changes, moves)
	}
	checks := count(func(i int) {
		s.Register(&api.CatalogRegistration{Node: "node-1", Address: "10.255.0.1", Checks: api.HealthChecks{{
			CheckID: "service:a-1", ServiceID: "a-1", Status: []string{api.HealthCritical, api.HealthPassing}[i%2],
		}}})
	}, func(i int) func(sourcetest.State) bool {
		return func(s sourcetest.State) bool {
			return s.Service("a").Instances[0].Health == []model.Health{model.Unhealthy, model.Healthy}[i%2]
		}
	})
	if checks[healthPath+"a"] > changes || checks[listingPath] > 0 || checks[healthPath+"b"] > 0 {
		t.Errorf("requests for %d changes of a check: %v", changes, checks)
	}
}
