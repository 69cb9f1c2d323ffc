package engine

import (
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// State is what one cycle saw and did, for pages, status and commands. It is immutable.
type State struct {
	// Cycle counts the cycles that made a plan; 0 means that there has been none, and everything else is empty then, apart from
	// Output.
	Cycle uint64
	// Time is when the plan was made.
	Time time.Time
	// Config is what the cycle worked with.
	Config   *Config
	Snapshot model.Snapshot
	Statuses map[model.SourceID]model.Status
	Result   translate.Result
	// Live is what the output holds after the writes of the cycle, sorted by key.
	Live []plan.Live
	// Plan is the whole plan, including changes that wait for a retry.
	Plan plan.Plan
	// Written is the number of changes that the cycle wrote.
	Written int
	// WriteErrors are the objects whose last write failed, by key; they are tried again at Retry. Behind Engine.Plan they are those
	// that the output would refuse.
	WriteErrors map[translate.Key]Failure
	// Output is the trouble with the output as a whole, nil when there is none. Nothing is written before Retry.
	Output *Failure
}

// Failure is something that did not work and will be tried again.
type Failure struct {
	// Err is what happened last; Since is when it first did, Attempts how often.
	Err      error
	Since    time.Time
	Attempts int
	Retry    time.Time
}

// Settled reports whether the output equals the plan: everything was written that may be.
func (s *State) Settled() bool {
	return s.Cycle > 0 && s.Output == nil && len(s.WriteErrors) == 0 && s.Written == len(s.Plan.Apply)+len(s.Plan.Delete)
}
