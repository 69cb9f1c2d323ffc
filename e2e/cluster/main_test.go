// Package cluster_test runs the built program between a real ZooKeeper and a real API server, breaks what is between it and the API server,
// and lets the oracle judge every version of every object.
package cluster_test

import (
	"flag"
	"os"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

var (
	killCount = flag.Int("kills", 20, "how `often` the bridge is killed in the middle of changes")
	seedFlag  = flag.Uint64("seed", 0, "seed of the churn; 0 chooses one, which is printed")
)

// program is the path of the bridge's binary. The flag judges another one, for instance an older version.
var program string

func TestMain(m *testing.M) {
	flag.StringVar(&program, "program", "", "`binary` to judge instead of one that is built from the present sources")
	flag.Parse()
	os.Exit(bridge.Suite{Program: &program, Parallel: 8}.Run(m))
}

// TestCluster shares one API server and one ZooKeeper among tests that break neither.
func TestCluster(t *testing.T) {
	t.Parallel()
	shared := servers{kube: startKube(t), zookeeper: lab.StartZooKeeper(t, lab.ZooKeeperOptions{})}
	for _, test := range []struct {
		name string
		run  func(act)
	}{
		{"Sabotage", act.sabotage},
		{"BridgeKilled", act.bridgeKilled},
		{"Answers", act.answers},
		{"Connections", act.connections},
		{"Webhook", act.webhook},
		{"Poison", act.poison},
		{"Conflicts", act.conflicts},
		{"TakenHost", act.takenHost},
		{"Plan", act.plan},
		{"Modes", act.modes},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(act{t, shared})
		})
	}
}

// act is one test of TestCluster.
type act struct {
	t       *testing.T
	servers servers
}
