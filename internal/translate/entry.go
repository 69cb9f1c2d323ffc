package translate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate/dubbo"
)

// claim is a host in a namespace.
type claim struct{ namespace, host string }

func (c claim) key() Key { return Key{KindServiceEntry, c.namespace, c.host} }

// question is everything that an entry depends on; an equal question has the same answer.
type question struct {
	claim claim
	// drafts want the host, in merge order.
	drafts []*draft
	// prior is the live object of the host, zero without one.
	prior Prior
	// shards are the names of the live objects of the host beyond the first, in order.
	shards []string
	// owner is the Registry that published the host first, nil when there is none of that name.
	owner    *Registry
	instance string
	// lastTLS is what is live of mutual TLS, as long as the pods are not known.
	lastTLS lastTLS
	// wiring is what stands in the way of routing its calls.
	wiring wiring
}

func (q *question) equal(o *question) bool {
	return q.claim == o.claim && q.owner == o.owner && q.instance == o.instance && q.prior.equal(&o.prior) &&
		slices.Equal(q.drafts, o.drafts) && slices.Equal(q.shards, o.shards) &&
		q.lastTLS.equal(&o.lastTLS) && q.wiring.equal(&o.wiring)
}

// entry is the answer: the content of the objects of one host but for what depends on other hosts (address and names of shards).
type entry struct {
	question
	labels, annotations map[string]string
	// first is the first draft in merge order that contributes.
	first *draft
	// registry is the Registry whose output options apply.
	registry *Registry
	mode     EndpointMode
	dubbo    bool
	// routed says that calls are routed by what they say, by which service, and tags which tags the endpoints have, if that matters.
	routed   bool
	service  dubbo.Service
	tags     []tagged
	ports    []ServicePort
	shardsOf [][]Endpoint
	// claims are those of sources whose endpoint belongs to another.
	claims []Claim
	// subjectAltNames are the identities of the endpoints.
	subjectAltNames []string
	origins         []model.Ref
	registries      []string
	// diagnostics and withdrawn do not include those of the drafts.
	diagnostics []Diagnostic
	withdrawn   []Withdrawal

	// objects are what was made of the entry, with the addresses and names that it had then.
	objects   []*Object
	rule      *Object
	addresses []string
	names     []string
}

// newEntry answers a question.
func newEntry(q question) *entry {
	e := &entry{question: q}
	e.withdraw()
	winners := e.electOriginal()
	parts := partsOf(winners)
	if len(parts) == 0 {
		return e
	}
	live := livePorts(q.prior.Ports)
	owner := e.ownerOf(parts, len(live) > 0)
	c := choosePorts(live, owner)
	e.route(&c, parts, owner)
	if owner != nil {
		for _, f := range c.faults {
			e.report(owner.drafts[0], "", f)
		}
	}
	e.ports = servicePorts(c.slots)
	parts = e.contributing(parts, owner, &c)
	located := e.locate(parts, owner, &c)
	if len(located) == 0 {
		return e
	}
	e.describe(winners, parts)
	e.chooseMode()
	e.hideLabels(located)
	e.keepTLS(located)
	e.identify(located)
	endpoints := e.unique(located)
	equalWeights(endpoints)
	e.findTags(located, endpoints)
	if e.mode == WorkloadEntries {
		e.shardsOf = [][]Endpoint{endpoints}
	} else {
		e.shardsOf = shard(endpoints, e.limit(), 1+len(q.shards))
	}
	return e
}

func (e *entry) report(d *draft, instance string, f fault) {
	e.diagnostics = append(e.diagnostics, Diagnostic{
		Reason: f.reason, Registry: d.reg.Namespace + "/" + d.reg.Name, Ref: d.svc.Ref, Instance: instance, Host: e.claim.host, Detail: f.detail,
	})
}

