package cluster

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// Connect returns a cluster that is there already, as kind makes one, for its administrator's kubeconfig. Pods reach this machine at
// address, which is one of its own. The programs kubectl and helm are those of the user. Its components belong to somebody else: Owned is
// false, and nothing that touches them, or looks behind the API server, may be called.
func Connect(t testing.TB, kubeconfig, address string) *Cluster {
	t.Helper()
	kubeconfig, err := filepath.Abs(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Kubeconfig: kubeconfig, home: t.TempDir(), address: address, owner: t, programs: &lab.ClusterPrograms{}}
	for name, program := range map[Tool]*string{Kubectl: &c.programs.Kubectl, Helm: &c.programs.Helm} {
		if *program, err = exec.LookPath(string(name)); err != nil {
			t.Fatal(err)
		}
	}
	c.connect(t)
	return c
}

// Owned reports whether the cluster is one of Start, whose components may be restarted and whose etcd and audit log can be read.
func (c *Cluster) Owned() bool { return c.host != nil }
