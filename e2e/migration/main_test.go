// Package migration_test moves services from one registry to another and back, on real servers and under the oracle: no version of any
// object lacks an endpoint that was registered throughout, in whichever of the two.
package migration_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest"
)

// settleLimit is how long the output may take to be what the registries hold.
const settleLimit = time.Minute

// program is the path of the built program.
var program string

func TestMain(m *testing.M) { os.Exit(bridge.Suite{Program: &program, Parallel: 4}.Run(m)) }

// registry is one of the two, as its own client changes it.
type registry interface {
	// name is that of its Registry; spec is the Registry's, in YAML's flow style, so that its hosts are those of the other.
	name() string
	spec() string
	// original is the registry's own name of the n-th service.
	original(n int) string
	register(service string, p place) error
	deregister(service string, p place) error
}

// place is where an instance listens.
type place struct {
	address string
	port    int
}

// The population: so many services with so many instances each.
const (
	services  = 4
	instances = 3
)

// places returns where the instances of the n-th service are.
func places(n int) []place {
	var list []place
	for i := range instances {
		list = append(list, place{fmt.Sprintf("10.7.%d.%d", n, i+1), 20880})
	}
	return list
}

// scene is a bridge over two registries, and the oracle.
type scene struct {
	*testing.T
	bridge   *bridge.Bridge
	journal  *oracle.Journal
	recorder *oracle.Recorder
	// host is that of the n-th service, in both registries.
	host func(n int) string
	// in has the registries of each instance that is registered; both when it is in both.
	in map[oracle.Endpoint][]registry
}

// newScene configures a bridge over both registries, and has the oracle judge at the end. The first registry is the first in merge order.
func newScene(t *testing.T, host func(n int) string, registries ...registry) *scene {
	t.Helper()
	var config []string
	for _, r := range registries {
		config = append(config, fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: %s, namespace: mesh}
spec: %s
`, r.name(), r.spec()))
	}
	s := &scene{T: t, journal: &oracle.Journal{}, host: host, in: map[oracle.Endpoint][]registry{}}
	s.bridge = bridge.New(t, bridge.Options{Program: program, Config: strings.Join(config, "---\n")})
	recorder, err := oracle.Record(s.bridge.Out)
	if err != nil {
		t.Fatal(err)
	}
	s.recorder = recorder
	t.Cleanup(s.judge)
	return s
}

func (s *scene) endpoint(n int, p place) oracle.Endpoint {
	return oracle.Endpoint{Host: s.host(n), Address: p.address, Port: uint32(p.port)}
}

// register registers an instance. Only for the first registry that has it, it is new.
func (s *scene) register(r registry, n int, p place) {
	s.Helper()
	e := s.endpoint(n, p)
	call := func() error { return r.register(r.original(n), p) }
	err := error(nil)
	if len(s.in[e]) == 0 {
		err = s.journal.Register(e, call)
	} else {
		err = call()
	}
	if err != nil {
		s.Fatalf("register %s in %s: %v", e, r.name(), err)
	}
	s.in[e] = append(s.in[e], r)
}

// deregister deregisters an instance. Only from the last registry that has it, it is gone; within is how soon that has to show.
func (s *scene) deregister(r registry, n int, p place, within time.Duration) {
	s.Helper()
	e := s.endpoint(n, p)
	call := func() error { return r.deregister(r.original(n), p) }
	s.in[e] = slices.DeleteFunc(slices.Clone(s.in[e]), func(o registry) bool { return o == r })
	err := error(nil)
	if len(s.in[e]) == 0 {
		delete(s.in, e)
		err = s.journal.Deregister(e, within, call)
	} else {
		err = call()
	}
	if err != nil {
		s.Fatalf("deregister %s from %s: %v", e, r.name(), err)
	}
}

// await waits until the output has exactly what is registered.
func (s *scene) await() {
	s.Helper()
	want := oracle.Endpoints{}
	for e := range s.in {
		want[e] = 0
	}
	ctx, cancel := context.WithTimeout(s.Context(), settleLimit)
	defer cancel()
	if err := s.recorder.Await(ctx, func(published oracle.Endpoints) bool { return maps.Equal(published, want) }); err != nil {
		published, _ := s.recorder.Published()
		s.Fatalf("output and registries still differ (%v):\n%v", err, oracle.Diff(published, want, time.Now()))
	}
	s.journal.Agreed()
}

// awaitHeld waits until the bridge knows of as many instances of a registry as are registered there.
func (s *scene) awaitHeld(r registry) {
	s.Helper()
	want := 0
	for _, in := range s.in {
		if slices.Contains(in, r) {
			want++
		}
	}
	s.awaitInstances(r, want)
}

// awaitInstances waits until the bridge knows of so many instances of a registry.
func (s *scene) awaitInstances(r registry, want int) {
	s.Helper()
	lab.Await(s, settleLimit, fmt.Sprintf("the bridge knows %d instances of %s", want, r.name()), func(ctx context.Context) error {
		metrics, err := s.bridge.Metrics(ctx)
		if err != nil {
			return err
		}
		if got := int(metrics.Sum("instances", "registry", "mesh/"+r.name())); got != want {
			return fmt.Errorf("it knows %d", got)
		}
		return nil
	})
}

// judge ends the recording and reports every broken promise.
func (s *scene) judge() {
	until := time.Now()
	if err := s.recorder.Close(); err != nil {
		s.Error(err)
	}
	versions, missed := s.recorder.Versions()
	findings := oracle.Judge(oracle.Case{
		Versions: versions, Journal: s.journal, Until: until, Missed: missed, Valid: translatetest.CheckManifest,
	})
	for _, f := range findings {
		s.Errorf("the oracle: %s", f)
	}
	if len(findings) == 0 {
		s.Logf("the oracle has judged %d versions and has no finding", len(versions))
	}
}

// migrate moves every service from one registry to another, one after the other. Every second one is registered in both for a while; the
// instances of the others leave the old registry and then come to the new one, as a restart with another configuration does.
func (s *scene) migrate(from, to registry) {
	s.Helper()
	for n := range services {
		if n%2 == 0 {
			s.overlap(from, to, n)
		} else {
			s.restart(from, to, n)
		}
		s.await()
	}
	s.awaitHeld(from)
}

// overlap registers all instances in the new registry, too, and takes them out of the old one when the bridge has seen that.
func (s *scene) overlap(from, to registry, n int) {
	s.Helper()
	for _, p := range places(n) {
		s.register(to, n, p)
	}
	s.awaitHeld(to)
	for _, p := range places(n) {
		s.deregister(from, n, p, 0)
	}
	s.awaitHeld(from)
}

// restart moves one instance after the other. The last one that leaves the old registry is kept by the guard of empty services until it is
// back, so it never goes.
func (s *scene) restart(from, to registry, n int) {
	s.Helper()
	for i, p := range places(n) {
		s.deregister(from, n, p, 0)
		if i < instances-1 {
			s.await()
		}
		s.register(to, n, p)
		s.await()
	}
}

// thereAndBack migrates everything from one registry to another and back.
func (s *scene) thereAndBack(from, to registry) {
	s.Helper()
	for n := range services {
		for _, p := range places(n) {
			s.register(from, n, p)
		}
	}
	s.bridge.Start(s)
	s.await()
	s.migrate(from, to)
	s.migrate(to, from)
}
