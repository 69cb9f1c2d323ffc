package engine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/sync/store"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// withDiagnostics adds two diagnostics and a hold that began a minute ago to what the naive core says.
func withDiagnostics(d *engine.Deps) {
	d.Translate = func(s model.Snapshot, p map[translate.Key]translate.Prior, o *translate.Options) translate.Result {
		r := translateNaively(s, p, o)
		r.Diagnostics = []translate.Diagnostic{
			{Reason: reason.AddressNotIP, Registry: "registry/zk"},
			{Reason: reason.AddressNotIP, Registry: "registry/zk"},
			{Reason: reason.PortDrift, Registry: "registry/zk"},
		}
		return r
	}
	d.Compute = func(in plan.Input) plan.Plan {
		p := computeNaively(in)
		p.Held = []plan.Hold{
			{ID: "h-1", Source: sourceID, Guard: reason.MassRemoval, Since: in.Now.Add(-time.Minute)},
			{ID: "h-1", Source: sourceID, Guard: reason.MassRemoval, Since: in.Now},
		}
		return p
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, withDiagnostics)
		h.memory.Break(failing(output.ErrRefused, 0, "bad"))
		h.start()
		h.register("a", "10.0.0.1", "10.0.0.2")
		h.register("bad", "10.0.0.3")
		h.sink.Synced()
		h.sink.Skip(model.Ref{Source: sourceID, Unit: "u"}, errors.New("unreadable"))
		source.SetHints(h.sink, model.Hint{Reason: string(reason.ConnectionLimit), Detail: "use https"})
		h.after(200 * time.Millisecond)
		want := `
# HELP registry_bridge_changes_waiting Changes of the last plan that are not written yet.
# TYPE registry_bridge_changes_waiting gauge
registry_bridge_changes_waiting 1
# HELP registry_bridge_dropped Services and instances that are not published, by reason.
# TYPE registry_bridge_dropped gauge
registry_bridge_dropped{reason="AddressNotIP",registry="registry/zk"} 2
# HELP registry_bridge_endpoints Endpoints of the source in the output, including those that only a guard keeps.
# TYPE registry_bridge_endpoints gauge
registry_bridge_endpoints{registry="registry/zk",source="zk.00000001"} 2
# HELP registry_bridge_failing_objects Objects whose last write failed and is tried again, by result (conflict, refused, taken, unavailable).
# TYPE registry_bridge_failing_objects gauge
registry_bridge_failing_objects{result="conflict"} 0
registry_bridge_failing_objects{result="refused"} 1
registry_bridge_failing_objects{result="taken"} 0
registry_bridge_failing_objects{result="unavailable"} 0
# HELP registry_bridge_frozen 1 while nothing is written because somebody froze the bridge.
# TYPE registry_bridge_frozen gauge
registry_bridge_frozen 0
# HELP registry_bridge_held Removals, or additions over a limit, that a guard holds back.
# TYPE registry_bridge_held gauge
registry_bridge_held{guard="MassRemoval",registry="registry/zk",source="zk.00000001"} 2
# HELP registry_bridge_instances Instances that the source holds, usable or not.
# TYPE registry_bridge_instances gauge
registry_bridge_instances{registry="registry/zk",source="zk.00000001"} 3
# HELP registry_bridge_output_up 1 while the output takes writes.
# TYPE registry_bridge_output_up gauge
registry_bridge_output_up 1
# HELP registry_bridge_services Services that the source holds.
# TYPE registry_bridge_services gauge
registry_bridge_services{registry="registry/zk",source="zk.00000001"} 2
# HELP registry_bridge_source_changes_total Changes of services told by the registry.
# TYPE registry_bridge_source_changes_total counter
registry_bridge_source_changes_total{registry="registry/zk",source="zk.00000001"} 2
# HELP registry_bridge_source_failing_units Units that cannot be read or understood.
# TYPE registry_bridge_source_failing_units gauge
registry_bridge_source_failing_units{registry="registry/zk",source="zk.00000001"} 1
# HELP registry_bridge_source_hint 1 for each thing about a source that would work better with another configuration.
# TYPE registry_bridge_source_hint gauge
registry_bridge_source_hint{reason="ConnectionLimit",registry="registry/zk",source="zk.00000001"} 1
# HELP registry_bridge_source_synced 1 while the source has finished a full listing and watches.
# TYPE registry_bridge_source_synced gauge
registry_bridge_source_synced{registry="registry/zk",source="zk.00000001"} 1
# HELP registry_bridge_source_up 1 while the connection to the registry works.
# TYPE registry_bridge_source_up gauge
registry_bridge_source_up{registry="registry/zk",source="zk.00000001"} 1
# HELP registry_bridge_writes_total Writes to the output by operation and result (ok, conflict, refused, taken, unavailable).
# TYPE registry_bridge_writes_total counter
registry_bridge_writes_total{op="create",result="ok"} 1
registry_bridge_writes_total{op="create",result="refused"} 1
`
		names := []string{}
		for line := range strings.Lines(want) {
			if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
				names = append(names, strings.Fields(name)[0])
			}
		}
		if err := testutil.GatherAndCompare(h.registry, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
		if problems, err := testutil.GatherAndLint(h.registry); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
	})
}

// values gathers the sums and counts of all metrics by family.
func (h *harness) values() map[string]float64 {
	h.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		h.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch {
			case m.GetHistogram() != nil:
				values[f.GetName()+"_count"] += float64(m.GetHistogram().GetSampleCount())
				values[f.GetName()+"_sum"] += m.GetHistogram().GetSampleSum()
			case m.GetCounter() != nil:
				values[f.GetName()] += m.GetCounter().GetValue()
			default:
				values[f.GetName()] += m.GetGauge().GetValue()
			}
		}
	}
	return values
}

func TestMetricsOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, withDiagnostics)
		h.start()
		h.sink.Synced()
		h.after(time.Second)
		start := time.Now()
		h.memory.Break(failing(output.ErrOutput, 10*time.Second))
		h.register("a", "10.0.0.1")
		h.after(time.Second)
		h.memory.Break(failing(nil, 0))
		h.after(time.Minute)
		v := h.values()
		if got := v["registry_bridge_change_to_write_seconds_count"]; got != 1 {
			t.Fatalf("%g latencies, want 1: %v", got, v)
		}
		if got := v["registry_bridge_change_to_write_seconds_sum"]; got < 10 || got > 12 {
			t.Errorf("the change took %gs, want the 10s of the outage and a little", got)
		}
		if got := v["registry_bridge_hold_age_seconds"]; got < 60 {
			t.Errorf("the hold is %gs old, want 60 and more", got)
		}
		if got := v["registry_bridge_source_last_success_timestamp_seconds"]; got < float64(start.Unix()) {
			t.Errorf("last success at %g", got)
		}
		if got := v["registry_bridge_cycles_total"]; got != v["registry_bridge_cycle_duration_seconds_count"] {
			t.Errorf("%g cycles, but %g durations", got, v["registry_bridge_cycle_duration_seconds_count"])
		}
	})
}

func TestMetricsOfAnInterruption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.sink.Synced()
		h.after(time.Minute)
		lost := time.Now()
		source.SetInterruption(h.sink, errors.New("connection lost"))
		h.after(10 * time.Second)
		v := h.values()
		if v["registry_bridge_source_up"] != 0 || v["registry_bridge_source_synced"] != 1 {
			t.Errorf("an interrupted source is up %g, synced %g", v["registry_bridge_source_up"], v["registry_bridge_source_synced"])
		}
		if got := v["registry_bridge_source_last_success_timestamp_seconds"]; got != float64(lost.UnixMilli())/1000 {
			t.Errorf("last success at %g, want when the connection was lost", got)
		}
		source.SetInterruption(h.sink, nil)
		h.after(time.Second)
		if v := h.values(); v["registry_bridge_source_up"] != 1 {
			t.Error("the source is not up again")
		}
	})
}

func TestMetricsOfASourceGoWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.sink.Synced()
		h.after(time.Second)
		h.store.Configure(map[model.SourceID]store.Owner{})
		h.after(time.Second)
		if v := h.values(); slices.ContainsFunc([]string{"source_up", "services", "source_changes_total"}, func(name string) bool {
			_, still := v["registry_bridge_"+name]
			return still
		}) {
			t.Errorf("metrics of the removed source: %v", v)
		}
		h.stop()
		if got := len(h.values()); got != 0 {
			t.Errorf("%d metrics after Run", got)
		}
	})
}

// TestMetricsOfWhatAPersonStopped: a freeze and the modes of Registries, and whose the holds are of a source that is not configured.
func TestMetricsOfWhatAPersonStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(d *engine.Deps) {
			d.Compute = func(in plan.Input) plan.Plan {
				return plan.Plan{Held: []plan.Hold{{ID: "h-1", Key: in.Live[0].Object.Key, Source: "gone.1", Guard: reason.Orphan, Since: in.Now}}}
			}
		})
		left := outputtest.Object("left", "10.0.0.1")
		h.memory.Write(t.Context(), plan.Plan{Apply: []plan.Change{{Op: plan.Create, Key: left.Key, Object: left}}})
		h.engine.Configure(&engine.Config{
			Options: &translate.Options{Instance: outputtest.Instance}, Frozen: true,
			Policies: []plan.Policy{{Namespace: "registry", Name: "zk", Mode: plan.Pause}},
		})
		h.run()
		h.after(time.Second)
		want := `
# HELP registry_bridge_frozen 1 while nothing is written because somebody froze the bridge.
# TYPE registry_bridge_frozen gauge
registry_bridge_frozen 1
# HELP registry_bridge_held Removals, or additions over a limit, that a guard holds back.
# TYPE registry_bridge_held gauge
registry_bridge_held{guard="Orphan",registry="registry/zk",source="gone.1"} 1
# HELP registry_bridge_registry_mode 1 for the mode of each Registry: Active, Observe or Paused.
# TYPE registry_bridge_registry_mode gauge
registry_bridge_registry_mode{mode="Paused",registry="registry/zk"} 1
`
		names := []string{"registry_bridge_frozen", "registry_bridge_held", "registry_bridge_registry_mode"}
		if err := testutil.GatherAndCompare(h.registry, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
	})
}

// TestLastTurnOfALateStart: a replica that waited for its lease for days does not look stuck when it begins to work.
func TestLastTurnOfALateStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		release := make(chan struct{})
		h.memory.Break(outputtest.Faults{Live: func() error { <-release; return nil }})
		h.after(72 * time.Hour)
		h.start()
		h.after(time.Second)
		if age := time.Since(h.engine.LastTurn()); age > time.Second {
			t.Errorf("the loop seems stuck since %s", age)
		}
		close(release)
		h.after(time.Second)
		if got, want := h.values()["registry_bridge_last_turn_timestamp_seconds"], float64(h.engine.LastTurn().UnixMilli())/1000; got != want {
			t.Errorf("last turn at %f, want %f", got, want)
		}
	})
}

func TestMetricsThatExistAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		again := engine.New(engine.Deps{Registerer: h.registry})
		if err := again.Run(t.Context()); err == nil {
			t.Error("two engines on one registerer")
		}
	})
}
