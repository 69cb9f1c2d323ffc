package cli_test

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/internal/source/consul/consultest"
)

// TestRunWithoutConsul: a bridge that starts while nobody listens at Consul's address says so, and leaves alone what an earlier one has
// published; once Consul is there, everything is as it was.
func TestRunWithoutConsul(t *testing.T) {
	w := newWorld(t)
	consul := consultest.New(consultest.Options{})
	if err := consul.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(consul.Stop)
	consul.Register(&api.CatalogRegistration{
		Node: "node-1", Address: "10.255.0.1", Service: &api.AgentService{ID: "web-1", Service: "web", Address: "10.0.0.1", Port: 80},
	})
	text := fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: dc1, namespace: consul}
spec: {source: {consul: {address: "http://%s", datacenter: dc1}}}
`, consul.Addr())
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bridge := w.start(t)
	w.expect(t, "web.service.consul 10.0.0.1")
	bridge.end(t)
	files := w.files(t)

	consul.Stop()
	bridge = w.start(t)
	eventually(t, func() string {
		for _, r := range bridge.report(t).Registries {
			for _, s := range r.Sources {
				if s.State == "Listing" && strings.Contains(s.Error, "connection refused; see source.consul.address") {
					return ""
				}
			}
		}
		return fmt.Sprintf("the state does not say what is wrong: %+v", bridge.report(t).Registries)
	})
	if now := w.files(t); !maps.Equal(now, files) {
		t.Errorf("the output changed: %v", now)
	}
	if holds := bridge.report(t).Holds; len(holds) != 1 || holds[0].Endpoints != 1 || string(holds[0].Guard) != "Unsynced" {
		t.Errorf("holds: %+v", holds)
	}
	if err := consul.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	bridge.sourceState(t, "Synced")
	if now := w.files(t); !maps.Equal(now, files) {
		t.Errorf("the output changed: %v", now)
	}
	bridge.end(t)
}
