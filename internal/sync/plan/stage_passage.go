package plan

import (
	"cmp"
	"slices"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// passage is a live object on its way to what is wanted of it. It has the wanted endpoints, but neither ports nor namespaces whose tables are
// not settled, and still those that a stuck table may have routes for. What it shows is always every port of its own to every one of its
// namespaces, so a port comes when all namespaces are ready for it, and the other way round. Whether an object needs tables at
// all, and whether those are of the whole mesh, changes in one step.
type passage struct {
	*stager
	live, want *translate.Object
	stuck      []translate.Key
}

func (p *passage) object() *translate.Object {
	live, want := p.live.ServiceEntry, p.want.ServiceEntry
	stays := shaped(p.live, p.want, live.Ports, live.ExportTo)
	if len(live.TablePorts()) == 0 || len(want.TablePorts()) == 0 || isForAll(live) != isForAll(want) {
		return stays
	}
	to := p.staying()
	ports := p.ports(to)
	for _, namespace := range want.ExportTo {
		closed := func(port translate.ServicePort) bool {
			return p.isTablePort(port) && !p.open(namespace, port.Number)
		}
		if !slices.Contains(to, namespace) && !slices.ContainsFunc(ports, closed) {
			to = append(to, namespace)
		}
	}
	if len(to) == 0 || len(ports) == 0 {
		return stays
	}
	slices.Sort(to)
	return shaped(p.want, p.want, ports, to)
}

func isForAll(s *translate.ServiceEntry) bool {
	all, _ := translate.Viewers(s.ExportTo, "")
	return all
}

// staying returns the live namespaces that are wanted, and those with a stuck table.
func (p *passage) staying() []string {
	var to []string
	for _, namespace := range p.live.ServiceEntry.ExportTo {
		stuck := func(port translate.ServicePort) bool { return p.isStuck(namespace, port.Number) }
		if slices.Contains(p.want.ServiceEntry.ExportTo, namespace) || slices.ContainsFunc(p.live.ServiceEntry.Ports, stuck) {
			to = append(to, namespace)
		}
	}
	return to
}

// ports returns the live ports with a stuck table, and the wanted ones for which the namespaces are ready. A stuck one that uses a number or
// a name again comes first.
func (p *passage) ports(to []string) []translate.ServicePort {
	var ports []translate.ServicePort
	for _, port := range p.live.ServiceEntry.Ports {
		stuck := func(namespace string) bool { return p.isStuck(namespace, port.Number) }
		if !slices.Contains(p.want.ServiceEntry.Ports, port) && slices.ContainsFunc(to, stuck) {
			ports = append(ports, port)
		}
	}
	for _, port := range p.want.ServiceEntry.Ports {
		used := func(o translate.ServicePort) bool { return o.Number == port.Number || o.Name == port.Name }
		closed := func(namespace string) bool { return !p.open(namespace, port.Number) }
		if !slices.ContainsFunc(ports, used) && (!p.isTablePort(port) || !slices.ContainsFunc(to, closed)) {
			ports = append(ports, port)
		}
	}
	slices.SortFunc(ports, func(a, b translate.ServicePort) int { return cmp.Compare(a.Number, b.Number) })
	return ports
}

func (p *passage) isTablePort(port translate.ServicePort) bool {
	return slices.ContainsFunc([]*translate.ServiceEntry{p.live.ServiceEntry, p.want.ServiceEntry}, func(s *translate.ServiceEntry) bool {
		return slices.Contains(s.Ports, port) && slices.Contains(s.TablePorts(), port.Number)
	})
}

func (p *passage) isStuck(namespace string, port uint32) bool {
	return slices.Contains(p.stuck, p.table(namespace, port))
}

// open reports whether the proxies of a namespace may see a port: they do already, or shall and have its table.
func (p *passage) open(namespace string, port uint32) bool {
	key := p.table(namespace, port)
	return slices.Contains(p.live.Tables(everywhere), key) ||
		slices.Contains(p.want.Tables(everywhere), key) && p.due(p.settledAt(p.resolve(key)))
}

// table returns the key of the table for a port in a namespace as ExportTo has it.
func (p *passage) table(namespace string, port uint32) translate.Key {
	if namespace == "." {
		namespace = p.live.Key.Namespace
	}
	return translate.TableKey(namespace, port)
}

// shaped returns the object with other ports and namespaces, and with the endpoints of want. Where ports are missing, two places may turn out
// to be one.
func shaped(o, want *translate.Object, ports []translate.ServicePort, to []string) *translate.Object {
	out, entry := *o, *o.ServiceEntry
	entry.Ports, entry.ExportTo = ports, to
	entry.Endpoints = slices.Clone(want.ServiceEntry.Endpoints)
	for i := range entry.Endpoints {
		e := &entry.Endpoints[i]
		e.Ports = remap(e, ports)
	}
	slices.SortFunc(entry.Endpoints, func(a, b translate.Endpoint) int { return a.Compare(&b) })
	entry.Endpoints = slices.CompactFunc(entry.Endpoints, func(a, b translate.Endpoint) bool { return idOf(&a) == idOf(&b) })
	out.ServiceEntry = &entry
	return &out
}