// withdraw names what the configuration keeps out of the objects of the host.
func (e *entry) withdraw() {
	names := append([]string{e.claim.host}, e.shards...)
	for _, d := range e.drafts {
		places := d.denied
		if d.excluded {
			places = []place{{}}
		}
		for _, p := range places {
			for _, name := range names {
				e.withdrawn = append(e.withdrawn, Withdrawal{
					Key:    Key{KindServiceEntry, e.claim.namespace, name},
					Source: d.src.ID, Address: p.address, Port: p.port,
				})
			}
		}
	}
}

// electOriginal returns the drafts of the service that keeps the host: the one in the live annotation, else the smallest that has
// something to publish. Another Registry may know it by another name, see sameService. All others are told.
func (e *entry) electOriginal() []*draft {
	elected := elect(e.drafts, e.prior.Service)
	if elected == nil {
		return nil
	}
	var kept []*draft
	for rest := e.drafts; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(d *draft) bool { return d.reg != rest[0].reg })
		if n < 0 {
			n = len(rest)
		}
		kept = append(kept, e.keepOriginal(rest[:n], elected)...)
		rest = rest[n:]
	}
	return kept
}

// elect returns a draft of the service that keeps the host among drafts, nil when all are excluded; live is the live annotation.
func elect(drafts []*draft, live string) *draft {
	var winner *draft
	for _, d := range drafts {
		switch {
		case d.excluded:
		case live != "" && EncodeName(d.svc.Ref.Name) == live:
			return d
		case winner == nil, better(d, winner):
			winner = d
		}
	}
	return winner
}

func better(d, than *draft) bool {
	if has, had := len(d.candidates) > 0, len(than.candidates) > 0; has != had {
		return has
	}
	return d.svc.Ref.Name < than.svc.Ref.Name
}

// keepOriginal returns those drafts of one Registry that are the elected service.
func (e *entry) keepOriginal(drafts []*draft, elected *draft) []*draft {
	same := slices.DeleteFunc(slices.Clone(drafts), func(d *draft) bool { return !sameService(d, elected) })
	winner := elect(same, EncodeName(elected.svc.Ref.Name))
	var kept []*draft
	for _, d := range drafts {
		switch {
		case d.excluded:
		case winner != nil && d.svc.Ref.Name == winner.svc.Ref.Name:
			kept = append(kept, d)
		default:
			e.report(d, "", fault{reason.HostCollision, fmt.Sprintf("the host belongs to %.200q", elected.svc.Ref.Name)})
		}
	}
	return kept
}

// sameService reports whether a draft is the service that was elected for the host of both. Within a Registry the name decides. Two
// Registries may spell one name differently (Eureka has it in capitals), or know the service by names that have nothing in common, when
// rules give it the host.
func sameService(d, elected *draft) bool {
	if d.svc.Ref.Name == elected.svc.Ref.Name {
		return true
	}
	return d.reg != elected.reg &&
		(strings.EqualFold(d.svc.Ref.Name, elected.svc.Ref.Name) || d.settings.host != "" && elected.settings.host != "")
}

// ownerOf returns the part that decides about ports: that of the Registry that published the host, or, when nothing is live, the first.
func (e *entry) ownerOf(parts []part, live bool) *part {
	for i := range parts {
		if parts[i].reg == e.owner {
			return &parts[i]
		}
	}
	if live && e.owner != nil {
		return nil
	}
	return &parts[0]
}

func servicePorts(slots []slot) []ServicePort {
	ports := make([]ServicePort, 0, len(slots))
	for _, s := range slots {
		ports = append(ports, ServicePort{Name: s.name, Number: s.number, Protocol: s.protocol})
		for _, number := range s.more {
			ports = append(ports, ServicePort{Name: portName(s.prefix, number), Number: number, Protocol: s.protocol})
		}
	}
	slices.SortFunc(ports, func(a, b ServicePort) int { return cmp.Compare(a.Number, b.Number) })
	return ports
}

// located is an endpoint and the candidate that it was made of.
type located struct {
	Endpoint
	draft *draft
	id    string
	// identity is that of the pod at the address, empty when it is not known.
	identity string
	// tag is Dubbo's.
	tag string
}

