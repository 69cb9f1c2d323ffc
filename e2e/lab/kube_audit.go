package lab

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// KubeWrite is one request that would write an object of Istio or a Lease, as the API server's audit log has it.
type KubeWrite struct {
	// Resource is the kind of the object in the plural, as in "serviceentries".
	Resource string
	// Verb is create, update, patch, delete or deletecollection.
	Verb string
	// User is who asked: "admin" for the test, "bridge" for a bridge with BridgeKubeconfig.
	User            string
	Namespace, Name string
	// Code is how the API server answered.
	Code int
	// Asked is when the request came, At when it was answered.
	Asked, At time.Time
}

// Writes returns all objects of Istio that the API server was asked to write so far, in a namespace by a user, in the order of its answers.
func (k *Kube) Writes(t testing.TB, namespace, user string) []KubeWrite {
	t.Helper()
	return slices.DeleteFunc(k.Audit(t, namespace), func(w KubeWrite) bool { return w.Resource == "leases" || w.User != user })
}

// Audit returns all that the API server was asked to write so far in a namespace, Leases too, in the order of its answers.
func (k *Kube) Audit(t testing.TB, namespace string) []KubeWrite {
	t.Helper()
	file, err := os.Open(filepath.Join(k.dir, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var writes []KubeWrite
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb string
			User struct{ Username string }
			// ObjectRef says about which object it was.
			ObjectRef struct{ Resource, Namespace, Name string }
			// ResponseStatus is how it was answered.
			ResponseStatus           struct{ Code int }
			RequestReceivedTimestamp time.Time
			StageTimestamp           time.Time
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // The last line may still be under way.
		}
		writes = append(writes, KubeWrite{
			Resource: event.ObjectRef.Resource, Verb: event.Verb, User: event.User.Username, Namespace: event.ObjectRef.Namespace, Name: event.ObjectRef.Name,
			Code: event.ResponseStatus.Code, Asked: event.RequestReceivedTimestamp, At: event.StageTimestamp,
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(writes, func(w KubeWrite) bool { return w.Namespace != namespace })
}
