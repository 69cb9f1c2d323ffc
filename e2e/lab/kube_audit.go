package lab

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/audit"
)

// Writes returns all objects of Istio that the API server was asked to write so far, in a namespace by a user, in the order of its answers:
// "admin" is the test, "bridge" a bridge with BridgeKubeconfig.
func (k *Kube) Writes(t testing.TB, namespace, user string) []audit.Request {
	t.Helper()
	return slices.DeleteFunc(k.Audit(t, namespace), func(r audit.Request) bool { return r.Group != "networking.istio.io" || r.User != user })
}

// Audit returns all that the API server was asked to write so far in a namespace, Registries and Leases too, in the order of its answers.
func (k *Kube) Audit(t testing.TB, namespace string) []audit.Request {
	t.Helper()
	requests, err := audit.Read(filepath.Join(k.dir, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(requests, func(r audit.Request) bool { return r.Namespace != namespace })
}
