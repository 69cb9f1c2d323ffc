package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/sync/store"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func TestChangeReachesTheOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.register("a", "10.0.0.1", "10.0.0.2")
		h.register("b", "10.0.0.3")
		h.sink.Synced()
		h.after(150 * time.Millisecond)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881", "10.0.0.2:20881"}, "b": {"10.0.0.3:20881"}})
		h.register("a", "10.0.0.2")
		h.sink.Delete(model.Ref{Source: sourceID, Unit: "b"})
		h.after(150 * time.Millisecond)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.2:20881"}})
		state := h.engine.State()
		if !state.Settled() || state.Written != 2 || len(state.Live) != 1 {
			t.Errorf("state is %+v, want settled with 2 writes and 1 live object", state)
		}
	})
}

func TestNothingBeforeTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.run()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(5 * time.Minute)
		if got := h.engine.State().Cycle; got != 0 || h.countWrites("") != 0 {
			t.Errorf("%d cycles, %d writes without a configuration", got, h.countWrites(""))
		}
		h.engine.Configure(&engine.Config{Options: &translate.Options{}})
		h.after(150 * time.Millisecond)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}})
	})
}

func TestIdleIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(time.Second)
		writes, cycles := h.countWrites(""), h.engine.State().Cycle
		for range 60 {
			h.register("a", "10.0.0.1") // A heartbeat.
			h.after(time.Second)
		}
		if got := h.countWrites("") - writes; got != 0 {
			t.Errorf("%d writes in an idle minute, want 0", got)
		}
		if got := h.engine.State().Cycle - cycles; got > 2 {
			t.Errorf("%d cycles in an idle minute, want 2: the looks at the output", got)
		}
	})
}

func TestBurstIsWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.sink.Synced()
		h.after(time.Second)
		cycles := h.engine.State().Cycle
		for i := range 1000 {
			h.register(fmt.Sprintf("s%d", i), "10.0.0.1")
			<-time.After(900 * time.Microsecond)
		}
		h.after(2 * time.Second)
		if got := h.countWrites(""); got != 1000 {
			t.Errorf("1,000 new services made %d writes", got)
		}
		if got := h.engine.State().Cycle - cycles; got > 2 {
			t.Errorf("a burst made %d cycles", got)
		}
	})
}

func TestRestlessServiceDoesNotDelayOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.sink.Synced()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 1200 { // A minute of a change each 50 ms.
				h.register("restless", fmt.Sprintf("10.9.%d.%d", i/250, i%250+1))
				<-time.After(50 * time.Millisecond)
			}
		}()
		for i := range 50 {
			name := fmt.Sprintf("s%d", i)
			h.register(name, "10.0.0.1")
			h.after(210 * time.Millisecond)
			if h.memory.Endpoints()[name] == nil {
				t.Errorf("service %d was delayed by another one", i)
			}
			h.after(time.Second)
		}
		<-done
	})
}

func TestStreamOfChangesIsWrittenEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.sink.Synced()
		h.after(time.Second)
		cycles := h.engine.State().Cycle
		for i := range 600 { // Half a minute of changes of different services, never quiet.
			h.register(fmt.Sprintf("s%d", i), "10.0.0.1")
			<-time.After(50 * time.Millisecond)
		}
		if got := h.engine.State().Cycle - cycles; got < 25 || got > 35 {
			t.Errorf("30 s of changes made %d cycles, want about one each second", got)
		}
	})
}

func TestWakeOfThePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Duration
		start := time.Now()
		h := newHarness(t, func(d *engine.Deps) {
			d.Compute = func(in plan.Input) plan.Plan {
				times = append(times, in.Now.Sub(start))
				if wake := start.Add(3 * time.Second); in.Now.Before(wake) {
					return plan.Plan{Wake: wake}
				}
				return plan.Plan{}
			}
		})
		h.start()
		h.after(4 * time.Second)
		h.stop()
		if len(times) < 2 || times[len(times)-1] != 3*time.Second {
			t.Errorf("plans were made at %v, want one at 3s", times)
		}
	})
}

func TestMemoryAndConfigurationReachThePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last plan.Input
		h := newHarness(t, func(d *engine.Deps) {
			d.Compute = func(in plan.Input) plan.Plan {
				last = in
				return computeNaively(in)
			}
		})
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.engine.Configure(&engine.Config{
			Options: &translate.Options{}, Policies: []plan.Policy{{Name: "zk"}}, Frozen: true,
		})
		h.after(time.Second)
		h.stop()
		if !last.Frozen || len(last.Policies) != 1 || last.Sources[sourceID].State != model.Synced || len(last.Desired.Objects) != 1 {
			t.Errorf("input of the plan is %+v", last)
		}
	})
}

func TestHandEditsAreRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.register("a", "10.0.0.1")
		h.register("b", "10.0.0.1")
		h.sink.Synced()
		h.after(time.Minute)
		key := outputtest.Object("a").Key
		edited := h.memory.Get(t, key)
		spec, _ := edited["spec"].(map[string]any)
		spec["location"] = "MESH_EXTERNAL"
		h.memory.Put(t, key, edited)
		h.memory.Remove(t, outputtest.Object("b").Key)
		h.after(31 * time.Second)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}, "b": {"10.0.0.1:20881"}})
		spec, _ = h.memory.Get(t, key)["spec"].(map[string]any)
		if spec["location"] != "MESH_INTERNAL" {
			t.Errorf("location is %v, want it repaired", spec["location"])
		}
		if got := h.countWrites(""); got != 4 {
			t.Errorf("%d writes, want 4", got)
		}
	})
}

func TestLaggingOutputIsNotWrittenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(d *engine.Deps) { d.Output = &laggingOutput{Output: d.Output, lag: 8 * time.Second} })
		h.start()
		h.register("a", "10.0.0.1")
		h.register("c", "10.0.0.1")
		h.sink.Synced()
		// The output is looked at every 30 s: create, update, update again and delete right before.
		h.after(28 * time.Second)
		h.register("a", "10.0.0.2")
		h.register("b", "10.0.0.1")
		h.sink.Delete(model.Ref{Source: sourceID, Unit: "c"})
		h.after(500 * time.Millisecond)
		h.register("a", "10.0.0.3")
		h.after(3 * time.Second)
		want := map[string][]string{"a": {"10.0.0.3:20881"}, "b": {"10.0.0.1:20881"}}
		h.wantEndpoints(want)
		h.after(time.Minute)
		h.wantEndpoints(want)
		if got := h.countWrites(""); got != 6 {
			t.Errorf("%d writes, want 6: %v", got, h.memory.Writes())
		}
		if got := len(h.engine.State().Live); got != 2 {
			t.Errorf("%d objects are live, want 2", got)
		}
	})
}

func TestUndoneWriteIsRepairedInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(29 * time.Second)
		h.register("b", "10.0.0.1")
		h.after(200 * time.Millisecond)
		h.memory.Remove(t, outputtest.Object("b").Key)
		h.after(65 * time.Second)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}, "b": {"10.0.0.1:20881"}})
	})
}

func TestPlanWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		if _, _, err := h.engine.Plan(t.Context()); err == nil {
			t.Error("a plan without a configuration")
		}
		h.engine.Configure(&engine.Config{Options: &translate.Options{}})
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		for range 2 {
			p, state, err := h.engine.Plan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Apply) != 1 || len(state.Result.Objects) != 1 || len(state.Statuses) != 1 {
				t.Errorf("plan is %+v, state %+v", p, state)
			}
		}
		if h.countWrites("") != 0 || h.engine.State().Cycle != 0 {
			t.Error("Plan left a trace")
		}
		h.memory.Break(outputtest.Faults{Live: func() error { return errors.New("broken") }})
		if _, _, err := h.engine.Plan(t.Context()); err == nil {
			t.Error("a plan without the output")
		}
		h.memory.Break(outputtest.Faults{})
		h.run()
		h.after(time.Second)
		h.register("b", "10.0.0.1")
		p, _, err := h.engine.Plan(t.Context())
		if err != nil || len(p.Apply) != 1 {
			t.Errorf("plan beside Run is %+v, %v, want the new service", p, err)
		}
		h.after(time.Second)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}, "b": {"10.0.0.1:20881"}})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := h.engine.Plan(ended); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Plan with an ended context: %v", err)
		}
	})
}

func TestStopWaitsForTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		writing, ended := make(chan struct{}), false
		h.memory.Break(outputtest.Faults{Write: func(plan.Change) (time.Duration, error) {
			close(writing)
			<-time.After(900 * time.Millisecond)
			ended = true
			return 0, nil
		}})
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.start()
		<-writing
		start := time.Now()
		h.stop()
		if !ended {
			t.Error("Run returned before the write had ended")
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the stop took %s", took)
		}
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}})
	})
}

func TestConfigureReplacesTheSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(time.Second)
		h.store.Configure(map[model.SourceID]store.Owner{})
		h.after(time.Second)
		if got := h.engine.State(); len(got.Statuses) != 0 || len(got.Snapshot.Sources) != 0 {
			t.Errorf("state still has the source: %+v", got.Statuses)
		}
	})
}
