package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a Source whose runs are the functions of a list; behind its end the last is repeated.
type scripted struct {
	runs  []func(ctx context.Context, sink source.Sink) error
	mu    sync.Mutex
	began []time.Time
}

func (s *scripted) Run(ctx context.Context, sink source.Sink) error {
	s.mu.Lock()
	s.began = append(s.began, time.Now())
	run := s.runs[min(len(s.began), len(s.runs))-1]
	s.mu.Unlock()
	return run(ctx, sink)
}

// gaps returns the times between the beginnings of runs.
func (s *scripted) gaps() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gaps []time.Duration
	for i := 1; i < len(s.began); i++ {
		gaps = append(gaps, s.began[i].Sub(s.began[i-1]))
	}
	return gaps
}

// journal is a source.Runs that remembers how runs ended.
type journal struct {
	open  int
	ends  []string
	hints []model.Hint
	// interruption is why nothing is heard.
	interruption error
}

func (j *journal) Begin() (source.Sink, func(error)) {
	j.open++
	return discard{journal: j}, func(err error) {
		j.open--
		j.ends = append(j.ends, fmt.Sprint(err))
	}
}

// discard notes hints and interruptions only.
type discard struct{ *journal }

func (discard) Upsert(*model.Service)          {}
func (discard) Delete(model.Ref)               {}
func (discard) Skip(model.Ref, error)          {}
func (discard) Synced()                        {}
func (d discard) SetHints(hints ...model.Hint) { d.hints = hints }
func (d discard) SetInterruption(why error)    { d.interruption = why }

var errDown = fmt.Errorf("dial zk:2181: %w", source.ErrUnavailable)

func down(context.Context, source.Sink) error { return errDown }

// lost syncs, works for a minute and loses the connection.
func lost(_ context.Context, sink source.Sink) error {
	sink.Synced()
	<-time.After(time.Minute)
	return errDown
}

// works syncs and works until it is stopped.
func works(ctx context.Context, sink source.Sink) error {
	sink.Synced()
	<-ctx.Done()
	return nil
}

func supervise(t *testing.T, src source.Source, during time.Duration) (*journal, string) {
	t.Helper()
	var j journal
	var log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	source.Supervise(ctx, src, &j, source.SuperviseOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if j.open != 0 {
		t.Errorf("%d runs were begun and not ended", j.open)
	}
	return &j, log.String()
}

func TestSuperviseBackoffGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{runs: []func(context.Context, source.Sink) error{down}}
		j, log := supervise(t, src, time.Hour)
		var longest time.Duration
		for i, gap := range src.gaps() {
			// The n-th wait is 1 s and a random part of 2^n s, a minute at most.
			limit := min(time.Second<<min(i, 10)+time.Second, time.Minute)
			if gap < time.Second || gap > limit {
				t.Errorf("wait %d was %s, want 1s to %s", i, gap, limit)
			}
			longest = max(longest, gap)
		}
		if longest < 30*time.Second {
			t.Errorf("the longest of %d waits was %s, want growth towards a minute", len(src.gaps()), longest)
		}
		if got := j.ends[0]; got != errDown.Error() {
			t.Errorf("first run ended with %q", got)
		}
		if got := strings.Count(log, "\n"); got != 1 {
			t.Errorf("an hour of the same failure wrote %d log lines, want 1:\n%s", got, log)
		}
	})
}

func TestSuperviseBackoffAfterLostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{runs: []func(context.Context, source.Sink) error{lost, down}}
		_, _ = supervise(t, src, time.Hour)
		for i, gap := range src.gaps()[1:] {
			if gap > 15*time.Second {
				t.Errorf("wait %d after a lost connection was %s, want 15s at most", i, gap)
			}
		}
	})
}

func TestSuperviseStartsAnewAfterSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := repeat(down, 20)
		src := &scripted{runs: append(runs, lost, works)}
		j, log := supervise(t, src, 2*time.Hour)
		gaps := src.gaps()
		if got := gaps[20] - time.Minute; got > 2*time.Second {
			t.Errorf("the wait after a run that synced was %s, want 2s at most", got)
		}
		if got := j.ends[len(j.ends)-1]; got != "<nil>" {
			t.Errorf("a run that was stopped ended with %q", got)
		}
		for _, text := range []string{"source failed", "source recovered"} {
			if got := strings.Count(log, text); got != 2 {
				t.Errorf("%q is in the log %d times, want 2:\n%s", text, got, log)
			}
		}
	})
}

