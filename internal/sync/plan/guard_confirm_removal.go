package plan

import (
	"fmt"

	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// An edit that deletes more objects of a Registry than both of these waits for a person.
const (
	confirmFloor   = 10
	confirmPercent = 30
)

// confirmRemoval holds the deletions that an edit of a Registry's configuration causes, all of them, when they are too many to be
// meant without a second look. Deleting a Registry whose deletionPolicy is Delete is no edit: it was asked for twice already, and waiting
// would only leave the Registry in Terminating. It returns the changes that remain.
func (v *view) confirmRemoval(changes []pending) []pending {
	deleted := map[registryKey]int{}
	for i := range changes {
		if p := v.policies[changes[i].registry]; changes[i].byConfig && (p == nil || !p.Deleted) {
			deleted[changes[i].registry]++
		}
	}
	asked := map[registryKey]*Hold{}
	for registry, n := range deleted {
		if live := v.countLive(registry); n > confirmFloor && n*100 > live*confirmPercent {
			if hold := v.askFor(registry, n, live); hold != nil {
				asked[registry] = hold
			}
		}
	}
	if len(asked) == 0 {
		return changes
	}
	remaining := changes[:0]
	for i := range changes {
		c := &changes[i]
		hold := asked[c.registry]
		if !c.byConfig || hold == nil {
			remaining = append(remaining, *c)
			continue
		}
		hold.Key, hold.Host = c.Key, c.host.host
		v.hold(*hold)
	}
	return remaining
}

// askFor returns the hold on the deletions of a Registry, nil when a person has released it.
func (v *view) askFor(registry registryKey, n, live int) *Hold {
	found := v.keepIncident(incidentKey{reason.ConfirmRemoval, registry.namespace + "/" + registry.name})
	if p := v.policies[registry]; p != nil && v.released(p, found.id) {
		return nil
	}
	return &Hold{
		ID: found.id, Guard: reason.ConfirmRemoval, Since: found.since,
		Detail: fmt.Sprintf("The configuration would delete %d of the Registry's %d objects at once; release it if that is meant.", n, live),
	}
}

// countLive counts the live objects of a Registry.
func (v *view) countLive(registry registryKey) int {
	n := 0
	for _, h := range v.hosts {
		for i := range h.live {
			if registryOf(h.live[i].Object) == registry {
				n++
			}
		}
	}
	return n
}
