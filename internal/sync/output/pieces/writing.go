package pieces

import (
	"errors"
	"slices"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Writing is one Change on its way into an output. Pieces that are what they should be are not written. The others are written in stages:
//
//	1  WorkloadEntries that go
//	2  the ServiceEntry, when it is new, loses a port, or gains an identity
//	3  WorkloadEntries that are new or changed
//	4  the ServiceEntry otherwise, or its deletion
//
// Dead endpoints go first, a new ServiceEntry is there before its endpoints, and a port is never published before the endpoints say what it
// is with them, and clients accept an identity before they meet it. What is written when the process ends in the middle is live, and the next plan goes on from there.
//
// Each write carries the version of its piece that the plan saw. A piece that is refused stops no other piece, apart from what makes no
// sense without it: endpoints of a ServiceEntry that could not be created, and the deletion of one that still has endpoints.
//
// It is for one goroutine.
type Writing struct {
	change plan.Change
	stages [][]plan.Change
	// open is how many writes of the last stage are not done, tried how many of all were, and written how many had no error.
	open, tried, written int
	// stored are the pieces that are live now.
	stored map[translate.Key]plan.Live
	// worst is the result of the piece that failed worst, its Err nil as long as none has.
	worst output.Result
	// orphaned says that a ServiceEntry could not be created.
	orphaned bool
}

// Begin returns the Writing of c.
func Begin(c plan.Change) *Writing {
	w := &Writing{change: c, stored: map[translate.Key]plan.Live{}}
	seen := storedOf(c.Live)
	for _, live := range seen {
		w.stored[live.Object.Key] = live
	}
	if !isSplit(c.Object) && (c.Live == nil || c.Live.Stored == nil) {
		w.stages = [][]plan.Change{{c}}
		return w
	}
	if c.Key.Kind == translate.KindEnvoyFilter {
		w.stages = w.tableStages(seen)
		return w
	}
	going := w.leaving(seen)
	coming, entry, first := w.arriving(c.Object)
	if n := len(going); c.Op == plan.Delete && n > 0 && going[0].Key.Kind == translate.KindServiceEntry {
		going, entry = going[1:], going[:1]
	}
	if w.stages = [][]plan.Change{going, coming, entry}; first {
		w.stages = [][]plan.Change{going, entry, coming}
	}
	return w
}

// leaving returns the writes that delete what the plan saw and is not wanted. A ServiceEntry comes first, and only goes as a whole: what is
// wanted of a host without one has none.
func (w *Writing) leaving(seen []plan.Live) []plan.Change {
	wanted := map[translate.Key]bool{}
	if w.change.Object != nil {
		for _, piece := range Split(w.change.Object) {
			wanted[piece.Key] = true
		}
	}
	var going []plan.Change
	for i := range seen {
		key := seen[i].Object.Key
		if !wanted[key] && (w.change.Op == plan.Delete || key.Kind == translate.KindWorkloadEntry) {
			going = append(going, plan.Change{Op: plan.Delete, Key: key, Live: &seen[i]})
		}
	}
	return going
}

// arriving returns the writes that create and update what is wanted. First says that the ServiceEntry is written before its endpoints.
func (w *Writing) arriving(want *translate.Object) (coming, entry []plan.Change, first bool) {
	if want == nil {
		return nil, nil, false
	}
	for _, piece := range Split(want) {
		change, differs := w.compare(piece)
		switch {
		case !differs:
		case piece.WorkloadEntry != nil:
			coming = append(coming, change)
		default:
			entry = []plan.Change{change}
			first = change.Live == nil || losesPort(change.Live.Object, piece) || gainsIdentity(change.Live.Object, piece)
		}
	}
	return coming, entry, first
}

// storedOf returns the pieces that a plan saw.
func storedOf(live *plan.Live) []plan.Live {
	switch {
	case live == nil:
		return nil
	case live.Stored == nil:
		return []plan.Live{*live}
	}
	return *live.Stored
}

// compare returns the write that makes a piece what it should be, and whether one is needed.
func (w *Writing) compare(piece *translate.Object) (plan.Change, bool) {
	there, known := w.stored[piece.Key]
	if !known {
		return plan.Change{Op: plan.Create, Key: piece.Key, Object: piece}, true
	}
	return plan.Change{Op: plan.Update, Key: piece.Key, Object: piece, Live: &there}, !plan.Satisfies(there.Object, piece)
}

// losesPort reports whether live has a port that want has not.
func losesPort(live, want *translate.Object) bool {
	return slices.ContainsFunc(live.ServiceEntry.Ports, func(p translate.ServicePort) bool {
		return !slices.Contains(want.ServiceEntry.Ports, p)
	})
}

// Next returns the writes of the next stage, which may be sent in any order and all at once, and nil when there is none. It is called when
// Done has been called for all that it returned before.
func (w *Writing) Next() []plan.Change {
	for w.open == 0 && len(w.stages) > 0 {
		stage := w.stages[0]
		failed := w.worst.Err != nil
		if failed && (w.change.Key.Kind == translate.KindEnvoyFilter || w.orphaned && w.change.Live == nil || w.change.Op == plan.Delete && isEntry(stage)) {
			w.stages = nil
			return nil
		}
		w.stages = w.stages[1:]
		if w.open = len(stage); w.open > 0 {
			return stage
		}
	}
	return nil
}

func isEntry(stage []plan.Change) bool {
	return len(stage) > 0 && stage[0].Key.Kind == translate.KindServiceEntry
}

// Done takes how a write ended; r has the Key and the Op that Next gave.
func (w *Writing) Done(r output.Result) {
	w.open--
	w.tried++
	if r.Err == nil {
		w.written++
	}
	switch {
	case r.Err == nil && r.Live != nil:
		w.stored[r.Key] = *r.Live
	case r.Err == nil:
		delete(w.stored, r.Key)
	default:
		w.orphaned = w.orphaned || r.Op == plan.Create && r.Key.Kind == translate.KindServiceEntry
		w.worst.RetryAfter = max(w.worst.RetryAfter, r.RetryAfter)
		if severity(r.Err) > severity(w.worst.Err) {
			w.worst.Err = r.Err
		}
	}
}

// severity orders errors by how much they stop.
func severity(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, output.ErrOutput):
		return 3
	case errors.Is(err, output.ErrConflict):
		return 2
	}
	return 1
}

