package plan

import (
	"slices"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// A service that is routed by what a call says is several objects: its entries, the tables of routes (EnvoyFilters) where its consumers
// are, and perhaps a DestinationRule. A proxy that sees such an entry and no table sends all calls of the port to that one service, and one
// that has a route to what it does not see fails the call. Proxies learn of an object some time after it is written, and of two objects in
// any order, so these are written with time in between:
//
//	comes                                     goes
//	─────                                     ────
//	table, without routes                     routes, once they are quiet
//	settleTime                                drainTime
//	entry, port or namespace                  entry, port or namespace
//	routes, once they are quiet               settleTime
//	                                          table that nobody needs
//
// What composing the hosts has decided (guards included) is the end; staging says how far to go now. Every step looks at what is live, so
// it does not matter where the last process ended, what somebody deleted, or what could not be written.
const (
	// settleTime is how long proxies may take to learn of a write.
	settleTime = 5 * time.Second
	// drainTime is how long connections go on with the routes that they began with, the settling included: Istio's drainDuration, which
	// ends them, is 45 s when nobody has changed it (docs/design/0014).
	drainTime = time.Minute
	// A change of a table's routes is written when there was no other for quietTime, at most quietLimit after the first: each is a new
	// listener in every proxy.
	quietTime  = 5 * time.Second
	quietLimit = time.Minute
	// leaveLimit is how long something waits for its routes to leave. A table that cannot be written keeps nothing for longer.
	leaveLimit = 3 * time.Minute
	// The last endpoint of a subset leaves subsetLead after its route, and subsetLimit after it was lost at the latest.
	subsetLead  = 500 * time.Millisecond
	subsetLimit = time.Second
)

// everywhere stands for the root namespace of the mesh in what is remembered of a host: which one that is, is known to an Input.
const everywhere = "*"

// staging is what is remembered of steps that were made. It is immutable.
type staging struct {
	tables map[translate.Key]tableNotes
	leaves map[leaveKey]leave
}

// leaveKey is what has to be free of routes before it goes: a host in the view of a table's proxies, or a subset of a host everywhere.
// Last says that it is about the last endpoint of the subset.
type leaveKey struct {
	host   string
	table  translate.Key
	subset string
	last   bool
}

// leave is since when something shall go, and since when no live route names it, zero while one does.
type leave struct{ asked, free time.Time }

// exposure is what the objects of one host have to do with tables, as keys whose namespace may be everywhere.
type exposure struct {
	// live are the tables that a live object needs, wanted those that a desired one does, and complete those that every desired
	// object needs as it is live.
	live, wanted, complete []translate.Key
}

func exposureOf(h *host) exposure {
	var x exposure
	for i := range h.live {
		x.live = append(x.live, h.live[i].Object.Tables(everywhere)...)
	}
	for n, d := range h.desired {
		x.wanted = append(x.wanted, d.Tables(everywhere)...)
		if len(x.live) == 0 {
			continue
		}
		var shown []translate.Key
		if live := h.findLive(d.Key); live != nil {
			shown = live.Object.Tables(everywhere)
		}
		if n == 0 {
			x.complete = slices.Clone(shown)
		}
		x.complete = slices.DeleteFunc(x.complete, func(key translate.Key) bool { return !slices.Contains(shown, key) })
	}
	return x
}

func (x *exposure) none() bool { return len(x.live)+len(x.wanted) == 0 }

// stager stages the changes of one Compute.
type stager struct {
	*view
	next *staging
	// hosts are those that have to do with tables, by name.
	hosts map[string][]*stagedHost
	// tables are those that are desired, live or needed; rules the DestinationRules that are desired or live.
	tables map[translate.Key]*table
	rules  map[translate.Key]*rule
}

// stagedHost is a host that has to do with tables.
type stagedHost struct {
	*host
	// changes are those of its objects.
	changes []*pending
	// goal are its objects when all changes are made, and needs the tables that those need.
	goal  []*translate.Object
	needs []translate.Key
	// registry is whose it is, and writable says whether that may be written.
	registry registryKey
	writable bool
	// silent says that nothing new is known of the host, or nothing of it may be written: its routes stay as they are.
	silent bool
}

// stage returns those of the changes that may be made now, what may be made now of the others, and the changes of tables and
// DestinationRules.
func (v *view) stage(changes []pending) []pending {
	s := &stager{view: v, next: &staging{tables: map[translate.Key]tableNotes{}, leaves: map[leaveKey]leave{}}}
	s.collect(changes)
	if len(s.hosts)+len(s.tables)+len(s.rules) == 0 {
		return changes
	}
	v.staging = s.next
	for _, key := range sortedKeys(s.tables) {
		s.tables[key].observe(s)
	}
	staged := make([]pending, 0, len(changes)+len(s.tables))
	for i := range changes {
		if c, ok := s.entry(changes[i]); ok {
			staged = append(staged, c)
		}
	}
	entries := len(staged)
	for _, key := range sortedKeys(s.tables) {
		if c, ok := s.tables[key].step(s); ok {
			staged = append(staged, c)
		}
	}
	for _, key := range sortedKeys(s.rules) {
		if c, ok := s.rules[key].step(s); ok {
			staged = append(staged, c)
		}
	}
	v.continues = v.continues || len(staged) > entries || slices.ContainsFunc(staged[:entries], s.moves)
	return staged
}

// moves reports whether the change of an entry lets something else go on.
func (s *stager) moves(c pending) bool {
	var before, after []translate.Key
	if c.Live != nil {
		before = c.Live.Object.Tables(everywhere)
	}
	if c.Object != nil {
		after = c.Object.Tables(everywhere)
	}
	return !slices.Equal(before, after)
}

func sortedKeys[V any](m map[translate.Key]V) []translate.Key {
	keys := make([]translate.Key, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, translate.Key.Compare)
	return keys
}

// collect finds what has to do with tables.
func (s *stager) collect(changes []pending) {
	s.hosts, s.tables, s.rules = map[string][]*stagedHost{}, map[translate.Key]*table{}, map[translate.Key]*rule{}
	for _, o := range s.in.Desired.Objects {
		switch {
		case o == nil:
		case o.EnvoyFilter != nil:
			s.table(o.Key).desired = o
		case o.DestinationRule != nil:
			s.rule(o.Key).desired = o
		}
	}
	for i := range s.in.Live {
		switch o := s.in.Live[i].Object; {
		case o == nil:
		case o.EnvoyFilter != nil:
			s.table(o.Key).live = &s.in.Live[i]
		case o.DestinationRule != nil:
			s.rule(o.Key).live = &s.in.Live[i]
		}
	}
	byHost := map[hostKey]*stagedHost{}
	for _, h := range s.view.hosts {
		if h.exposure.none() {
			continue
		}
		at := &stagedHost{host: h}
		byHost[h.key] = at
		s.hosts[h.key.host] = append(s.hosts[h.key.host], at)
	}
	for i := range changes {
		if at := byHost[changes[i].host]; at != nil {
			at.changes = append(at.changes, &changes[i])
		}
	}
	for _, h := range s.view.hosts {
		if at := byHost[h.key]; at != nil {
			s.describe(at)
		}
	}
}

// describe finds out where the host stands, and tells its tables.
func (s *stager) describe(h *stagedHost) {
	var policy *Policy
	if len(h.live) > 0 {
		o := h.live[0].Object
		h.registry, policy = registryOf(o), s.objectPolicy(o)
	} else {
		h.registry = registryOf(h.desired[0])
		policy = s.policies[h.registry]
	}
	h.writable = s.writable(policy)
	h.silent = len(h.desired) == 0 || !h.writable
	h.needs = h.exposure.live
	if len(h.changes) > 0 {
		h.aim()
	}
	for _, keys := range [][]translate.Key{h.exposure.live, h.exposure.wanted, h.needs} {
		for _, key := range keys {
			s.table(s.resolve(key)).neededBy(h)
		}
	}
}

// aim finds out what the host is when all its changes are made.
func (h *stagedHost) aim() {
	byKey := map[translate.Key]*pending{}
	for _, c := range h.changes {
		byKey[c.Key] = c
		if c.Live == nil {
			h.goal = append(h.goal, c.Object)
		}
	}
	for i := range h.live {
		o := h.live[i].Object
		if c := byKey[o.Key]; c != nil {
			o = c.Object
		}
		if o != nil {
			h.goal = append(h.goal, o)
		}
	}
	h.needs = nil
	for _, o := range h.goal {
		h.needs = append(h.needs, o.Tables(everywhere)...)
	}
}

// resolve returns the key of a table with a real namespace.
func (s *stager) resolve(key translate.Key) translate.Key {
	if key.Namespace == everywhere {
		key.Namespace = s.in.RootNamespace
	}
	return key
}

// has reports whether the table is among keys.
func (s *stager) has(keys []translate.Key, table translate.Key) bool {
	return slices.ContainsFunc(keys, func(key translate.Key) bool { return s.resolve(key) == table })
}

// table returns the table of a key.
func (s *stager) table(key translate.Key) *table {
	t := s.tables[key]
	if t == nil {
		t = &table{key: key}
		s.tables[key] = t
	}
	return t
}

// rule returns the DestinationRule of a key.
func (s *stager) rule(key translate.Key) *rule {
	r := s.rules[key]
	if r == nil {
		r = &rule{key: key}
		s.rules[key] = r
	}
	return r
}

// staged reports whether the changes of a Registry are made step by step. Those that are not written are shown as they would end.
func (s *stager) staged(registry registryKey) bool {
	return !s.in.AtOnce && s.writable(s.policies[registry])
}

// freeAt returns when what the key says may go: after no route has named it for a time, or limit after it was asked to, unless that is 0.
// The zero time means that only another plan can tell.
func (s *stager) freeAt(key leaveKey, named bool, after, limit time.Duration) time.Time {
	var l leave
	if s.old.staging != nil {
		l = s.old.staging.leaves[key]
	}
	if l.asked.IsZero() {
		l.asked = s.now
	}
	switch {
	case named:
		l.free = time.Time{}
	case l.free.IsZero():
		l.free = s.now
	}
	s.next.leaves[key] = l
	var at time.Time
	if !l.free.IsZero() {
		at = l.free.Add(after)
	}
	if end := l.asked.Add(limit); limit > 0 && (at.IsZero() || end.Before(at)) {
		at = end
	}
	return at
}

// due reports whether a time has come, and asks to be woken when it will.
func (s *stager) due(at time.Time) bool {
	s.wakeAt(at)
	return !at.IsZero() && !s.now.Before(at)
}

// latest returns the last of several times; none of them matters when one is not known.
func latest(times []time.Time) time.Time {
	last := slices.MaxFunc(times, time.Time.Compare)
	if slices.ContainsFunc(times, time.Time.IsZero) {
		return time.Time{}
	}
	return last
}

// wait holds a change of an entry back.
func (s *stager) wait(guard reason.Reason, c *pending, until time.Time, detail string) {
	o := c.Object
	if o == nil {
		o = c.Live.Object
	}
	hold := objectHold(guard, o)
	hold.set(s.keepIncident(incidentKey{guard, c.Key.String()}))
	hold.Detail, hold.Until = detail, until
	s.hold(hold)
}
