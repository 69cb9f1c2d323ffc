package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// Waits between two runs. The cap after a lost connection is lower, because a registry that worked a moment ago is usually back soon,
// and until it is, everything that it held is kept by a guard.
const (
	minBackoff     = time.Second
	maxBackoff     = time.Minute
	maxBackoffLost = 15 * time.Second
)

var (
	// errStopped is the error of a run that ended although nobody had asked it to.
	errStopped = errors.New("source stopped by itself")
	// errOther is the class of errors that wrap none of the package's classes.
	errOther = errors.New("other failure")
)

// Runs is where the runs of one source report to.
type Runs interface {
	// Begin starts a run: what the source names to sink counts until end is called. After that sink ignores every call. A
	// caller ends a run, with the error or nil, before it begins the next.
	Begin() (sink Sink, end func(err error))
}

// SuperviseOptions are what Supervise may be told. The zero value is useful.
type SuperviseOptions struct {
	// Logger gets a line when the source starts to fail, when the reason changes, and when it has synced again. Nil logs
	// nothing.
	Logger *slog.Logger
}

// Supervise runs src again and again until ctx ends, and returns when the last Run has. Between two runs it waits an exponentially
// growing, random time of 1 s to 60 s (15 s once a run had synced, that is after a lost connection), starting anew after each Synced.
// A panic in Run is an error like any other: the stack goes to the log, never into the status.
func Supervise(ctx context.Context, src Source, runs Runs, opts SuperviseOptions) {
	s := supervisor{src: src, runs: runs, log: opts.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for ctx.Err() == nil {
		s.run(ctx)
		timer := time.NewTimer(s.wait())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// supervisor is the state of one Supervise; only its goroutine uses it, apart from what recovered does.
type supervisor struct {
	src  Source
	runs Runs
	log  *slog.Logger
	// attempts counts the runs since the last one that synced; the wait grows with it.
	attempts int
	// lost says that a run has synced before, so what is being waited for is a connection that once worked.
	lost bool
	// failure is what the log has last been told: the class of the error, nil while all is well.
	failure atomic.Pointer[error]
}

// run makes one run and reports it to the store and the log.
func (s *supervisor) run(ctx context.Context) {
	sink, end := s.runs.Begin()
	watched := &syncedSink{Sink: sink, onSynced: s.recovered}
	err := s.protected(ctx, watched)
	if err == nil {
		err = errStopped
	}
	if ctx.Err() != nil {
		// Whatever Run says now is a consequence of having been told to stop.
		end(nil)
		return
	}
	end(err)
	s.failed(ctx, err)
	if watched.synced.Load() {
		s.lost, s.attempts = true, 0
	}
}

// protected calls Run and turns a panic into an error.
func (s *supervisor) protected(ctx context.Context, sink Sink) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("source panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = errors.New("internal error: the source panicked, see the log")
		}
	}()
	return s.src.Run(ctx, sink)
}

// failed logs the first error after all was well, and each error of another class; the rest is for debugging only, because texts
// differ from attempt to attempt (local ports) while the news is the same.
func (s *supervisor) failed(ctx context.Context, err error) {
	class := classOf(err)
	level := slog.LevelWarn
	if last := s.failure.Swap(&class); last != nil && errors.Is(*last, class) {
		level = slog.LevelDebug
	}
	s.log.Log(ctx, level, "source failed, its last state is kept", "error", err)
}

// classOf returns the class of failure that err wraps, or an error for all that have none.
func classOf(err error) error {
	for _, class := range []error{ErrUnauthorized, ErrMalformed, ErrUnavailable} {
		if errors.Is(err, class) {
			return class
		}
	}
	return errOther
}

// recovered logs the end of a failure. It is called at each Synced, from a goroutine of the source.
func (s *supervisor) recovered() {
	if s.failure.Swap(nil) != nil {
		s.log.Info("source recovered")
	}
}

// wait returns how long to pause before the next run: 1 s and a random part of a span that doubles with each attempt.
func (s *supervisor) wait() time.Duration {
	limit := maxBackoff
	if s.lost {
		limit = maxBackoffLost
	}
	span := minBackoff
	for range s.attempts {
		span = min(2*span, limit)
	}
	s.attempts++
	return min(minBackoff+rand.N(span), limit) //nolint:gosec // Jitter needs no secret randomness.
}

// syncedSink notes that a run has synced.
type syncedSink struct {
	Sink
	synced   atomic.Bool
	onSynced func()
}

// Synced implements Sink.
func (s *syncedSink) Synced() {
	s.synced.Store(true)
	s.onSynced()
	s.Sink.Synced()
}

// SetHints implements HintSink.
func (s *syncedSink) SetHints(hints ...model.Hint) { SetHints(s.Sink, hints...) }

// SetInterruption implements InterruptionSink.
func (s *syncedSink) SetInterruption(why error) { SetInterruption(s.Sink, why) }

var _ InterruptionSink = (*syncedSink)(nil)

var _ HintSink = (*syncedSink)(nil)
