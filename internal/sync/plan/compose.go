package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// compose turns the verdicts on one host into changes of its objects.
//
//	desired  live  something held    what happens
//	yes      no    –                 create
//	yes      yes   any               desired, held endpoints beside its own, replaced ports beside its ports
//	no       yes   yes               the live object without what goes
//	no       yes   no, host desired  delete: another object of the host has taken over
//	no       yes   no, by config     delete
//	no       yes   no                the live object without endpoints, deleted after deleteAfter (guard Vanished)
//	no       yes   of nobody         nothing (guard Orphan)
func (r *review) compose(v *view) {
	h := r.host
	old := h.notes
	h.notes.emptied, h.notes.ports = nil, nil
	names := r.subjectAltNames()
	for _, d := range h.desired {
		live := h.findLive(d.Key)
		if d = v.asGuest(d, live); d == nil {
			continue
		}
		if live == nil {
			v.change(pending{Change: Change{Op: Create, Key: d.Key, Object: d}, registry: registryOf(d), host: h.key, creates: len(h.live) == 0})
			continue
		}
		want := withNames(merge(d, live.Object, r.keptIn(v, live)), names)
		want = r.overlap(v, &old, want, live)
		r.update(v, live, want, registryOf(d))
	}
	for i := range h.live {
		live := &h.live[i]
		if h.findDesired(live.Object.Key) == nil {
			r.composeUndesired(v, &old, live, names)
		}
	}
}

func (h *host) findLive(key translate.Key) *Live {
	for i := range h.live {
		if h.live[i].Object.Key == key {
			return &h.live[i]
		}
	}
	return nil
}

// composeUndesired decides the fate of a live object that is not desired.
func (r *review) composeUndesired(v *view, old *notes, live *Live, names []string) {
	policy := v.objectPolicy(live.Object)
	if policy == nil && len(r.host.desired) == 0 {
		r.orphan(v, live)
		return
	}
	registry := registryOf(live.Object)
	if policy != nil {
		registry = registryKey{policy.Namespace, policy.Name}
	}
	kept := r.keptIn(v, live)
	switch {
	case len(r.host.desired) > 0 && len(kept) > 0:
		// The host goes on under other objects: what stays here follows their spec.
		spec := *r.host.desired[0]
		spec.Key, spec.Annotations = live.Object.Key, live.Object.Annotations
		entry := *spec.ServiceEntry
		entry.Endpoints, spec.ServiceEntry = nil, &entry
		entry.Mode, entry.Selector = live.Object.ServiceEntry.Mode, live.Object.ServiceEntry.Selector
		r.update(v, live, withNames(merge(&spec, live.Object, kept), names), registryOf(&spec))
	case len(r.host.desired) > 0:
		v.change(pending{Change: Change{Op: Delete, Key: live.Object.Key, Live: live}, registry: registry, host: r.host.key})
	case len(kept) > 0:
		r.update(v, live, withEndpoints(live.Object, kept), registry)
	case r.withdrawn(v, live, policy):
		v.change(pending{Change: Change{Op: Delete, Key: live.Object.Key, Live: live}, registry: registry, host: r.host.key, byConfig: true})
	default:
		r.vanish(v, old, live, policy)
	}
}

// withdrawn reports whether configuration took the whole live object away: its Registry is being deleted, or everything that it has,
// or had, was withdrawn.
func (r *review) withdrawn(v *view, live *Live, policy *Policy) bool {
	if policy.Deleted {
		return true
	}
	if len(live.Object.ServiceEntry.Endpoints) == 0 {
		return withdrawn(v.in.Desired.Withdrawn, r.host, "", endpointID{})
	}
	for i := range r.removals {
		if m := &r.removals[i]; &r.host.live[m.object] == live && m.cause != byConfig {
			return false
		}
	}
	return true
}

// keptIn returns the endpoints of a live object that are not desired in it and stay nevertheless, and publishes their holds.
func (r *review) keptIn(v *view, live *Live) []*translate.Endpoint {
	var kept []*translate.Endpoint
	for i := range r.removals {
		m := &r.removals[i]
		if &r.host.live[m.object] == live && m.held != nil {
			kept = append(kept, m.endpoint)
			v.hold(m.hold(v, live.Object))
		}
	}
	for i := range r.host.moving {
		if a := &r.host.moving[i]; &r.host.live[a.object] == live {
			kept = append(kept, a.endpoint)
			v.hold(shardMove(v, a, live.Object))
		}
	}
	return kept
}

// update writes want over live, unless live says it all already.
func (r *review) update(v *view, live *Live, want *translate.Object, registry registryKey) {
	if covers(live.Object, want) {
		return
	}
	op := Update
	if losesEndpoint(live.Object, want) {
		op = Remove
	}
	v.change(pending{Change: Change{Op: op, Key: want.Key, Object: want, Live: live}, registry: registry, host: r.host.key})
}

