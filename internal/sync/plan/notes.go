package plan

import (
	"slices"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// notes are what guards remember of one host. They are immutable; an update copies what it changes.
type notes struct {
	services []service
	// absences is sorted by id.
	absences []absence
	// emptied are the objects that have lost their last endpoint, ports those that configuration replaced.
	emptied []emptied
	ports   []replacedPort
}

// service is one source's part of a host.
type service struct {
	source model.SourceID
	// history is how many endpoints the registry listed while it could be trusted; the newest count is the current one.
	history history
	// trip is the incident of guard EmptyService.
	trip emptyTrip
}

// absence is a live endpoint that is not desired.
type absence struct {
	id endpointID
	// since is when it was first missed; reused since when its address and port have been registered by another service.
	since, reused time.Time
	// shared says that another service had the same address and port all along: one process with several services.
	shared bool
	// withdrawn says that configuration took it away.
	withdrawn bool
	// last is the guard that held it in the last Compute, passed when none did, empty when it is new.
	last reason.Reason
}

// passed marks an absence that no guard holds: the endpoint is on its way out.
const passed reason.Reason = "passed"

// emptied is an object without any endpoint, and since when.
type emptied struct {
	key   translate.Key
	since time.Time
}

// replacedPort is a port of a live object that is not desired any more, and since when.
type replacedPort struct {
	key    translate.Key
	number uint32
	since  time.Time
}

func (n *notes) absence(id endpointID) absence {
	i, ok := slices.BinarySearchFunc(n.absences, id, func(a absence, id endpointID) int { return a.id.compare(id) })
	if !ok {
		return absence{id: id}
	}
	return n.absences[i]
}

func (n *notes) emptiedSince(key translate.Key, now time.Time) time.Time {
	for _, e := range n.emptied {
		if e.key == key {
			return e.since
		}
	}
	return now
}

func (n *notes) replacedSince(key translate.Key, number uint32, now time.Time) time.Time {
	for _, p := range n.ports {
		if p.key == key && p.number == number {
			return p.since
		}
	}
	return now
}

func (n *notes) service(source model.SourceID) *service {
	for i := range n.services {
		if n.services[i].source == source {
			return &n.services[i]
		}
	}
	return nil
}

// observed returns the host with the counts of its services brought up to now; withdrew is what configuration has just taken away.
// It is the same host when nothing changed.
func (h *host) observed(v *view, withdrew []tally) *host {
	if len(withdrew) == 0 && !h.stale(v) {
		return h
	}
	next := *h
	next.notes.services = slices.Clone(h.notes.services)
	for _, tallies := range [][]tally{h.lives, h.wants} {
		for _, t := range tallies {
			if next.notes.service(t.source) == nil {
				next.notes.services = append(next.notes.services, service{source: t.source, history: seeded(count(h.lives, t.source))})
			}
		}
	}
	for i := range next.notes.services {
		s := &next.notes.services[i]
		n := count(h.wants, s.source)
		if by := count(withdrew, s.source); by > 0 {
			s.history = s.history.lowered(by)
			s.trip.n = max(0, s.trip.n-by)
		}
		if n >= s.trip.n {
			s.trip = emptyTrip{}
		}
		if from := v.sources[s.source]; s.history.last() != n && from.knows(v.now, h) {
			s.history = s.history.record(v.now, n, from.horizon(v.now))
		}
	}
	return &next
}

// stale reports whether a count of the host is not what was noted.
func (h *host) stale(v *view) bool {
	for _, tallies := range [2][]tally{h.lives, h.wants} {
		for _, t := range tallies {
			if h.notes.service(t.source) == nil {
				return true
			}
		}
	}
	for i := range h.notes.services {
		s := &h.notes.services[i]
		n := count(h.wants, s.source)
		if s.trip.n > 0 && n >= s.trip.n || s.history.last() != n && v.sources[s.source].knows(v.now, h) {
			return true
		}
	}
	return false
}

// knows reports whether what the source does not name in the host is really absent from the registry.
func (s *source) knows(now time.Time, h *host) bool {
	if s == nil || !s.trusted(now) {
		return false
	}
	_, unread := s.unreadUnit(h)
	return !unread
}
