// Package store keeps the last good state of every source: what has been read stays until the registry itself, or a finished full
// listing, says that it is gone.
//
// A source writes through the sink of its current run; the engine reads immutable snapshots. One mutex guards everything, is never held
// across I/O, and every operation costs in proportion to what it changes (a finished listing: to what the source holds).
package store

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// Owner names the Registry that configured a source.
type Owner struct{ Namespace, Registry string }

// Store holds the last good state per source. All methods may be called from any goroutine.
type Store struct {
	changed chan struct{}

	mu       sync.Mutex
	records  map[model.SourceID]*record
	order    []model.SourceID // sorted ids of records
	snapshot model.Snapshot
	statuses map[model.SourceID]model.Status
	// stale says that snapshot or statuses do not show everything any more; since is when the first such change came.
	stale struct {
		snapshot, statuses bool
		since              time.Time
	}
}

// New returns a store without sources.
func New() *Store {
	return &Store{
		changed:  make(chan struct{}, 1),
		records:  map[model.SourceID]*record{},
		statuses: map[model.SourceID]model.Status{},
	}
}

// Configure makes sources the set of configured sources. What a source that is no longer among them held is forgotten, and its runs
// are ignored from here on; a source that stays keeps everything.
func (s *Store) Configure(sources map[model.SourceID]Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, rec := range s.records {
		if _, keep := sources[id]; !keep {
			rec.run = nil
			delete(s.records, id)
			s.touchAll()
		}
	}
	for id, owner := range sources {
		rec, known := s.records[id]
		if !known {
			rec = newRecord(id, time.Now())
			s.records[id] = rec
		}
		if !known || rec.owner != owner {
			rec.owner = owner
			s.touchAll()
		}
	}
	s.order = slices.Sorted(maps.Keys(s.records))
}

// Changed is signalled when there is something that was not read yet. A service that changes again before
// it has been read is not signalled again, so one restless service cannot keep a listener from a moment of quiet.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// View is what a store holds at one moment.
type View struct {
	Snapshot model.Snapshot
	Statuses map[model.SourceID]model.Status
	// Since is when the oldest change was made that no view had shown before, the zero time when there is none.
	Since time.Time
}

// View returns the current state of all sources together with how far each can be trusted. Both are of the same moment: a status that
// is newer than the services could vouch for services that are not complete yet. Nothing in a view is ever changed, and what did not
// change since the last view is the same slice, the same map and the same pointers.
func (s *Store) View() View {
	s.mu.Lock()
	defer s.mu.Unlock()
	view := View{Snapshot: s.readSnapshot(), Statuses: s.readStatuses(), Since: s.stale.since}
	s.stale.since = time.Time{}
	return view
}

// Snapshot returns the current state of all sources, and leaves View.Since alone.
func (s *Store) Snapshot() model.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readSnapshot()
}

// Statuses returns how far each source can be trusted.
func (s *Store) Statuses() map[model.SourceID]model.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readStatuses()
}

// Changes returns how many changes of services each source has made since it was configured.
func (s *Store) Changes() map[model.SourceID]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := make(map[model.SourceID]uint64, len(s.records))
	for id, rec := range s.records {
		changes[id] = rec.changes
	}
	return changes
}

func (s *Store) readSnapshot() model.Snapshot {
	if !s.stale.snapshot {
		return s.snapshot
	}
	s.stale.snapshot = false
	sources := make([]model.SourceServices, len(s.order))
	for i, id := range s.order {
		sources[i] = model.SourceServices{ID: id, Services: s.records[id].sorted()}
	}
	s.snapshot = model.Snapshot{Sources: sources}
	return s.snapshot
}

func (s *Store) readStatuses() map[model.SourceID]model.Status {
	if !s.stale.statuses {
		return s.statuses
	}
	s.stale.statuses = false
	statuses := make(map[model.SourceID]model.Status, len(s.records))
	for id, rec := range s.records {
		statuses[id] = rec.status()
	}
	s.statuses = statuses
	return statuses
}

// Runs returns where the runs of the source report to. Runs of a source that is not configured when they begin are ignored.
func (s *Store) Runs(id model.SourceID) source.Runs { return runs{store: s, id: id} }

// touchServices notes that services changed, and signals unless they had been signalled before.
func (s *Store) touchServices(signalled bool) {
	s.stale.snapshot = true
	if s.stale.since.IsZero() {
		s.stale.since = time.Now()
	}
	if !signalled {
		s.signal()
	}
}

// touchStatus notes that the status of rec changed.
func (s *Store) touchStatus(rec *record) {
	rec.rendered = nil
	s.stale.statuses = true
	s.signal()
}

// touchAll notes a change of the set of sources, or of what they are.
func (s *Store) touchAll() {
	s.stale.statuses = true
	for _, rec := range s.records {
		rec.rendered = nil
	}
	s.touchServices(false)
}

// setHints replaces the hints of a source.
func (s *Store) setHints(rec *record, hints []model.Hint) {
	hints = slices.SortedStableFunc(slices.Values(hints), func(a, b model.Hint) int { return strings.Compare(a.Reason, b.Reason) })
	hints = slices.CompactFunc(hints, func(a, b model.Hint) bool { return a.Reason == b.Reason })
	if !slices.Equal(rec.hints, hints) {
		rec.hints = hints
		s.touchStatus(rec)
	}
}

func (s *Store) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// runs is source.Runs for one source.
type runs struct {
	store *Store
	id    model.SourceID
}

// Begin implements source.Runs.
func (r runs) Begin() (source.Sink, func(err error)) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	rec := r.store.records[r.id]
	if rec == nil {
		rec = newRecord(r.id, time.Time{}) // Nobody will ever see it.
	}
	sink := &runSink{store: r.store, rec: rec}
	rec.begin(sink)
	r.store.setHints(rec, nil)
	return sink, sink.end
}
