package registries_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// held: most of a registry goes at once. The Registry says what is held, and which command lets it go.
func (s *scene) held() {
	var nodes []string
	for i := range 20 {
		nodes = append(nodes, s.register("com.acme.Cart", fmt.Sprintf("10.0.0.%d:20880", i+1)))
	}
	b := s.bridge()
	s.registry("shop")
	s.await("registry/shop", "{.status.summary}", `"published":20`)
	// What a bridge finds when it starts is what counts as usual; what it has published a moment ago is not.
	b.Stop(s)
	s.bridge()
	s.shows(`"state": "Synced"`, `"published": 20`)
	for _, node := range nodes[:19] {
		if err := s.zk.Delete(node); err != nil {
			s.Fatal(err)
		}
	}
	s.wait("shop", "Holding", "True MassRemoval")
	s.await("registry/shop", "{.status.holds}", `"guard":"MassRemoval"`, `"source":`, `"until":`)
	if got := s.get("registry/shop", "{.status.summary}"); strings.Contains(got, `"held":0`) {
		s.Errorf("the summary is %s", got)
	}
	id := s.get("registry/shop", "{.status.holds[0].id}")
	s.kubectl.Run(s, "-n", s.namespace, "annotate", "registry/shop", "registry-bridge.io/release="+id)
	s.wait("shop", "Holding", "False NothingHeld")
	if got := s.get("serviceentries", addresses); strings.Contains(got, " ") {
		s.Errorf("%s are published after the release, want one", got)
	}
}

// confirmed: an edit that would delete much waits for a person.
func (s *scene) confirmed() {
	for i := range 12 {
		s.register(fmt.Sprintf("com.acme.Cart%d", i), "10.0.0.1:20880")
	}
	s.bridge()
	s.registry("shop")
	s.await("registry/shop", "{.status.summary}", `"published":12`)
	s.patch("registry/shop", map[string]any{"spec": map[string]any{"services": map[string]any{"include": []string{"com.acme.Cart1"}}}})
	s.wait("shop", "ConfirmRemoval", "True ConfirmRemoval")
	message := s.get("registry/shop", `{.status.conditions[?(@.type=="ConfirmRemoval")].message}`)
	id := s.get("registry/shop", "{.status.holds[0].id}")
	if want := "registry-bridge release " + s.namespace + "/shop " + id; !strings.Contains(message, want) {
		s.Errorf("the message is %q, want the command %q", message, want)
	}
	if n := len(strings.Fields(s.get("serviceentries", hosts))); n != 12 {
		s.Errorf("%d objects are left before the confirmation", n)
	}
	s.kubectl.Run(s, "-n", s.namespace, "annotate", "registry/shop", "registry-bridge.io/release="+id)
	s.await("registry/shop", "{.status.summary}", `"published":1,`)
	if got := s.get("registry/shop", state("ConfirmRemoval")); strings.TrimSpace(got) != "" {
		s.Errorf("ConfirmRemoval is still %s", got)
	}
}

// conflicting: somebody else has a host; everything else is published, and the host is when they let it go.
func (s *scene) conflicting() {
	s.kubectl.Feed(s, fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: theirs, namespace: %s}
spec: {hosts: [com.acme.cart], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, exportTo: ["."]}
`, s.namespace), "apply", "-f", "-")
	s.register("com.acme.Cart", "10.0.0.1:20880")
	s.register("com.acme.Other", "10.0.0.2:20880")
	s.bridge()
	s.registry("shop")
	s.wait("shop", "HostConflict", "True HostConflict")
	s.await("registry/shop", `{.status.conditions[?(@.type=="HostConflict")].message}`, "com.acme.cart")
	s.await("serviceentries", addresses, "10.0.0.2")
	s.await("events", "{range .items[*]}{.type} {.reason} {end}", "Warning HostConflict")
	s.kubectl.Run(s, "-n", s.namespace, "delete", "serviceentry/theirs")
	s.await("serviceentries", addresses, "10.0.0.1")
	s.await("registry/shop", "{.status.summary}", `"published":2`)
}

// TestIstio starts the bridge before there is an Istio, brings an old one, and then a new one.
func TestIstio(t *testing.T) {
	t.Parallel()
	k := lab.StartKube(t)
	c, client := k.Kubectl(t), k.Client(t)
	c.DefineRegistries(t)
	c.Run(t, "create", "clusterrolebinding", "bridge", "--clusterrole=cluster-admin", "--user=bridge")
	c.Run(t, "create", "namespace", "istio")
	zk := zktest.New(zktest.Options{})
	if err := zk.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(zk.Stop)
	s := &scene{T: t, kube: k, kubectl: c, client: client, namespace: "istio", zk: zk}
	names := []string{"crd/serviceentries.networking.istio.io", "crd/workloadentries.networking.istio.io"}
	definitions := c.Run(t, append([]string{"get", "-o", "yaml"}, names...)...)
	c.Run(t, append([]string{"delete"}, names...)...)

	s.register("com.acme.Cart", "10.0.0.1:20880")
	b := s.bridge()
	s.registry("shop")
	s.wait("shop", "Ready", "False IstioMissing")
	if text, err := s.ask(t.Context(), "/readyz"); err != nil || text != "ok\n" {
		t.Errorf("/readyz says %q, %v: a rollout would wait for CRDs that it may be what brings", text, err)
	}

	c.Feed(t, strings.ReplaceAll(definitions, "resourceVersion:", "# resourceVersion:"), "create", "-f", "-")
	s.wait("shop", "Ready", "True InUse")
	s.await("serviceentries", addresses, "10.0.0.1")
	before := s.get("serviceentries", versions)
	b.Stop(s)

	// Istio before 1.22 has no v1.
	for _, name := range names {
		at := versionIndex(t, c, name, "v1")
		c.Run(t, "patch", name, "--type=json", "-p", fmt.Sprintf(`[{"op": "replace", "path": "/spec/versions/%d/served", "value": false}]`, at))
	}
	s.bridge()
	s.wait("shop", "Ready", "True IstioOutdated")
	s.register("com.acme.Cart", "10.0.0.2:20880")
	s.await("registry/shop", "{.status.summary}", `"published":2`)
	if after := c.Run(t, "-n", "istio", "get", "serviceentries.v1beta1.networking.istio.io", "-o", "jsonpath="+versions); after == before {
		t.Errorf("nothing was written as v1beta1: %s", after)
	}
}

// versionIndex returns where a definition has a version.
func versionIndex(t *testing.T, c *lab.Kubectl, name, version string) int {
	t.Helper()
	for i, have := range strings.Fields(c.Run(t, "get", name, "-o", "jsonpath={.spec.versions[*].name}")) {
		if have == version {
			return i
		}
	}
	t.Fatalf("%s has no version %s", name, version)
	return 0
}
