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

// KubeWrite is one request that would write an object of Istio, as the API server's audit log has it.
type KubeWrite struct {
	// Verb is create, update, patch, delete or deletecollection.
	Verb string
	// User is who asked: "admin" for the test, "bridge" for a bridge with BridgeKubeconfig.
	User            string
	Namespace, Name string
	// Code is how the API server answered.
	Code int
	At   time.Time
}

// Writes returns all that the API server was asked to write so far, in a namespace by a user, in the order of its answers.
func (k *Kube) Writes(t testing.TB, namespace, user string) []KubeWrite {
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
			ObjectRef struct{ Namespace, Name string }
			// ResponseStatus is how it was answered.
			ResponseStatus struct{ Code int }
			StageTimestamp time.Time
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // The last line may still be under way.
		}
		writes = append(writes, KubeWrite{
			Verb: event.Verb, User: event.User.Username, Namespace: event.ObjectRef.Namespace, Name: event.ObjectRef.Name,
			Code: event.ResponseStatus.Code, At: event.StageTimestamp,
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(writes, func(w KubeWrite) bool { return w.Namespace != namespace || w.User != user })
}
