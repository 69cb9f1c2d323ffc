package plan

import (
	"slices"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// entry returns what may be done now of a change of a host's object; false for nothing.
func (s *stager) entry(c pending) (pending, bool) {
	at := slices.IndexFunc(s.hosts[c.host.host], func(h *stagedHost) bool { return h.key == c.host })
	if at < 0 || !s.staged(c.registry) {
		return c, true
	}
	h := s.hosts[c.host.host][at]
	blocked, stuck := s.coming(h, &c), s.going(h, &c)
	switch c.Op {
	case Create:
		return c, !blocked
	case Delete:
		return c, len(stuck) == 0
	case Remove, Update:
	}
	live := c.Live.Object
	if blocked || len(stuck) > 0 {
		c.Object = (&passage{s, live, c.Object, stuck}).object()
	}
	if kept := s.lastOfSubset(h, live); len(kept) > 0 {
		c.Object = merge(c.Object, live, kept)
	}
	if covers(live, c.Object) {
		return c, false
	}
	if c.Op = Update; losesEndpoint(live, c.Object) {
		c.Op = Remove
	}
	return c, true
}

// coming reports whether the change needs a table that no live object of the host does, and that proxies have not had for long enough.
func (s *stager) coming(h *stagedHost, c *pending) (blocked bool) {
	if c.Object == nil {
		return false
	}
	var until []time.Time
	for _, key := range c.Object.Tables(everywhere) {
		if at := s.settledAt(s.resolve(key)); !slices.Contains(h.exposure.live, key) && !s.due(at) {
			until = append(until, at)
		}
	}
	if len(until) == 0 {
		return false
	}
	s.wait(reason.TableFirst, c, latest(until), "Its consumers need a table of Dubbo routes that they have not had for long enough.")
	return true
}

// settledAt returns when proxies have the table; the zero time when it is not live.
func (s *stager) settledAt(key translate.Key) time.Time {
	t := s.tables[key]
	if t == nil || t.live == nil {
		return time.Time{}
	}
	return t.notes.live.Add(settleTime)
}

// going returns the tables that the live object needs, no object of the host will, and which may still have a route to it.
func (s *stager) going(h *stagedHost, c *pending) []translate.Key {
	if c.Live == nil {
		return nil
	}
	var stuck []translate.Key
	var until []time.Time
	for _, key := range c.Live.Object.Tables(everywhere) {
		if slices.Contains(h.needs, key) {
			continue
		}
		table := s.resolve(key)
		named := s.tables[table].names(h.key.host, "")
		at := s.freeAt(leaveKey{host: h.key.host, table: table}, named, drainTime, leaveLimit)
		if !s.due(at) {
			stuck, until = append(stuck, key), append(until, at)
		}
	}
	if len(stuck) > 0 {
		s.wait(reason.RoutesFirst, c, latest(until), "Its routes leave the tables of Dubbo routes first.")
	}
	return stuck
}

// lastOfSubset returns those endpoints of a live object that are the last of a subset to which live tables have routes: the route leaves
// first. An endpoint does not wait for it longer than a removal may take.
func (s *stager) lastOfSubset(h *stagedHost, live *translate.Object) []*translate.Endpoint {
	var kept []*translate.Endpoint
	for _, subset := range s.subsets(h.key.host) {
		if len(subset.Labels) == 0 || h.willHave(subset) {
			continue
		}
		endpoints := live.ServiceEntry.Endpoints
		for i := range endpoints {
			e := &endpoints[i]
			if !selects(subset, e) {
				continue
			}
			key := leaveKey{host: h.key.host, subset: subset.Name, last: true}
			if !s.due(s.freeAt(key, s.isRouted(h.key.host, subset.Name), subsetLead, subsetLimit)) {
				kept = append(kept, e)
			}
		}
	}
	return kept
}
