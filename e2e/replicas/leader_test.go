package replicas_test

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestLeader takes the leader away while instances come and go: killed, stopped beyond its lease, asked to end, and with an API server that
// is killed under it.
func TestLeader(t *testing.T) {
	t.Parallel()
	s := newScene(t, short())
	var killed, stopped []time.Duration
	s.churned(func() {
		for range *killCount {
			s.pass(rand.N(time.Second))
			leader := s.leader()
			begin := time.Now()
			s.replicas[leader].Kill()
			s.follower(leader)
			killed = append(killed, time.Since(begin).Round(time.Millisecond))
			s.start(leader)
		}
		for range *killCount {
			stopped = append(stopped, s.stopBeyondLease())
		}
		for range *restartCount {
			s.pass(rand.N(time.Second))
			s.kube.Kill()
			s.pass(rand.N(2 * time.Second))
			s.kube.Start(s.t)
			s.revive()
		}
		leader := s.leader()
		s.replicas[leader].Stop(s.t)
		s.follower(leader)
		s.start(leader)
	})
	s.settle()
	s.judge()
	for what, took := range map[string][]time.Duration{"killed": killed, "stopped": stopped} {
		if len(took) == 0 {
			continue
		}
		slices.Sort(took)
		t.Logf("leader %s %d times, with a lease of %s: another one leads after %s to %s, in the median %s",
			what, len(took), s.lease.duration, took[0], took[len(took)-1], took[len(took)/2])
	}
}

// stopBeyondLease stops the leader's process for longer than its lease. When it goes on it must not write, and end. It returns after what
// time another one led.
func (s *scene) stopBeyondLease() time.Duration {
	s.t.Helper()
	s.pass(rand.N(time.Second))
	leader := s.leader()
	begin := time.Now()
	s.signal(leader, syscall.SIGSTOP)
	s.follower(leader)
	took := time.Since(begin).Round(time.Millisecond)
	s.signal(leader, syscall.SIGCONT)
	if code := s.replicas[leader].Wait(s.t, settleLimit); code == 0 {
		s.t.Errorf("%s lost the lease and ended as if nothing had happened:\n%s", leader, s.replicas[leader].Output())
	}
	s.start(leader)
	return took
}

// revive starts replicas again that ended because they had lost their lease, as a cluster does.
func (s *scene) revive() {
	s.t.Helper()
	for user, process := range s.replicas {
		if process.Err() != nil {
			s.start(user)
		}
	}
}

// TestTakeOver says how long nobody leads, with the settings that are the default. The next leader has no news of the Registry, so it writes
// none.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	s := newScene(t, lease{15 * time.Second, 10 * time.Second, time.Second})
	before := s.described()
	for _, way := range []struct {
		name  string
		limit time.Duration
		end   func(user string)
	}{
		{"asked to end", 3 * time.Second, func(user string) { s.signal(user, syscall.SIGTERM) }},
		{"killed", 20 * time.Second, func(user string) { s.replicas[user].Kill() }},
	} {
		leader := s.leader()
		begin := time.Now()
		way.end(leader)
		next := s.follower(leader)
		took := time.Since(begin)
		t.Logf("leader %s: %s leads after %s", way.name, next, took.Round(10*time.Millisecond))
		if took > way.limit {
			t.Errorf("leader %s: nobody led for %s, want at most %s", way.name, took, way.limit)
		}
		s.replicas[leader].Wait(t, settleLimit)
		s.start(leader)
		s.settle()
		s.pass(quietTime)
		if after := s.resourceVersion(); after != before {
			t.Errorf("leader %s: the version of the Registry was %s, and now is %s", way.name, before, after)
		}
	}
	s.judge()
}
