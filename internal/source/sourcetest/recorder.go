package sourcetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// Recorder is what a store would know after the calls of one or more runs. It also holds the source to the Sink's contract: what is
// broken fails the test that made it.
type Recorder struct {
	t  *testing.T
	id model.SourceID

	mu       sync.Mutex
	services map[model.Ref]*model.Service
	texts    map[*model.Service]string // What was handed over, to see whether it is changed afterwards.
	named    map[string]bool           // Units named since the run began or was synced.
	skipped  map[string]error
	hints    []model.Hint
	// interruption is the argument of the last SetInterruption.
	interruption error
	synced       int
	runs         int
	changed      chan struct{} // Closed, and replaced, at every call.
}

// NewRecorder returns an empty Recorder for a source that was given id.
func NewRecorder(t *testing.T, id model.SourceID) *Recorder {
	t.Helper()
	return &Recorder{
		t: t, id: id, services: map[model.Ref]*model.Service{}, texts: map[*model.Service]string{},
		named: map[string]bool{}, skipped: map[string]error{}, changed: make(chan struct{}),
	}
}

// State is what the calls so far amount to. Its slices and maps are copies.
type State struct {
	// Services is sorted by Ref.
	Services []*model.Service
	// Skipped has the units whose last call was Skip.
	Skipped map[string]error
	// Hints are those of the last run that was begun.
	Hints []model.Hint
	// Interruption is why nothing is heard although the run goes on.
	Interruption error
	// Synced counts the calls of Synced, Runs the runs that were begun.
	Synced, Runs int
}

// Service returns the service of that name, or nil.
func (s State) Service(name string) *model.Service {
	for _, svc := range s.Services {
		if svc.Ref.Name == name {
			return svc
		}
	}
	return nil
}

// Addresses are the "address:port" of all instances of the named service without a Problem, sorted; the port is the first one.
func (s State) Addresses(name string) []string {
	var out []string
	if svc := s.Service(name); svc != nil {
		for _, inst := range svc.Instances {
			if inst.Problem == "" {
				out = append(out, place(inst))
			}
		}
	}
	slices.Sort(out)
	return out
}

// String is what a failed test shows.
func (s State) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "synced %d times in %d runs", s.Synced, s.Runs)
	for _, svc := range s.Services {
		fmt.Fprintf(&b, "\n  %q: %.300v", svc.Ref.Name, s.Addresses(svc.Ref.Name))
	}
	for unit, err := range s.Skipped {
		fmt.Fprintf(&b, "\n  %q skipped: %v", unit, err)
	}
	return b.String()
}

// Begin starts a run: the returned sink is for its source.Source.Run, end is to be called when that has returned.
func (r *Recorder) Begin() (sink source.Sink, end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs++
	clear(r.named)
	r.hints, r.interruption = nil, nil
	s := &runSink{recorder: r}
	return s, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		s.ended = true
	}
}

// State returns the present state.
func (r *Recorder) State() State {
	s, _ := r.state()
	return s
}

func (r *Recorder) state() (State, chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	services := slices.SortedFunc(maps.Values(r.services), func(a, b *model.Service) int { return a.Ref.Compare(b.Ref) })
	return State{Services: services, Skipped: maps.Clone(r.skipped), Hints: r.hints, Interruption: r.interruption, Synced: r.synced, Runs: r.runs}, r.changed
}

// Wait returns once ok says that the state is right, and fails the test when that does not happen within patience.
func (r *Recorder) Wait(t *testing.T, what string, patience time.Duration, ok func(State) bool) State {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		state, changed := r.state()
		if ok(state) {
			return state
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("no %s within %s; %s", what, patience, state)
		}
	}
}

// Check fails the test if a service was changed after it had been handed over.
func (r *Recorder) Check() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for svc, text := range r.texts {
		if now := fmt.Sprintf("%+v", *svc); now != text {
			r.t.Errorf("service changed after it was handed over, from\n%s\nto\n%s", text, now)
		}
	}
}

// runSink is the sink of one run.
type runSink struct {
	recorder *Recorder
	ended    bool
}

// call runs do under the recorder's lock, and notes a call that should not have been.
func (s *runSink) call(what string, ref model.Ref, do func(*Recorder)) {
	r := s.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.ended {
		r.t.Errorf("%s(%+v) after Run had returned", what, ref)
		return
	}
	if ref.Source != r.id {
		r.t.Errorf("%s(%+v): source is not %q", what, ref, r.id)
	}
	do(r)
	r.tell()
}

// tell wakes those who wait. The caller has the lock.
func (r *Recorder) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Upsert implements source.Sink.
func (s *runSink) Upsert(svc *model.Service) {
	s.call("Upsert", svc.Ref, func(r *Recorder) {
		if svc.Ref.Name == "" {
			r.t.Errorf("Upsert without a name: %+v", svc.Ref)
		}
		seen := make(map[string]bool, len(svc.Instances))
		for _, inst := range svc.Instances {
			if seen[inst.ID] {
				r.t.Errorf("instance ID %q of %q is not unique", inst.ID, svc.Ref.Name)
			}
			seen[inst.ID] = true
		}
		r.services[svc.Ref] = svc
		r.texts[svc] = fmt.Sprintf("%+v", *svc)
		r.name(svc.Ref.Unit)
	})
}

// Delete implements source.Sink.
func (s *runSink) Delete(ref model.Ref) {
	s.call("Delete", ref, func(r *Recorder) {
		maps.DeleteFunc(r.services, func(known model.Ref, _ *model.Service) bool {
			return known == ref || ref.Name == "" && known.Unit == ref.Unit
		})
		r.name(ref.Unit)
	})
}

// Skip implements source.Sink.
func (s *runSink) Skip(ref model.Ref, err error) {
	s.call("Skip", ref, func(r *Recorder) {
		if err == nil {
			r.t.Errorf("Skip(%+v) without an error", ref)
		}
		r.name(ref.Unit)
		r.skipped[ref.Unit] = err
	})
}

// Synced implements source.Sink.
func (s *runSink) Synced() {
	s.call("Synced", model.Ref{Source: s.recorder.id}, func(r *Recorder) {
		maps.DeleteFunc(r.services, func(ref model.Ref, _ *model.Service) bool { return !r.named[ref.Unit] })
		maps.DeleteFunc(r.skipped, func(unit string, _ error) bool { return !r.named[unit] })
		clear(r.named)
		r.synced++
	})
}

// SetHints implements source.HintSink.
func (s *runSink) SetHints(hints ...model.Hint) {
	s.call("SetHints", model.Ref{Source: s.recorder.id}, func(r *Recorder) { r.hints = hints })
}

// SetInterruption implements source.InterruptionSink.
func (s *runSink) SetInterruption(why error) {
	s.call("SetInterruption", model.Ref{Source: s.recorder.id}, func(r *Recorder) { r.interruption = why })
}

func (r *Recorder) name(unit string) {
	r.named[unit] = true
	delete(r.skipped, unit)
}
