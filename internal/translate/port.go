package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate/dubbo"
)

// slot is a port of the host: all endpoints must offer its class.
type slot struct {
	class
	name   string
	number uint32 // 0 until it is chosen
	// more are further numbers under which the port is published, where calls are routed, and live says that number and more are
	// published.
	more []uint32
	live bool
}

// tally counts candidates that offer the same classes.
type tally struct {
	offers []offer
	count  int
}

// part is what one Registry contributes to a host.
type part struct {
	reg    *Registry
	drafts []*draft
	// sets are the distinct sets of classes of its candidates.
	sets []tally
	// size is the number of its candidates.
	size int
}

// partsOf groups drafts, which are in merge order, by Registry, and leaves out those without candidates.
func partsOf(drafts []*draft) []part {
	var parts []part
	for _, d := range drafts {
		if len(d.candidates) == 0 {
			continue
		}
		if n := len(parts); n == 0 || parts[n-1].reg != d.reg {
			parts = append(parts, part{reg: d.reg})
		}
		p := &parts[len(parts)-1]
		p.drafts = append(p.drafts, d)
		p.size += len(d.candidates)
		for i := range d.candidates {
			p.tally(d.candidates[i].offers)
		}
	}
	return parts
}

func (p *part) tally(offers []offer) {
	for i := range p.sets {
		if slices.EqualFunc(p.sets[i].offers, offers, offer.alike) {
			p.sets[i].count++
			return
		}
	}
	p.sets = append(p.sets, tally{offers, 1})
}

// common returns the set of classes that most candidates offer, so that as few as possible are left out: of two that equally many
// offer the larger, then the smaller by name.
func (p *part) common() []offer {
	var best []offer
	most := 0
	for _, x := range p.sets {
		covered := 0
		for _, y := range p.sets {
			if includes(y.offers, x.offers) {
				covered += y.count
			}
		}
		if best == nil || cmp.Or(
			cmp.Compare(covered, most),
			cmp.Compare(len(x.offers), len(best)),
			slices.CompareFunc(best, x.offers, func(a, b offer) int { return strings.Compare(a.prefix, b.prefix) }),
		) > 0 {
			best, most = x.offers, covered
		}
	}
	return best
}

// includes reports whether each class of subset is in offers.
func includes(offers, subset []offer) bool {
	return !slices.ContainsFunc(subset, func(o offer) bool { return !slices.ContainsFunc(offers, o.alike) })
}

// match finds the real port of each slot, in numbers. A port of which nobody says what it speaks stands for the one that is missing.
func match(offers []offer, slots []slot, numbers []uint32) bool {
	missing, missed, used := 0, 0, 0
	for i := range slots {
		at := slices.IndexFunc(offers, func(o offer) bool { return o.prefix == slots[i].prefix })
		if at < 0 {
			missing, missed = i, missed+1
			continue
		}
		numbers[i] = offers[at].number
		used |= 1 << at
	}
	if missed == 0 {
		return true
	}
	silent := -1
	for i, o := range offers {
		if used&(1<<i) == 0 && !o.stated {
			if silent >= 0 {
				return false
			}
			silent = i
		}
	}
	if missed > 1 || silent < 0 {
		return false
	}
	numbers[missing] = offers[silent].number
	return true
}

// livePorts returns the slots of the ports that are published, none when somebody has made something of them that we would not write.
func livePorts(ports []ServicePort) []slot {
	if len(ports) > maxPorts {
		return nil
	}
	slots := make([]slot, 0, len(ports))
	for _, p := range ports {
		prefix, ok := strings.CutSuffix(p.Name, "-"+strconv.FormatUint(uint64(p.Number), 10))
		if !ok || len(p.Name) >= maxLabel || !dnsLabel.MatchString(p.Name) || p.Number == 0 || p.Number > maxPort || !p.Protocol.known() {
			return nil
		}
		if slices.ContainsFunc(slots, func(s slot) bool { return s.has(p.Number) }) {
			return nil
		}
		at := slices.IndexFunc(slots, func(s slot) bool { return s.prefix == prefix })
		switch {
		case at < 0:
			slots = append(slots, slot{class: class{prefix: prefix, protocol: p.Protocol}, name: p.Name, number: p.Number, live: true})
		case dubbo.Routable(prefix) && slots[at].protocol == p.Protocol:
			slots[at].more = append(slots[at].more, p.Number)
		default:
			return nil
		}
	}
	return slots
}

func (p Protocol) known() bool {
	_, ok := parseProtocol(strings.ToLower(string(p)))
	return ok
}

// choice is how the ports of a host were chosen.
type choice struct {
	slots []slot
	// routing: calls in Dubbo's own protocol are to be routed, if possible.
	routing bool
	// adopted: the candidates of the owner all have one port, of another class than the one that is live, which stays.
	adopted bool
	faults  []fault
}

// choosePorts decides which ports the host has. Live ports stay, and a class that meanwhile every candidate offers joins them; without
// any, or when no candidate offers what is live, the host gets the classes that most of the owner's candidates offer. Owner is the part
// of the Registry that decides, nil when that contributes nothing now.
func choosePorts(live []slot, owner *part) choice {
	if owner == nil {
		return choice{slots: live}
	}
	set := owner.drafts[0].settings
	routing := owner.reg.Dubbo.Envoy
	if set.protocol != "" { // A rule is a change that somebody wants; only what agrees with it stays.
		live = slices.DeleteFunc(slices.Clone(live), func(s slot) bool { return s.protocol != set.protocol })
	}
	c := choice{slots: slices.Clone(live), routing: routing}
	if len(live) > 0 {
		c.keep(live, owner, set)
	}
	if len(c.slots) == 0 {
		c.add(owner.common())
	}
	c.number(owner, set.servicePort)
	return c
}

