package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// failing returns faults that answer every change whose name is among names, or every change, with err.
func failing(err error, after time.Duration, names ...string) outputtest.Faults {
	return outputtest.Faults{Write: func(c plan.Change) (time.Duration, error) {
		if len(names) == 0 || slices.Contains(names, c.Key.Name) {
			return after, err
		}
		return 0, nil
	}}
}

func TestNoPlanBeforeTheOutputWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		h := newHarness(t)
		h.memory.Break(outputtest.Faults{Live: func() error {
			reads++
			return fmt.Errorf("%w: not mounted", output.ErrOutput)
		}})
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(10 * time.Minute)
		state := h.engine.State()
		if state.Cycle != 0 || h.countWrites("") != 0 {
			t.Errorf("%d plans, %d writes without knowing what is live", state.Cycle, h.countWrites(""))
		}
		if state.Output == nil || !errors.Is(state.Output.Err, output.ErrOutput) {
			t.Errorf("state shows %+v as trouble with the output", state.Output)
		}
		if reads < 10 || reads > 30 {
			t.Errorf("%d reads in ten minutes, want a bounded number", reads)
		}
		if got := h.log.count("nothing is written until"); got != 1 {
			t.Errorf("%d log lines of the failure, want 1", got)
		}
		h.memory.Break(outputtest.Faults{})
		h.after(time.Minute)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}})
		if h.engine.State().Output != nil || h.log.count("output works again") != 1 {
			t.Error("the recovery went unseen")
		}
	})
}

func TestOutputThatFailsPausesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.sink.Synced()
		h.after(time.Second)
		h.memory.Break(failing(output.ErrOutput, 0))
		for i := range 240 { // An hour of changes against an API server that answers 500.
			h.register(fmt.Sprintf("s%d", i%5), fmt.Sprintf("10.0.0.%d", i+1))
			h.after(15 * time.Second)
		}
		// The output in memory is asked for every change of a plan; count the plans that were sent.
		sent := map[time.Time]bool{}
		for _, w := range h.memory.Writes() {
			sent[w.Time] = true
		}
		if got := len(sent); got < 60 || got > 90 {
			t.Errorf("%d tries in an hour, want about one each minute", got)
		}
		if got := h.log.count("nothing is written until"); got != 1 {
			t.Errorf("%d log lines, want 1", got)
		}
		h.memory.Break(outputtest.Faults{})
		h.after(time.Minute)
		if got := len(h.memory.Endpoints()); got != 5 {
			t.Errorf("%d hosts after the recovery, want 5", got)
		}
		if s := h.engine.State(); !s.Settled() {
			t.Errorf("not settled: %+v", s.Output)
		}
	})
}

func TestPlansGoOnWhileTheOutputCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(time.Second)
		h.memory.Break(outputtest.Faults{Live: func() error { return output.ErrOutput }})
		h.after(time.Minute)
		h.register("b", "10.0.0.1")
		h.after(time.Second)
		state := h.engine.State()
		if len(state.Plan.Apply) != 1 || state.Output == nil || time.Since(state.Time) > 2*time.Second {
			t.Errorf("plan at %s is %+v, trouble %+v; want the new service, not written", state.Time, state.Plan.Apply, state.Output)
		}
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}})
		h.memory.Break(outputtest.Faults{})
		h.after(time.Minute)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}, "b": {"10.0.0.1:20881"}})
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.memory.Break(failing(output.ErrOutput, 2*time.Minute))
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(119 * time.Second)
		if got := h.countWrites(""); got != 1 {
			t.Errorf("%d writes before the time the output asked for, want 1", got)
		}
		if got := h.engine.State().Cycle; got > 3 {
			t.Errorf("%d cycles while there was nothing to do", got)
		}
		h.after(2 * time.Second)
		if got := h.countWrites(""); got != 2 {
			t.Errorf("%d writes behind the time the output asked for, want 2", got)
		}
	})
}

func TestRefusedObjectBacksOffAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.memory.Break(failing(output.ErrRefused, 0, "bad"))
		h.start()
		h.register("bad", "10.0.0.1")
		h.register("good", "10.0.0.1")
		h.sink.Synced()
		h.after(time.Second)
		h.wantEndpoints(map[string][]string{"good": {"10.0.0.1:20881"}})
		key := outputtest.Object("bad").Key
		if f, ok := h.engine.State().WriteErrors[key]; !ok || f.Attempts != 1 || !errors.Is(f.Err, output.ErrRefused) {
			t.Errorf("write errors are %+v", h.engine.State().WriteErrors)
		}
		for i := range 60 { // Its neighbour is served at once all the while.
			address := fmt.Sprintf("10.0.0.%d", i+2)
			h.register("good", address)
			h.register("bad", address)
			h.after(time.Minute)
			if got := h.memory.Endpoints()["good"]; len(got) != 1 || got[0] != address+":20881" {
				t.Errorf("minute %d: good has %v", i, got)
			}
		}
		if got := h.countWrites("bad"); got < 10 || got > 30 {
			t.Errorf("%d tries of the refused object in an hour", got)
		}
		if got := h.log.count("could not be written"); got != 1 {
			t.Errorf("%d log lines, want 1", got)
		}
		// Whoever changes the configuration may have repaired it.
		h.memory.Break(outputtest.Faults{})
		h.engine.Configure(&engine.Config{Options: &translate.Options{}})
		h.after(time.Second)
		if h.memory.Endpoints()["bad"] == nil || len(h.engine.State().WriteErrors) != 0 {
			t.Errorf("the object is not written: %+v", h.engine.State().WriteErrors)
		}
	})
}

func TestRefusedObjectThatIsNotWantedAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.memory.Break(failing(output.ErrRefused, 0, "bad"))
		h.start()
		h.register("bad", "10.0.0.1")
		h.sink.Synced()
		h.after(time.Second)
		h.register("bad")
		h.after(time.Second)
		if s := h.engine.State(); len(s.WriteErrors) != 0 || !s.Settled() {
			t.Errorf("write errors are %+v, want none", s.WriteErrors)
		}
	})
}

func TestConflictIsPlannedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(5 * time.Second)
		key := outputtest.Object("a").Key
		h.memory.Put(t, key, h.memory.Get(t, key)) // A new version, the same content.
		h.register("a", "10.0.0.2")
		h.after(150 * time.Millisecond)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.2:20881"}})
		if got := h.countWrites("a"); got != 3 {
			t.Errorf("%d writes, want 3: create, conflict, update", got)
		}
	})
}

// TestWhatWaitsForAWriteIsPlannedAfterIt has a plan that holds one object until another is written, as endpoints that move between the
// objects of a host are.
func TestWhatWaitsForAWriteIsPlannedAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(d *engine.Deps) {
			d.Compute = func(in plan.Input) plan.Plan {
				p := computeNaively(in)
				if len(p.Apply) > 1 {
					p.Apply, p.Continues = p.Apply[:1], true
				}
				return p
			}
		})
		h.start()
		h.register("a", "10.0.0.1")
		h.register("b", "10.0.0.1")
		h.sink.Synced()
		h.after(200 * time.Millisecond)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}, "b": {"10.0.0.1:20881"}})
	})
}

func TestSomeConflictsInARowDelayNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		conflicts := 3
		h.memory.Break(outputtest.Faults{Write: func(plan.Change) (time.Duration, error) {
			conflicts--
			if conflicts >= 0 {
				return 0, output.ErrConflict
			}
			return 0, nil
		}})
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(200 * time.Millisecond)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}})
	})
}

func TestConflictsForEverAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.memory.Break(failing(output.ErrConflict, 0))
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(time.Hour)
		if got := h.countWrites("a"); got > 30 {
			t.Errorf("%d tries in an hour", got)
		}
	})
}

func TestSlowOutputIsFedInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.memory.Break(outputtest.Faults{Slots: 10})
		h.start()
		for i := range 1000 {
			h.register(fmt.Sprintf("s%d", i), "10.0.0.1")
		}
		h.sink.Synced()
		h.after(5 * time.Second)
		if got := h.countWrites(""); got != 1000 || len(h.memory.Endpoints()) != 1000 {
			t.Errorf("%d writes, %d hosts, want 1000", got, len(h.memory.Endpoints()))
		}
	})
}

// idleOutput never gets anything done.
type idleOutput struct {
	output.Output
	calls int
}

func (o *idleOutput) Write(context.Context, plan.Plan) []output.Result {
	o.calls++
	return nil
}

func TestOutputThatDoesNothingIsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		idle := &idleOutput{}
		h := newHarness(t, func(d *engine.Deps) {
			idle.Output = d.Output
			d.Output = idle
		})
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(10 * time.Minute)
		h.stop()
		if idle.calls < 5 || idle.calls > 20 {
			t.Errorf("%d tries in ten minutes", idle.calls)
		}
		if h.engine.State().Output == nil {
			t.Error("the trouble is not shown")
		}
	})
}

// checker is an output that hears of changes, and knows what it would refuse.
type checker struct {
	notifier
	check func(plan.Change) error
}

func (c checker) Check(change plan.Change) error { return c.check(change) }

func TestTakenObjectIsWrittenWhenItIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{}, 1)
		var taken error
		h := newHarness(t)
		h.engine = engine.New(engine.Deps{
			Store: h.store, Output: checker{notifier{h.memory, changed}, func(plan.Change) error { return taken }},
			Translate: translateNaively, Compute: computeNaively,
		})
		taken = fmt.Errorf("%w: HostConflict", output.ErrTaken)
		h.memory.Break(failing(taken, 0))
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(20 * time.Minute)
		if got := h.countWrites(""); got > 15 {
			t.Errorf("%d tries while it is taken", got)
		}
		taken = nil
		h.memory.Break(outputtest.Faults{})
		changed <- struct{}{}
		h.after(150 * time.Millisecond)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}})
	})
}

func TestFailedObjectWaitsAMinuteAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.memory.Break(failing(output.ErrFailed, 0, "bad"))
		h.start()
		h.register("bad", "10.0.0.1")
		h.sink.Synced()
		for i := range 30 {
			h.register("good", fmt.Sprintf("10.0.0.%d", i+1))
			h.after(time.Minute)
			h.wantEndpoints(map[string][]string{"good": {fmt.Sprintf("10.0.0.%d:20881", i+1)}})
		}
		if got := h.countWrites("bad"); got < 30 || got > 55 {
			t.Errorf("%d tries in half an hour, want about one each minute", got)
		}
	})
}

func TestOutputThatIsSlowIsNotPausedLongerAndLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		written := map[time.Time]bool{} // One each time.
		h.memory.Break(outputtest.Faults{Write: func(plan.Change) (time.Duration, error) {
			if written[time.Now()] {
				return time.Second, output.ErrOutput
			}
			written[time.Now()] = true
			return 0, nil
		}})
		h.start()
		for i := range 60 {
			h.register(fmt.Sprintf("s%d", i), "10.0.0.1")
		}
		h.sink.Synced()
		h.after(70 * time.Second)
		if got := len(h.memory.Endpoints()); got != 60 {
			t.Errorf("%d of 60 written in 70 s", got)
		}
	})
}
