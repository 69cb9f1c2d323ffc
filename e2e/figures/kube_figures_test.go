package figures_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
)

// scene is a registry with a population, an API server, and a bridge between them.
type scene struct {
	tb         testing.TB
	registry   registry
	cluster    *cluster
	bridge     *bridge.Bridge
	population providers.Population
}

// registries are those that are measured.
func registries() map[string]func(testing.TB, providers.Population) registry {
	return map[string]func(testing.TB, providers.Population) registry{
		"zookeeper": func(tb testing.TB, p providers.Population) registry { tb.Helper(); return newZooKeeper(tb, p) },
		"consul":    func(tb testing.TB, p providers.Population) registry { tb.Helper(); return newConsul(tb, p) },
	}
}

// newScene makes a scene whose bridge does not run yet.
func newScene(tb testing.TB, r registry, population providers.Population, flags ...string) *scene {
	tb.Helper()
	s := &scene{tb: tb, registry: r, cluster: newCluster(tb), population: population}
	options := r.options()
	options.Program, options.Kubeconfig = program, s.cluster.kube.Kubeconfig
	options.Flags = append(options.Flags, flags...)
	s.bridge = bridge.New(tb, options)
	return s
}

// firstSync starts the bridge and returns how long it took until every endpoint was published.
func (s *scene) firstSync() time.Duration {
	s.tb.Helper()
	begin := time.Now()
	s.bridge.Start(s.tb)
	return s.cluster.awaitEndpoints(s.population.Interfaces * s.population.Instances).Sub(begin)
}

// timing is how long a change took: until the registry had acknowledged it, and from then until the object showed it.
type timing struct{ call, shown time.Duration }

// remove takes an instance away.
func (s *scene) remove(p providers.Provider) timing {
	s.tb.Helper()
	n, begin := s.cluster.count(), time.Now()
	s.registry.deregister(p)
	acknowledged := time.Now()
	return timing{acknowledged.Sub(begin), s.cluster.awaitAddress(n, s.registry.object(p), p.Address, false).at.Sub(acknowledged)}
}

// add brings an instance back.
func (s *scene) add(p providers.Provider) timing {
	s.tb.Helper()
	n, begin := s.cluster.count(), time.Now()
	s.registry.register(p)
	acknowledged := time.Now()
	return timing{acknowledged.Sub(begin), s.cluster.awaitAddress(n, s.registry.object(p), p.Address, true).at.Sub(acknowledged)}
}

// change is the i-th single change: an instance leaves when i is even, and comes back when it is odd.
func (s *scene) change(i int) timing {
	s.tb.Helper()
	p := s.population.Instance(i/2%s.population.Interfaces, i/2/s.population.Interfaces)
	if i%2 == 0 {
		return s.remove(p)
	}
	return s.add(p)
}

// BenchmarkChangeToObject measures the first synchronisation of 200 services into an empty API server, and then 500 single changes: from
// when the registry has acknowledged each until the API server shows it to somebody else.
func BenchmarkChangeToObject(b *testing.B) {
	const changes = 500
	for name, start := range registries() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				population := providers.Population{Interfaces: 200, Instances: 5}
				s := newScene(b, start(b, population), population)
				b.ReportMetric(s.firstSync().Seconds(), "first-sync-s")
				pass(b, 2*time.Second)
				before, writes := usageOf(b, s.bridge), s.cluster.writes()
				timings := make([]timing, 0, changes)
				for i := range changes {
					timings = append(timings, s.change(i))
				}
				after := usageOf(b, s.bridge)
				report(b, timings)
				b.ReportMetric(float64(s.cluster.writes()-writes)/changes, "writes/change")
				b.ReportMetric(before.rss, "rss-MiB-before")
				b.ReportMetric(after.rss, "rss-MiB-after")
				b.ReportMetric(after.hwm, "peak-rss-MiB")
			}
		})
	}
}

