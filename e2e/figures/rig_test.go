// Package figures measures the built program between real registries and real outputs. Its benchmarks are each a single long operation
// with metrics of its own; `make bench` runs them and docs/performance.md keeps what they said. What does not depend on the machine, how
// much is written and asked, is in tests.
package figures_test

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

// patience ends a benchmark that hangs.
const patience = 3 * time.Minute

// program is the path of the bridge's binary.
var program string

var idleLength = flag.Duration("idle", time.Minute, "how `long` a bridge without work is watched")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(bridge.Suite{Program: &program}.Run(m))
}

// rig is a registry with providers, and a bridge that does not run yet.
type rig struct {
	b          *testing.B
	zookeeper  *lab.ZooKeeper
	fleet      *providers.Fleet
	bridge     *bridge.Bridge
	recorder   *oracle.Recorder
	population providers.Population
}

func newRig(b *testing.B, population providers.Population) *rig {
	b.Helper()
	r := &rig{b: b, population: population, zookeeper: lab.StartZooKeeper(b, lab.ZooKeeperOptions{})}
	fleet, err := providers.Connect(b.Context(), providers.Options{Server: r.zookeeper.Addr, Journal: &oracle.Journal{}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { fleet.Close() })
	r.fleet = fleet
	if err := fleet.RegisterAll(population.All()); err != nil {
		b.Fatal(err)
	}
	r.bridge = bridge.New(b, bridge.Options{Program: program, Servers: []string{r.zookeeper.Addr}})
	if r.recorder, err = oracle.Record(r.bridge.Out); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.recorder.Close() })
	return r
}

// firstSync starts the bridge and returns how long it took until every endpoint was published.
func (r *rig) firstSync() time.Duration {
	r.b.Helper()
	begin := time.Now()
	r.bridge.Start(r.b)
	// Objects appear as their services are read, so a later version of some may follow.
	all, published := r.population.Interfaces*r.population.Instances, 0
	addresses := map[string]int{}
	for n := 0; ; {
		r.awaitVersions(n + 1)
		for _, v := range r.recorder.After(n) {
			n++
			published -= addresses[v.File]
			addresses[v.File] = bytes.Count(v.Data, []byte("address: "))
			if published += addresses[v.File]; published == all {
				return v.At.Sub(begin)
			}
		}
	}
}

// settle waits until the output is what the registry holds.
func (r *rig) settle() {
	r.b.Helper()
	registered, err := r.fleet.Registered()
	if err != nil {
		r.b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.b.Context(), patience)
	defer cancel()
	if err := r.recorder.Await(ctx, func(published oracle.Endpoints) bool { return maps.Equal(published, registered) }); err != nil {
		r.b.Fatal(err)
	}
}

// awaitVersions waits until n versions were written in all.
func (r *rig) awaitVersions(n int) {
	r.b.Helper()
	ctx, cancel := context.WithTimeout(r.b.Context(), patience)
	defer cancel()
	for {
		changed := r.recorder.Changed()
		if r.recorder.Len() >= n {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			r.b.Fatalf("%d versions were written, want %d", r.recorder.Len(), n)
		}
	}
}

// awaitAddress waits for the first version behind the first n that has an address, or lacks it, and returns when it was seen.
func (r *rig) awaitAddress(n int, file, address string, want bool) time.Time {
	r.b.Helper()
	ctx, cancel := context.WithTimeout(r.b.Context(), patience)
	defer cancel()
	text := []byte("address: " + address + "\n")
	for {
		changed := r.recorder.Changed()
		for _, v := range r.recorder.After(n) {
			if v.File == file && bytes.Contains(v.Data, text) == want {
				return v.At
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			r.b.Fatalf("%s did not show in %s", address, file)
		}
	}
}

// file returns the file of a provider's service.
func file(p providers.Provider) string {
	return "serviceentry_dubbo_" + p.Endpoint().Host + ".yaml"
}

// usage is what the operating system says about the bridge's process.
type usage struct {
	at       time.Time
	rss, hwm float64
	cpu      float64
	read     uint64
}

func usageOf(tb testing.TB, program *bridge.Bridge) usage {
	tb.Helper()
	proc, err := procfs.NewProc(program.Process().Pid())
	if err != nil {
		tb.Fatal(err)
	}
	status, err := proc.NewStatus()
	if err != nil {
		tb.Fatal(err)
	}
	stat, err := proc.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	io, err := proc.IO()
	if err != nil {
		tb.Fatal(err)
	}
	const mib = 1 << 20
	return usage{
		at: time.Now(), rss: float64(status.VmRSS) / mib, hwm: float64(status.VmHWM) / mib, cpu: stat.CPUTime(), read: io.RChar,
	}
}

// pass lets time pass.
func pass(tb testing.TB, length time.Duration) {
	tb.Helper()
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-tb.Context().Done():
	}
}