// contributing returns the parts that publish the same protocols as the owner, and the owner's.
func (e *entry) contributing(parts []part, owner *part, c *choice) []part {
	var kept []part
	for i := range parts {
		p := &parts[i]
		if owner != nil && p.reg == owner.reg || c.suits(p) {
			kept = append(kept, *p)
			continue
		}
		e.report(p.drafts[0], "", fault{reason.ProtocolConflict, "the host is published with other protocols by another Registry"})
	}
	return kept
}

// locate makes endpoints of the candidates that have all ports of the host; the others would get traffic on ports that they lack.
func (e *entry) locate(parts []part, owner *part, c *choice) []located {
	var (
		all     []located
		shared  pool[EndpointPort]
		numbers [maxPorts]uint32
	)
	buffer := make([]EndpointPort, 0, maxPorts)
	for i := range parts {
		find := c.ports
		if owner == nil || parts[i].reg != owner.reg {
			find = func(offers []offer, numbers []uint32) bool { return match(offers, c.slots, numbers) }
		}
		all = slices.Grow(all, parts[i].size)
		for _, d := range parts[i].drafts {
			for j := range d.candidates {
				cand := &d.candidates[j]
				if !find(cand.offers, numbers[:]) {
					for _, id := range append([]string{cand.id}, cand.joined...) {
						e.report(d, id, fault{reason.ProtocolConflict, "the instance lacks one of the ports that are published"})
					}
					continue
				}
				if e.routed && cand.refused != "" {
					e.report(d, cand.id, fault{reason.UnsupportedProtocol, "it is called with " + cand.refused + ", so only those who dial it reach it"})
					continue
				}
				buffer = c.endpointPorts(buffer[:0], numbers[:])
				all = append(all, located{draft: d, id: cand.id, identity: cand.identity, tag: cand.tag, Endpoint: Endpoint{
					Address: cand.address, Ports: shared.share(buffer), Labels: cand.labels,
					Weight: cand.weight, Locality: cand.locality, Network: cand.network,
				}})
			}
		}
	}
	return all
}

// endpointPorts appends the port map of an endpoint whose real ports are numbers, one for each slot, sorted.
func (c *choice) endpointPorts(ports []EndpointPort, numbers []uint32) []EndpointPort {
	for k := range c.slots {
		s := &c.slots[k]
		ports = append(ports, EndpointPort{s.name, numbers[k]})
		for _, number := range s.more {
			ports = append(ports, EndpointPort{portName(s.prefix, number), numbers[k]})
		}
	}
	slices.SortFunc(ports, EndpointPort.compare)
	return ports
}

// unique sorts the endpoints. One that is claimed twice, or a port of it, belongs to the first in merge order.
func (e *entry) unique(all []located) []Endpoint {
	slices.SortStableFunc(all, func(a, b located) int { return strings.Compare(a.Address, b.Address) })
	endpoints := make([]Endpoint, 0, len(all))
	owners := map[uint32]*located{} // Of the ports of one address.
	for i := range all {
		l := &all[i]
		if i > 0 && all[i-1].Address != l.Address {
			clear(owners)
		}
		at := slices.IndexFunc(l.Ports, func(p EndpointPort) bool { return owners[p.Number] != nil })
		if at >= 0 {
			e.yield(l, owners[l.Ports[at].Number])
			continue
		}
		for _, p := range l.Ports {
			owners[p.Number] = l
		}
		endpoints = append(endpoints, l.Endpoint)
	}
	slices.SortFunc(endpoints, func(a, b Endpoint) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), cmp.Compare(a.Port(), b.Port()))
	})
	slices.SortFunc(e.claims, Claim.Compare)
	e.claims = slices.Compact(e.claims)
	return endpoints
}

