package replicas_test

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// TestLeader takes the leader away while instances come and go: killed, stopped beyond its lease, asked to end, and with an API server that
// is killed under it.
func TestLeader(t *testing.T) {
	t.Parallel()
	s := newScene(t, short())
	s.churned(func() {
		for range *killCount {
			s.pass(rand.N(time.Second))
			leader := s.leader()
			s.replicas[leader].Kill()
			s.follower(leader)
			s.start(leader)
		}
		for range *killCount {
			s.stopBeyondLease()
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
}

// stopBeyondLease stops the leader's process for longer than its lease. When it goes on it must not write, and end.
func (s *scene) stopBeyondLease() {
	s.t.Helper()
	s.pass(rand.N(time.Second))
	leader := s.leader()
	s.signal(leader, syscall.SIGSTOP)
	s.follower(leader)
	s.signal(leader, syscall.SIGCONT)
	if code := s.replicas[leader].Wait(s.t, settleLimit); code == 0 {
		s.t.Errorf("%s lost the lease and ended as if nothing had happened:\n%s", leader, s.replicas[leader].Output())
	}
	s.start(leader)
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
