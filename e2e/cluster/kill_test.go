package cluster_test

import (
	"math/rand/v2"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bridgeKilled kills the bridge again and again, first while it writes everything for the first time, then in the middle of changes. Nothing
// may be lost, nothing may be written twice, and in the end a restart on a registry at rest writes nothing at all.
func (a act) bridgeKilled() {
	t, shared := a.t, a.servers
	s := newScene(t, shared, shared.kube.BridgeKubeconfig)
	for range 3 {
		changed := s.recorder.Changed()
		s.bridge.Start(t)
		s.midChange(changed, 100*time.Millisecond)
		s.bridge.Kill()
	}
	s.start()
	s.churned(func() {
		for range *killCount {
			s.midChange(s.recorder.Changed(), 300*time.Millisecond)
			s.bridge.Kill()
			s.bridge.Start(t)
		}
	})
	s.settle(recoveryLimit)
	s.works()
	before := s.versions()
	for _, end := range []func(){func() { s.bridge.Stop(t) }, s.bridge.Kill} {
		end()
		s.bridge.Start(t)
		s.logged("output read")
		s.works()
	}
	after := s.versions()
	for _, versions := range []map[string]string{before, after} {
		delete(versions, usual().Instance(usual().Interfaces-1, 9).Endpoint().Host)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("restarts wrote what had not changed (-before +after):\n%s", diff)
	}
}

// midChange waits until something was written, and a moment more.
func (s *scene) midChange(changed <-chan struct{}, moment time.Duration) {
	s.t.Helper()
	select {
	case <-changed:
	case <-time.After(settleLimit):
		s.t.Fatal("the bridge writes nothing")
	}
	s.pass(rand.N(moment))
}
