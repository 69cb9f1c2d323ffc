package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// reuseAfter is how long an address and port must have been registered by another service before the old one loses them.
const reuseAfter = time.Minute

// cause is why a live endpoint is not desired.
type cause uint8

const (
	byRegistry cause = iota
	byConfig
	// ofUnknown: no configured source has published it, though its Registry is configured.
	ofUnknown
	// ofOrphan: nobody who is configured has published it.
	ofOrphan
)

// removal is one live endpoint that would be removed.
type removal struct {
	absent
	cause cause
	note  absence
	// policy is that of the Registry which has lost it, from its source; both are nil for an orphan, from alone for an endpoint
	// of unknown provenance.
	policy *Policy
	from   *source
	// known says that the registry was asked, and said that the endpoint is gone; failure is why a unit could not be asked.
	known   bool
	failure model.UnitFailure
	service *tripped
	// held is the verdict that keeps it; nil when it goes.
	held *verdict
}

// verdict is a guard's decision to hold a removal.
type verdict struct {
	guard  reason.Reason
	until  time.Time
	detail string
}

// guard looks at one removal and says whether it is held.
type guard func(*view, *removal) (verdict, bool)

// registryGuards returns what a removal that a registry caused has to pass. The first guard that holds wins.
func registryGuards() []guard {
	return []guard{
		unsynced,     // nothing is known of the source yet
		failing,      // nothing new is known of the source or the unit
		emptySource,  // a whole registry does not empty itself
		massRemoval,  // nor does most of it, with most of a service
		emptyService, // the last instances of a service get a grace
	}
}

// tripped is the state of one source's part of a host while its removals are judged.
type tripped struct {
	source model.SourceID
	// n is how many endpoints are desired; held counts those that are held, and massLeft how many more MassRemoval would hold.
	n, held, massLeft int
	trip              emptyTrip
}

// review is one host whose live objects are not what is desired.
type review struct {
	host     *host
	removals []removal
}

// newReview finds out why each endpoint is absent, and tells the sources what they have lost.
func newReview(v *view, h *host) *review {
	r := &review{host: h, removals: make([]removal, len(h.gone))}
	for i, a := range h.gone {
		m := &r.removals[i]
		m.absent, m.note = a, h.notes.absence(a.id)
		if m.note.since.IsZero() {
			m.note.since = v.now
		}
		m.classify(v, h)
		m.tell(v)
	}
	return r
}

// classify sets the cause, and who is asked about the endpoint.
func (m *removal) classify(v *view, h *host) {
	if m.from = v.sources[m.source]; m.from != nil {
		m.policy = m.from.policy
		m.known = m.from.knows(v.now, h)
		m.failure, _ = m.from.unreadUnit(h)
	} else {
		m.policy = v.policies[registryOf(h.live[m.object].Object)]
		if m.policy == nil && len(h.desired) > 0 {
			m.policy = v.policies[registryOf(h.desired[0])]
		}
	}
	switch {
	case m.policy == nil:
		m.cause = ofOrphan
	case m.policy.Deleted || withdrawn(v.in.Desired.Withdrawn, h, m.source, m.id):
		m.cause = byConfig
	case m.from != nil:
		m.cause = byRegistry
	case v.allSynced(m.policy):
		m.cause = byConfig
	default:
		m.cause = ofUnknown
	}
}

// tell adds the removal to what its source has lost.
func (m *removal) tell(v *view) {
	switch {
	case m.cause == byConfig && m.from != nil && !m.note.withdrawn:
		if m.from.withdrew == nil {
			m.from.withdrew = map[endpointID]bool{}
		}
		m.from.withdrew[m.id] = true
	case m.cause == byRegistry && m.known:
		m.from.lost++
	case m.cause == byRegistry && m.from.trusted(v.now):
		if m.from.unknown == nil {
			m.from.unknown = map[endpointID]bool{}
		}
		m.from.unknown[m.id] = true
	}
	if m.note.last == "" && !m.known && (m.cause == byRegistry || m.cause == ofUnknown) {
		v.shared[m.id] = 0
	}
}

// allSynced reports whether every source of the Registry has said what it has. A Registry without a source has said nothing.
func (v *view) allSynced(p *Policy) bool {
	return len(p.Sources) > 0 && !slices.ContainsFunc(p.Sources, func(id model.SourceID) bool {
		return v.in.Sources[id].State != model.Synced
	})
}

// withdrawn reports whether configuration took the endpoint away from its host. An id without an address asks for the whole object.
func withdrawn(all []translate.Withdrawal, h *host, source model.SourceID, id endpointID) bool {
	covers := func(key translate.Key) bool {
		i, _ := slices.BinarySearchFunc(all, key, func(w translate.Withdrawal, key translate.Key) int { return w.Key.Compare(key) })
		for ; i < len(all) && all[i].Key == key; i++ {
			w := &all[i]
			whole := w.Address == ""
			if id.address == "" && whole || w.Source == source && (whole || w.Address == id.address && w.Port == id.port) {
				return true
			}
		}
		return false
	}
	if len(all) == 0 {
		return false
	}
	if covers(translate.Key{Kind: translate.KindServiceEntry, Namespace: h.key.namespace, Name: h.key.host}) {
		return true
	}
	return slices.ContainsFunc(h.live, func(l Live) bool { return l.Object.Key.Name != h.key.host && covers(l.Object.Key) })
}

