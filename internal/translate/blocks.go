package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate/dubbo"
)

// A table of routes is in the place of what every outbound listener on its port had, in all proxies of its namespace. So calls are not
// routed on a port where one of these would be taken along:
//
//	providers that are called with what Envoy cannot read     SerializationUnsupported
//	somebody else's TCP service                               ForeignServiceOnPort
//	a TCP service of ours that has an address                 ListenerConflict
//	somebody else's patch of the listener                     ListenerConflict
//
// and calls to a host that another namespace publishes, too, are not routed at all (DuplicateHostNamespace).

// defaultRoot is the root namespace of a mesh that was installed as usual.
const defaultRoot = "istio-system"

// Root returns the root namespace of the mesh.
func (o *Options) Root() string { return cmp.Or(o.RootNamespace, defaultRoot) }

// scope is what stands in the way of one Registry's routes.
type scope struct {
	// off is why nothing can be routed.
	off fault
	// blocks are sorted by port, with each port once.
	blocks []block
}

// wire says what stands in the way of routing the calls to a host that a Registry wants to be routed.
func (r *run) wire(q *question) wiring {
	reg := q.owner
	for i := 0; reg == nil && i < len(q.drafts); i++ {
		if !q.drafts[i].excluded && len(q.drafts[i].candidates) > 0 {
			reg = q.drafts[i].reg
		}
	}
	if reg == nil || !reg.Dubbo.Envoy {
		return wiring{}
	}
	s := r.scopeOf(reg)
	w := wiring{reg: reg, off: s.off, ruled: r.foreign.ruled(q.claim.host)}
	if w.off.reason == "" {
		w.off = r.duplicate(q.claim, reg)
	}
	for _, port := range q.ports() {
		at, found := slices.BinarySearchFunc(s.blocks, port, func(b block, port uint32) int { return cmp.Compare(b.port, port) })
		if found {
			w.blocks = append(w.blocks, s.blocks[at])
		}
	}
	return w
}

// ports returns the ports in Dubbo's own protocol that the host has, or would have, sorted.
func (q *question) ports() []uint32 {
	var ports []uint32
	add := func(port uint32) {
		if at, found := slices.BinarySearch(ports, port); !found {
			ports = slices.Insert(ports, at, port)
		}
	}
	for _, p := range q.prior.Ports {
		add(p.Number)
	}
	for _, d := range q.drafts {
		for i := range d.candidates {
			for _, o := range d.candidates[i].offers {
				if dubbo.Routable(o.prefix) {
					add(o.number)
				}
			}
		}
	}
	return ports
}

// duplicate says where else a host is published in view of the consumers.
func (r *run) duplicate(c claim, reg *Registry) fault {
	namespace, found := r.twice[c]
	if !found {
		namespace, found = r.foreign.publisher(c, &reg.Dubbo)
	}
	if !found {
		return fault{}
	}
	return fault{reason.DuplicateHostNamespace, fmt.Sprintf("namespace %s publishes the host, too", namespace)}
}

// scopeOf returns what stands in the way of a Registry's routes. It may be asked once the hosts whose calls are not routed have their
// answers.
func (r *run) scopeOf(reg *Registry) *scope {
	if s := r.scopes[reg]; s != nil {
		return s
	}
	s := &scope{}
	s.add(r.refusals())
	off, blocks := r.foreign.blocks(&reg.Dubbo, r.opts.Root())
	s.off = off
	if root := r.opts.Root(); slices.Contains(reg.Dubbo.Namespaces, root) {
		s.off = fault{reason.ListenerConflict, "what is in namespace " + root + " is for the whole mesh; consumers there are everybody"}
	}
	s.add(blocks)
	s.add(r.occupied(reg))
	slices.SortFunc(s.blocks, func(a, b block) int { return cmp.Compare(a.port, b.port) })
	r.scopes[reg] = s
	return s
}

// add adds blocks of ports that are not blocked yet.
func (s *scope) add(blocks []block) {
	for _, b := range blocks {
		if !slices.ContainsFunc(s.blocks, func(o block) bool { return o.port == b.port }) {
			s.blocks = append(s.blocks, b)
		}
	}
}

// refusals returns the ports on which Envoy cannot read the calls, of all Registries.
func (r *run) refusals() []block {
	var blocks []block
	for _, reg := range r.opts.Registries {
		for i := range reg.Sources {
			for _, d := range r.drafts[draftsKey{reg, reg.Sources[i].ID}] {
				for _, refused := range d.refusals {
					blocks = append(blocks, block{refused.port, fault{
						reason.SerializationUnsupported,
						fmt.Sprintf("port %d is not routed: providers of %.200q are called on it with %.50q", refused.port, d.svc.Ref.Name, refused.serialization),
					}})
				}
			}
		}
	}
	return blocks
}

