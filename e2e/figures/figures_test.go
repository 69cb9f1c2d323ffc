package figures_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
)

// BenchmarkChangeToFile makes 500 single changes and measures each from before the call that changes the registry until the file has
// been read by somebody else. The registry's own part, the duration of the call, is reported beside it: both end with a disk.
func BenchmarkChangeToFile(b *testing.B) {
	const changes = 500
	for b.Loop() {
		r := newRig(b, providers.Population{Interfaces: 200, Instances: 5})
		r.firstSync()
		pass(b, 2*time.Second)
		before := usageOf(b, r.bridge)
		requests, versions := packets(b, r.zookeeper), r.recorder.Len()
		latencies, calls := make([]time.Duration, 0, changes), make([]time.Duration, 0, changes)
		for i := range changes {
			call, latency := r.change(i)
			latencies, calls = append(latencies, latency), append(calls, call)
		}
		after := usageOf(b, r.bridge)
		slices.Sort(latencies)
		slices.Sort(calls)
		b.ReportMetric(milliseconds(calls[changes*99/100]), "registry-p99-ms")
		b.ReportMetric(milliseconds(calls[changes-1]), "registry-max-ms")
		b.ReportMetric(milliseconds(latencies[changes/2]), "p50-ms")
		b.ReportMetric(milliseconds(latencies[changes*99/100]), "p99-ms")
		b.ReportMetric(milliseconds(latencies[changes-1]), "max-ms")
		b.ReportMetric(float64(r.recorder.Len()-versions)/changes, "writes/change")
		// One packet of each change is the provider's own.
		b.ReportMetric(float64(packets(b, r.zookeeper)-requests)/changes-1, "requests/change")
		b.ReportMetric(before.rss, "rss-MiB-before")
		b.ReportMetric(after.rss, "rss-MiB-after")
	}
}

// change takes an instance away when i is even, and brings it back when it is odd. It returns how long the registry took to answer, and
// how long it was until the file was there, both from the same start.
func (r *rig) change(i int) (call, latency time.Duration) {
	r.b.Helper()
	p := r.population.Instance(i/2%r.population.Interfaces, i/2/r.population.Interfaces)
	n, begin := r.recorder.Len(), time.Now()
	var err error
	if i%2 == 0 {
		err = r.fleet.Deregister(p, 0)
	} else {
		err = r.fleet.Register(p)
	}
	call = time.Since(begin)
	if err != nil {
		r.b.Fatal(err)
	}
	return call, r.awaitAddress(n, file(p), p.Address, i%2 == 1).Sub(begin)
}

// BenchmarkSteady measures the first synchronisation, the memory, and a minute without any change, at several sizes.
func BenchmarkSteady(b *testing.B) {
	for _, population := range []providers.Population{{Interfaces: 200, Instances: 5}, {Interfaces: 5000, Instances: 20}} {
		b.Run(fmt.Sprintf("%dx%d", population.Interfaces, population.Instances), func(b *testing.B) {
			for b.Loop() {
				r := newRig(b, population)
				b.ReportMetric(r.firstSync().Seconds(), "first-sync-s")
				pass(b, 10*time.Second)
				before := usageOf(b, r.bridge)
				requests, versions := packets(b, r.zookeeper), r.recorder.Len()
				pass(b, *idleLength)
				after := usageOf(b, r.bridge)
				b.ReportMetric(after.rss, "rss-MiB")
				b.ReportMetric(after.hwm, "peak-rss-MiB")
				b.ReportMetric(100*(after.cpu-before.cpu)/after.at.Sub(before.at).Seconds(), "idle-cpu-%")
				b.ReportMetric(float64(r.recorder.Len()-versions), "idle-writes")
				b.ReportMetric(float64(packets(b, r.zookeeper)-requests), "idle-requests")
			}
		})
	}
}

// BenchmarkRollingRestart restarts the 1,000 instances of one service within 30 seconds, each away for a second, and counts what is
// written and what is read meanwhile.
func BenchmarkRollingRestart(b *testing.B) {
	const (
		instances = 1000
		length    = 30 * time.Second
		away      = instances / 30 // those that leave within a second
	)
	for b.Loop() {
		r := newRig(b, providers.Population{Interfaces: 1, Instances: instances})
		r.firstSync()
		pass(b, 2*time.Second)
		before, versions := usageOf(b, r.bridge), r.recorder.Len()
		ticker := time.NewTicker(length / instances)
		for i := range instances + away {
			if i < instances {
				if err := r.fleet.Deregister(r.population.Instance(0, i), 0); err != nil {
					b.Fatal(err)
				}
			}
			if i >= away {
				if err := r.fleet.Register(r.population.Instance(0, i-away)); err != nil {
					b.Fatal(err)
				}
			}
			<-ticker.C
		}
		ticker.Stop()
		r.settle()
		after := usageOf(b, r.bridge)
		b.ReportMetric(float64(r.recorder.Len()-versions), "writes")
		b.ReportMetric(float64(after.read-before.read)/(1<<20), "read-MiB")
		b.ReportMetric(100*(after.cpu-before.cpu)/after.at.Sub(before.at).Seconds(), "cpu-%")
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
