package store

import (
	"maps"
	"slices"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// record is the state of one source. The store's mutex guards it.
type record struct {
	id    model.SourceID
	owner Owner
	// run is the sink of the current run, nil between runs: calls of any other sink are ignored.
	run *runSink
	// listing counts the full listings: it moves at each Begin and each Synced. What was named carries the number, so that
	// Synced knows what was not.
	listing uint64
	// begun is the value of listing when the current run began.
	begun uint64

	units map[string]*unit
	// failures are the units whose last read failed.
	failures map[string]model.UnitFailure

	// hints are those of the current run, or of the last one when there is none.
	hints []model.Hint

	state model.State
	since time.Time
	err   string
	cause string
	// interruption is why the run hears nothing now, nil while it does, and interrupted since when.
	interruption error
	interrupted  time.Time
	// rendered is the status as last handed out, nil when it is out of date.
	rendered *model.Status

	// list is what sorted returned last; pending are the changes since then by Ref.Unit and Ref.Name, nil for a service that is
	// gone.
	list    []*model.Service
	pending map[model.Ref]*model.Service
	// changes counts what went into pending.
	changes uint64
}

// unit is one unit of a source.
type unit struct {
	services map[string]*entry // by Ref.Name
	// read says that the unit was named by Upsert or Delete, so what services holds is its last good state.
	read bool
	// named is the listing in which it was last named in any way.
	named uint64
}

// entry is one service.
type entry struct {
	service *model.Service
	named   uint64
}

func newRecord(id model.SourceID, now time.Time) *record {
	return &record{
		id: id, since: now,
		units:    map[string]*unit{},
		failures: map[string]model.UnitFailure{},
		pending:  map[model.Ref]*model.Service{},
	}
}

func (r *record) begin(sink *runSink) {
	r.run = sink
	r.listing++
	r.begun = r.listing
}

// unit returns the unit by name, made when it is new, and notes that it was named.
func (r *record) unit(name string) *unit {
	u := r.units[name]
	if u == nil {
		u = &unit{services: map[string]*entry{}}
		r.units[name] = u
	}
	u.named = r.listing
	return u
}

// set stores a service, nil for gone, for the next sorted. It reports whether a change of that service was pending already.
func (r *record) set(ref model.Ref, svc *model.Service) (wasPending bool) {
	_, wasPending = r.pending[ref]
	r.pending[ref] = svc
	r.changes++
	return wasPending
}

// sorted returns all services sorted by Ref: the same slice when nothing changed, else a new one merged from the old and the changes.
func (r *record) sorted() []*model.Service {
	if len(r.pending) == 0 {
		return r.list
	}
	refs := slices.SortedFunc(maps.Keys(r.pending), model.Ref.Compare)
	merged := make([]*model.Service, 0, len(r.list)+len(refs))
	old := r.list
	for _, ref := range refs {
		at, found := slices.BinarySearchFunc(old, ref, func(s *model.Service, ref model.Ref) int { return s.Ref.Compare(ref) })
		merged = append(merged, old[:at]...)
		if found {
			at++
		}
		old = old[at:]
		if svc := r.pending[ref]; svc != nil {
			merged = append(merged, svc)
		}
	}
	merged = append(merged, old...)
	r.list = merged
	clear(r.pending)
	return r.list
}

// status renders the status, the same value as long as nothing changed.
func (r *record) status() model.Status {
	if r.rendered != nil {
		return *r.rendered
	}
	r.rendered = &model.Status{
		Namespace: r.owner.Namespace, Registry: r.owner.Registry,
		State: r.state, Since: r.since, Err: r.err, Cause: r.cause, Interrupted: r.interrupted,
		FailingUnits: maps.Clone(r.failures), Hints: r.hints,
	}
	if r.interruption != nil {
		r.rendered.Err, r.rendered.Cause = r.interruption.Error(), string(source.Cause(r.interruption))
	}
	return *r.rendered
}

// interrupt notes why nothing is heard, nil for the end of an interruption, and reports whether that is a change.
func (r *record) interrupt(why error, now time.Time) bool {
	if r.interruption == nil && why == nil || r.interruption != nil && why != nil && r.interruption.Error() == why.Error() {
		return false
	}
	switch {
	case why == nil:
		r.interrupted = time.Time{}
	case r.interruption == nil:
		r.interrupted = now
	}
	r.interruption = why
	return true
}

// enter moves to a state with an error, nil for none, and reports whether that is a change.
func (r *record) enter(state model.State, err error, now time.Time) bool {
	var text, cause string
	if err != nil {
		text, cause = err.Error(), string(source.Cause(err))
	}
	if r.state == state && r.err == text {
		return false
	}
	if r.state != state {
		r.state, r.since = state, now
	}
	r.err, r.cause = text, cause
	return true
}
