package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// minGap is the least time between two cycles that follow each other without a change, so that no mistake anywhere can make the loop
// spin.
const minGap = 10 * time.Millisecond

// errNotConfigured is why Plan cannot say anything yet.
var errNotConfigured = errors.New("the engine has no configuration yet")

// loop is the state that goes from cycle to cycle. Who holds Engine.turn owns it.
type loop struct {
	cycles uint64
	config *Config
	live   liveView
	// readAt is when the output was last read without error, zero before the first time; reread asks for a read before the next
	// plan.
	readAt time.Time
	reread bool
	memory plan.Memory
	// pending is when the oldest change came that is not in the output yet.
	pending time.Time
	retries retries
	holds   map[string]heldBack
}

func newLoop() loop {
	return loop{live: newLiveView(), retries: newRetries()}
}

// cycle runs one cycle and returns when the next is due without a change.
func (e *Engine) cycle(ctx context.Context) time.Time {
	l, now := &e.loop, time.Now()
	config := e.config.Load()
	if config == nil {
		return now.Add(pollInterval)
	}
	if config != l.config {
		// Whoever changed the configuration may have changed what was in the way.
		l.config = config
		l.retries.forgive()
	}
	if err := e.readOutput(ctx, now); err != nil && ctx.Err() == nil {
		e.outputFailed(err, 0, now)
	}
	if l.readAt.IsZero() {
		// Without knowing what is live there is no plan. The state tells why.
		e.publish(&State{})
		return l.retries.output.Retry
	}
	state := e.plan(config, now, false)
	l.cycles++
	l.memory, state.Cycle = state.Plan.Memory, l.cycles
	e.logHolds(state.Plan.Held)
	more := e.write(ctx, state)
	e.publish(state)
	e.metrics.duration.Observe(time.Since(now).Seconds())
	return e.next(state, more, now)
}

// dryRun makes the plan of a cycle and leaves no trace.
func (e *Engine) dryRun(ctx context.Context) (plan.Plan, *State, error) {
	config := e.config.Load()
	if config == nil {
		return plan.Plan{}, nil, errNotConfigured
	}
	fresh, err := e.deps.Output.Live(ctx)
	if err != nil {
		return plan.Plan{}, nil, fmt.Errorf("read the output: %w", err)
	}
	now := time.Now()
	e.loop.live.read(fresh, now)
	state := e.plan(config, now, true)
	state.Cycle = e.loop.cycles + 1
	if checker, ok := e.deps.Output.(output.Checker); ok {
		state.WriteErrors = refusals(checker, state)
	}
	return state.Plan, state, nil
}

// refusals returns the changes that the output would refuse.
func refusals(checker output.Checker, state *State) map[translate.Key]Failure {
	refused := map[translate.Key]Failure{}
	for _, c := range slices.Concat(state.Plan.Apply, state.Plan.Delete) {
		if err := checker.Check(c); err != nil {
			refused[c.Key] = Failure{Err: err, Since: state.Time}
		}
	}
	return refused
}

// readOutput reads what is live when that is due: at first, from time to time, and when a write has met something unexpected. An output
// that hears of changes is read each time.
func (e *Engine) readOutput(ctx context.Context, now time.Time) error {
	l := &e.loop
	due := e.outputChanged != nil || l.readAt.IsZero() || l.reread || now.Sub(l.readAt) >= pollInterval
	if !due || l.retries.paused(now) {
		return nil
	}
	fresh, err := e.deps.Output.Live(ctx)
	if err != nil {
		return fmt.Errorf("read the output: %w", err)
	}
	if l.readAt.IsZero() {
		e.log.Info("output read", "objects", len(fresh))
	}
	l.live.read(fresh, now)
	l.readAt, l.reread = now, false
	return nil
}

// plan translates and plans; at once, what is made step by step is shown as it ends. It changes nothing that a later cycle would miss, apart from l.pending, which keeps the oldest time.
func (e *Engine) plan(config *Config, now time.Time, atOnce bool) *State {
	l := &e.loop
	view := e.deps.Store.View()
	if l.pending.IsZero() {
		l.pending = view.Since
	}
	live, priors := l.live.list()
	result := e.deps.Translate(view.Snapshot, priors, e.seeing(config.Options))
	p := e.deps.Compute(plan.Input{
		Now: now, Desired: result, Live: live, Sources: view.Statuses, Policies: config.Policies, Frozen: config.Frozen,
		RootNamespace: config.Options.Root(), AtOnce: atOnce, Memory: l.memory,
	})
	return &State{
		Time: now, Config: config, Snapshot: view.Snapshot, Statuses: view.Statuses,
		Result: result, Live: live, Plan: p,
	}
}

