package plan

import (
	"slices"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// table is one table of Dubbo routes during one Compute.
type table struct {
	key     translate.Key
	desired *translate.Object
	live    *Live
	notes   tableNotes
	// hosts are those that need it, or will.
	hosts []*stagedHost
	// named are the hosts, and the subsets of them, that live routes name; it is made when somebody asks.
	named map[subsetKey]bool
}

type subsetKey struct{ host, subset string }

// tableNotes are what is remembered of a table.
type tableNotes struct {
	// live is since when it is, without a break; idle since when no host needs it, zero while one does. Emptied says that one did,
	// in this process.
	live, idle time.Time
	emptied    bool
	// routes are those that it shall have instead of the live ones, first when others were first wanted, and last when these were.
	routes      []translate.DubboRoute
	first, last time.Time
}

// neededBy notes a host; it is called for one host after the other.
func (t *table) neededBy(h *stagedHost) {
	if n := len(t.hosts); n == 0 || t.hosts[n-1] != h {
		t.hosts = append(t.hosts, h)
	}
}

// observe brings up to now what is remembered of the table.
func (t *table) observe(s *stager) {
	var old tableNotes
	if s.old.staging != nil {
		old = s.old.staging.tables[t.key]
	}
	t.notes = old
	if t.live == nil {
		t.notes.live = time.Time{}
	} else if old.live.IsZero() {
		t.notes.live = s.now
	}
	switch {
	case len(t.hosts) > 0 || t.desired != nil:
		t.notes.idle, t.notes.emptied = time.Time{}, true
	case old.idle.IsZero():
		t.notes.idle = s.now
	}
}

// step returns the change of the table that may be made now.
func (t *table) step(s *stager) (pending, bool) {
	defer func() { s.next.tables[t.key] = t.notes }()
	c := pending{Change: Change{Key: t.key, Live: t.live}, registry: t.registry()}
	if !t.notes.idle.IsZero() || t.endsUnneeded(s) && !s.staged(c.registry) {
		c.Op = Delete
		return c, t.mayGo(s, c.registry)
	}
	live := t.object()
	if live != nil && live == t.desired {
		t.calm()
		return c, false
	}
	want := t.aim(s)
	if live == nil {
		c.Op, c.Object = Create, want
		return c, true
	}
	if !s.staged(c.registry) {
		t.calm()
	} else if want = t.calmed(s, want); want == nil {
		return c, false
	}
	c.Op, c.Object = Update, want
	return c, !covers(live, want)
}

func (t *table) object() *translate.Object {
	if t.live == nil {
		return nil
	}
	return t.live.Object
}

// registry returns a Registry that decides whether the table may be written: one of those whose hosts need it, and one that is active when
// there is one.
func (t *table) registry() registryKey {
	for _, h := range t.hosts {
		if h.writable {
			return h.registry
		}
	}
	if len(t.hosts) > 0 {
		return t.hosts[0].registry
	}
	return registryKey{}
}

// endsUnneeded reports whether no host will need the table when all changes are made.
func (t *table) endsUnneeded(s *stager) bool {
	return t.desired == nil && !slices.ContainsFunc(t.hosts, func(h *stagedHost) bool { return s.has(h.needs, t.key) })
}

// mayGo reports whether a table that nobody needs may be deleted. One that has not been needed in this process may be needed by what has
// not been read yet.
func (t *table) mayGo(s *stager, registry registryKey) bool {
	if !t.notes.emptied && !s.knowsAll() {
		return false
	}
	return !s.staged(registry) || s.due(t.notes.idle.Add(settleTime))
}

// knowsAll reports whether there are Registries, and every source of them has said what it has.
func (s *stager) knowsAll() bool {
	return len(s.in.Policies) > 0 && !slices.ContainsFunc(s.in.Policies, func(p Policy) bool { return !p.Deleted && !s.allSynced(&p) })
}

// aim returns the table with those routes that it shall have, as things are.
func (t *table) aim(s *stager) *translate.Object {
	base := t.desired
	if base == nil {
		base = t.object()
	}
	if base == nil {
		return t.empty(s)
	}
	spec := t.routes(s)
	if spec.Same(base.EnvoyFilter) {
		return base
	}
	out := *base
	out.EnvoyFilter = spec
	return &out
}

// empty returns a table without routes, for an entry that is live without one while nothing is known of the registry.
func (t *table) empty(s *stager) *translate.Object {
	out := &translate.Object{Key: t.key, EnvoyFilter: &translate.EnvoyFilter{}}
	for _, h := range t.hosts {
		for i := range h.live {
			o := h.live[i].Object
			for _, port := range o.ServiceEntry.TablePorts() {
				if translate.TableKey(t.key.Namespace, port) == t.key && s.has(o.Tables(everywhere), t.key) {
					out.EnvoyFilter.Port = port
					out.Labels = map[string]string{
						translate.LabelManagedBy: o.Labels[translate.LabelManagedBy], translate.LabelInstance: o.Labels[translate.LabelInstance],
					}
				}
			}
		}
	}
	return out
}

// routes returns what is desired of the table, as far as it can be now, and what is live of hosts of which nothing new is known.
//
//	desired  live  the hosts that it names           route
//	yes      same  any                               desired
//	yes      yes   one is silent                     live
//	yes      any   all are complete                  desired
//	yes      yes   one is missing, or not complete   live
//	yes      no    one is missing, or not complete   –
//	no       yes   one is silent                     live
//	no       yes   none is silent                    –
//
// A live route that stays loses the targets that are not, or not for long.
func (t *table) routes(s *stager) *translate.EnvoyFilter {
	desired, live := t.specs()
	if desired.Same(&live) || !s.staged(t.registry()) {
		return &desired
	}
	var routes []translate.DubboRoute
	for i := range desired.Routes {
		want := &desired.Routes[i]
		is := live.Find(want)
		switch {
		case is != nil && is.Same(want), (is == nil || !t.any(s, is, silent)) && t.complete(s, want):
			routes = append(routes, *want)
		case is != nil:
			routes = t.appendAlive(s, routes, is)
		}
	}
	var others []translate.DubboRoute
	for i := range live.Routes {
		if is := &live.Routes[i]; desired.Find(is) == nil && t.any(s, is, silent) {
			others = t.appendAlive(s, others, is)
		}
	}
	return (&translate.EnvoyFilter{Port: desired.Port, Routes: routes}).With(others)
}

// specs returns what is desired and what is live, as far as we would write it. A table that is not desired has no routes.
func (t *table) specs() (desired, live translate.EnvoyFilter) {
	if t.live != nil {
		live = *t.live.Object.EnvoyFilter
		live.Unknown, desired.Port = "", live.Port
	}
	if t.desired != nil {
		desired = *t.desired.EnvoyFilter
	}
	return desired, live
}

// standing is how far a proxy of the table's namespace may rely on a target.
type standing uint8

const (
	missing standing = iota
	// leaving: it is there, and about to go.
	leaving
	// partial: it is there, and a part of it is not yet.
	partial
	complete
	// silent: it is there, and stays, and nothing new is known of it.
	silent
)

func (t *table) standing(s *stager, target translate.DubboTarget) standing {
	key := translate.TableKey(t.key.Namespace, target.Port)
	best := missing
	for _, h := range s.hosts[target.Host] {
		is := partial
		switch {
		case !s.has(h.exposure.live, key):
			is = missing
		case !s.has(h.needs, key):
			is = leaving
		case h.silent:
			is = silent
		case s.has(h.exposure.complete, key):
			is = complete
		}
		best = max(best, is)
	}
	return best
}

// any reports whether a target of the route stands so.
func (t *table) any(s *stager, r *translate.DubboRoute, is standing) bool {
	for target := range r.Targets {
		if t.standing(s, target) == is {
			return true
		}
	}
	return false
}

// complete reports whether proxies know all that the route names.
func (t *table) complete(s *stager, r *translate.DubboRoute) bool {
	for target := range r.Targets {
		if t.standing(s, target) != complete || target.Subset != "" && !s.knowsSubset(target.Host, target.Subset) {
			return false
		}
	}
	return true
}

// appendAlive appends the route without targets that are not there or about to go, and without subsets that are about to be empty.
func (t *table) appendAlive(s *stager, routes []translate.DubboRoute, r *translate.DubboRoute) []translate.DubboRoute {
	dead := func(target translate.DubboTarget) bool {
		return t.standing(s, target) <= leaving || target.Subset != "" && s.runsEmpty(target.Host, target.Subset)
	}
	kept := translate.DubboRoute{Interface: r.Interface, Group: r.Group, Version: r.Version}
	for _, match := range r.Matches {
		if slices.ContainsFunc(match.To, dead) {
			match.To = slices.DeleteFunc(slices.Clone(match.To), dead)
			if len(match.To) == 1 {
				match.To[0].Weight = 0
			}
		}
		if len(match.To) > 0 {
			kept.Matches = append(kept.Matches, match)
		}
	}
	if len(kept.Matches) == 0 {
		return routes
	}
	return append(routes, kept)
}

// calm forgets the routes that the table was to have.
func (t *table) calm() { t.notes.routes, t.notes.first, t.notes.last = nil, time.Time{}, time.Time{} }

// calmed returns what may be written now of what is wanted; nil when that is nothing yet.
func (t *table) calmed(s *stager, want *translate.Object) *translate.Object {
	live, spec := t.live.Object, want.EnvoyFilter
	sameRoutes := slices.EqualFunc(live.EnvoyFilter.Routes, spec.Routes, equalRoutes)
	if sameRoutes || live.EnvoyFilter.Port != spec.Port || live.EnvoyFilter.Unknown != "" {
		t.calm()
		return want
	}
	if t.notes.first.IsZero() {
		t.notes.first = s.now
	}
	if t.notes.last.IsZero() || !slices.EqualFunc(t.notes.routes, spec.Routes, equalRoutes) {
		t.notes.routes, t.notes.last = spec.Routes, s.now
	}
	due := t.notes.last.Add(quietTime)
	if limit := t.notes.first.Add(quietLimit); limit.Before(due) {
		due = limit
	}
	if !s.now.Before(due) {
		return want
	}
	s.wakeAt(due)
	if urgent := withoutTags(live.EnvoyFilter, spec); urgent != nil {
		out := *want
		out.EnvoyFilter = urgent
		return &out
	}
	return nil
}

func equalRoutes(a, b translate.DubboRoute) bool { return a.Same(&b) }

// withoutTags returns the live table without matches of tags that its routes shall not have any more, which waits for nothing; nil when there
// is none.
func withoutTags(live, want *translate.EnvoyFilter) *translate.EnvoyFilter {
	var out *translate.EnvoyFilter
	for i := range live.Routes {
		r := want.Find(&live.Routes[i])
		if r == nil {
			continue
		}
		unwanted := func(m translate.DubboMatch) bool {
			return isTagged(&m) && !slices.ContainsFunc(r.Matches, func(o translate.DubboMatch) bool { return o.Tag == m.Tag && o.Method == m.Method })
		}
		if !slices.ContainsFunc(live.Routes[i].Matches, unwanted) {
			continue
		}
		if out == nil {
			clone := *live
			clone.Routes = slices.Clone(live.Routes)
			out = &clone
		}
		out.Routes[i].Matches = slices.DeleteFunc(slices.Clone(live.Routes[i].Matches), unwanted)
	}
	if out == nil {
		return nil
	}
	return out.Keep(func(r *translate.DubboRoute) bool { return len(r.Matches) > 0 })
}

func isTagged(m *translate.DubboMatch) bool {
	return m.Tag != "" || slices.ContainsFunc(m.To, func(t translate.DubboTarget) bool { return t.Subset != "" })
}
