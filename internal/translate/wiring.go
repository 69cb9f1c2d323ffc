package translate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate/dubbo"
)

// refusal is a port on which consumers call a provider in a way that Envoy cannot read.
type refusal struct {
	port          uint32
	serialization string
}

// refusalsOf returns the refusals of all providers of a service, whether they are published or not: whoever is called on a port that is
// captured has to be understood. They are sorted by port, with each port once.
func refusalsOf(svc *model.Service) []refusal {
	var all []refusal
	for i := range svc.Instances {
		inst := &svc.Instances[i]
		if inst.Problem != "" {
			continue
		}
		serialization := dubbo.Serialization(inst.Metadata)
		if dubbo.Readable(serialization) {
			continue
		}
		for _, p := range inst.Ports {
			if strings.EqualFold(p.Protocol, "dubbo") {
				all = append(all, refusal{p.Number, serialization})
			}
		}
	}
	slices.SortFunc(all, func(a, b refusal) int {
		return cmp.Or(cmp.Compare(a.port, b.port), strings.Compare(a.serialization, b.serialization))
	})
	return slices.CompactFunc(all, func(a, b refusal) bool { return a.port == b.port })
}

// wiring is what an entry has to know of the rest of the world before its calls can be routed. It is empty for hosts of other data
// planes.
type wiring struct {
	// reg is the Registry that wants calls to be routed, nil when none does.
	reg *Registry
	// off is why none of the calls to the host can be routed.
	off fault
	// blocks are the ports of the host that must not be captured, sorted.
	blocks []block
	// ruled says that somebody else has a DestinationRule for the host.
	ruled bool
}

// block is a port that must not be captured, and why.
type block struct {
	port uint32
	fault
}

func (w *wiring) equal(o *wiring) bool {
	return w.reg == o.reg && w.off == o.off && w.ruled == o.ruled && slices.Equal(w.blocks, o.blocks)
}

func (w *wiring) blocked(port uint32) bool {
	return slices.ContainsFunc(w.blocks, func(b block) bool { return b.port == port })
}

// route decides whether calls are routed by what they say, and on which ports. Consumers dial the addresses of providers, so each port that
// a provider has is published; a port that must not be captured is not, and when none is left, the host is published as by data plane TCP.
func (e *entry) route(c *choice, parts []part, owner *part) {
	routable := func(s slot) bool { return dubbo.Routable(s.prefix) }
	if owner == nil || !c.routing || owner.reg != e.wiring.reg || c.adopted || !slices.ContainsFunc(c.slots, routable) {
		return
	}
	tell := func(f fault) { e.report(owner.drafts[0], "", f) }
	service, ok := dubbo.ServiceOf(owner.drafts[0].svc)
	switch {
	case e.wiring.off.reason != "":
		tell(e.wiring.off)
		return
	case !ok:
		tell(fault{reason.PortNotRouted, "its interface, group or version cannot be named in a route"})
		return
	}
	for _, b := range e.wiring.blocks {
		tell(b.fault)
	}
	ports := make([][]uint32, len(c.slots))
	for i := range c.slots {
		if s := &c.slots[i]; routable(*s) {
			ports[i] = e.portsOf(s, c, parts)
		}
	}
	if !slices.ContainsFunc(ports, func(p []uint32) bool { return p != nil }) {
		return
	}
	e.routed, e.service = true, service
	c.spread(ports, tell)
}

// spread gives to each slot the ports on which its calls are routed, and removes the others that would capture their port.
func (c *choice) spread(ports [][]uint32, tell func(fault)) {
	routed, published := 0, 0
	for i := range c.slots {
		switch {
		case ports[i] != nil:
			routed++
		case !c.slots[i].protocol.opaque():
			published++
		}
	}
	room := max((maxPorts-published)/routed, 1)
	slots := c.slots[:0]
	for i, s := range c.slots {
		switch {
		case ports[i] != nil:
			if n := len(ports[i]); n > room {
				tell(fault{reason.PortNotRouted, fmt.Sprintf("its providers have %d ports, and %d of them are routed", n, room)})
				ports[i] = ports[i][:room]
			}
			slices.Sort(ports[i])
			s.number, s.more = ports[i][0], ports[i][1:]
			s.name = portName(s.prefix, s.number)
		case s.protocol.opaque():
			tell(fault{reason.PortNotRouted, s.prefix + " is not published: without an address it would capture its port"})
			continue
		}
		slots = append(slots, s)
	}
	c.slots = slots
}

