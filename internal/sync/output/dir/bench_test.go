package dir

import (
	"fmt"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
)

// Size of the benchmarks: objects in the folder, endpoints of each.
const (
	benchObjects   = 5000
	benchEndpoints = 20
)

// fill writes all objects into a fresh folder and returns how many Writes that took.
func fill(b *testing.B, d *Dir) int {
	b.Helper()
	var p plan.Plan
	for i := range benchObjects {
		var addresses []string
		for j := range benchEndpoints {
			addresses = append(addresses, fmt.Sprintf("10.%d.%d.%d", i/250, i%250, j+1))
		}
		o := outputtest.Object(fmt.Sprintf("com.acme.service%d", i), addresses...)
		p.Apply = append(p.Apply, plan.Change{Op: plan.Create, Key: o.Key, Object: o})
	}
	writes := 0
	for len(p.Apply) > 0 {
		for _, r := range d.Write(b.Context(), p) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
			p.Apply = p.Apply[1:]
		}
		writes++
	}
	return writes
}

func openBench(b *testing.B, path string) *Dir {
	b.Helper()
	d, err := Open(Options{Path: path, Instance: outputtest.Instance})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func BenchmarkCreateAll(b *testing.B) {
	for b.Loop() {
		d := openBench(b, b.TempDir())
		b.ReportMetric(float64(fill(b, d)), "writes")
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLiveAfterRestart(b *testing.B) {
	path := b.TempDir()
	d := openBench(b, path)
	fill(b, d)
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d := openBench(b, path)
		if live, err := d.Live(b.Context()); err != nil || len(live) != benchObjects {
			b.Fatal(len(live), err)
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLiveUnchanged(b *testing.B) {
	d := openBench(b, b.TempDir())
	fill(b, d)
	b.ReportAllocs()
	for b.Loop() {
		if live, err := d.Live(b.Context()); err != nil || len(live) != benchObjects {
			b.Fatal(len(live), err)
		}
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkUpdateOne(b *testing.B) {
	d := openBench(b, b.TempDir())
	fill(b, d)
	live, err := d.Live(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	last := live[0]
	for b.Loop() {
		r := d.Write(b.Context(), plan.Plan{Apply: []plan.Change{{Op: plan.Update, Key: last.Object.Key, Object: last.Object, Live: &last}}})
		if r[0].Err != nil {
			b.Fatal(r[0].Err)
		}
		last = *r[0].Live
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}
