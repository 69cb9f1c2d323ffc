package zookeeper

import (
	"maps"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// category is a child of an interface node that is looked at.
type category uint8

const (
	providers category = iota
	configurators
	categories
)

func (c category) String() string { return [...]string{"providers", "configurators"}[c] }

// unit is what is known of one interface node. It outlives connections; the state that concerns the current one is in the watcher.
type unit struct {
	// node is the name of the interface node, name the interface that it stands for: node decoded.
	node, name string
	// err says why the name cannot be an interface's; such a unit is skipped and never read.
	err error

	providers map[nodeKey]*provider // Nil values are nodes that are no provider.
	rules     map[nodeKey]*override // Nil values are rules without effect.
	pool      metaPool
	// told is what the sink knows of it.
	told *told

	// since is when the oldest change happened that the sink has not been told, latest the newest; zero when there is none.
	since, latest time.Time
	// retries counts the failed reads in a row, retry is when the next one is due; zero when none is.
	retries int
	retry   time.Time
	// removed says that the node is gone: answers that are still on their way are for nobody.
	removed bool

	link // The part that belongs to the current connection.
}

// link is where a unit stands on the current connection.
//
//	        want            sent all answered
//	idle ─────────▶ queued ──────▶ open ─────▶ idle
type link struct {
	// listed says of each category that its content is known on this connection, so that events keep it true.
	listed [categories]bool
	queued bool
	// open is the number of requests without an answer.
	open int
	// failed is the first error among the answers of the current read.
	failed error
	// reread is when a one-shot watch has fired and the unit is to be read again; zero when none has.
	reread time.Time
	// stale says of each category that a one-shot watch has fired since it was asked for, so a difference is no drift.
	stale [categories]bool
}

func newUnit(node, name string) *unit {
	return &unit{node: node, name: name, providers: map[nodeKey]*provider{}, rules: map[nodeKey]*override{}}
}

func (u *unit) complete() bool { return u.listed[providers] && u.listed[configurators] }

// add takes in one node and says whether it was unknown.
func (u *unit) add(c category, node string) bool {
	key := keyOf(node)
	if c == configurators {
		if _, ok := u.rules[key]; ok {
			return false
		}
		u.rules[key] = parseOverride(strings.Clone(node))
		return true
	}
	if _, ok := u.providers[key]; ok {
		return false
	}
	u.pool.trim(len(u.providers))
	u.providers[key] = parseProvider(node, &u.pool)
	return true
}

// remove forgets one node and says whether it was known.
func (u *unit) remove(c category, node string) bool {
	before := len(u.providers) + len(u.rules)
	if c == configurators {
		delete(u.rules, keyOf(node))
	} else {
		delete(u.providers, keyOf(node))
	}
	return len(u.providers)+len(u.rules) != before
}

// replace makes nodes the whole content of a category and returns how many were unknown or are gone.
func (u *unit) replace(c category, nodes []string) int {
	changes := 0
	seen := make(map[nodeKey]struct{}, len(nodes))
	for _, node := range nodes {
		seen[keyOf(node)] = struct{}{}
		if u.add(c, node) {
			changes++
		}
	}
	gone := func(key nodeKey) bool {
		_, ok := seen[key]
		if !ok {
			changes++
		}
		return !ok
	}
	if c == configurators {
		maps.DeleteFunc(u.rules, func(key nodeKey, _ *override) bool { return gone(key) })
	} else {
		maps.DeleteFunc(u.providers, func(key nodeKey, _ *provider) bool { return gone(key) })
	}
	return changes
}

// touch notes that there is something to tell.
func (u *unit) touch(now time.Time) {
	if u.since.IsZero() {
		u.since = now
	}
	u.latest = now
}

// content builds the services of the unit as they are now.
func (u *unit) content(id model.SourceID) []*model.Service {
	list := make([]*provider, 0, len(u.providers))
	for _, p := range u.providers {
		if p != nil {
			list = append(list, p)
		}
	}
	var rules []*override
	for _, o := range u.rules {
		if o != nil {
			rules = append(rules, o)
		}
	}
	sortOverrides(rules)
	return assemble(model.Ref{Source: id, Unit: u.name}, list, rules)
}

// tell reports the difference between what the sink knows and what is true now.
func (u *unit) tell(l *ledger) {
	l.tell(u.name, u.content(l.id))
	u.since, u.latest = time.Time{}, time.Time{}
}
