package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Memory is what guards remember from one Compute to the next: since when something is missing, what tripped, the baselines. It is an
// immutable value, never persisted; a restart may only lengthen a hold. The zero value remembers nothing.
type Memory struct{ m *memory }

type memory struct {
	// index and hosts have every host that is desired or live; index says where in hosts.
	index     map[hostKey]int
	hosts     []*host
	sources   map[model.SourceID]*sourceMemory
	incidents map[incidentKey]incident
	// staging is nil as long as nothing has to do with tables of Dubbo routes.
	staging *staging

	// The last Compute: what it saw and what it answered. Until plan.Wake the same question has the same answer.
	seen inputs
	plan Plan
}

// inputs are copies of what a Compute saw, the objects by pointer.
type inputs struct {
	desired   []*translate.Object
	withdrawn []translate.Withdrawal
	live      []Live
	sources   map[model.SourceID]model.Status
	policies  []Policy
	frozen    bool
	root      string
	atOnce    bool
}

// Compute decides what to write and what to hold. It is pure: the same Input, Memory included, gives the same Plan, and nothing that
// was handed in is changed.
//
//	group by host ─▶ what differs ─▶ why (cause) ─▶ what each source lost ─▶ guards on endpoints ─▶ objects ─▶ guards on Registries
//
// Its cost follows what changed: a host whose desired and live objects are the same pointers as in the last Compute, and whose live
// objects are what is desired, costs a look.
func Compute(in Input) Plan {
	old := in.Memory.m
	if old == nil {
		old = &memory{}
	}
	sameObjects := old.index != nil && old.seen.sameObjects(&in)
	if sameObjects && old.seen.sameRest(&in) && (old.plan.Wake.IsZero() || in.Now.Before(old.plan.Wake)) {
		p := old.plan
		p.Memory = in.Memory
		return p
	}
	v := newView(&in, old)
	if sameObjects {
		v.index, v.hosts = old.index, slices.Clone(old.hosts)
	} else {
		v.regroup()
	}
	v.claimForNew()
	v.observe()
	for _, id := range v.sourceIDs() {
		v.sources[id].step(v)
	}
	v.countShared()
	for _, r := range v.reviews {
		r.judge(v)
		r.compose(v)
	}
	return v.finish(sameObjects)
}

// regroup finds the objects of each host, and counts anew what the changed ones claim.
func (v *view) regroup() {
	g := group(v.in)
	v.index, v.hosts = g.index, make([]*host, len(g.keys))
	edits := map[model.SourceID]*claimsEdit{}
	for at, key := range g.keys {
		var old *host
		if i, ok := v.old.index[key]; ok {
			old = v.old.hosts[i]
		}
		if old != nil && slices.Equal(old.desired, g.desired[at]) && slices.Equal(old.live, g.live[at]) {
			v.hosts[at] = old
			continue
		}
		v.hosts[at] = newHost(key, g.desired[at], g.live[at], old)
		if old == nil {
			old = &host{}
		}
		v.reclaim(edits, old.desired, g.desired[at])
	}
	for key, at := range v.old.index {
		if _, ok := g.index[key]; !ok {
			v.reclaim(edits, v.old.hosts[at].desired, nil)
		}
	}
	for id, e := range edits {
		v.sources[id].usable = e.claims
	}
}

// reclaim takes away what the old objects of a host claimed, and adds what the new ones claim.
func (v *view) reclaim(edits map[model.SourceID]*claimsEdit, before, after []*translate.Object) {
	for i := range max(len(before), len(after)) {
		var was, is []translate.Endpoint
		var claimed, claims []translate.Claim
		if i < len(before) {
			was, claimed = before[i].ServiceEntry.Endpoints, before[i].Claims
		}
		if i < len(after) {
			is, claims = after[i].ServiceEntry.Endpoints, after[i].Claims
		}
		if !slices.Equal(claimed, claims) {
			for _, c := range claimed {
				v.claim(edits, c.Source, endpointID{c.Address, c.Port}, -1)
			}
			for _, c := range claims {
				v.claim(edits, c.Source, endpointID{c.Address, c.Port}, 1)
			}
		}
		if len(was) > 0 && len(is) > 0 && &was[0] == &is[0] && len(was) == len(is) {
			continue
		}
		v.reclaimEndpoints(edits, was, is)
	}
}

// reclaimEndpoints walks along both lists and skips what they have in common. (Lists that were not sorted would only cost more.)
func (v *view) reclaimEndpoints(edits map[model.SourceID]*claimsEdit, was, is []translate.Endpoint) {
	for len(was) > 0 || len(is) > 0 {
		order := 0
		switch {
		case len(was) == 0:
			order = 1
		case len(is) == 0:
			order = -1
		default:
			order = cmp.Or(idOf(&was[0]).compare(idOf(&is[0])), cmp.Compare(was[0].Source(), is[0].Source()))
		}
		if order < 0 {
			v.claim(edits, was[0].Source(), idOf(&was[0]), -1)
		} else if order > 0 {
			v.claim(edits, is[0].Source(), idOf(&is[0]), 1)
		}
		if order <= 0 {
			was = was[1:]
		}
		if order >= 0 {
			is = is[1:]
		}
	}
}

// claim changes what a source claims of an endpoint. Sources that are new are counted from the beginning by claimForNew.
func (v *view) claim(edits map[model.SourceID]*claimsEdit, source model.SourceID, id endpointID, delta int) {
	s := v.sources[source]
	if s == nil || s.isNew {
		return
	}
	if edits[source] == nil {
		edits[source] = s.usable.edit()
	}
	edits[source].add(id, delta)
}