// judge decides every removal of the host, and notes what the guards have to remember.
func (r *review) judge(v *view) {
	notes := &r.host.notes
	services := slices.Clone(notes.services)
	bySource := map[model.SourceID][]*removal{}
	for i := range r.removals {
		m := &r.removals[i]
		bySource[m.source] = append(bySource[m.source], m)
	}
	for i := range services {
		s := &services[i]
		removals := bySource[s.source]
		s.trip = r.judgeService(v, s, removals)
	}
	notes.services = services
	notes.absences = nil
	if len(r.removals) > 0 {
		notes.absences = make([]absence, 0, len(r.removals))
	}
	for i := range r.removals {
		notes.absences = append(notes.absences, r.removals[i].noted())
	}
	slices.SortFunc(notes.absences, func(a, b absence) int { return a.id.compare(b.id) })
}

// judgeService decides the removals of one source, and returns the state of its guard EmptyService.
func (r *review) judgeService(v *view, s *service, removals []*removal) emptyTrip {
	t := &tripped{source: s.source, n: count(r.host.wants, s.source), trip: s.trip}
	from := v.sources[s.source]
	if from.knows(v.now, r.host) {
		t.trip = s.trip.step(v, from, t.n, fresh(removals))
		if from.mass.active() {
			t.massLeft = massQuota(s.history.at(from.horizon(v.now)), t.n)
		}
	}
	r.order(removals)
	for _, m := range removals {
		m.service = t
		if found, ok := v.stopped(m, r.host.live[m.object].Object); ok {
			m.held = &found
			continue
		}
		m.judge(v, r.host.key)
	}
	return t.trip
}

// fresh counts the removals that no guard which trusts the registry has seen yet.
func fresh(removals []*removal) int {
	n := 0
	for _, m := range removals {
		if last := m.note.last; m.cause == byRegistry && (last == "" || last == reason.Unsynced || last == reason.Failing) {
			n++
		}
	}
	return n
}

// order sorts removals so that those worth keeping come first: what is not on its way out already, has not come back under another
// port of its address, was missed last, and then by address.
func (r *review) order(removals []*removal) {
	if len(removals) < 2 {
		return
	}
	back := map[string]bool{}
	for _, o := range r.host.desired {
		for i := range o.ServiceEntry.Endpoints {
			back[o.ServiceEntry.Endpoints[i].Address] = true
		}
	}
	rank := func(m *removal) int {
		switch {
		case m.note.last == passed:
			return 2
		case back[m.id.address]:
			return 1
		default:
			return 0
		}
	}
	slices.SortFunc(removals, func(a, b *removal) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), b.note.since.Compare(a.note.since), a.id.compare(b.id))
	})
}

// judge asks the guards about the removal.
func (m *removal) judge(v *view, key hostKey) {
	guards := v.guards
	switch m.cause {
	case byConfig:
		return
	case ofOrphan:
		m.held = &verdict{guard: reason.Orphan, detail: "Its Registry is gone and retained it; it ends when a Registry adopts the host."}
		return
	case ofUnknown:
		guards = []guard{unknownProvenance}
	case byRegistry:
	}
	reusedAt := m.reused(v, key)
	if !reusedAt.IsZero() && !v.now.Before(reusedAt) {
		return
	}
	for _, g := range guards {
		if found, ok := g(v, m); ok {
			if !reusedAt.IsZero() && (found.until.IsZero() || reusedAt.Before(found.until)) {
				found.until = reusedAt
			}
			m.held = &found
			m.service.held++
			return
		}
	}
}

// reused returns when the address and port will have belonged to another service for long enough; zero when they do not. An address
// that has been given to somebody else must not receive the old service's traffic. While nobody could ask the registry about this
// endpoint, a service that shared its place with another one all along (one process, several services) has not lost it.
func (m *removal) reused(v *view, key hostKey) time.Time {
	if m.note.last == "" {
		m.note.shared = v.shared[m.id] > 1
	}
	if (m.note.shared && !m.known) || !v.registeredElsewhere(key, m.id) {
		m.note.reused = time.Time{}
		return time.Time{}
	}
	if m.note.reused.IsZero() {
		m.note.reused = v.now
	}
	return m.note.reused.Add(reuseAfter)
}

// noted returns what is remembered of the removal.
func (m *removal) noted() absence {
	m.note.withdrawn = m.cause == byConfig
	m.note.last = passed
	if m.held == nil {
		return m.note
	}
	m.note.last = m.held.guard
	return m.note
}

// hold returns the removal's hold on the object.
func (m *removal) hold(v *view, o *translate.Object) Hold {
	found := v.keepIncident(incidentKey{m.held.guard, string(m.source)})
	return Hold{
		ID: found.id, Key: o.Key, Host: o.ServiceEntry.Host, Endpoint: m.id.String(), Source: m.source,
		Guard: m.held.guard, Detail: m.held.detail, Since: m.note.since, Until: m.held.until,
	}
}