func repeat(run func(context.Context, source.Sink) error, n int) []func(context.Context, source.Sink) error {
	var runs []func(context.Context, source.Sink) error
	for range n {
		runs = append(runs, run)
	}
	return runs
}

func TestSuperviseLogsAnotherClassOfFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := func(context.Context, source.Sink) error { return fmt.Errorf("auth: %w", source.ErrUnauthorized) }
		odd := func(context.Context, source.Sink) error { return errors.New("odd") }
		src := &scripted{runs: []func(context.Context, source.Sink) error{down, down, refused, refused, odd, odd, works}}
		_, log := supervise(t, src, time.Hour)
		if got := strings.Count(log, "source failed"); got != 3 {
			t.Errorf("three kinds of failure wrote %d lines, want 3:\n%s", got, log)
		}
	})
}

func TestSupervisePanicIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panics := func(context.Context, source.Sink) error { panic("secret detail") }
		src := &scripted{runs: []func(context.Context, source.Sink) error{panics, works}}
		j, log := supervise(t, src, time.Minute)
		if len(j.ends) != 2 {
			t.Fatalf("runs ended with %q, want two ends", j.ends)
		}
		if strings.Contains(j.ends[0], "secret detail") || !strings.Contains(j.ends[0], "panicked") {
			t.Errorf("the panic ended its run with %q", j.ends[0])
		}
		if !strings.Contains(log, "secret detail") || !strings.Contains(log, "supervise_test.go") {
			t.Errorf("the log lacks the panic or its stack:\n%s", log)
		}
	})
}

func TestSuperviseRunThatEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := func(context.Context, source.Sink) error { return nil }
		src := &scripted{runs: []func(context.Context, source.Sink) error{ends, works}}
		j, _ := supervise(t, src, time.Minute)
		if j.ends[0] == "<nil>" {
			t.Error("a run that ended by itself counts as asked to")
		}
	})
}

func TestSuperviseReturnsAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		returned := false
		slow := func(ctx context.Context, _ source.Sink) error {
			<-ctx.Done()
			<-time.After(500 * time.Millisecond)
			returned = true
			return ctx.Err()
		}
		src := &scripted{runs: []func(context.Context, source.Sink) error{slow}}
		j, _ := supervise(t, src, time.Minute)
		if !returned {
			t.Error("Supervise returned before Run")
		}
		if len(j.ends) != 1 || j.ends[0] != "<nil>" {
			t.Errorf("a stopped run ended with %q, want nil", j.ends)
		}
	})
}

func TestSupervisePassesHintsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := model.Hint{Reason: "Slow", Detail: "use another road"}
		hints := func(ctx context.Context, sink source.Sink) error {
			source.SetHints(sink, want)
			return works(ctx, sink)
		}
		j, _ := supervise(t, &scripted{runs: []func(context.Context, source.Sink) error{hints}}, time.Minute)
		if len(j.hints) != 1 || j.hints[0] != want {
			t.Errorf("got %v", j.hints)
		}
	})
}

func TestSupervisePassesInterruptionsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := errors.New("connection lost")
		interrupted := func(ctx context.Context, sink source.Sink) error {
			source.SetInterruption(sink, want)
			return works(ctx, sink)
		}
		j, _ := supervise(t, &scripted{runs: []func(context.Context, source.Sink) error{interrupted}}, time.Minute)
		if !errors.Is(j.interruption, want) {
			t.Errorf("got %v", j.interruption)
		}
	})
}

// TestSetHintsOnAnySink: a sink that takes no hints, and hears of no interruptions, is not bothered.
func TestSetHintsOnAnySink(*testing.T) {
	var plain struct{ source.Sink }
	source.SetHints(plain, model.Hint{Reason: "Slow"})
	source.SetInterruption(plain, nil)
}
