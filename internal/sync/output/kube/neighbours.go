package kube

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// neighbours are the facts of all objects, by the watch that tells of them. They may be used from any goroutine.
type neighbours struct {
	mu    sync.Mutex
	facts map[feedName]map[types.NamespacedName]facts
	// rules counts the DestinationRules of others, by host.
	rules map[string]int
	// foreign is what was made of all this last, nil when something changed since.
	foreign *translate.Foreign
}

func newNeighbours() *neighbours {
	return &neighbours{facts: map[feedName]map[types.NamespacedName]facts{}, rules: map[string]int{}}
}

// set replaces the facts of an object, and reports whether that is news.
func (n *neighbours) set(feed feedName, name types.NamespacedName, now facts) (news bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.replace(feed, name, now)
}

func (n *neighbours) replace(feed feedName, name types.NamespacedName, now facts) (news bool) {
	last := n.facts[feed][name]
	if last.equal(&now) {
		return false
	}
	if n.facts[feed] == nil {
		n.facts[feed] = map[types.NamespacedName]facts{}
	}
	n.facts[feed][name] = now
	if now.none() {
		delete(n.facts[feed], name)
	}
	if last.rule != "" {
		n.rules[last.rule]--
	}
	if now.rule != "" {
		n.rules[now.rule]++
	}
	n.foreign = nil
	return true
}

// reset replaces the facts of all objects of a feed, and reports whether there is news among them.
func (n *neighbours) reset(feed feedName, items []*item) (news bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	listed := make(map[types.NamespacedName]bool, len(items))
	for _, i := range items {
		listed[i.name()] = true
		news = n.replace(feed, i.name(), i.facts) || news
	}
	for name := range n.facts[feed] {
		if !listed[name] {
			news = n.replace(feed, name, facts{}) || news
		}
	}
	return news
}

// hasRule reports whether somebody else has a DestinationRule for the host.
func (n *neighbours) hasRule(host string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rules[host] > 0
}

// list puts the facts together, sorted.
func (n *neighbours) list() *translate.Foreign {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.foreign != nil {
		return n.foreign
	}
	f := &translate.Foreign{}
	for _, objects := range n.facts {
		for name, o := range objects {
			if o.rule != "" {
				f.DestinationRules = append(f.DestinationRules, o.rule)
			}
			if o.allocated {
				f.Allocated = append(f.Allocated, translate.Key{Kind: translate.KindServiceEntry, Namespace: name.Namespace, Name: name.Name})
			}
			f.Hosts, f.Ports, f.Filters = append(f.Hosts, o.hosts...), append(f.Ports, o.ports...), append(f.Filters, o.filters...)
		}
	}
	slices.Sort(f.DestinationRules)
	f.DestinationRules = slices.Compact(f.DestinationRules)
	slices.SortFunc(f.Allocated, translate.Key.Compare)
	slices.SortFunc(f.Hosts, func(a, b translate.ForeignHost) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	slices.SortFunc(f.Ports, func(a, b translate.ForeignPort) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace),
			strings.Compare(a.Name, b.Name), strings.Compare(a.PortName, b.PortName))
	})
	slices.SortFunc(f.Filters, func(a, b translate.ForeignFilter) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port))
	})
	n.foreign = f
	return f
}

// Foreign implements output.Surveyor. It has nothing before everything was listed, and without Options.Routing.
func (k *Kube) Foreign() *translate.Foreign {
	if !k.opts.Routing {
		return nil
	}
	select {
	case <-k.synced:
		return k.neighbours.list()
	default:
		return nil
	}
}
