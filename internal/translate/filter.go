package translate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// LabelAutoAllocate, with the value AutoAllocateOff, tells istiod to give no address to an entry that has none. Entries that are routed by
// what a call says have it: with an address, proxies that capture DNS would listen there, and not where consumers dial.
const (
	LabelAutoAllocate = "networking.istio.io/enable-autoallocate-ip"
	AutoAllocateOff   = "false"
)

// LabelDubboTag is the label of endpoints that subsets select by; its value is the name of the subset. Endpoints have it only where calls
// are routed by tag.
const LabelDubboTag = "registry-bridge.io/dubbo-tag"

// EnvoyFilter is one table of Dubbo routes: what all proxies of a namespace do with calls to one port. A last route, which sends every
// other call where its consumer sent it, is always rendered and not among Routes, so an empty table passes everything through.
type EnvoyFilter struct {
	Port uint32
	// Mesh says that the table is everybody's: it is in the root namespace. Where a namespace has a table of its own for a port, that
	// replaces this one there.
	Mesh bool
	// Part is WholeTable in every table that should exist. An output stores a table that is too large for one object in several.
	Part TablePart
	// Routes is sorted by DubboRoute.Compare, with each service once. It may be empty.
	Routes []DubboRoute
	// Unknown is empty in every table that should exist. In one that was read from an output it says what was found that is not of our
	// making, so that the table differs from every table that should exist.
	Unknown string
}

// TablePart is what an object has of a table.
type TablePart string

// The parts of a table.
const (
	// WholeTable is everything.
	WholeTable TablePart = ""
	// TableBase puts an empty table in the place of what the listener had.
	TableBase TablePart = "base"
	// TableRoutes adds routes to a table that is there.
	TableRoutes TablePart = "routes"
	// TableRest adds the last route, behind all others.
	TableRest TablePart = "rest"
)

// DubboRoute is what happens to the calls of one service. Interface, Group and Version are as calls have them on the wire; a call without
// a group or a version belongs to the route that has none, and to no other.
type DubboRoute struct {
	Interface, Group, Version string
	// Matches are tried in order; the first that suits a call is taken. A call that none suits goes where its consumer sent it.
	Matches []DubboMatch
}

// DubboMatch sends the calls that it suits to targets, by weight.
type DubboMatch struct {
	// Method is what the name of the method has to be; the zero value suits every method.
	Method MethodMatch
	// Tag is the tag that a call has to carry; empty suits every call.
	Tag string
	// To is never empty. With one target, its weight is 0.
	To []DubboTarget
}

// MethodMatch is a condition on the name of a method. At most one of its fields is set.
type MethodMatch struct{ Exact, Prefix, Suffix, Regex string }

// DubboTarget is a cluster: a port of a host, or a subset of its endpoints.
type DubboTarget struct {
	Host   string
	Port   uint32
	Subset string
	Weight uint32
}

// DestinationRule names subsets of the endpoints of a host.
type DestinationRule struct {
	Host string
	// Subsets is sorted by name.
	Subsets []Subset
}

// Subset is the endpoints of a host that have all of Labels, which is sorted by key.
type Subset struct {
	Name   string
	Labels []Label
}

// Cluster is the name that istiod gives to the cluster of a target.
func (t DubboTarget) Cluster() string {
	return "outbound|" + strconv.FormatUint(uint64(t.Port), 10) + "|" + t.Subset + "|" + t.Host
}

// Compare orders routes by service as they stand in a table: those of one interface together, the more specific first. Routes that
// compare as equal are about the same calls.
func (r *DubboRoute) Compare(o *DubboRoute) int {
	return cmp.Or(
		strings.Compare(r.Interface, o.Interface),
		emptyLast(r.Group, o.Group),
		emptyLast(r.Version, o.Version),
	)
}

func emptyLast(a, b string) int {
	if (a == "") != (b == "") {
		return -strings.Compare(a, b)
	}
	return strings.Compare(a, b)
}

// Same reports whether both do the same with the same calls.
func (r *DubboRoute) Same(o *DubboRoute) bool {
	return r.Compare(o) == 0 && slices.EqualFunc(r.Matches, o.Matches, DubboMatch.equal)
}

func (m DubboMatch) equal(o DubboMatch) bool {
	return m.Method == o.Method && m.Tag == o.Tag && slices.Equal(m.To, o.To)
}

// Targets calls yield with each target of the route until that returns false.
func (r *DubboRoute) Targets(yield func(DubboTarget) bool) {
	for i := range r.Matches {
		for _, t := range r.Matches[i].To {
			if !yield(t) {
				return
			}
		}
	}
}