// keep tries to go on with the live slots.
func (c *choice) keep(live []slot, owner *part, set settings) {
	var numbers [maxPorts]uint32
	eligible, single := 0, true
	for _, s := range owner.sets {
		if match(s.offers, live, numbers[:]) {
			eligible += s.count
		}
		single = single && len(s.offers) == 1
	}
	switch {
	case eligible == owner.size:
		c.add(owner.everywhere(live))
	case eligible > 0:
	case len(live) == 1 && single && set.protocol == "":
		c.adopted = true
		c.faults = append(c.faults, fault{
			reason.PortDrift, fmt.Sprintf("no instance speaks what %s is published for; it stays, and leads to the port that they have", live[0].name),
		})
	default:
		c.slots = nil
		if set.protocol == "" {
			c.faults = append(c.faults, fault{reason.PortDrift, "no instance has all of the published ports; they are chosen anew"})
		}
	}
}

// everywhere returns the classes beside live that all candidates offer, as far as there is room.
func (p *part) everywhere(live []slot) []offer {
	var extra []offer
	for _, o := range p.sets[0].offers {
		isLive := slices.ContainsFunc(live, func(s slot) bool { return s.prefix == o.prefix })
		// A port of which nobody says what it speaks may be what stands for a live one.
		if isLive || !o.stated || len(live)+len(extra) == maxPorts {
			continue
		}
		if !slices.ContainsFunc(p.sets, func(t tally) bool { return !slices.ContainsFunc(t.offers, o.alike) }) {
			extra = append(extra, o)
		}
	}
	return extra
}

// add makes slots of classes. Those that have no standard port to fall back to come first, and so get the numbers that they want.
func (c *choice) add(offers []offer) {
	for _, opaque := range []bool{true, false} {
		for _, o := range offers {
			if o.protocol.opaque() == opaque {
				c.slots = append(c.slots, slot{class: o.class})
			}
		}
	}
}

// number gives a service port to each slot that has none, and to the first what the rules want.
func (c *choice) number(owner *part, rule uint32) {
	uses := owner.uses(c)
	if rule != 0 && len(c.slots) > 0 && !c.routes(&c.slots[0]) {
		c.slots[0].number = 0
		c.settle(0, []uint32{rule})
		uses[0] = nil
	}
	for i := range c.slots {
		s := &c.slots[i]
		if s.number == 0 {
			c.settle(i, preferredPorts(uses[i], s.protocol))
			continue
		}
		if u := uses[i]; len(u) > 0 && !c.routes(s) && u[0].number != s.number && u[0].majority(u) {
			c.faults = append(c.faults, fault{
				reason.PortDrift, fmt.Sprintf("%s stays, although most instances are on port %d", s.name, u[0].number),
			})
		}
	}
}

// settle gives the first of the preferred numbers that is free to a slot, or else the next free one.
func (c *choice) settle(i int, preferred []uint32) {
	taken := func(n uint32) bool {
		return slices.ContainsFunc(c.slots, func(s slot) bool { return s.has(n) })
	}
	number := uint32(1)
	if len(preferred) > 0 {
		number = preferred[0]
	}
	if at := slices.IndexFunc(preferred, func(n uint32) bool { return !taken(n) }); at >= 0 {
		number = preferred[at]
	}
	for taken(number) {
		number = number%maxPort + 1
	}
	s := &c.slots[i]
	s.number = number
	s.name = portName(s.prefix, number)
}

// routes reports whether calls to a slot are to be routed: then each port of a provider is published.
func (c *choice) routes(s *slot) bool { return c.routing && dubbo.Routable(s.prefix) }

// use is how many candidates have a slot on a port.
type use struct {
	number uint32
	count  int
}

// majority reports whether at least half of all uses are this one.
func (u use) majority(all []use) bool {
	total := 0
	for _, v := range all {
		total += v.count
	}
	return u.count*2 >= total
}

// uses returns the uses of each slot, the most frequent first, then the smaller number.
func (p *part) uses(c *choice) [][]use {
	var numbers [maxPorts]uint32
	counts := make([]map[uint32]int, len(c.slots))
	for i := range counts {
		counts[i] = map[uint32]int{}
	}
	for _, d := range p.drafts {
		for i := range d.candidates {
			if c.ports(d.candidates[i].offers, numbers[:]) {
				for j := range counts {
					counts[j][numbers[j]]++
				}
			}
		}
	}
	uses := make([][]use, len(counts))
	for i, m := range counts {
		for number, n := range m {
			uses[i] = append(uses[i], use{number, n})
		}
		slices.SortFunc(uses[i], func(a, b use) int { return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.number, b.number)) })
	}
	return uses
}

// preferredPorts returns the service ports that suit, best first: what most instances use, or, where they do not agree and the
// protocol has one, its standard port.
func preferredPorts(uses []use, protocol Protocol) []uint32 {
	var preferred []uint32
	for _, u := range uses {
		preferred = append(preferred, u.number)
	}
	if standard := protocol.standardPort(); standard != 0 {
		if len(uses) == 0 || !uses[0].majority(uses) {
			return slices.Insert(preferred, 0, standard)
		}
		preferred = append(preferred, standard)
	}
	return preferred
}

// ports finds the real port of each chosen slot for a candidate of the owner.
func (c *choice) ports(offers []offer, numbers []uint32) bool {
	if c.adopted {
		numbers[0] = offers[0].number
		return true
	}
	return match(offers, c.slots, numbers)
}

// suits reports whether a Registry that is not the owner publishes the same protocols, so that it may contribute.
func (c *choice) suits(p *part) bool {
	var numbers [maxPorts]uint32
	set := p.common()
	return len(set) == len(c.slots) && match(set, c.slots, numbers[:])
}
