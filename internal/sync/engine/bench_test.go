package engine

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/dir"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/sync/store"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

const (
	benchServices  = 5000
	benchInstances = 20
	benchSource    = model.SourceID("zk.00000001")
)

// bench is an engine over a folder, driven cycle by cycle.
type bench struct {
	*testing.B
	engine *Engine
	sink   source.Sink
	out    *dir.Dir
}

func newBench(b *testing.B, path string) *bench {
	b.Helper()
	out, err := dir.Open(dir.Options{Path: path, Instance: outputtest.Instance})
	if err != nil {
		b.Fatal(err)
	}
	s := store.New()
	s.Configure(map[model.SourceID]store.Owner{benchSource: {Namespace: "registry", Registry: "zk"}})
	x := &bench{B: b, engine: New(Deps{Store: s, Output: out}), out: out}
	x.sink, _ = s.Runs(benchSource).Begin()
	x.engine.Configure(&Config{
		Options: &translate.Options{Instance: outputtest.Instance, Registries: []*translate.Registry{{
			Namespace: "registry", Name: "zk", Type: "zookeeper",
			Sources: []translate.Source{{ID: benchSource, Dubbo: true, DefaultWeight: 100}},
			Output:  translate.Output{VIPs: netip.MustParsePrefix("240.239.0.0/16")},
		}}},
		Policies: []plan.Policy{{
			Namespace: "registry", Name: "zk", Sources: []model.SourceID{benchSource}, Mode: plan.Active,
			EmptyGrace: 3 * time.Minute, DeleteAfter: 10 * time.Minute, MassRemovalPercent: 30, MassRemovalHold: 10 * time.Minute,
		}},
	})
	return x
}

func (x *bench) close() {
	x.Helper()
	if err := x.out.Close(); err != nil {
		x.Fatal(err)
	}
}

// register names service i; version moves one of its instances.
func (x *bench) register(i, version int) {
	name := fmt.Sprintf("com.acme.shop.Service%d", i)
	svc := &model.Service{
		Ref:      model.Ref{Source: benchSource, Unit: name, Name: name},
		Metadata: map[string]string{model.MetaDubboInterface: name},
	}
	for j := range benchInstances {
		address := fmt.Sprintf("10.%d.%d.%d", i/250, i%250, j+1)
		if j == 0 {
			address = fmt.Sprintf("10.%d.%d.%d", 200+version%50, i%250, i/250)
		}
		svc.Instances = append(svc.Instances, model.Instance{
			ID: "dubbo://" + address + ":20880", Address: address, Weight: 100, Ports: []model.Port{{Protocol: "dubbo", Number: 20880}},
			Metadata: map[string]string{"application": "shop", "release": "3.3.6", "side": "provider", "timestamp": "1700000000000"},
		})
	}
	x.sink.Upsert(svc)
}

func (x *bench) registerAll() {
	for i := range benchServices {
		x.register(i, 0)
	}
	x.sink.Synced()
}

// settle runs cycles until everything is written.
func (x *bench) settle() {
	x.Helper()
	for {
		x.engine.turnCycle(x.Context())
		state := x.engine.State()
		if state.Output != nil || len(state.WriteErrors) > 0 {
			x.Fatal(state.Output, state.WriteErrors)
		}
		if state.Settled() {
			return
		}
	}
}

// megabytes reads a line of /proc/self/status, 0 where there is none.
func megabytes(line string) float64 {
	text, _ := os.ReadFile("/proc/self/status") // Only Linux has it.
	_, rest, _ := strings.Cut(string(text), line+":")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kilobytes, _ := strconv.ParseFloat(fields[0], 64)
	return kilobytes / 1024
}

func BenchmarkFirstSync(b *testing.B) {
	for b.Loop() {
		x := newBench(b, b.TempDir())
		x.registerAll()
		x.settle()
		b.ReportMetric(megabytes("VmHWM"), "MB-peak")
		runtime.GC()
		b.ReportMetric(megabytes("VmRSS"), "MB-rss")
		x.close()
	}
}

func BenchmarkRestart(b *testing.B) {
	path := b.TempDir()
	x := newBench(b, path)
	x.registerAll()
	x.settle()
	x.close()
	for b.Loop() {
		x := newBench(b, path)
		x.registerAll()
		x.settle()
		if got := x.engine.State().Written; got != 0 {
			b.Fatalf("%d writes after a restart", got)
		}
		runtime.GC()
		b.ReportMetric(megabytes("VmRSS"), "MB-rss")
		x.close()
	}
}

// BenchmarkOnePercent changes 1 % of the services in each cycle, and has them written.
func BenchmarkOnePercent(b *testing.B) {
	const share = benchServices / 100
	x := newBench(b, b.TempDir())
	x.registerAll()
	x.settle()
	round := 0
	for b.Loop() {
		round++
		for i := range share {
			x.register((round*share+i)%benchServices, round)
		}
		x.settle()
	}
	runtime.GC()
	b.ReportMetric(megabytes("VmRSS"), "MB-rss")
	x.close()
}

func BenchmarkIdleCycle(b *testing.B) {
	x := newBench(b, b.TempDir())
	x.registerAll()
	x.settle()
	x.settle()
	b.ReportAllocs()
	for b.Loop() {
		x.engine.turnCycle(b.Context())
	}
	x.close()
}
