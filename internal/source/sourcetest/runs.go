package sourcetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
)

// Runs is a source that is run again whenever Run returns, as the program does, and what it named.
type Runs struct {
	*Recorder

	patience time.Duration
	stop     context.CancelFunc
	done     chan struct{}

	errsMu sync.Mutex
	errs   []error
}

// Start runs a source until the end of the test, or until Halt. Patience is how long what must come may take.
func Start(t *testing.T, src source.Source, patience time.Duration) *Runs {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &Runs{Recorder: NewRecorder(t, ID), patience: patience, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for ctx.Err() == nil {
			sink, end := r.Begin()
			err := src.Run(ctx, sink)
			end()
			if err != nil {
				r.failed(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond): // What Supervise would wait, shorter.
			}
		}
	}()
	t.Cleanup(r.Halt)
	return r
}

func (r *Runs) failed(err error) {
	r.errsMu.Lock()
	r.errs = append(r.errs, err)
	r.errsMu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell()
}

// Errors are what the runs have ended with so far.
func (r *Runs) Errors() []error {
	r.errsMu.Lock()
	defer r.errsMu.Unlock()
	return slices.Clone(r.errs)
}

// Halt ends the source, which has a second for it.
func (r *Runs) Halt() {
	r.t.Helper()
	r.stop()
	select {
	case <-r.done:
	case <-time.After(time.Second):
		r.t.Error("Run did not return within a second")
		<-r.done
	}
	r.Check()
}

// Await waits for a state.
func (r *Runs) Await(what string, ok func(State) bool) State {
	r.t.Helper()
	return r.Wait(r.t, what, r.patience, ok)
}

// AwaitSynced waits for the first Synced.
func (r *Runs) AwaitSynced() State {
	r.t.Helper()
	return r.Await("Synced", func(s State) bool { return s.Synced > 0 })
}

// AwaitError waits for the first run that fails, and returns its error and the state then.
func (r *Runs) AwaitError() (State, error) {
	r.t.Helper()
	state := r.Await("failed run", func(State) bool { return len(r.Errors()) > 0 })
	return state, r.Errors()[0]
}

// Steady fails the test if ok, which may look at more than the state, says no within d.
func (r *Runs) Steady(d time.Duration, what string, ok func(State) bool) {
	r.t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if state := r.State(); !ok(state) {
			r.t.Fatalf("not %s: %s", what, state)
		}
		select {
		case <-tick.C:
		case <-timer.C:
			return
		}
	}
}
