package zookeeper

import (
	"maps"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// ledger is what one Run has told its sink, unit by unit, and what the Run before had told.
type ledger struct {
	id    model.SourceID
	sink  source.Sink
	units map[string]*told
	// before is what the last Run has told, of units that this one has not seen yet.
	before map[string][]*model.Service
	// synced says that the sink was told Synced.
	synced bool
}

func newLedger(id model.SourceID, sink source.Sink, before map[string][]*model.Service) *ledger {
	return &ledger{id: id, sink: sink, units: make(map[string]*told), before: maps.Clone(before)}
}

// told is what the sink knows of a unit.
type told struct {
	// services is what it was last told, sorted by Ref; unnamed says that this was in an earlier Run, so that all of it has to be named
	// again.
	services []*model.Service
	unnamed  bool
	// skipped says that it was last told Skip.
	skipped bool
}

// open returns what was told of a unit.
func (l *ledger) open(unit string) *told {
	t := l.units[unit]
	if t == nil {
		t = &told{services: l.before[unit], unnamed: true}
		delete(l.before, unit)
		l.units[unit] = t
	}
	return t
}

// has says whether a unit is open.
func (l *ledger) has(unit string) bool { return l.units[unit] != nil }

// close tells that a unit is gone.
func (l *ledger) close(unit string) {
	t := l.open(unit)
	delete(l.units, unit)
	if len(t.services) > 0 || t.skipped {
		l.sink.Delete(l.ref(unit))
	}
}

// skip tells that a unit cannot be read.
func (l *ledger) skip(unit string, err error) {
	l.open(unit).skipped = true
	l.sink.Skip(l.ref(unit), err)
}

// tell reports the difference between what the sink knows of a unit and what is true now, sorted by Ref. A service that is equal to what
// was told before is not told again and keeps its pointer, unless it has to be named: because the unit had been skipped, or not yet named
// in this Run.
func (l *ledger) tell(unit string, next []*model.Service) {
	t := l.open(unit)
	known := make(map[string]*model.Service, len(t.services))
	for _, svc := range t.services {
		known[svc.Ref.Name] = svc
	}
	for i, svc := range next {
		old := known[svc.Ref.Name]
		delete(known, svc.Ref.Name)
		if old != nil && old.Equal(svc) {
			next[i] = old
			if !t.skipped && !t.unnamed {
				continue
			}
		}
		l.sink.Upsert(next[i])
	}
	for _, svc := range t.services {
		if known[svc.Ref.Name] != nil {
			l.sink.Delete(svc.Ref)
		}
	}
	if t.skipped && len(next) == 0 {
		l.sink.Delete(l.ref(unit))
	}
	t.services, t.skipped, t.unnamed = next, false, false
}

func (l *ledger) ref(unit string) model.Ref { return model.Ref{Source: l.id, Unit: unit} }

// sync tells Synced, once.
func (l *ledger) sync() {
	if !l.synced {
		l.synced = true
		l.sink.Synced()
	}
}

// all returns what the sink has been told in this Run, and what it keeps from the last.
func (l *ledger) all() map[string][]*model.Service {
	services := l.before
	if services == nil || l.synced {
		services = make(map[string][]*model.Service, len(l.units))
	}
	for unit, t := range l.units {
		if len(t.services) > 0 {
			services[unit] = t.services
		}
	}
	return services
}
