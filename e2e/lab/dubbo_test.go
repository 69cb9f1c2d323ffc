package lab_test

import (
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

func isLeader(srvr string) bool { return strings.Contains(srvr, "Mode: leader") }

func TestDubboConsumerFindsItsProvider(t *testing.T) {
	t.Parallel()
	for _, version := range []lab.DubboVersion{lab.Dubbo33, lab.Dubbo27} {
		t.Run(string(version), func(t *testing.T) {
			t.Parallel()
			server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
			options := lab.DubboOptions{Version: version, Registry: server.Addr, Group: "blue", ServiceVersion: "1.0.0"}
			provider := lab.StartDubboProvider(t, options)

			options.Settings = map[string]string{"count": "3", "timeout": "20000"} // The first call loads half of Dubbo.
			calls := lab.CallDubbo(t, options)
			if calls.Bad != 0 || calls.By[provider.Name] != 3 {
				t.Errorf("calls = %+v, want 3 answered by %s", calls, provider.Name)
			}
		})
	}
}
