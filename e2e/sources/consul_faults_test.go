package sources_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// after is how long a test looks whether something happens that must not.
const after = time.Second

// consulScene is what every test of faults begins with: services a and b, each with an instance.
type consulScene struct {
	*lab.Consul
	leader    *lab.ConsulServer
	followers []*lab.ConsulServer
}

func both() func(sourcetest.State) bool { return allOf(is("a", "10.0.0.1:80"), is("b", "10.0.0.2:80")) }

func (s *consulScene) reset(t *testing.T) {
	t.Helper()
	s.EmptyCatalog(t)
	s.SetToken(t, consulToken, readRules)
	s.leader, s.followers = s.Leader(t)
	register(t, s.leader, placed{"a", "node-1", "10.0.0.1"}, api.HealthPassing)
	register(t, s.leader, placed{"b", "node-2", "10.0.0.2"}, api.HealthPassing)
	s.AwaitReplication(t)
}

// TestConsulFaults: what happens to a cluster of three. The tests run one after the other, each with a healthy cluster at the start.
func TestConsulFaults(t *testing.T) {
	t.Parallel()
	s := &consulScene{Consul: startConsul(t)}
	for _, tt := range []struct {
		name string
		test func(*testing.T, *consulScene)
	}{
		{"leader killed", leaderKilled},
		{"agent that is asked killed and started", agentRestarted},
		{"token swapped for one that may nothing", func(t *testing.T, s *consulScene) { t.Helper(); tokenSwapped(t, s, denyRules) }},
		{"token swapped for one without nodes", func(t *testing.T, s *consulScene) {
			t.Helper()
			tokenSwapped(t, s, `service_prefix "" { policy = "read" }`)
		}},
		{"token unknown", tokenUnknown},
		{"five checks flapping", checksFlapping},
		{"maintenance", maintenance},
		{"same service ID on two nodes", sameIDOnTwoNodes},
		{"snapshot restored", snapshotRestored},
		{"quorum lost", quorumLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.reset(t)
			tt.test(t, s)
		})
	}
}

// leaderKilled: watched are a follower and the leader itself. Nothing is removed, and the follower's watch sees what comes later.
func leaderKilled(t *testing.T, s *consulScene) {
	t.Helper()
	follower, dead := watchConsul(t, s.followers[0], consulToken), watchConsul(t, s.leader, consulToken)
	follower.wait("first state", both())
	dead.wait("first state", both())
	killed := s.leader
	dead.during("as before", both(), 0, func() {
		follower.during("as before", both(), after, func() {
			killed.Kill()
			s.Leader(t)
		})
	})
	leader, _ := s.Leader(t)
	register(t, leader, placed{"a", "node-1", "10.0.0.3"}, api.HealthPassing)
	follower.wait("change after the election", allOf(is("a", "10.0.0.3:80"), is("b", "10.0.0.2:80")))
	killed.Start(t)
	dead.wait("change, once the server is back", allOf(is("a", "10.0.0.3:80"), is("b", "10.0.0.2:80")))
}

func agentRestarted(t *testing.T, s *consulScene) {
	t.Helper()
	agent := s.followers[0]
	w := watchConsul(t, agent, consulToken)
	w.wait("first state", both())
	w.during("as before", both(), after, func() {
		agent.Kill()
		deregister(t, s.leader, "c", "node-1") // Another index.
		agent.Start(t)
	})
	agent.Stop(t)
	register(t, s.leader, placed{"a", "node-1", "10.0.0.3"}, api.HealthPassing)
	deregister(t, s.leader, "b", "node-2")
	agent.Start(t)
	w.wait("what happened meanwhile", allOf(is("a", "10.0.0.3:80"), is("b")))
}

// tokenSwapped: neither a running source nor one that begins takes the rest for the whole.
func tokenSwapped(t *testing.T, s *consulScene, rules string) {
	t.Helper()
	s.SetToken(t, consulOther, rules)
	running := watchConsul(t, s.followers[0], consulToken)
	running.wait("first state", both())
	other := consulOther
	running.during("as before", both(), after, func() {
		running.token.Store(&other)
		register(t, s.leader, placed{"a", "node-1", "10.0.0.1"}, api.HealthPassing, api.HealthPassing) // So that queries end.
		register(t, s.leader, placed{"c", "node-3", "10.0.0.4"}, api.HealthPassing)
	})
	begun := watchConsul(t, s.followers[0], consulOther)
	begun.refusedAtOnce(consulToken, consulOther)
	right := consulToken
	running.token.Store(&right)
	begun.token.Store(&right)
	all := allOf(both(), is("c", "10.0.0.4:80"))
	running.wait("recovery", all)
	begun.wait("recovery", all)
}

