package plan

import (
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// rule is one DestinationRule during one Compute.
type rule struct {
	key     translate.Key
	desired *translate.Object
	live    *Live
}

// step returns the change of the DestinationRule that may be made now. It comes at once, and what goes of it goes when no route has named it
// for some time.
func (r *rule) step(s *stager) (pending, bool) {
	c := pending{Change: Change{Op: Create, Key: r.key, Object: r.desired, Live: r.live}}
	if r.live == nil {
		c.registry = registryOf(r.desired)
		return c, true
	}
	live := r.live.Object
	c.registry = registryOf(live)
	var gone []translate.Subset
	for _, subset := range live.DestinationRule.Subsets {
		if r.desired == nil || !hasSubset(r.desired, subset.Name) {
			gone = append(gone, subset)
		}
	}
	if s.staged(c.registry) {
		free := func(subset translate.Subset) bool { return s.isUnused(live.DestinationRule.Host, subset.Name) }
		gone = slices.DeleteFunc(gone, free)
	} else {
		gone = nil
	}
	if r.desired == nil {
		c.Op = Delete
		return c, len(gone) == 0 && s.mayLose(live)
	}
	if c.Op = Update; len(gone) > 0 {
		out, spec := *r.desired, *r.desired.DestinationRule
		spec.Subsets = slices.Concat(spec.Subsets, gone)
		slices.SortFunc(spec.Subsets, func(a, b translate.Subset) int { return strings.Compare(a.Name, b.Name) })
		out.DestinationRule = &spec
		c.Object = &out
	}
	return c, !covers(live, c.Object)
}

// mayLose reports whether a live DestinationRule that is not desired may go: its Registry is known, has said what it has, and its host is not
// one of which nothing new is known.
func (s *stager) mayLose(o *translate.Object) bool {
	policy := s.policies[registryOf(o)]
	if policy == nil || !policy.Deleted && !s.allSynced(policy) {
		return false
	}
	return !slices.ContainsFunc(s.hosts[o.DestinationRule.Host], func(h *stagedHost) bool {
		return h.silent && len(h.needs) > 0
	})
}

// isUnused reports whether no route has named a subset for so long that it may go.
func (s *stager) isUnused(host, subset string) bool {
	return s.due(s.freeAt(leaveKey{host: host, subset: subset}, s.isRouted(host, subset), drainTime, 0))
}

// isRouted reports whether a live table has a route to a subset.
func (s *stager) isRouted(host, subset string) bool {
	for _, t := range s.tables {
		if t.names(host, subset) {
			return true
		}
	}
	return false
}

// names reports whether a live route names a subset of a host, or, for an empty subset, anything of it.
func (t *table) names(host, subset string) bool {
	if t == nil || t.live == nil {
		return false
	}
	if t.named == nil {
		t.named = map[subsetKey]bool{}
		routes := t.live.Object.EnvoyFilter.Routes
		for i := range routes {
			for target := range routes[i].Targets {
				t.named[subsetKey{target.Host, target.Subset}] = true
				t.named[subsetKey{host: target.Host}] = true
			}
		}
	}
	return t.named[subsetKey{host, subset}]
}

func hasSubset(o *translate.Object, name string) bool {
	return slices.ContainsFunc(o.DestinationRule.Subsets, func(u translate.Subset) bool { return u.Name == name })
}

// knowsSubset reports whether proxies know a subset of a host.
func (s *stager) knowsSubset(host, subset string) bool {
	return slices.ContainsFunc(s.subsets(host), func(u translate.Subset) bool { return u.Name == subset })
}

// subsets returns the live subsets of a host.
func (s *stager) subsets(host string) []translate.Subset {
	var subsets []translate.Subset
	for _, key := range sortedKeys(s.rules) {
		if r := s.rules[key]; r.live != nil && r.live.Object.DestinationRule.Host == host {
			subsets = append(subsets, r.live.Object.DestinationRule.Subsets...)
		}
	}
	return subsets
}

// runsEmpty reports whether a subset of a host has endpoints, and will have none.
func (s *stager) runsEmpty(host, subset string) bool {
	return slices.ContainsFunc(s.subsets(host), func(u translate.Subset) bool {
		return u.Name == subset && !slices.ContainsFunc(s.hosts[host], func(h *stagedHost) bool { return h.willHave(u) })
	})
}

// willHave reports whether the host will have an endpoint of a subset.
func (h *stagedHost) willHave(subset translate.Subset) bool {
	has := func(o *translate.Object) bool {
		return slices.ContainsFunc(o.ServiceEntry.Endpoints, func(e translate.Endpoint) bool { return selects(subset, &e) })
	}
	if len(h.changes) > 0 {
		return slices.ContainsFunc(h.goal, has)
	}
	return slices.ContainsFunc(h.live, func(l Live) bool { return has(l.Object) })
}

// selects reports whether an endpoint is in a subset.
func selects(subset translate.Subset, e *translate.Endpoint) bool {
	return !slices.ContainsFunc(subset.Labels, func(l translate.Label) bool { return !slices.Contains(e.Labels, l) })
}