// portsOf returns the ports on which calls to a slot are routed, the most used first: those of the providers, and then those that are
// live, because consumers may still dial them. It returns nil when no provider has a port that may be captured.
func (e *entry) portsOf(s *slot, c *choice, parts []part) []uint32 {
	free := func(port uint32) bool {
		return !e.wiring.blocked(port) && !slices.ContainsFunc(c.slots, func(o slot) bool { return o.prefix != s.prefix && o.has(port) })
	}
	counts := map[uint32]int{}
	for i := range parts {
		for _, d := range parts[i].drafts {
			d.countPorts(s.prefix, counts)
		}
	}
	maps.DeleteFunc(counts, func(port uint32, _ int) bool { return !free(port) })
	if len(counts) == 0 {
		return nil
	}
	for _, port := range append([]uint32{s.number}, s.more...) {
		if _, used := counts[port]; !used && s.live && free(port) {
			counts[port] = 0
		}
	}
	return slices.SortedFunc(maps.Keys(counts), func(a, b uint32) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}

// countPorts counts the real ports of the providers whose calls can be read.
func (d *draft) countPorts(prefix string, counts map[uint32]int) {
	for i := range d.candidates {
		if d.candidates[i].refused != "" {
			continue
		}
		for _, o := range d.candidates[i].offers {
			if o.prefix == prefix {
				counts[o.number]++
			}
		}
	}
}

// has reports whether a port is one of the slot's.
func (s *slot) has(port uint32) bool { return s.number == port || slices.Contains(s.more, port) }

func portName(prefix string, number uint32) string {
	return prefix + "-" + strconv.FormatUint(uint64(number), 10)
}

// tagged is a tag that endpoints have.
type tagged struct {
	// text is what calls carry, subset the name of the subset.
	text, subset string
}

// untagged is the subset of the endpoints without a tag.
const untagged = "untagged"

// subsetOf returns the subset of the endpoints with a tag, which is the value of their label LabelDubboTag too. Different tags have
// different subsets.
func subsetOf(tag string) string {
	if tag == "" {
		return untagged
	}
	if len(tag) <= maxLabel-len("tag-") && dnsLabel.MatchString(tag) {
		return "tag-" + tag
	}
	return "tagx-" + hash(tag, 2*hashLen)
}

// byTag reports whether calls to the host are routed by tag.
func (e *entry) byTag() bool { return e.routed && e.registry.Dubbo.ByTag && !e.wiring.ruled }

// findTags notes which tags the endpoints, which were made of the located ones, have.
func (e *entry) findTags(all []located, endpoints []Endpoint) {
	if !e.byTag() {
		return
	}
	texts := map[string]string{}
	for i := range all {
		texts[subsetOf(all[i].tag)] = all[i].tag
	}
	there := map[string]bool{}
	for i := range endpoints {
		for _, l := range endpoints[i].Labels {
			if l.Key == LabelDubboTag {
				there[l.Value] = true
			}
		}
	}
	if len(there) == 1 && there[untagged] {
		return // Without any tag, there is nothing to tell apart.
	}
	for _, subset := range slices.Sorted(maps.Keys(there)) {
		e.tags = append(e.tags, tagged{texts[subset], subset})
	}
}

// exportTo says who sees a host whose calls are routed.
func (d *Dubbo) exportTo() []string {
	if d.Mesh {
		return []string{"*"}
	}
	return d.Namespaces
}
