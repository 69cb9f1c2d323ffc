package registries_test

import (
	"strings"
	"time"
)

// published: a Registry is applied, and what a person sees of it is true.
func (s *scene) published() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	s.register("com.acme.Cart", "10.0.0.2:20880")
	s.bridge()
	s.registry("shop")
	s.kubectl.Run(s, "-n", s.namespace, "wait", "registry/shop", "--for=condition=Ready", "--timeout=60s")
	s.wait("shop", "Synced", "True Synced")
	s.await("serviceentries", hosts, "com.acme.cart")
	s.await("serviceentries", addresses, "10.0.0.1 10.0.0.2")
	s.await("registry/shop", "{.status.summary}", `"services":1`, `"instances":2`, `"published":2`, `"held":0`)
	s.await("registry/shop", "{.status.naming}", `"version":1`)
	columns := s.kubectl.Run(s, "-n", s.namespace, "get", "registries")
	for _, want := range []string{"TYPE", "MODE", "READY", "SERVICES", "INSTANCES", "HELD", "AGE", "ZooKeeper", "Active", "True"} {
		if !strings.Contains(columns, want) {
			s.Errorf("kubectl get registries does not show %s:\n%s", want, columns)
		}
	}
}

// outage: the registry goes away and comes back. Nothing is removed, and the Registry tells.
func (s *scene) outage() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	s.bridge()
	s.registry("shop")
	s.wait("shop", "Synced", "True")
	s.await("serviceentries", addresses, "10.0.0.1")
	before := s.get("serviceentries", versions)
	s.zk.Stop()
	s.wait("shop", "Connected", "False Unreachable")
	s.wait("shop", "Synced", "False Failing")
	s.await("events", "{range .items[*]}{.type} {.reason} {end}", "Warning Unreachable")
	if after := s.get("serviceentries", versions); after != before {
		s.Errorf("objects were written during the outage: %s, then %s", before, after)
	}
	if ready := s.get("registry/shop", state("Ready")); !strings.HasPrefix(ready, "True") {
		s.Errorf("Ready is %s during an outage of the registry, want it to say that the configuration is in use", ready)
	}
}

// badEdit: an edit that the schema lets pass and the program does not leaves everything as it was, and says why.
func (s *scene) badEdit() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	b := s.bridge()
	s.registry("shop")
	s.wait("shop", "Synced", "True")
	s.await("serviceentries", addresses, "10.0.0.1")
	bad := map[string]any{"spec": map[string]any{"services": map[string]any{"include": []string{"com.[acme.*"}}}}
	s.patch("registry/shop", bad)
	s.wait("shop", "Ready", "False Invalid")
	s.register("com.acme.Cart", "10.0.0.2:20880")
	s.await("serviceentries", addresses, "10.0.0.1 10.0.0.2")

	before := s.get("serviceentries", versions)
	b.Stop(s)
	s.bridge()
	s.wait("shop", "Ready", "False Invalid")
	if after := s.get("serviceentries", versions); after != before {
		s.Errorf("a restart with a bad Registry wrote objects: %s, then %s", before, after)
	}
	s.patch("registry/shop", map[string]any{"spec": map[string]any{"services": map[string]any{"include": []string{"com.acme.*"}}}})
	s.wait("shop", "Ready", "True InUse")
}

// retained: a Registry goes, and a new one of its name takes over what it has left, without a write.
func (s *scene) retained() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	s.bridge()
	s.registry("shop")
	s.wait("shop", "Synced", "True")
	s.await("serviceentries", addresses, "10.0.0.1")
	before := s.get("serviceentries", versions)
	s.kubectl.Run(s, "-n", s.namespace, "delete", "registry/shop", "--timeout=30s")
	s.registry("shop")
	s.wait("shop", "Synced", "True")
	if after := s.get("serviceentries", versions); after != before {
		s.Errorf("objects were written: %s, then %s", before, after)
	}
	s.register("com.acme.Cart", "10.0.0.2:20880")
	s.await("serviceentries", addresses, "10.0.0.1 10.0.0.2")
}

// deleted: a Registry goes with what it has published.
func (s *scene) deleted() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	s.bridge()
	s.registry("shop", "deletionPolicy: Delete")
	s.wait("shop", "Synced", "True")
	s.await("serviceentries", addresses, "10.0.0.1")
	s.await("registry/shop", "{.metadata.finalizers}", "registry-bridge.io/cleanup")
	s.kubectl.Run(s, "-n", s.namespace, "delete", "registry/shop", "--timeout=60s")
	if left := s.get("serviceentries", hosts); left != "" {
		s.Errorf("%s is left of a Registry that is gone", left)
	}
}

// deletedWhileStopped: the bridge is not running when the Registry is deleted, and does it when it starts.
func (s *scene) deletedWhileStopped() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	b := s.bridge()
	s.registry("shop", "deletionPolicy: Delete")
	s.await("serviceentries", addresses, "10.0.0.1")
	s.await("registry/shop", "{.metadata.finalizers}", "registry-bridge.io/cleanup")
	b.Stop(s)
	s.kubectl.Run(s, "-n", s.namespace, "delete", "registry/shop", "--wait=false")
	if left := s.get("serviceentries", hosts); left == "" {
		s.Error("somebody else removes the objects")
	}
	s.bridge()
	s.awaitGone("registry/shop")
	s.awaitGone("serviceentries")
}

// forgotten: a Registry that is let go of by force, or whose policy changes while it goes, leaves its objects.
func (s *scene) forgotten() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	b := s.bridge()
	s.registry("shop", "deletionPolicy: Delete")
	s.await("serviceentries", addresses, "10.0.0.1")
	s.await("registry/shop", "{.metadata.finalizers}", "registry-bridge.io/cleanup")
	b.Stop(s)
	s.kubectl.Run(s, "-n", s.namespace, "delete", "registry/shop", "--wait=false")
	s.patch("registry/shop", map[string]any{"metadata": map[string]any{"finalizers": nil}})
	s.awaitGone("registry/shop")
	s.bridge()
	s.registry("other", "services: {include: [nothing]}")
	s.wait("other", "Synced", "True")
	s.await("serviceentries", addresses, "10.0.0.1")
}

// observed: nothing is written until the mode says so.
func (s *scene) observed() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	s.bridge()
	s.registry("shop", "mode: Observe")
	s.wait("shop", "Ready", "True Observed")
	s.wait("shop", "Synced", "True")
	if got := s.get("serviceentries", hosts); got != "" {
		s.Errorf("%s is written by a Registry that is only observed", got)
	}
	s.patch("registry/shop", map[string]any{"spec": map[string]any{"mode": "Active"}})
	s.wait("shop", "Ready", "True InUse")
	s.await("serviceentries", addresses, "10.0.0.1")
}

// idleTime is how long nothing may be written.
const idleTime = 60 * time.Second

// idle: while nothing happens, nothing is written: no object, no status, no Event.
func (s *scene) idle() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	s.bridge()
	s.registry("shop")
	s.wait("shop", "Synced", "True")
	s.await("serviceentries", addresses, "10.0.0.1")
	s.await("registry/shop", "{.status.summary}", `"published":1`)
	all := func() string {
		return s.get("serviceentries", versions) + s.get("registries", versions) + s.get("events", versions) + s.get("configmaps", versions)
	}
	before := all()
	timer := time.NewTimer(idleTime)
	defer timer.Stop()
	<-timer.C
	if after := all(); after != before {
		s.Errorf("something was written in %s without a reason: %s, then %s", idleTime, before, after)
	}
}
