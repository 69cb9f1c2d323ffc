package cluster_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// webhook is a validating webhook that the API server asks about ServiceEntries of one scene.
type webhook struct {
	scene   *scene
	configs dynamic.ResourceInterface
}

func newWebhook(s *scene) *webhook {
	return &webhook{scene: s, configs: s.client.Resource(schema.GroupVersionResource{
		Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations",
	})}
}

// install makes the API server ask url, with the certificate of who answers there, about objects for which condition holds.
func (w *webhook) install(url string, ca []byte, condition string) {
	w.scene.t.Helper()
	client := map[string]any{"url": url}
	if ca != nil {
		client["caBundle"] = base64.StdEncoding.EncodeToString(ca)
	}
	config := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
		"metadata": map[string]any{"name": w.scene.namespace},
		"webhooks": []any{map[string]any{
			"name": "test.registry-bridge.io", "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": int64(2),
			"admissionReviewVersions": []any{"v1"}, "clientConfig": client,
			"namespaceSelector": map[string]any{"matchLabels": map[string]any{"scene": w.scene.namespace}},
			"matchConditions":   []any{map[string]any{"name": "which", "expression": condition}},
			"rules": []any{map[string]any{
				"apiGroups": []any{"networking.istio.io"}, "apiVersions": []any{"*"}, "resources": []any{"serviceentries"},
				"operations": []any{"CREATE", "UPDATE"},
			}},
		}},
	}}
	if _, err := w.configs.Apply(w.scene.t.Context(), w.scene.namespace, config, metav1.ApplyOptions{FieldManager: "test"}); err != nil {
		w.scene.t.Fatal(err)
	}
}

func (w *webhook) remove() {
	w.scene.t.Helper()
	if err := w.configs.Delete(w.scene.t.Context(), w.scene.namespace, metav1.DeleteOptions{}); err != nil {
		w.scene.t.Fatal(err)
	}
}

// awaitRefused waits until the API server refuses an object of this name because of the webhook, which takes effect a moment after it has
// been configured.
func (w *webhook) awaitRefused(name string) {
	w.scene.t.Helper()
	lab.Await(w.scene.t, settleLimit, "the webhook takes effect", func(ctx context.Context) error {
		u := entry("probe.acme", usual().Instance(0, 0))
		u.SetName(name)
		if _, err := w.scene.entries().Apply(ctx, name, u, metav1.ApplyOptions{FieldManager: "probe", DryRun: []string{metav1.DryRunAll}, Force: true}); err == nil {
			return errors.New("it does not yet")
		}
		return nil
	})
}

// dead returns the URL of a webhook that is not there.
func dead(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("https://127.0.0.1:%d/", lab.FreePort(t))
}

// allowing starts a webhook that allows everything, and counts.
func allowing(t *testing.T) (url string, ca []byte, calls *atomic.Int64) {
	t.Helper()
	calls = &atomic.Int64{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		var review struct {
			Request struct{ UID string }
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":%q,"allowed":true}}`, review.Request.UID)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), calls
}

// webhook lets the API server ask a webhook that is down, about everything, while providers come and go.
func (a act) webhook() {
	t, shared := a.t, a.servers
	const length = 8 * time.Second
	s := newScene(t, shared, shared.kube.BridgeKubeconfig)
	s.start()
	w := newWebhook(s)
	w.install(dead(t), nil, "true")
	w.awaitRefused("probe")
	before := len(shared.kube.Writes(t, s.namespace, "bridge"))
	s.churned(func() { s.pass(length) })
	s.logged("output unavailable")
	tries := shared.kube.Writes(t, s.namespace, "bridge")[before:]
	if most := 60; len(tries) > most {
		t.Errorf("%d requests in %v, want %d at most", len(tries), length, most)
	}
	url, ca, calls := allowing(t)
	w.install(url, ca, "true")
	begin := time.Now()
	s.settle(recoveryLimit)
	t.Logf("%d requests in %v; all was right %v after the webhook came back", len(tries), length, time.Since(begin))
	s.works()
	if calls.Load() == 0 {
		t.Error("nobody has asked the webhook")
	}
}

// poison lets a webhook break on one object. All others have to be written as soon as ever, also when that one is all that is left to
// write.
func (a act) poison() {
	t, shared := a.t, a.servers
	s := newScene(t, shared, shared.kube.BridgeKubeconfig)
	s.start()
	poisoned := usual().Instance(3, 0)
	host := poisoned.Endpoint().Host
	w := newWebhook(s)
	w.install(dead(t), nil, fmt.Sprintf("object.metadata.name == %q", host))
	w.awaitRefused(host)
	if err := s.fleet.Deregister(poisoned, 0); err != nil {
		t.Fatal(err)
	}
	s.logged("object could not be written")
	before := len(shared.kube.Writes(t, s.namespace, "bridge"))
	for i := range 8 {
		other := usual().Instance(5+i, 0)
		s.deregister(other)
		registered, err := s.fleet.Registered()
		if err != nil {
			t.Fatal(err)
		}
		published := maps.Clone(registered)
		published[poisoned.Endpoint()] = 0
		s.await(removalLimit, published)
		s.pass(time.Second)
	}
	if tries := len(shared.kube.Writes(t, s.namespace, "bridge")) - before; tries > 8+8 {
		t.Errorf("%d requests for 8 changes and one object that cannot be written", tries)
	}
	w.remove()
	s.settle(recoveryLimit)
	s.works()
}
