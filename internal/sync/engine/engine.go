// Package engine is the loop that keeps an output equal to what the registries say: it waits for a change, lets a burst of changes
// settle, translates, plans and writes.
//
// One goroutine at a time owns a cycle. What wakes it:
//
//	store changed, configuration changed -> debounce: 100 ms of quiet, 1 s at most
//	plan.Wake                            -> a hold ends, although nothing happens
//	pods changed                         -> debounced too
//	output changed                       -> somebody edited an object by hand; debounced too
//	the next look at the output          -> every 30 s: the same, for an output that cannot tell
//	a retry is due                       -> of one object, or of the whole output
//
// No plan is made before the output has been read once and a configuration has come.
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/sync/store"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

const (
	// debounceQuiet and debounceMax shape a burst of changes into one cycle.
	debounceQuiet = 100 * time.Millisecond
	debounceMax   = time.Second
	// pollInterval is how often the output is read although nothing happened, to find and repair what somebody else did.
	pollInterval = 30 * time.Second
	// writeTimeout bounds one Write whatever happens to the context of Run, so that a stop neither tears a write apart nor waits
	// for long.
	writeTimeout = 4 * time.Second
)

// Store is what the engine reads; store.Store implements it.
type Store interface {
	View() store.View
	Changes() map[model.SourceID]uint64
	Changed() <-chan struct{}
}

var _ Store = (*store.Store)(nil)

// Pods says which addresses are pods with a sidecar.
type Pods interface {
	// Pods returns the same pointer as long as nothing changes.
	Pods() *translate.Pods
	// Changed receives a value when Pods may return something else.
	Changed() <-chan struct{}
}

// Deps are what an engine works with.
type Deps struct {
	Store  Store
	Output output.Output
	// Translate and Compute are the pure core; nil stands for a translate.Translator, and for plan.Compute. Translate may remember,
	// to be cheap for what did not change.
	Translate func(snap model.Snapshot, prior map[translate.Key]translate.Prior, opts *translate.Options) translate.Result
	Compute   func(in plan.Input) plan.Plan
	// Pods says which addresses are pods with a sidecar; nil when nobody looks.
	Pods Pods
	// Logger gets a line when something changes for the worse or back; nil logs nothing.
	Logger *slog.Logger
	// Registerer gets the metrics while Run runs; nil for none.
	Registerer prometheus.Registerer
}

// Config is what the engine bridges and how. It is immutable.
type Config struct {
	// Options is never nil.
	Options  *translate.Options
	Policies []plan.Policy
	// Frozen stops every write; plans go on.
	Frozen bool
}

// Engine runs the loop. Configure, State and Plan may be called from any goroutine.
type Engine struct {
	deps    Deps
	log     *slog.Logger
	metrics *metrics
	// outputChanged tells that the output changed; nil when it cannot tell.
	outputChanged <-chan struct{}
	// podsChanged tells that Pods may say something else; nil without Pods.
	podsChanged <-chan struct{}

	config     atomic.Pointer[Config]
	configured chan struct{}
	state      atomic.Pointer[State]
	// lastTurn is when the loop last finished a turn, in Unix nanoseconds.
	lastTurn atomic.Int64

	// turn holds one token; who has it owns loop.
	turn chan struct{}
	loop loop
}

// New returns an engine that does nothing until Run or Plan is called.
func New(deps Deps) *Engine {
	e := &Engine{
		deps:       deps,
		log:        deps.Logger,
		configured: make(chan struct{}, 1),
		turn:       make(chan struct{}, 1),
		loop:       newLoop(),
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.deps.Translate == nil {
		e.deps.Translate = translate.NewTranslator().Translate
	}
	if e.deps.Compute == nil {
		e.deps.Compute = plan.Compute
	}
	if notifier, ok := deps.Output.(output.Notifier); ok {
		e.outputChanged = notifier.Changed()
		e.loop.live.current = true
	}
	if deps.Pods != nil {
		e.podsChanged = deps.Pods.Changed()
	}
	e.metrics = newMetrics(e)
	e.state.Store(&State{})
	e.lastTurn.Store(time.Now().UnixNano())
	e.turn <- struct{}{}
	return e
}

// Configure replaces the configuration from the next cycle on. It never blocks.
func (e *Engine) Configure(c *Config) {
	e.config.Store(c)
	select {
	case e.configured <- struct{}{}:
	default:
	}
}

// State returns what the last cycle saw and did. It is never nil and never changed; its Cycle is 0 before the first cycle.
func (e *Engine) State() *State { return e.state.Load() }

// LastTurn returns when the loop last finished a turn, whatever came of it; before the first, when Run began. Turns follow each
// other by at most 30 s and the time of one, so a much older one means that the loop is stuck.
func (e *Engine) LastTurn() time.Time { return time.Unix(0, e.lastTurn.Load()) }

// Metrics returns what Run registers, for those who document it.
func (e *Engine) Metrics() prometheus.Collector { return e.metrics }

// Run keeps the output up to date until ctx ends, then returns nil once the write that is under way has ended (within 5 s). Any other
// return is an error of the caller: metrics that exist already.
func (e *Engine) Run(ctx context.Context) error {
	if e.deps.Registerer != nil {
		if err := e.deps.Registerer.Register(e.metrics); err != nil {
			return fmt.Errorf("register the metrics: %w", err)
		}
		defer e.deps.Registerer.Unregister(e.metrics)
	}
	e.lastTurn.Store(time.Now().UnixNano()) // One that was made long ago, and waited for its lease, is not stuck.
	for {
		next, ok := e.turnCycle(ctx)
		if !ok || !e.await(ctx, next) {
			return nil
		}
	}
}

// turnCycle runs one cycle and returns when the next is due without a change. It reports false when ctx has ended.
func (e *Engine) turnCycle(ctx context.Context) (time.Time, bool) {
	select {
	case <-e.turn:
	case <-ctx.Done():
		return time.Time{}, false
	}
	defer func() { e.turn <- struct{}{} }()
	if ctx.Err() != nil {
		return time.Time{}, false
	}
	next := e.cycle(ctx)
	e.lastTurn.Store(time.Now().UnixNano())
	return next, true
}

// await returns true when the next cycle is due: at next, or when a change has settled. It returns false when ctx has ended. A service
// that keeps changing is signalled only once until it has been read (see store.Changed), so it does not stretch the debounce for the
// others; a burst of many services does, up to the maximum.
func (e *Engine) await(ctx context.Context, next time.Time) bool {
	due := time.NewTimer(time.Until(next))
	defer due.Stop()
	var quiet, latest <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-due.C:
			return true
		case <-quiet:
			return true
		case <-latest:
			return true
		case <-e.deps.Store.Changed():
		case <-e.configured:
		case <-e.outputChanged:
		case <-e.podsChanged:
		}
		quiet = time.After(debounceQuiet)
		if latest == nil {
			latest = time.After(debounceMax)
		}
	}
}

// Plan makes one cycle without writing and without any effect on the cycles of Run: what would be written now. It needs a
// configuration, and an output that can be read.
func (e *Engine) Plan(ctx context.Context) (plan.Plan, *State, error) {
	select {
	case <-e.turn:
	case <-ctx.Done():
		return plan.Plan{}, nil, ctx.Err()
	}
	defer func() { e.turn <- struct{}{} }()
	return e.dryRun(ctx)
}
