package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// overlap keeps ports that configuration has replaced beside the new ones for emptyGrace, so that consumers can move from one to the
// other. A port is one of ours when an endpoint maps it; what somebody added by hand is nobody's business. Numbers and names are
// unique: a port whose number or name is used again is replaced at once.
func (r *review) overlap(v *view, old *notes, want *translate.Object, live *Live) *translate.Object {
	policy := v.policies[registryOf(want)]
	if policy == nil {
		return want
	}
	var kept []translate.ServicePort
	for _, p := range replacedPorts(live.Object.ServiceEntry, want.ServiceEntry) {
		since := old.replacedSince(want.Key, p.Number, v.now)
		r.host.notes.ports = append(r.host.notes.ports, replacedPort{want.Key, p.Number, since})
		until := since.Add(policy.EmptyGrace)
		if !v.now.Before(until) {
			continue
		}
		kept = append(kept, p)
		hold := objectHold(reason.PortOverlap, want)
		hold.ID, hold.Since, hold.Until = holdID(reason.PortOverlap, want.Key.String(), since), since, until
		hold.Detail = "Port " + p.Name + " was replaced; it stays beside the new one for a while."
		v.hold(hold)
	}
	if len(kept) == 0 {
		return want
	}
	return withPorts(want, kept, live.Object)
}

// replacedPorts returns the ports of live that its endpoints map, and whose number and name want does not use.
func replacedPorts(live, want *translate.ServiceEntry) []translate.ServicePort {
	var out []translate.ServicePort
	for _, p := range live.Ports {
		used := slices.ContainsFunc(want.Ports, func(w translate.ServicePort) bool { return w.Number == p.Number || w.Name == p.Name })
		if !used && slices.ContainsFunc(live.Endpoints, func(e translate.Endpoint) bool { return hasPort(&e, p.Name) }) {
			out = append(out, p)
		}
	}
	return out
}

func hasPort(e *translate.Endpoint, name string) bool {
	return slices.ContainsFunc(e.Ports, func(p translate.EndpointPort) bool { return p.Name == name })
}

// withPorts adds ports of the live object to want. Each endpoint maps them as it does in live, a new one to its first real port.
func withPorts(want *translate.Object, ports []translate.ServicePort, live *translate.Object) *translate.Object {
	before := byID(live.ServiceEntry.Endpoints)
	endpoints := slices.Clone(want.ServiceEntry.Endpoints)
	for i := range endpoints {
		e := &endpoints[i]
		was := before[idOf(e)]
		if was == nil {
			was = e
		}
		mapped := slices.Clone(e.Ports)
		for _, p := range ports {
			mapped = append(mapped, translate.EndpointPort{Name: p.Name, Number: realPort(was, p.Name)})
		}
		slices.SortFunc(mapped, func(a, b translate.EndpointPort) int { return strings.Compare(a.Name, b.Name) })
		e.Ports = mapped
	}
	out := withList(want, endpoints)
	out.ServiceEntry.Ports = append(slices.Clone(want.ServiceEntry.Ports), ports...)
	slices.SortFunc(out.ServiceEntry.Ports, func(a, b translate.ServicePort) int { return cmp.Compare(a.Number, b.Number) })
	return out
}