// Same reports whether both tables do the same.
func (f *EnvoyFilter) Same(o *EnvoyFilter) bool {
	return f.Port == o.Port && f.Mesh == o.Mesh && f.Part == o.Part && f.Unknown == o.Unknown &&
		slices.EqualFunc(f.Routes, o.Routes, func(a, b DubboRoute) bool { return a.Same(&b) })
}

// Find returns the route of the service of like, nil when the table has none.
func (f *EnvoyFilter) Find(like *DubboRoute) *DubboRoute {
	at, ok := slices.BinarySearchFunc(f.Routes, like, func(r DubboRoute, like *DubboRoute) int { return r.Compare(like) })
	if !ok {
		return nil
	}
	return &f.Routes[at]
}

// Keep returns the table with those of its routes only that keep wants; the table itself when it wants them all.
func (f *EnvoyFilter) Keep(keep func(*DubboRoute) bool) *EnvoyFilter {
	unwanted := func(r DubboRoute) bool { return !keep(&r) }
	if !slices.ContainsFunc(f.Routes, unwanted) {
		return f
	}
	kept := *f
	kept.Routes = slices.DeleteFunc(slices.Clone(f.Routes), unwanted)
	return &kept
}

// With returns the table with others beside its own routes. Of two that are about the same calls its own stays.
func (f *EnvoyFilter) With(others []DubboRoute) *EnvoyFilter {
	var added []DubboRoute
	for i := range others {
		if f.Find(&others[i]) == nil {
			added = append(added, others[i])
		}
	}
	if len(added) == 0 {
		return f
	}
	all := *f
	all.Routes = slices.Concat(f.Routes, added)
	slices.SortFunc(all.Routes, func(a, b DubboRoute) int { return a.Compare(&b) })
	return &all
}

// TableKey is the key of the table of a port in a namespace.
func TableKey(namespace string, port uint32) Key {
	return Key{KindEnvoyFilter, namespace, "registry-bridge-dubbo-" + strconv.FormatUint(uint64(port), 10)}
}

// TablePorts returns the ports, ascending, on which a proxy that sees the entry needs a table: without one it would send everything that
// is dialled on such a port to this host. They can be told from what is live as well as from what is desired: they are the TCP ports of
// an entry that has no address and is not hidden.
func (s *ServiceEntry) TablePorts() []uint32 {
	if len(s.Addresses) > 0 || slices.Equal(s.ExportTo, []string{"~"}) {
		return nil
	}
	var ports []uint32
	for _, p := range s.Ports {
		if p.Protocol.opaque() {
			ports = append(ports, p.Number)
		}
	}
	return ports
}

// Tables returns the keys of the tables that the entry o needs before anybody sees it, sorted; root is the root namespace of the mesh,
// whose tables are everybody's. It is empty for everything but a ServiceEntry that is routed by table.
func (o *Object) Tables(root string) []Key {
	if o.ServiceEntry == nil {
		return nil
	}
	ports := o.ServiceEntry.TablePorts()
	if len(ports) == 0 {
		return nil
	}
	all, namespaces := Viewers(o.ServiceEntry.ExportTo, o.Key.Namespace)
	if all {
		namespaces = []string{root}
	}
	var keys []Key
	for _, namespace := range namespaces {
		for _, port := range ports {
			keys = append(keys, TableKey(namespace, port))
		}
	}
	slices.SortFunc(keys, Key.Compare)
	return slices.Compact(keys)
}

// Has reports whether the host has what the target names: the port, and the subset when rule, which may be nil, has it.
func (s *ServiceEntry) Has(t DubboTarget, rule *DestinationRule) bool {
	return s.Host == t.Host &&
		slices.ContainsFunc(s.Ports, func(p ServicePort) bool { return p.Number == t.Port }) &&
		(t.Subset == "" || rule != nil && rule.Host == t.Host &&
			slices.ContainsFunc(rule.Subsets, func(u Subset) bool { return u.Name == t.Subset }))
}

// Viewers returns the namespaces that see an object, by its exportTo and its own namespace. Without exportTo everybody does, unless the
// mesh configuration says otherwise, which we do not know.
func Viewers(exportTo []string, own string) (all bool, namespaces []string) {
	if len(exportTo) == 0 {
		return true, nil
	}
	for _, to := range exportTo {
		switch to {
		case "*":
			return true, nil
		case ".":
			namespaces = append(namespaces, own)
		case "~":
		default:
			namespaces = append(namespaces, to)
		}
	}
	return false, namespaces
}
