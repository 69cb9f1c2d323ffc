package engine

import (
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// heldBack sums up the removals of one hold id for the log.
type heldBack struct {
	first plan.Hold
	count int
}

// logHolds tells which incidents began and ended. The endpoints of an incident come and go without a line.
func (e *Engine) logHolds(held []plan.Hold) {
	now := map[string]heldBack{}
	for _, h := range held {
		sum := now[h.ID]
		if sum.count == 0 {
			sum.first = h
		}
		sum.count++
		now[h.ID] = sum
	}
	for id, h := range now {
		if _, known := e.loop.holds[id]; !known {
			e.log.Info("hold began", "id", id, "guard", h.first.Guard, "source", h.first.Source, "object", h.first.Key,
				"removals", h.count, "detail", h.first.Detail, "until", h.first.Until)
		}
	}
	for id, h := range e.loop.holds {
		if _, still := now[id]; !still {
			e.log.Info("hold ended", "id", id, "guard", h.first.Guard, "source", h.first.Source, "object", h.first.Key)
		}
	}
	e.loop.holds = now
}

func (e *Engine) outputFailed(err error, after time.Duration, now time.Time) {
	if e.loop.retries.outputFailed(err, after, now) {
		e.log.Error("output unavailable, nothing is written until it answers", "error", err)
	}
}

func (e *Engine) outputWorks() {
	if e.loop.retries.output.Err != nil {
		e.log.Info("output works again", "failing_since", e.loop.retries.output.Since)
		e.loop.retries.output = Failure{}
	}
}

func (e *Engine) objectFailed(r output.Result, c *plan.Change, now time.Time) {
	if r.More {
		return // What was not tried need not wait for what failed.
	}
	e.loop.retries.noteWish(c, now)
	if e.loop.retries.failed(r.Key, r.Err, r.RetryAfter, now) {
		e.log.Warn("object could not be written, it is tried again", "object", r.Key, "op", r.Op, "error", r.Err)
	}
}

func (e *Engine) objectWritten(key translate.Key, now time.Time) {
	e.loop.retries.wrote(key, now)
	if e.loop.retries.succeeded(key) {
		e.log.Info("object written after a failure", "object", key)
	}
}
