package plan

import (
	"slices"

	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// maxServices holds new hosts of a Registry that has as many as it may have. The first by key go ahead; what is live stays. It returns
// the changes that remain.
func (v *view) maxServices(changes []pending) []pending {
	left := map[registryKey]int{}
	created := map[hostKey]bool{}
	slices.SortFunc(changes, func(a, b pending) int { return a.Key.Compare(b.Key) })
	remaining := changes[:0]
	for _, c := range changes {
		p := v.policies[c.registry]
		if !c.creates || p == nil || p.MaxServices <= 0 || created[c.host] {
			remaining = append(remaining, c)
			continue
		}
		n, counted := left[c.registry]
		if !counted {
			n = p.MaxServices - v.countHosts(c.registry)
		}
		if n > 0 {
			left[c.registry] = n - 1
			created[c.host] = true
			remaining = append(remaining, c)
			continue
		}
		left[c.registry] = 0
		hold := objectHold(reason.TooManyServices, c.Object)
		hold.set(v.keepIncident(incidentKey{reason.TooManyServices, c.Key.String()}))
		hold.Detail = "The Registry has as many services as services.max allows; it ends when one goes or the limit is raised."
		v.hold(hold)
	}
	return remaining
}

// countHosts counts the live hosts of a Registry.
func (v *view) countHosts(registry registryKey) int {
	n := 0
	for _, h := range v.hosts {
		if len(h.live) > 0 && registryOf(h.live[0].Object) == registry {
			n++
		}
	}
	return n
}