// seeing returns the options of a translation with what is seen of the cluster now.
func (e *Engine) seeing(options *translate.Options) *translate.Options {
	surveyor, surveys := e.deps.Output.(output.Surveyor)
	if e.deps.Pods == nil && !surveys {
		return options
	}
	seeing := *options
	if e.deps.Pods != nil {
		seeing.Pods = e.deps.Pods.Pods()
	}
	if surveys {
		seeing.Foreign = surveyor.Foreign()
	}
	return &seeing
}

// write writes what is not waiting for a retry, and reports whether something is left that may be written at once.
func (e *Engine) write(ctx context.Context, state *State) (more bool) {
	l := &e.loop
	l.retries.keepOnly(&state.Plan)
	if checker, ok := e.deps.Output.(output.Checker); ok {
		l.retries.recheck(&state.Plan, checker.Check)
	}
	if l.retries.paused(state.Time) {
		return false
	}
	p := l.retries.due(state.Plan, state.Time)
	todo := len(p.Apply) + len(p.Delete)
	if todo == 0 {
		l.pending = time.Time{}
		e.outputWorks()
		return false
	}
	// A stop lets the write finish, within its own limit.
	writeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	results := e.deps.Output.Write(writeCtx, p)
	trouble := e.take(results, &p, state)
	state.Live, _ = l.live.list()
	left := todo - len(results) + unfinished(results)
	switch {
	case trouble:
		return false
	case left == 0:
		if state.Written > 0 && !l.pending.IsZero() {
			e.metrics.latency.Observe(time.Since(l.pending).Seconds())
		}
		l.pending = time.Time{}
		return l.reread || state.Written > 0 && state.Plan.Continues
	case len(results) == 0:
		e.outputFailed(fmt.Errorf("%w: nothing was written in time", output.ErrOutput), 0, time.Now())
		return false
	}
	return true
}

// take notes how the writes of p went. It reports whether the output as a whole is in trouble.
func (e *Engine) take(results []output.Result, p *plan.Plan, state *State) (trouble bool) {
	l, now := &e.loop, time.Now()
	changes := changesByKey(p)
	var failed *output.Result
	for i, r := range results {
		e.metrics.wrote(r)
		l.reread = l.reread || unclear(&results[i])
		if r.Live != nil || r.Err == nil {
			l.live.wrote(r, changes[r.Key].Live, now)
		}
		switch {
		case r.Err == nil:
			state.Written++
			if !r.More {
				e.objectWritten(r.Key, now)
			}
		case errors.Is(r.Err, output.ErrOutput):
			if failed == nil || r.RetryAfter > failed.RetryAfter {
				failed = &results[i]
			}
		default:
			e.objectFailed(r, changes[r.Key], now)
		}
	}
	if failed != nil {
		if state.Written > 0 {
			l.retries.output.Attempts = 0 // It is slow, not down.
		}
		e.outputFailed(failed.Err, failed.RetryAfter, now)
		return true
	}
	if len(results) > 0 {
		e.outputWorks()
	}
	return false
}

func changesByKey(p *plan.Plan) map[translate.Key]*plan.Change {
	changes := make(map[translate.Key]*plan.Change, len(p.Apply)+len(p.Delete))
	for _, list := range [][]plan.Change{p.Apply, p.Delete} {
		for i := range list {
			changes[list[i].Key] = &list[i]
		}
	}
	return changes
}

// unclear reports whether the output has to be read before it is known what it holds of the object.
func unclear(r *output.Result) bool {
	if r.Err != nil {
		return errors.Is(r.Err, output.ErrConflict)
	}
	return r.Live == nil && r.Op != plan.Delete
}

// unfinished counts the changes of which a part was written.
func unfinished(results []output.Result) int {
	n := 0
	for i := range results {
		if results[i].More {
			n++
		}
	}
	return n
}

// publish makes state the current one.
func (e *Engine) publish(state *State) {
	state.WriteErrors, state.Output = e.loop.retries.failures()
	e.state.Store(state)
}

// next returns when the next cycle is due without a change.
func (e *Engine) next(state *State, more bool, now time.Time) time.Time {
	if more {
		return time.Now().Add(minGap)
	}
	next := e.loop.readAt.Add(pollInterval)
	if e.loop.reread {
		next = now
	}
	next = e.loop.retries.next(next)
	if wake := state.Plan.Wake; !wake.IsZero() && wake.Before(next) {
		next = wake
	}
	if least := time.Now().Add(minGap); next.Before(least) {
		return least
	}
	return next
}
