package faults_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/faults/proxy"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest"
)

var (
	faultCount = flag.Int("faults", 72, "number of `faults` that TestFaults injects in all")
	idleLength = flag.Duration("idle", time.Minute, "how `long` TestIdle leaves the system alone")
	seedFlag   = flag.Uint64("seed", 0, "seed of faults and churn; 0 chooses one, which is printed")
)

// Limits. They end a test that hangs; no promise is measured by them, except where a test says so.
const (
	// settleLimit is how long output and registry may differ once nothing is wrong any more. After a failed connection the
	// bridge waits up to 15 s before it tries again.
	settleLimit = 60 * time.Second
	// removalLimit is how soon a deregistration has to show while nothing is wrong: a second is promised, the rest is for a machine
	// that runs several servers at once. The benchmarks measure it.
	removalLimit = 5 * time.Second
	// recoveryLimit is how soon the output has to be right after an outage or a wipe is over.
	recoveryLimit = 10 * time.Second
)

// scene is a registry, providers, a bridge, and the oracle that watches.
type scene struct {
	t         *testing.T
	zookeeper *lab.ZooKeeper
	proxy     *proxy.Proxy
	bridge    *bridge.Bridge
	fleet     *providers.Fleet
	journal   *oracle.Journal
	recorder  *oracle.Recorder
	// foreign is the content of a file that is not the bridge's.
	foreign []byte
	// loose allows more than one write per cause, for tests in which guards are at work.
	loose bool
}

// setting is what makes scenes differ.
type setting struct {
	// zookeeper is shared by scenes with different roots; nil starts one.
	zookeeper *lab.ZooKeeper
	// proxied puts a proxy between bridge and registry.
	proxied    bool
	population providers.Population
	// ephemeral providers end with their session.
	ephemeral bool
	options   bridge.Options
	// loose: see scene.
	loose bool
	// servers are what the bridge connects to instead of zookeeper alone.
	servers []string
}

// newScene registers the population and starts the recorder; the bridge is configured and does not run. At the end of the test the
// oracle judges.
func newScene(t *testing.T, s setting) *scene {
	t.Helper()
	if s.zookeeper == nil {
		s.zookeeper = lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
	}
	sc := &scene{t: t, zookeeper: s.zookeeper, journal: &oracle.Journal{}, loose: s.loose}
	server := s.zookeeper.Addr
	if s.proxied {
		p, err := proxy.Start(server)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		sc.proxy, server = p, p.Addr()
	}
	s.options.Program, s.options.Servers = program, []string{server}
	if s.servers != nil {
		s.options.Servers = s.servers
	}
	sc.bridge = bridge.New(t, s.options)

	fleet, err := providers.Connect(t.Context(), providers.Options{
		Server: s.zookeeper.Addr, Root: s.options.Root, Journal: sc.journal, Ephemeral: s.ephemeral,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fleet.Close)
	sc.fleet = fleet
	if err := fleet.RegisterAll(s.population.All()); err != nil {
		t.Fatal(err)
	}

	recorder, err := oracle.Record(sc.bridge.Out)
	if err != nil {
		t.Fatal(err)
	}
	sc.recorder = recorder
	t.Cleanup(sc.judge)
	return sc
}

// start starts the bridge and waits until everything is published.
func (s *scene) start() {
	s.t.Helper()
	s.bridge.Start(s.t)
	s.settle(settleLimit)
}

// settle waits until the output is what the registry's own client says.
func (s *scene) settle(limit time.Duration) {
	s.t.Helper()
	registered, err := s.fleet.Registered()
	if err != nil {
		s.t.Fatal(err)
	}
	s.await(limit, registered)
}

// await waits until exactly these endpoints are published.
func (s *scene) await(limit time.Duration, want oracle.Endpoints) {
	s.t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	err := s.recorder.Await(ctx, func(published oracle.Endpoints) bool { return maps.Equal(published, want) })
	if err == nil {
		s.journal.Agreed()
		return
	}
	published, _ := s.recorder.Published()
	s.t.Fatalf("output and registry still differ after %s (%v):\n%s", time.Since(begin), err, list(oracle.Diff(published, want, time.Now())))
}

// list renders the first findings.
func list(findings []oracle.Finding) string {
	const most = 20
	var b strings.Builder
	for i, f := range findings {
		if i == most {
			fmt.Fprintf(&b, "and %d more\n", len(findings)-most)
			break
		}
		fmt.Fprintf(&b, "%s\n", f)
	}
	return b.String()
}

// judge ends the recording and reports every broken promise.
func (s *scene) judge() {
	until := time.Now()
	if err := s.recorder.Close(); err != nil {
		s.t.Error(err)
	}
	versions, missed := s.recorder.Versions()
	versions = slices.DeleteFunc(versions, func(v oracle.Version) bool { return s.foreign != nil && bytes.Equal(v.Data, s.foreign) })
	findings := oracle.Judge(oracle.Case{
		Versions: versions, Journal: s.journal, Until: until, Missed: missed, OneWritePerCause: !s.loose,
		Valid: translatetest.CheckManifest,
	})
	if len(findings) > 0 {
		s.t.Errorf("the oracle has %d findings in %d versions:\n%s", len(findings), len(versions), list(findings))
		return
	}
	s.t.Logf("the oracle has judged %d versions of %s and has no finding", len(versions), s.t.Name())
}

// register and deregister are one change each. A deregistration has to show soon.
func (s *scene) register(p providers.Provider) {
	s.t.Helper()
	if err := s.fleet.Register(p); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) deregister(p providers.Provider) {
	s.t.Helper()
	if err := s.fleet.Deregister(p, removalLimit); err != nil {
		s.t.Fatal(err)
	}
}

// canary registers the n-th provider of an interface beside the population and waits until it shows: the bridge watches at this moment.
func (s *scene) canary(population providers.Population, n int) {
	s.t.Helper()
	s.register(population.Instance(population.Interfaces, n))
	s.settle(settleLimit)
}

// identities returns what tells each file of the folder from any other content.
func (s *scene) identities() map[string]string {
	s.t.Helper()
	entries, err := os.ReadDir(s.bridge.Out)
	if err != nil {
		s.t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".yaml") {
			continue
		}
		info, err := e.Info()
		if err != nil {
			s.t.Fatal(err)
		}
		all[e.Name()] = identity(info)
	}
	return all
}
