package cluster_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// TestServer breaks the API server itself, while providers come and go.
func TestServer(t *testing.T) {
	t.Parallel()
	shared := servers{kube: startKube(t), zookeeper: lab.StartZooKeeper(t, lab.ZooKeeperOptions{})}
	s := newScene(t, shared, shared.kube.BridgeKubeconfig)
	s.start()

	s.churned(func() {
		shared.kube.Process().Signal(syscall.SIGSTOP)
		s.pass(30 * time.Second)
		shared.kube.Process().Signal(syscall.SIGCONT)
	})
	begin := time.Now()
	s.settle(settleLimit)
	t.Logf("all was right %v after the API server had gone on", time.Since(begin))
	s.works()

	// It comes back with room for one write at a time, and refuses all others (429).
	s.churned(func() {
		s.midChange(s.recorder.Changed(), 300*time.Millisecond)
		shared.kube.Kill()
		s.pass(2 * time.Second)
		shared.kube.Start(t, "--enable-priority-and-fairness=false", "--max-mutating-requests-inflight=1")
	})
	begin = time.Now()
	s.settle(settleLimit)
	t.Logf("all was right %v after the API server was started again", time.Since(begin))
	many := providers.Population{Block: 1, Interfaces: 150, Instances: 1}
	begin = time.Now()
	if err := s.fleet.RegisterAll(many.All()); err != nil {
		t.Fatal(err)
	}
	s.settle(settleLimit)
	took, refused, writes := time.Since(begin), 0, shared.kube.Writes(t, s.namespace, "bridge")
	for _, w := range writes {
		if w.Code == http.StatusTooManyRequests {
			refused++
		}
	}
	t.Logf("%d new objects took %v; of %d writes in all %d were refused with 429", many.Interfaces, took, len(writes), refused)
	if refused == 0 {
		t.Error("nothing was refused with 429, so this test shows nothing")
	}
	s.works()
}