// claimForNew counts what sources that were not there in the last Compute claim.
func (v *view) claimForNew() {
	edits := map[model.SourceID]*claimsEdit{}
	for id, s := range v.sources {
		if s.isNew {
			edits[id] = s.usable.edit()
		}
	}
	if len(edits) == 0 {
		return
	}
	for _, h := range v.hosts {
		for _, o := range h.desired {
			for i := range o.ServiceEntry.Endpoints {
				e := &o.ServiceEntry.Endpoints[i]
				if edit := edits[e.Source()]; edit != nil {
					edit.add(idOf(e), 1)
				}
			}
			for _, c := range o.Claims {
				if edit := edits[c.Source]; edit != nil {
					edit.add(endpointID{c.Address, c.Port}, 1)
				}
			}
		}
	}
	for id, e := range edits {
		v.sources[id].usable = e.claims
	}
}

// observe finds the hosts that need a review, and brings the counts of all up to now.
func (v *view) observe() {
	for at, h := range v.hosts {
		if h.settled {
			v.hosts[at] = h.observed(v, nil)
			continue
		}
		next := *h
		r := newReview(v, &next)
		r.host = next.observed(v, r.withdrew())
		v.hosts[at] = r.host
		v.reviews = append(v.reviews, r)
	}
}

// withdrew counts by source what configuration has taken away since the last Compute.
func (r *review) withdrew() []tally {
	var out []tally
	for i := range r.removals {
		if m := &r.removals[i]; m.cause == byConfig && !m.note.withdrawn {
			out = addTally(out, m.source)
		}
	}
	return out
}

// finish lets the guards on whole Registries decide, and sorts what is left.
func (v *view) finish(sameObjects bool) Plan {
	var p Plan
	for _, c := range v.stage(v.maxServices(v.confirmRemoval(v.changes))) {
		switch {
		case !v.writable(v.policies[c.registry]):
			p.Suppressed = append(p.Suppressed, c.Change)
		case c.Op == Delete:
			p.Delete = append(p.Delete, c.Change)
		default:
			p.Apply = append(p.Apply, c.Change)
		}
	}
	slices.SortFunc(p.Apply, compareChanges)
	slices.SortFunc(p.Delete, compareChanges)
	slices.SortFunc(p.Suppressed, compareChanges)
	slices.SortFunc(v.held, func(a, b Hold) int { return a.compare(&b) })
	p.Held, p.Wake, p.Continues = v.held, v.wake, v.continues
	next := &memory{index: v.index, hosts: v.hosts, incidents: v.incidents, staging: v.staging, plan: p}
	next.sources = make(map[model.SourceID]*sourceMemory, len(v.sources))
	for id, s := range v.sources {
		remembered := s.sourceMemory
		next.sources[id] = &remembered
	}
	next.seen = v.old.seen.next(v.in, sameObjects)
	p.Memory = Memory{next}
	return p
}

func (h *Hold) compare(o *Hold) int {
	if c := h.Key.Compare(o.Key); c != 0 {
		return c
	}
	if c := strings.Compare(h.Endpoint, o.Endpoint); c != 0 {
		return c
	}
	return strings.Compare(string(h.Guard), string(o.Guard))
}

func (s *inputs) sameObjects(in *Input) bool {
	return slices.Equal(s.desired, in.Desired.Objects) && slices.Equal(s.live, in.Live)
}

func (s *inputs) sameRest(in *Input) bool {
	return s.frozen == in.Frozen && s.root == in.RootNamespace && s.atOnce == in.AtOnce &&
		slices.Equal(s.withdrawn, in.Desired.Withdrawn) &&
		slices.EqualFunc(s.policies, in.Policies, samePolicy) &&
		maps.EqualFunc(s.sources, in.Sources, sameStatus)
}

// next copies what the Compute saw. Nobody promises that the slices and the map are not used again.
func (s *inputs) next(in *Input, sameObjects bool) inputs {
	out := inputs{desired: s.desired, live: s.live, frozen: in.Frozen, root: in.RootNamespace, atOnce: in.AtOnce}
	if !sameObjects {
		out.desired, out.live = slices.Clone(in.Desired.Objects), slices.Clone(in.Live)
	}
	out.withdrawn = slices.Clone(in.Desired.Withdrawn)
	out.sources, out.policies = maps.Clone(in.Sources), slices.Clone(in.Policies)
	return out
}

func sameStatus(a, b model.Status) bool {
	return a.Namespace == b.Namespace && a.Registry == b.Registry && a.State == b.State && a.Since.Equal(b.Since) &&
		maps.Equal(a.FailingUnits, b.FailingUnits)
}

func samePolicy(a, b Policy) bool {
	return a.Namespace == b.Namespace && a.Name == b.Name && a.Mode == b.Mode && a.Deleted == b.Deleted &&
		a.MaxServices == b.MaxServices && a.EmptyGrace == b.EmptyGrace && a.DeleteAfter == b.DeleteAfter && a.MaxHold == b.MaxHold &&
		a.MassRemovalPercent == b.MassRemovalPercent && a.MassRemovalHold == b.MassRemovalHold &&
		slices.Equal(a.Sources, b.Sources) && slices.Equal(a.Released, b.Released)
}
