package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// sourceMemory is what guards remember of one source. It is immutable.
type sourceMemory struct {
	// usable has each desired endpoint of the source; history is how their number went while the source could be trusted.
	usable  claims
	history history
	// accepted is when a loss was last let through; no baseline is older.
	accepted time.Time
	// released is when a person last let one through.
	released time.Time
	// empty is the incident of guard EmptySource; emptyOver says that it has ended and the source is still empty, recovered
	// when one last ended because the source was not empty any more.
	empty     episode
	emptyOver bool
	recovered time.Time
	// mass is the incident of guard MassRemoval, and massBase the baseline that it latched.
	mass     episode
	massBase int
}

// source is one source during one Compute.
type source struct {
	sourceMemory
	id     model.SourceID
	policy *Policy
	status model.Status
	// unread are the units that nobody in this process has read, by their encoded names.
	unread map[string]model.UnitFailure

	// isNew says that the last Compute did not know the source.
	isNew bool

	// What the hosts say in this Compute: how many live endpoints the registry is said to have lost; distinct endpoints that
	// are absent only because their unit cannot be read; and those that configuration took away since the last Compute.
	lost     int
	unknown  map[endpointID]bool
	withdrew map[endpointID]bool
}

// newSource returns the source as the last Compute left it, with today's status.
func newSource(id model.SourceID, policy *Policy, in *Input, old *sourceMemory) *source {
	s := &source{id: id, policy: policy, status: in.Sources[id], isNew: old == nil}
	if old != nil {
		s.sourceMemory = *old
	}
	for unit, failure := range s.status.FailingUnits {
		if failure.Read || expired(failure.Since, policy.MaxHold, in.Now) {
			continue
		}
		if s.unread == nil {
			s.unread = map[string]model.UnitFailure{}
		}
		s.unread[translate.EncodeName(unit)] = failure
	}
	return s
}

// expired reports whether maxHold, when there is one, has passed.
func expired(since time.Time, maxHold time.Duration, now time.Time) bool {
	return maxHold > 0 && !now.Before(since.Add(maxHold))
}

// trusted reports whether what the source does not name is really absent from the registry, as far as the registry knows.
func (s *source) trusted(now time.Time) bool {
	switch s.status.State {
	case model.Synced:
		return true
	case model.Failing:
		return expired(s.status.Since, s.policy.MaxHold, now)
	case model.Listing:
	}
	return false
}

// unreadUnit returns the failure that keeps us from knowing what the source has in the host, if there is one. The object tells which
// unit it was made of; where another Registry published it first, any unit of the source may be in it.
func (s *source) unreadUnit(h *host) (model.UnitFailure, bool) {
	if len(s.unread) == 0 {
		return model.UnitFailure{}, false
	}
	for i := range h.live {
		o := h.live[i].Object
		if o.Annotations[translate.AnnotationRegistry] != s.policy.Name || o.Key.Namespace != s.policy.Namespace {
			return s.earliestUnread(), true
		}
		unit, ok := o.Annotations[translate.AnnotationUnit]
		if !ok {
			unit = o.Annotations[translate.AnnotationService]
		}
		if failure, ok := s.unread[unit]; ok {
			return failure, true
		}
	}
	return model.UnitFailure{}, false
}

func (s *source) earliestUnread() model.UnitFailure {
	return slices.MinFunc(slices.Collect(maps.Values(s.unread)), func(a, b model.UnitFailure) int { return a.Since.Compare(b.Since) })
}

// horizon is the time of the baseline: 5 minutes ago, or 5 minutes before a mass removal that is still going on, but not before a
// loss that was let through.
func (s *source) horizon(now time.Time) time.Time {
	if s.mass.active() {
		now = s.mass.since
	}
	if t := now.Add(-baselineAge); t.After(s.accepted) {
		return t
	}
	return s.accepted
}

// step moves the guards of the whole source on to now: it records the count, and begins and ends incidents.
func (s *source) step(v *view) {
	trusted := s.trusted(v.now)
	s.empty, s.mass = s.empty.tick(v.now, trusted), s.mass.tick(v.now, trusted)
	if s.history == nil {
		s.history = seeded(v.liveAddresses(s.id))
	}
	if by := s.unclaimed(s.withdrew); by > 0 {
		s.history = s.history.lowered(by)
		s.massBase = max(0, s.massBase-by)
	}
	if !trusted {
		return
	}
	n := s.usable.distinct + s.unclaimed(s.unknown)
	base := s.history.at(s.horizon(v.now))
	if s.history.last() != n {
		s.history = s.history.record(v.now, n, s.horizon(v.now))
	}
	s.stepMass(v, base, n)
	s.stepEmpty(v, n)
}

// unclaimed counts the endpoints that no host wants of the source any more.
func (s *source) unclaimed(ids map[endpointID]bool) int {
	n := 0
	for id := range ids {
		if s.usable.of(id) == 0 {
			n++
		}
	}
	return n
}

// accept lets the loss through: what is left is the new normal.
func (s *source) accept(now time.Time) {
	s.accepted = now
	s.mass, s.massBase = episode{}, 0
}

// ended reports whether an incident of the whole source, which can be trusted, is over, by time or by a person.
func (s *source) ended(v *view, guard reason.Reason, e episode) bool {
	if v.released(s.policy, v.incident(guard, s.id)) {
		s.released = v.now
		return true
	}
	return !v.now.Before(e.until(s.policy.MassRemovalHold))
}
