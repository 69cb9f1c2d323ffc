package faults_test

import (
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
)

// TestLastInstance deregisters the last instance of a service. Its endpoint stays for emptyGrace, the emptied object for deleteAfter,
// and then both are gone without another event.
func TestLastInstance(t *testing.T) {
	t.Parallel()
	const grace, deletion = 4 * time.Second, 4 * time.Second
	population := providers.Population{Interfaces: 4, Instances: 1}
	s := newScene(t, setting{
		population: population, loose: true, options: bridge.Options{EmptyGrace: grace, DeleteAfter: deletion},
	})
	s.start()
	last := population.Instance(0, 0)
	gone := time.Now()
	if err := s.fleet.Deregister(last, grace+removalLimit); err != nil {
		t.Fatal(err)
	}
	s.settle(settleLimit)
	if after := time.Since(gone); after < grace {
		t.Errorf("the last endpoint was removed after %s, before its grace of %s was over", after, grace)
	}
	emptied := time.Now()
	file := "serviceentry_dubbo_" + strings.ToLower(last.Interface) + ".yaml"
	s.awaitFiles(func(files map[string]string) bool { return files[file] == "" })
	if after := time.Since(emptied); after < deletion-time.Second {
		t.Errorf("the emptied object was deleted after %s, before its %s were over", after, deletion)
	}
	if n := len(s.identities()); n != population.Interfaces-1 {
		t.Errorf("%d objects are left, want %d", n, population.Interfaces-1)
	}
}

// TestFlapping lets one instance leave and come back ten times a second. It must not move its neighbours, and must not be what the
// output is wrong about in the end.
func TestFlapping(t *testing.T) {
	t.Parallel()
	s := newScene(t, setting{population: usual()})
	s.start()
	flapping := usual().Instance(3, 1)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for range 100 {
		if err := s.fleet.Deregister(flapping, 0); err != nil {
			t.Fatal(err)
		}
		<-ticker.C
		if err := s.fleet.Register(flapping); err != nil {
			t.Fatal(err)
		}
		<-ticker.C
	}
	s.settle(removalLimit)
	s.deregister(flapping)
	s.settle(removalLimit)
}

// TestChurn lets providers come and go in a steady stream without any fault: each removal has to show soon, whatever else goes on.
func TestChurn(t *testing.T) {
	t.Parallel()
	s := newScene(t, setting{population: usual()})
	s.start()
	churn := providers.NewChurn(s.fleet, usual(), providers.Seed(t, *seedFlag))
	ticker := time.NewTicker(30 * time.Millisecond)
	defer ticker.Stop()
	for range 500 {
		if err := churn.Step(removalLimit); err != nil {
			t.Fatal(err)
		}
		<-ticker.C
	}
	s.settle(removalLimit)
}

// TestIdle restarts providers at their places, which is no change, and otherwise leaves the system alone: nothing may be written.
func TestIdle(t *testing.T) {
	t.Parallel()
	s := newScene(t, setting{population: usual()})
	s.start()
	before, from := s.identities(), time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for i := range int(*idleLength / time.Second) {
		<-ticker.C
		if i < usual().Interfaces/2 {
			if err := s.fleet.Restart(usual().Instance(i, 0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.journal.Idle(from, time.Now())
	s.unchanged(before)
}

// awaitFiles waits until the folder is as the condition wants it.
func (s *scene) awaitFiles(condition func(files map[string]string) bool) {
	s.t.Helper()
	limit := time.NewTimer(settleLimit)
	defer limit.Stop()
	for {
		changed := s.recorder.Changed()
		if condition(s.identities()) {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			s.t.Fatal("the folder has not become what it should be")
		}
	}
}