// refusedAtOnce waits until the source says that it may not read, and has named nothing.
func (w *consulWatch) refusedAtOnce(secrets ...string) {
	w.t.Helper()
	w.refused(secrets...)
	if state := w.State(); state.Synced > 0 || len(state.Services) > 0 {
		w.t.Errorf("something was named: %s", state)
	}
}

func tokenUnknown(t *testing.T, s *consulScene) {
	t.Helper()
	running := watchConsul(t, s.followers[0], consulToken)
	running.wait("first state", both())
	unknown := "33333333-7a0e-4a0c-9b0e-3f5c52d1cccc"
	running.during("as before", both(), after, func() {
		running.token.Store(&unknown)
		register(t, s.leader, placed{"a", "node-1", "10.0.0.1"}, api.HealthPassing, api.HealthPassing)
	})
	watchConsul(t, s.followers[0], unknown).refusedAtOnce(unknown)
}

// checksFlapping: as long as one of five checks is critical, what the others do is no change; and what is one is not passed on faster
// than the service is read.
func checksFlapping(t *testing.T, s *consulScene) {
	t.Helper()
	flap := func(rounds int, first string) {
		for i := range rounds {
			statuses := []string{first, api.HealthPassing, api.HealthPassing, api.HealthPassing, api.HealthPassing}
			statuses[1+i%4] = api.HealthCritical
			if first == "" {
				statuses[0] = []string{api.HealthPassing, api.HealthCritical}[i%2]
				statuses[1+i%4] = api.HealthPassing
			}
			register(t, s.leader, placed{"a", "node-1", "10.0.0.1"}, statuses...)
		}
	}
	flap(1, api.HealthCritical)
	s.AwaitReplication(t)
	w := watchConsul(t, s.followers[0], consulToken)
	w.wait("first state", func(state sourcetest.State) bool { return state.Synced > 0 && is("b", "10.0.0.2:80")(state) })
	upserts := w.upserts.Load()
	down := func(state sourcetest.State) bool { return state.Service("a") != nil && is("a")(state) }
	w.during("down", down, after, func() { flap(200, api.HealthCritical) })
	if n := w.upserts.Load() - upserts; n != 0 {
		t.Errorf("%d Upserts of a service that was down all the time", n)
	}
	start := time.Now()
	flap(400, "")
	register(t, s.leader, placed{"a", "node-1", "10.0.0.1"}, api.HealthPassing, api.HealthPassing, api.HealthPassing, api.HealthPassing, api.HealthPassing)
	w.wait("rest", both())
	// Two at once, two a second, and the last.
	if n, most := w.upserts.Load()-upserts, int64(time.Since(start).Seconds()*2)+3; n > most {
		t.Errorf("%d Upserts for 400 changes within %s, want %d at most", n, time.Since(start), most)
	}
}