// losesEndpoint reports whether live has an endpoint that want has not.
func losesEndpoint(live, want *translate.Object) bool {
	if sameIDs(live, want) {
		return false
	}
	stays := make(map[endpointID]struct{}, len(want.ServiceEntry.Endpoints))
	for i := range want.ServiceEntry.Endpoints {
		stays[idOf(&want.ServiceEntry.Endpoints[i])] = struct{}{}
	}
	return slices.ContainsFunc(live.ServiceEntry.Endpoints, func(e translate.Endpoint) bool {
		_, ok := stays[idOf(&e)]
		return !ok
	})
}

// merge returns the desired object with the kept endpoints of the live one in it.
func merge(desired, live *translate.Object, kept []*translate.Endpoint) *translate.Object {
	if len(kept) == 0 {
		return desired
	}
	endpoints := make([]translate.Endpoint, 0, len(desired.ServiceEntry.Endpoints)+len(kept))
	endpoints = append(endpoints, desired.ServiceEntry.Endpoints...)
	weigh(endpoints, live, kept)
	for _, e := range kept {
		held := *e
		held.Ports = remap(&held, desired.ServiceEntry.Ports)
		endpoints = append(endpoints, held)
	}
	slices.SortFunc(endpoints, func(a, b translate.Endpoint) int { return a.Compare(&b) })
	return withList(desired, endpoints)
}

// weigh gives endpoints their weights back that translation left unset because all of what it saw were equal, where a kept one has a weight:
// unset counts as 1, so the kept ones would get all the traffic.
func weigh(endpoints []translate.Endpoint, live *translate.Object, kept []*translate.Endpoint) {
	isWeighted := func(e *translate.Endpoint) bool { return e.Weight > 0 }
	if !slices.ContainsFunc(kept, isWeighted) || slices.ContainsFunc(endpoints, func(e translate.Endpoint) bool { return e.Weight > 0 }) {
		return
	}
	weights := map[endpointID]uint32{}
	for i := range live.ServiceEntry.Endpoints {
		e := &live.ServiceEntry.Endpoints[i]
		weights[idOf(e)] = e.Weight
	}
	for i := range endpoints {
		endpoints[i].Weight = cmp.Or(weights[idOf(&endpoints[i])], translate.UnitWeight)
	}
}

// remap rebuilds the port map of a held endpoint on the ports that its object has now: each name keeps its real port; a name that the
// endpoint does not have gets its first real port, which is right wherever there is one port only.
func remap(e *translate.Endpoint, ports []translate.ServicePort) []translate.EndpointPort {
	out := make([]translate.EndpointPort, 0, len(ports))
	for _, p := range ports {
		out = append(out, translate.EndpointPort{Name: p.Name, Number: realPort(e, p.Name)})
	}
	slices.SortFunc(out, func(a, b translate.EndpointPort) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// realPort returns the endpoint's real port behind a service port, its first one when it does not have that service port.
func realPort(e *translate.Endpoint, name string) uint32 {
	for _, p := range e.Ports {
		if p.Name == name {
			return p.Number
		}
	}
	return e.Port()
}

// withEndpoints returns a live object that keeps only some of its endpoints, in their order.
func withEndpoints(live *translate.Object, kept []*translate.Endpoint) *translate.Object {
	if len(kept) == len(live.ServiceEntry.Endpoints) {
		return live
	}
	endpoints := make([]translate.Endpoint, 0, len(kept))
	for _, e := range kept {
		endpoints = append(endpoints, *e)
	}
	slices.SortFunc(endpoints, func(a, b translate.Endpoint) int { return a.Compare(&b) })
	return withList(live, endpoints)
}

// withList returns a copy of the object with other endpoints.
func withList(o *translate.Object, endpoints []translate.Endpoint) *translate.Object {
	out, entry := *o, *o.ServiceEntry
	entry.Endpoints = endpoints
	out.ServiceEntry = &entry
	return &out
}

// change notes a change for the guards that look at a Registry as a whole.
func (v *view) change(p pending) { v.changes = append(v.changes, p) }

// compareChanges orders changes as they are written.
func compareChanges(a, b Change) int { return cmp.Or(cmp.Compare(a.Op, b.Op), a.Key.Compare(b.Key)) }

// objectHold returns a hold on a whole object.
func objectHold(guard reason.Reason, o *translate.Object) Hold {
	return Hold{Key: o.Key, Host: o.ServiceEntry.Host, Guard: guard}
}

// set gives the hold the id and the beginning of its incident.
func (h *Hold) set(i incident) { h.ID, h.Since = i.id, i.since }