// Result returns how the change as a whole ended; false when nothing of it was tried.
func (w *Writing) Result() (r output.Result, tried bool) {
	r = w.worst
	r.Key, r.Op = w.change.Key, w.change.Op
	left := w.open
	for _, stage := range w.stages {
		left += len(stage)
	}
	r.More = left > 0 && w.written > 0 && !errors.Is(r.Err, output.ErrOutput)
	done := r.Err == nil && left == 0
	stored := make([]plan.Live, 0, len(w.stored))
	for _, live := range w.stored {
		stored = append(stored, live)
	}
	slices.SortFunc(stored, Compare)
	if len(stored) > 0 && (done || w.divides()) {
		last := w.change.Live
		if done {
			last = &plan.Live{Object: w.change.Object}
		}
		live := Join(stored, last)
		r.Live = &live
	}
	return r, w.tried > 0 || left == 0
}

// divides reports whether the change is about more than one piece, so that a part of it can be written.
func (w *Writing) divides() bool {
	live := w.change.Live
	return live != nil && live.Stored != nil || isSplit(w.change.Object)
}

// Write carries out a change one piece after the other, for as long as proceed allows it and the output is not in trouble.
func Write(c plan.Change, write func(plan.Change) (*plan.Live, error), proceed func() bool) (r output.Result, tried bool) {
	w := Begin(c)
	for stage := w.Next(); len(stage) > 0; stage = w.Next() {
		for _, piece := range stage {
			if !proceed() || errors.Is(w.worst.Err, output.ErrOutput) {
				return w.Result()
			}
			live, err := write(piece)
			w.Done(output.Result{Key: piece.Key, Op: piece.Op, Live: live, Err: err})
		}
	}
	return w.Result()
}

// gainsIdentity reports whether want has an identity that live has not.
func gainsIdentity(live, want *translate.Object) bool {
	return slices.ContainsFunc(want.ServiceEntry.SubjectAltNames, func(name string) bool {
		return !slices.Contains(live.ServiceEntry.SubjectAltNames, name)
	})
}
