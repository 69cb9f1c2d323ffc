package plan

import (
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// writable reports whether changes of the Registry may be written: guard Frozen stops every write; Paused and Observed those of one
// Registry. Everything else goes on as if they were written, so that the plan shows what would happen.
func (v *view) writable(p *Policy) bool { return !v.in.Frozen && p.active() }

func (p *Policy) active() bool { return p == nil || p.Mode == Active || p.Mode == "" }

// guests reports whether a Registry that may not be written can have endpoints in an object that may be.
func (v *view) guests(owner registryKey) bool { return v.someStopped && v.writable(v.policies[owner]) }

// stopped is the guard of an endpoint whose Registry is paused or observed, in an object of another Registry that is not.
func (v *view) stopped(m *removal, o *translate.Object) (verdict, bool) {
	if m.policy.active() || !v.guests(registryOf(o)) {
		return verdict{}, false
	}
	held := verdict{guard: reason.Paused, detail: "Its Registry is paused; it ends when the Registry is resumed."}
	if m.policy.Mode == Observe {
		held = verdict{guard: reason.Observed, detail: "Its Registry is only observed; it ends when the Registry is active."}
	}
	return held, true
}

// asGuest returns the desired object with the endpoints of Registries that are paused or observed as they are live, and without those
// that are not; nil when that leaves nothing to create.
func (v *view) asGuest(d *translate.Object, live *Live) *translate.Object {
	if !v.guests(registryOf(d)) {
		return d
	}
	before := map[endpointID]*translate.Endpoint{}
	if live != nil {
		before = byID(live.Object.ServiceEntry.Endpoints)
	}
	endpoints := make([]translate.Endpoint, 0, len(d.ServiceEntry.Endpoints))
	for _, e := range d.ServiceEntry.Endpoints {
		if s := v.sources[e.Source()]; s == nil || s.policy.active() {
			endpoints = append(endpoints, e)
		} else if was := before[idOf(&e)]; was != nil {
			endpoints = append(endpoints, *was)
		}
	}
	switch {
	case len(endpoints) == len(d.ServiceEntry.Endpoints) && live == nil:
		return d
	case len(endpoints) == 0 && live == nil:
		return nil
	default:
		return withList(d, endpoints)
	}
}

func byID(endpoints []translate.Endpoint) map[endpointID]*translate.Endpoint {
	out := make(map[endpointID]*translate.Endpoint, len(endpoints))
	for i := range endpoints {
		out[idOf(&endpoints[i])] = &endpoints[i]
	}
	return out
}
