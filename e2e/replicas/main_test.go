// Package replicas_test runs three replicas of the built program between a real ZooKeeper and a real API server, takes the leader away in
// every way there is, and lets the oracle judge every version of every object and the audit log who wrote it.
package replicas_test

import (
	"flag"
	"os"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
)

var (
	killCount    = flag.Int("kills", 5, "how `often` the leader is killed, and how often it is stopped beyond its lease")
	restartCount = flag.Int("restarts", 2, "how `often` the API server is restarted")
	seedFlag     = flag.Uint64("seed", 0, "seed of the churn; 0 chooses one, which is printed")
)

// program is the path of the bridge's binary.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(bridge.Suite{Program: &program}.Run(m))
}