func maintenance(t *testing.T, s *consulScene) {
	t.Helper()
	set := func(check *api.AgentCheck, on bool) {
		t.Helper()
		var err error
		if on {
			_, err = s.leader.Client.Catalog().Register(&api.CatalogRegistration{
				Node: "node-1", Address: "10.255.0.1", SkipNodeUpdate: true, Check: check,
			}, nil)
		} else {
			_, err = s.leader.Client.Catalog().Deregister(&api.CatalogDeregistration{Node: "node-1", CheckID: check.CheckID}, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w := watchConsul(t, s.followers[0], consulToken)
	w.wait("first state", both())
	for what, check := range map[string]*api.AgentCheck{
		"node":    {Node: "node-1", CheckID: api.NodeMaint, Status: api.HealthCritical},
		"service": {Node: "node-1", CheckID: api.ServiceMaintPrefix + "a-1", Status: api.HealthCritical, ServiceID: "a-1"},
	} {
		set(check, true)
		w.wait(what+" in maintenance", allOf(is("a"), is("b", "10.0.0.2:80")))
		set(check, false)
		w.wait(what+" back", both())
	}
	// And as an operator does it, on an agent that registers a service of its own.
	agent := s.followers[0].Client.Agent()
	if err := agent.ServiceRegister(&api.AgentServiceRegistration{Name: "own", Address: "10.0.0.8", Port: 80}); err != nil {
		t.Fatal(err)
	}
	w.wait("service of the agent", is("own", "10.0.0.8:80"))
	if err := agent.EnableServiceMaintenance("own", "test"); err != nil {
		t.Fatal(err)
	}
	w.wait("service of the agent in maintenance", is("own"))
	if err := agent.DisableServiceMaintenance("own"); err != nil {
		t.Fatal(err)
	}
	w.wait("service of the agent back", is("own", "10.0.0.8:80"))
	if err := agent.ServiceDeregister("own"); err != nil {
		t.Fatal(err)
	}
	w.wait("service of the agent gone", func(state sourcetest.State) bool { return state.Service("own") == nil && both()(state) })
}

func sameIDOnTwoNodes(t *testing.T, s *consulScene) {
	t.Helper()
	register(t, s.leader, placed{"a", "node-2", "10.0.0.5"}, api.HealthPassing)
	w := watchConsul(t, s.followers[0], consulToken)
	w.wait("both instances", is("a", "10.0.0.1:80", "10.0.0.5:80"))
	register(t, s.leader, placed{"a", "node-1", "10.0.0.1"}, api.HealthCritical)
	w.wait("one down", is("a", "10.0.0.5:80"))
	deregister(t, s.leader, "a", "node-2")
	w.wait("the other gone", is("a"))
	register(t, s.leader, placed{"a", "node-1", "10.0.0.1"}, api.HealthPassing)
	w.wait("the one up", is("a", "10.0.0.1:80"))
}

// snapshotRestored: the index goes back, to below what the queries wait for.
func snapshotRestored(t *testing.T, s *consulScene) {
	t.Helper()
	snapshot := s.Snapshot(t)
	for i := range 50 {
		register(t, s.leader, placed{"a", "node-1", "10.0.1." + strconv.Itoa(i)}, api.HealthPassing)
	}
	register(t, s.leader, placed{"c", "node-3", "10.0.0.4"}, api.HealthPassing)
	deregister(t, s.leader, "b", "node-2")
	s.AwaitReplication(t)
	w := watchConsul(t, s.followers[0], consulToken)
	w.wait("first state", allOf(is("a", "10.0.1.49:80"), is("b"), is("c", "10.0.0.4:80")))
	s.Restore(t, snapshot)
	restored := time.Now()
	// Less than the wait of the shortest query.
	w.Wait(t, "state of the snapshot", 10*time.Second, allOf(both(), func(state sourcetest.State) bool { return state.Service("c") == nil }))
	t.Logf("state of the snapshot %s after it was restored", time.Since(restored).Round(time.Millisecond))
	register(t, s.leader, placed{"a", "node-1", "10.0.0.3"}, api.HealthPassing)
	w.wait("change", allOf(is("a", "10.0.0.3:80"), is("b", "10.0.0.2:80")))
	if errs := w.failures(); len(errs) > 0 {
		t.Logf("runs ended with %v", errs)
	}
}

// quorumLost: one server of three is left, and answers from memory.
func quorumLost(t *testing.T, s *consulScene) {
	t.Helper()
	left := s.followers[0]
	w := watchConsul(t, left, consulToken)
	w.wait("first state", both())
	w.during("as before", both(), 3*after, func() {
		s.leader.Kill()
		s.followers[1].Kill()
	})
	for _, killed := range []*lab.ConsulServer{s.leader, s.followers[1]} {
		killed.Launch(t)
	}
	s.AwaitReady(t)
	leader, _ := s.Leader(t)
	register(t, leader, placed{"a", "node-1", "10.0.0.3"}, api.HealthPassing)
	w.wait("change", allOf(is("a", "10.0.0.3:80"), is("b", "10.0.0.2:80")))
}