// occupied returns the ports on which consumers see a TCP service of ours that has an address.
func (r *run) occupied(reg *Registry) []block {
	var blocks []block
	for _, w := range r.sorted {
		e := w.entry
		if e == nil || r.mayRoute(w) || !e.opaque() || len(e.shardsOf) == 0 {
			continue
		}
		to := e.exportTo(true)
		if reg.Dubbo.Mesh {
			// A Registry's own namespace holds no consumers, unless it says so.
			to = slices.DeleteFunc(slices.Clone(to), func(to string) bool { return to == "." })
			if len(to) == 0 {
				continue
			}
		}
		if !reg.Dubbo.sees(to, w.namespace) {
			continue
		}
		for _, p := range e.ports {
			if p.Protocol.opaque() {
				blocks = append(blocks, block{p.Number, fault{
					reason.ListenerConflict, fmt.Sprintf("port %d is not routed: consumers reach %s on it", p.Number, w.host),
				}})
			}
		}
	}
	return blocks
}

// mayRoute reports whether a Registry wants the calls to a host to be routed.
func (r *run) mayRoute(w *wish) bool {
	return slices.ContainsFunc(w.drafts, func(d *draft) bool { return d.reg.Dubbo.Envoy && !d.excluded })
}

// sees reports whether some consumer sees what is exported to these namespaces.
func (d *Dubbo) sees(exportTo []string, own string) bool {
	all, namespaces := Viewers(exportTo, own)
	if all || d.Mesh {
		return all || len(namespaces) > 0
	}
	return slices.ContainsFunc(namespaces, func(namespace string) bool { return slices.Contains(d.Namespaces, namespace) })
}

// ruled reports whether somebody else has a DestinationRule for a host, by a wildcard too: an exact one of ours would take its place.
func (f *Foreign) ruled(host string) bool {
	if f == nil {
		return false
	}
	return slices.ContainsFunc(f.DestinationRules, func(pattern string) bool {
		tail, wild := strings.CutPrefix(pattern, "*")
		return pattern == host || wild && strings.HasSuffix(host, tail)
	})
}

// publisher returns the namespace of somebody else who publishes a host in view of consumers, from another namespace.
func (f *Foreign) publisher(c claim, d *Dubbo) (string, bool) {
	if f == nil {
		return "", false
	}
	at := slices.IndexFunc(f.Hosts, func(h ForeignHost) bool {
		return h.Host == c.host && h.Namespace != c.namespace && d.sees(h.ExportTo, h.Namespace)
	})
	if at < 0 {
		return "", false
	}
	return f.Hosts[at].Namespace, true
}

// blocks returns what others have on which ports in view of consumers, and why nothing can be routed at all.
func (f *Foreign) blocks(d *Dubbo, root string) (off fault, blocks []block) {
	if f == nil {
		return fault{}, nil
	}
	for i := range f.Ports {
		if p := &f.Ports[i]; p.forwarded() && d.sees(p.ExportTo, p.Namespace) {
			blocks = append(blocks, block{p.Number, fault{
				reason.ForeignServiceOnPort, fmt.Sprintf("port %d is not routed: %s %s/%s has it and does not say that it speaks Dubbo", p.Number, p.Kind, p.Namespace, p.Name),
			}})
		}
	}
	for i := range f.Filters {
		p := &f.Filters[i]
		if p.Namespace != root && !d.Mesh && !slices.Contains(d.Namespaces, p.Namespace) {
			continue
		}
		why := fault{reason.ListenerConflict, fmt.Sprintf("EnvoyFilter %s/%s is about every outbound listener", p.Namespace, p.Name)}
		if p.Port == 0 {
			return why, nil
		}
		why.detail = fmt.Sprintf("port %d is not routed: EnvoyFilter %s/%s is about its listener", p.Port, p.Namespace, p.Name)
		blocks = append(blocks, block{p.Port, why})
	}
	return fault{}, blocks
}

// forwarded reports whether proxies forward the bytes of a port, or may do so: everything but what they understand as HTTP. Dubbo goes
// where it was sent in any case, so a port that says that it speaks that is in nobody's way.
func (p *ForeignPort) forwarded() bool {
	name := strings.ToLower(p.PortName)
	word := strings.ToLower(p.Protocol)
	if p.Kind == "Service" && word == "" {
		word, _, _ = strings.Cut(name, "-")
	}
	if slices.Contains(strings.Split(name, "-"), "dubbo") || word == "dubbo" {
		return false
	}
	switch strings.TrimPrefix(word, "kubernetes.io/") {
	case "http", "http2", "h2c", "ws", "grpc", "grpc-web":
		return false
	}
	// The name of a port may begin with a protocol of two words.
	return !strings.HasPrefix(name, "grpc-web") || p.Protocol != ""
}