// yield notes that an endpoint belongs to another one's source.
func (e *entry) yield(l, owner *located) {
	if owner.draft.src.ID != l.draft.src.ID {
		e.claims = append(e.claims, Claim{l.draft.src.ID, l.Address, l.Port()})
	}
	if owner.draft.reg != l.draft.reg {
		e.report(l.draft, l.id, fault{
			reason.DuplicateEndpoint, fmt.Sprintf("Registry %s publishes the same endpoint", owner.draft.reg.Name),
		})
	}
}

// equalWeights leaves weights that say nothing unset.
func equalWeights(endpoints []Endpoint) {
	for i := range endpoints {
		if endpoints[i].Weight != endpoints[0].Weight {
			return
		}
	}
	for i := range endpoints {
		endpoints[i].Weight = 0
	}
}

// describe sets everything about the objects that is not about ports and endpoints. It stays the same for as long as the objects live,
// unless the configuration changes.
func (e *entry) describe(winners []*draft, parts []part) {
	first := parts[0].drafts[0]
	e.first = first
	e.registry = e.owner
	if e.registry == nil {
		e.registry = first.reg
	}
	for i := range parts {
		e.registries = append(e.registries, parts[i].reg.Name)
	}
	for _, d := range winners {
		if len(d.candidates) > 0 && !slices.ContainsFunc(parts, func(p part) bool { return p.reg == d.reg }) {
			continue // It was left out.
		}
		e.dubbo = e.dubbo || d.ofDubbo()
		e.origins = append(e.origins, d.svc.Ref)
	}
	slices.SortFunc(e.origins, model.Ref.Compare)

	e.labels = make(map[string]string, len(e.registry.Output.Labels)+2)
	maps.Copy(e.labels, e.registry.Output.Labels)
	e.labels[LabelManagedBy], e.labels[LabelInstance] = ManagedBy, e.instance
	if e.routed {
		e.labels[LabelAutoAllocate] = AutoAllocateOff
	}

	service, unit := e.original(winners)
	e.annotations = map[string]string{AnnotationService: service, AnnotationRegistry: e.registry.Name}
	if unit != service {
		e.annotations[AnnotationUnit] = unit
	}
}

// original returns, encoded, the name and the unit of the service that the host was made of, in the words of the Registry that published
// it first: for as long as there is that Registry, they stay, also while it has nothing of the host.
func (e *entry) original(winners []*draft) (service, unit string) {
	named := winners
	if e.owner != nil {
		named = slices.DeleteFunc(slices.Clone(winners), func(d *draft) bool { return d.reg != e.owner })
	}
	if len(named) == 0 {
		if e.prior.Service != "" {
			return e.prior.Service, cmp.Or(e.prior.Unit, e.prior.Service)
		}
		named = winners
	}
	first := named[0]
	for _, d := range named {
		if len(d.candidates) > 0 {
			first = d
			break
		}
	}
	unit = EncodeName(first.svc.Ref.Unit)
	for _, d := range winners {
		if own := EncodeName(d.svc.Ref.Unit); own == e.prior.Unit {
			unit = own
		}
	}
	return EncodeName(first.svc.Ref.Name), unit
}

// limit is the number of endpoints from which the host is sharded.
func (e *entry) limit() int {
	limit := e.registry.Endpoints.MaxPerObject
	if limit <= 0 {
		limit = defaultPerObject
	}
	return min(limit, maxPerObject)
}

// exportTo says who sees the host. A port that only an address tells apart is shown to nobody without one.
func (e *entry) exportTo(addressed bool) []string {
	out := &e.registry.Output
	to := out.ExportTo
	opaque := e.opaque()
	switch {
	case e.routed:
		to = e.registry.Dubbo.exportTo()
	case opaque && !addressed:
		return []string{"~"}
	case opaque && e.dubbo && !out.ExportToSet:
		to = dubbo.TCP().ExportTo
	}
	return slices.Compact(slices.Sorted(slices.Values(to)))
}

// opaque reports whether the host needs an address of its own.
func (e *entry) opaque() bool {
	return slices.ContainsFunc(e.ports, func(p ServicePort) bool { return p.Protocol.opaque() })
}
