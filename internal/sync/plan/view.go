package plan

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// view is one Compute at work: what was handed in, indexed, and what has been decided so far. Nothing outlives the Compute except by
// way of Memory.
type view struct {
	in       *Input
	now      time.Time
	old      *memory
	policies map[registryKey]*Policy
	sources  map[model.SourceID]*source
	// namespaces are those of the Registries.
	namespaces []string
	guards     []guard
	// someStopped says that a Registry is paused or observed.
	someStopped bool
	// index and hosts have every host that is desired or live.
	index map[hostKey]int
	hosts []*host

	incidents map[incidentKey]incident
	// shared are the addresses of new absences that several live hosts have.
	shared  map[endpointID]int
	reviews []*review
	changes []pending
	held    []Hold
	wake    time.Time
	// continues is Plan.Continues.
	continues bool
	// staging is what the next Compute has to know of steps that were made.
	staging *staging
}

// registryKey names a Registry.
type registryKey struct{ namespace, name string }

// incidentKey is what holds share an id by: a guard, and the source, Registry or object that it looks at.
type incidentKey struct {
	guard   reason.Reason
	subject string
}

// incident is what holds of one key have in common.
type incident struct {
	id    string
	since time.Time
}

// pending is a change on its way through the last guards, those that look at a Registry as a whole.
type pending struct {
	Change
	registry registryKey
	host     hostKey
	// byConfig says that configuration deletes the object, creates that the host is new.
	byConfig, creates bool
}

func newView(in *Input, old *memory) *view {
	v := &view{
		in: in, now: in.Now, old: old,
		policies:  make(map[registryKey]*Policy, len(in.Policies)),
		sources:   map[model.SourceID]*source{},
		incidents: map[incidentKey]incident{},
		shared:    map[endpointID]int{},
		guards:    registryGuards(),
	}
	for i := range in.Policies {
		p := &in.Policies[i]
		v.policies[registryKey{p.Namespace, p.Name}] = p
		v.someStopped = v.someStopped || !p.active()
		for _, id := range p.Sources {
			v.sources[id] = newSource(id, p, in, old.sources[id])
		}
		if !slices.Contains(v.namespaces, p.Namespace) {
			v.namespaces = append(v.namespaces, p.Namespace)
		}
	}
	return v
}

// wakeAt asks for a Compute at t, when t lies ahead.
func (v *view) wakeAt(t time.Time) {
	if t.After(v.now) && (v.wake.IsZero() || t.Before(v.wake)) {
		v.wake = t
	}
}

// hold notes a hold, and wakes at its end.
func (v *view) hold(h Hold) {
	v.held = append(v.held, h)
	v.wakeAt(h.Until)
}

// incident returns the id of the incident of a guard that goes on, or would begin now, at one source.
func (v *view) incident(guard reason.Reason, source model.SourceID) string {
	key := incidentKey{guard, string(source)}
	if known, ok := v.old.incidents[key]; ok {
		return known.id
	}
	return holdID(guard, string(source), v.now)
}

// keepIncident says that the incident is still going on, and returns it.
func (v *view) keepIncident(key incidentKey) incident {
	known, ok := v.incidents[key]
	if ok {
		return known
	}
	if known, ok = v.old.incidents[key]; !ok {
		known = incident{holdID(key.guard, key.subject, v.now), v.now}
	}
	v.incidents[key] = known
	return known
}

func holdID(guard reason.Reason, subject string, since time.Time) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%s\x00%d", guard, subject, since.UnixNano())
	return fmt.Sprintf("h-%08x", h.Sum32())
}

// released reports whether a person has released a hold of the Registry.
func (v *view) released(p *Policy, id string) bool {
	return slices.Contains(p.Released, "*") || slices.Contains(p.Released, id)
}

// registryOf returns the Registry that an object belongs to: the one that published it first.
func registryOf(o *translate.Object) registryKey {
	return registryKey{o.Key.Namespace, o.Registry()}
}

// objectPolicy returns the policy of a live object: that of its Registry, else that of the first endpoint whose source is known. Nil
// makes the object an orphan.
func (v *view) objectPolicy(o *translate.Object) *Policy {
	if p := v.policies[registryOf(o)]; p != nil {
		return p
	}
	for i := range o.ServiceEntry.Endpoints {
		if s := v.sources[o.ServiceEntry.Endpoints[i].Source()]; s != nil {
			return s.policy
		}
	}
	return nil
}

// liveAddresses counts the distinct live endpoints of a source.
func (v *view) liveAddresses(id model.SourceID) int {
	seen := map[endpointID]struct{}{}
	for _, h := range v.hosts {
		if count(h.lives, id) == 0 {
			continue
		}
		for i := range h.live {
			endpoints := h.live[i].Object.ServiceEntry.Endpoints
			for j := range endpoints {
				if endpoints[j].Source() == id {
					seen[idOf(&endpoints[j])] = struct{}{}
				}
			}
		}
	}
	return len(seen)
}

// countShared counts in how many live places the noted addresses are.
func (v *view) countShared() {
	if len(v.shared) == 0 {
		return
	}
	for _, h := range v.hosts {
		for i := range h.live {
			endpoints := h.live[i].Object.ServiceEntry.Endpoints
			for j := range endpoints {
				id := idOf(&endpoints[j])
				if n, ok := v.shared[id]; ok {
					v.shared[id] = n + 1
				}
			}
		}
	}
}

// registeredElsewhere reports whether a source that is synced has the address and port in a service of another host.
func (v *view) registeredElsewhere(key hostKey, id endpointID) bool {
	for source, s := range v.sources {
		if s.status.State != model.Synced {
			continue
		}
		if n := s.usable.of(id); n > 0 && n > v.underSameName(key, id, source) {
			return true
		}
	}
	return false
}

// underSameName counts the namespaces in which the source has the endpoint in a host of the same name: that is the same service,
// bridged twice.
func (v *view) underSameName(key hostKey, id endpointID, source model.SourceID) int {
	n := 0
	for _, namespace := range v.namespaces {
		at, ok := v.index[hostKey{namespace, key.host}]
		if !ok {
			continue
		}
		for _, o := range v.hosts[at].desired {
			if slices.ContainsFunc(o.ServiceEntry.Endpoints, func(e translate.Endpoint) bool {
				return idOf(&e) == id && e.Source() == source
			}) || slices.Contains(o.Claims, translate.Claim{Source: source, Address: id.address, Port: id.port}) {
				n++
			}
		}
	}
	return n
}

// sourceIDs returns the ids of the configured sources, sorted.
func (v *view) sourceIDs() []model.SourceID { return slices.Sorted(maps.Keys(v.sources)) }
