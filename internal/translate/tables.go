package translate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate/dubbo"
)

// tables makes the tables of routes. There is one for each port in each namespace that a Registry names, and in the root namespace
// for those that name the mesh. A table of a namespace takes the place of that of the mesh there, so it has everything that its consumers see.
func (r *run) tables() {
	routed := map[bool][]*entry{} // by whether the mesh sees them
	r.services = map[servicesKey]*entry{}
	for _, w := range r.sorted {
		if e := w.entry; e != nil && e.routed && len(e.shardsOf) > 0 {
			routed[e.registry.Dubbo.Mesh] = append(routed[e.registry.Dubbo.Mesh], e)
			r.services[servicesKey{e.registry, e.service}] = e
		}
	}
	next := map[Key]*Object{}
	for key, entries := range r.draw(routed[true], routed[false]) {
		next[key] = r.table(key, entries)
		r.result.Objects = append(r.result.Objects, next[key])
	}
	r.t.tables = next
	r.tellIncomplete(routed[true])
	r.tellIncomplete(routed[false])
}

// draw says which entries are in which table.
func (r *run) draw(mesh, some []*entry) map[Key][]*entry {
	drawn := map[Key][]*entry{}
	root := r.opts.Root()
	for _, e := range mesh {
		for _, port := range e.routedPorts() {
			key := TableKey(root, port)
			drawn[key] = append(drawn[key], e)
		}
	}
	for _, e := range some {
		for _, namespace := range e.registry.Dubbo.Namespaces {
			for _, port := range e.routedPorts() {
				key := TableKey(namespace, port)
				if namespace != root && drawn[key] == nil { // Its consumers see what the mesh sees.
					drawn[key] = slices.Clone(drawn[TableKey(root, port)])
				}
				drawn[key] = append(drawn[key], e)
			}
		}
	}
	return drawn
}

// servicesKey names a service whose calls a Registry routes.
type servicesKey struct {
	reg     *Registry
	service dubbo.Service
}

// routedPorts returns the ports on which calls to the host are routed.
func (e *entry) routedPorts() []uint32 {
	var ports []uint32
	for _, p := range e.ports {
		if p.Protocol.opaque() {
			ports = append(ports, p.Number)
		}
	}
	return ports
}

// table makes one table, or takes the one that was made before.
func (r *run) table(key Key, entries []*entry) *Object {
	f := &EnvoyFilter{Mesh: key.Namespace == r.opts.Root()}
	slices.SortStableFunc(entries, func(a, b *entry) int {
		return slices.Index(r.opts.Registries, a.registry) - slices.Index(r.opts.Registries, b.registry)
	})
	holders := make(map[dubbo.Service]*entry, len(entries))
	for _, e := range entries {
		f.Port = portOfTable(key, e)
		if routes := e.registry.Dubbo.Routes; routes == nil || !routes(e.first.svc.Ref.Name) {
			continue
		}
		if holder := holders[e.service]; holder != nil {
			r.report([]*draft{e.first}, fault{
				reason.ListenerConflict, fmt.Sprintf("port %d in namespace %s: calls to the service go to %s", f.Port, key.Namespace, holder.claim.host),
			})
			continue
		}
		holders[e.service] = e
		f.Routes = append(f.Routes, r.routesOf(e, f.Port)...)
	}
	slices.SortFunc(f.Routes, func(a, b DubboRoute) int { return a.Compare(&b) })
	f.Routes = slices.CompactFunc(f.Routes, func(a, b DubboRoute) bool { return a.Compare(&b) == 0 })
	if before := r.t.tables[key]; before != nil && before.EnvoyFilter.Same(f) && before.Labels[LabelInstance] == r.opts.Instance {
		return before
	}
	return &Object{Key: key, Labels: map[string]string{LabelManagedBy: ManagedBy, LabelInstance: r.opts.Instance}, EnvoyFilter: f}
}

// portOfTable returns the port of a table that has an entry.
func portOfTable(key Key, e *entry) uint32 {
	for _, port := range e.routedPorts() {
		if TableKey(key.Namespace, port) == key {
			return port
		}
	}
	return 0
}

// routesOf returns the route of an entry on a port.
func (r *run) routesOf(e *entry, port uint32) []DubboRoute {
	route := DubboRoute{Interface: e.service.Interface, Group: e.service.Group, Version: e.service.Version}
	for _, tag := range e.tags {
		if tag.text != "" && utf8.ValidString(tag.text) { // A table holds text only.
			route.Matches = append(route.Matches, DubboMatch{Tag: tag.text, To: []DubboTarget{{Host: e.claim.host, Port: port, Subset: tag.subset}}})
		}
	}
	for i := range e.registry.Dubbo.Rules {
		rule := &e.registry.Dubbo.Rules[i]
		if to, _ := r.split(e, rule, port); len(to) > 0 {
			route.Matches = append(route.Matches, DubboMatch{Method: rule.Method, To: to})
		}
	}
	if subset, ok := e.untagged(); ok {
		route.Matches = append(route.Matches, DubboMatch{To: []DubboTarget{{Host: e.claim.host, Port: port, Subset: subset}}})
	}
	if len(route.Matches) == 0 {
		return nil
	}
	return []DubboRoute{route}
}

