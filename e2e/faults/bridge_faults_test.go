package faults_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/proxy"
)

// TestBridgeRestarted restarts the bridge on a registry that does not change: not one file may be written.
func TestBridgeRestarted(t *testing.T) {
	t.Parallel()
	s := newScene(t, setting{population: usual()})
	s.start()
	before := s.identities()
	for _, end := range []func(){func() { s.bridge.Stop(t) }, s.bridge.Kill} {
		end()
		s.bridge.Start(t)
		s.awaitRecovered(usual())
		s.unchanged(before)
	}
	// It does write when there is something to write.
	s.register(usual().Instance(0, 9))
	s.settle(settleLimit)
}

// TestBridgeKilled kills the bridge in the middle of every kind of trouble and starts it again into it. The providers never leave, so
// no file may be written.
func TestBridgeKilled(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// trouble begins, kills and starts the bridge, and ends.
		trouble func(s *scene)
	}{
		{"while it lists", func(s *scene) {
			s.bridge.Kill()
			for _, skip := range []int{0, 20, 45} {
				fired := s.arm(proxy.Fault{Harm: proxy.Delay, Phase: proxy.Listing, Skip: skip, Hold: time.Minute})
				s.bridge.Start(s.t)
				s.fired(fired)
				s.bridge.Kill()
				s.proxy.Disarm()
			}
			s.bridge.Start(s.t)
		}},
		{"while an answer is truncated", func(s *scene) {
			s.bridge.Kill()
			fired := s.arm(proxy.Fault{Harm: proxy.Truncate, Phase: proxy.Listing, Skip: 30})
			s.bridge.Start(s.t)
			s.fired(fired)
			s.bridge.Kill()
			s.bridge.Start(s.t)
		}},
		{"while the connection is half open", func(s *scene) {
			fired := s.arm(proxy.Fault{Harm: proxy.HalfOpen, Phase: proxy.Watch})
			if err := s.fleet.Restart(usual().Instance(0, 0)); err != nil {
				s.t.Fatal(err)
			}
			s.fired(fired)
			s.bridge.Kill()
			s.bridge.Start(s.t)
		}},
		{"while the registry is down", func(s *scene) {
			s.zookeeper.Kill()
			s.awaitDown()
			s.bridge.Kill()
			s.bridge.Start(s.t)
			s.awaitDown()
			s.zookeeper.Start(s.t)
			s.restore()
		}},
		{"while the registry does not answer", func(s *scene) {
			s.zookeeper.Process().Signal(syscall.SIGSTOP)
			s.bridge.Kill()
			s.bridge.Start(s.t)
			s.awaitDown()
			s.zookeeper.Process().Signal(syscall.SIGCONT)
			s.restore()
		}},
		{"while the registry is wiped", func(s *scene) {
			s.bridge.Kill()
			s.zookeeper.Wipe(s.t)
			s.bridge.Start(s.t)
			s.awaitHeld(usual())
			s.bridge.Kill() // It remembers nothing of the hold.
			s.bridge.Start(s.t)
			s.awaitHeld(usual())
			s.restore()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, setting{population: usual(), proxied: true, ephemeral: true, options: bridge.Options{SessionTimeout: 6 * time.Second}})
			s.start()
			before := s.identities()
			tt.trouble(s)
			s.bridge.Await(t, settleLimit, "the bridge has recovered", func(m bridge.Metrics) bool {
				return m.Sum("source_synced") == 1 && m.Sum("instances") == 200 && m.Sum("held") == 0
			})
			s.unchanged(before)
			s.register(usual().Instance(0, 9))
			s.settle(settleLimit)
		})
	}
}

// arm prepares and arms a fault.
func (s *scene) arm(f proxy.Fault) <-chan struct{} {
	s.t.Helper()
	if err := s.proxy.Prepare(f); err != nil {
		s.t.Fatal(err)
	}
	fired, err := s.proxy.Arm(f)
	if err != nil {
		s.t.Fatal(err)
	}
	return fired
}

// fired waits until a fault was done.
func (s *scene) fired(fired <-chan struct{}) {
	s.t.Helper()
	select {
	case <-fired:
	case <-time.After(settleLimit):
		s.t.Fatal("the moment of the fault has not come")
	}
}