// BenchmarkManyServices measures the first synchronisation of 5,000 services into an empty API server, instances that leave meanwhile,
// the memory, and a time in which nothing happens.
func BenchmarkManyServices(b *testing.B) {
	for b.Loop() {
		population := providers.Population{Interfaces: 5000, Instances: 20}
		s := newScene(b, newZooKeeper(b, population), population)
		begin := time.Now()
		s.bridge.Start(b)
		// As long as the registry is not listed to the end, nothing is removed.
		s.bridge.Await(b, patience, "the registry is listed", func(m bridge.Metrics) bool { return m.Sum("source_synced") == 1 })
		b.ReportMetric(time.Since(begin).Seconds(), "listing-s")
		var timings []timing
		for i := range 40 { // Somebody leaves every other second, from a service that is published already.
			seen := s.cluster.await(i*100, "an object", func(v *version) bool { return len(v.addresses) > 0 })
			p := s.population.Instance(s.number(seen.name), i%s.population.Instances)
			timings = append(timings, s.remove(p))
		}
		left := s.population.Interfaces*s.population.Instances - len(timings)
		b.ReportMetric(s.cluster.awaitEndpoints(left).Sub(begin).Seconds(), "first-sync-s")
		report(b, timings)
		pass(b, 30*time.Second)
		s.idle(b)
	}
}

// number returns which service an object is about.
func (s *scene) number(object string) int {
	s.tb.Helper()
	for i := range s.population.Interfaces {
		if s.registry.object(s.population.Instance(i, 0)) == object {
			return i
		}
	}
	s.tb.Fatalf("%s is no object of the population", object)
	return 0
}

// idle lets time pass and reports what the bridge needed for that.
func (s *scene) idle(b *testing.B) {
	b.Helper()
	before, writes, versions := usageOf(b, s.bridge), s.cluster.writes(), s.cluster.count()
	pass(b, *idleLength)
	after := usageOf(b, s.bridge)
	b.ReportMetric(after.rss, "rss-MiB")
	b.ReportMetric(after.hwm, "peak-rss-MiB")
	b.ReportMetric(100*(after.cpu-before.cpu)/after.at.Sub(before.at).Seconds(), "idle-cpu-%")
	b.ReportMetric(float64(s.cluster.writes()-writes), "idle-writes")
	b.ReportMetric(float64(s.cluster.count()-versions), "idle-versions")
}

// restarters is how many instances of a service leave or come back at a time at most: a registry that is busy does not hold up the others.
const restarters = 16

// restart lets instances of the first service leave one after the other and come back when so many others have left, all within a time.
func (s *scene) restart(instances, away int, length time.Duration) {
	s.tb.Helper()
	steps := make(chan int)
	var group sync.WaitGroup
	for range restarters {
		group.Go(func() {
			for i := range steps {
				if i < instances {
					s.registry.deregister(s.population.Instance(0, i))
				}
				if i >= away {
					s.registry.register(s.population.Instance(0, i-away))
				}
			}
		})
	}
	ticker := time.NewTicker(length / time.Duration(instances+away))
	defer ticker.Stop()
	for i := range instances + away {
		steps <- i
		<-ticker.C
	}
	close(steps)
	group.Wait()
}

// BenchmarkRestartToObject restarts the 1,000 instances of one service within ten seconds, each away for a second, and counts how often
// its object is written.
func BenchmarkRestartToObject(b *testing.B) {
	const (
		instances = 1000
		length    = 10 * time.Second
		away      = instances / 9 // Those that leave within a second.
	)
	for name, start := range registries() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				population := providers.Population{Interfaces: 1, Instances: instances}
				s := newScene(b, start(b, population), population)
				s.firstSync()
				pass(b, 5*time.Second)
				before, writes, versions := usageOf(b, s.bridge), s.cluster.writes(), s.cluster.count()
				begin := time.Now()
				s.restart(instances, away, length)
				b.ReportMetric(time.Since(begin).Seconds(), "restart-s")
				s.cluster.await(versions, "all instances", func(v *version) bool { return len(v.addresses) == instances })
				pass(b, 3*time.Second)
				after := usageOf(b, s.bridge)
				b.ReportMetric(float64(s.cluster.writes()-writes), "writes")
				b.ReportMetric(100*(after.cpu-before.cpu)/after.at.Sub(before.at).Seconds(), "cpu-%")
			}
		})
	}
}

func report(b *testing.B, timings []timing) {
	b.Helper()
	var calls, shown []time.Duration
	for _, t := range timings {
		calls, shown = append(calls, t.call), append(shown, t.shown)
	}
	slices.Sort(calls)
	slices.Sort(shown)
	n := len(timings)
	b.ReportMetric(milliseconds(calls[n/2]), "registry-p50-ms")
	b.ReportMetric(milliseconds(calls[n*99/100]), "registry-p99-ms")
	b.ReportMetric(milliseconds(shown[n/2]), "p50-ms")
	b.ReportMetric(milliseconds(shown[n*99/100]), "p99-ms")
	b.ReportMetric(milliseconds(shown[n-1]), "max-ms")
}