// untagged returns the subset of the endpoints for calls without a tag, empty when it is all of them, and whether there is any. A call
// without any stays with the provider that its consumer chose.
func (e *entry) untagged() (subset string, ok bool) {
	if len(e.tags) == 0 {
		return "", true
	}
	return untagged, slices.ContainsFunc(e.tags, func(t tagged) bool { return t.text == "" })
}

// split returns the targets of a rule for the calls to an entry, none when the rule is not about them, and how many of its shares name
// nobody.
func (r *run) split(e *entry, rule *DubboRule, port uint32) (to []DubboTarget, missing int) {
	if rule.Interface != e.service.Interface || !suits(rule.Group, e.service.Group) || !suits(rule.Version, e.service.Version) {
		return nil, 0
	}
	for _, share := range rule.Shares {
		if share.Weight == 0 {
			continue
		}
		target, ok := r.target(e, &share, port)
		if !ok {
			missing++
			continue
		}
		at := slices.IndexFunc(to, func(t DubboTarget) bool { return t.Host == target.Host && t.Subset == target.Subset })
		if at >= 0 {
			to[at].Weight += target.Weight
		} else {
			to = append(to, target)
		}
	}
	if len(to) == 1 {
		to[0].Weight = 0
	}
	return to, missing
}

func suits(condition *string, value string) bool { return condition == nil || *condition == value }

// target returns where a share of the calls to an entry goes.
func (r *run) target(e *entry, share *DubboShare, port uint32) (DubboTarget, bool) {
	service := e.service
	if share.Group != nil {
		service.Group = *share.Group
	}
	if share.Version != nil {
		service.Version = *share.Version
	}
	other := r.services[servicesKey{e.registry, service}]
	if other == nil {
		return DubboTarget{}, false
	}
	t := DubboTarget{Host: other.claim.host, Port: port, Weight: share.Weight}
	if ports := other.routedPorts(); !slices.Contains(ports, port) {
		t.Port = ports[0] // Any port of a host leads to all of its endpoints.
	}
	if share.Tag == "" {
		var ok bool
		t.Subset, ok = other.untagged()
		return t, ok
	}
	t.Subset = subsetOf(share.Tag)
	return t, slices.ContainsFunc(other.tags, func(tag tagged) bool { return tag.text == share.Tag })
}

// tellIncomplete reports splits that name nobody, once for each service that they are about.
func (r *run) tellIncomplete(entries []*entry) {
	for _, e := range entries {
		for i := range e.registry.Dubbo.Rules {
			rule := &e.registry.Dubbo.Rules[i]
			if _, missing := r.split(e, rule, 0); missing > 0 {
				r.report([]*draft{e.first}, fault{
					reason.RouteIncomplete, fmt.Sprintf("%d of the shares of %.100q name providers that are not there", missing, rule.Name),
				})
			}
		}
	}
}

// rule makes the DestinationRule of a host whose calls are routed by tag.
func (r *run) rule(e *entry) {
	if e.routed && e.registry.Dubbo.ByTag && e.wiring.ruled {
		r.report([]*draft{e.first}, fault{reason.ForeignDestinationRule, "somebody else has a DestinationRule for the host"})
	}
	if len(e.tags) == 0 {
		return
	}
	d := &DestinationRule{Host: e.claim.host}
	for _, tag := range e.tags {
		d.Subsets = append(d.Subsets, Subset{Name: tag.subset, Labels: []Label{{LabelDubboTag, tag.subset}}})
	}
	slices.SortFunc(d.Subsets, func(a, b Subset) int { return strings.Compare(a.Name, b.Name) })
	o := &Object{
		Key: Key{KindDestinationRule, e.claim.namespace, e.claim.host}, Labels: e.ruleLabels(), Annotations: e.annotations,
		DestinationRule: d, Origins: e.origins, Registries: e.registries,
	}
	if before := e.rule; before == nil || !before.alike(o) || !slices.EqualFunc(before.DestinationRule.Subsets, d.Subsets, Subset.equal) {
		e.rule = o
	}
	r.result.Objects = append(r.result.Objects, e.rule)
}

// tellAllocated reports that proxies which capture DNS do not listen where consumers dial.
func (r *run) tellAllocated(e *entry) {
	if !e.routed || r.foreign == nil {
		return
	}
	for _, o := range e.objects {
		if slices.Contains(r.foreign.Allocated, o.Key) {
			r.report([]*draft{e.first}, fault{reason.DNSCaptureListener, "istiod uses an address of its own for " + o.Key.String()})
		}
	}
}

// ruleLabels returns the labels of the DestinationRule.
func (e *entry) ruleLabels() map[string]string {
	labels := maps.Clone(e.labels)
	delete(labels, LabelAutoAllocate)
	return labels
}

func (s Subset) equal(o Subset) bool { return s.Name == o.Name && slices.Equal(s.Labels, o.Labels) }
