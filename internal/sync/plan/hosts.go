package plan

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// hostKey names what istiod merges into one service: all objects of one host in one namespace.
type hostKey struct{ namespace, host string }

// endpointID tells endpoints of one host apart.
type endpointID struct {
	address string
	port    uint32
}

func idOf(e *translate.Endpoint) endpointID { return endpointID{e.Address, e.Port()} }

func (id endpointID) compare(o endpointID) int {
	return cmp.Or(strings.Compare(id.address, o.address), cmp.Compare(id.port, o.port))
}

// String renders "address:port", an IPv6 address in brackets.
func (id endpointID) String() string {
	address := id.address
	if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	return address + ":" + strconv.FormatUint(uint64(id.port), 10)
}

// host is everything about one host: what is desired, what is live, how they differ, and what guards remember of it. It is
// immutable: a host without a change keeps its pointer from one Memory to the next.
type host struct {
	key     hostKey
	desired []*translate.Object
	live    []Live
	facts
	notes notes
}

// facts follow from a host's desired and live objects alone.
type facts struct {
	// wants and lives count distinct endpoints by source.
	wants, lives []tally
	// gone are live endpoints that no desired object of the host has.
	gone []absent
	// moving are live endpoints whose desired object is another one, which does not show them yet.
	moving []absent
	// settled says that the live objects are what is desired: there is nothing to decide.
	settled bool
	// exposure is what the host has to do with tables of Dubbo routes.
	exposure exposure
}

// tally is how many endpoints a source has in a host.
type tally struct {
	source model.SourceID
	n      int
}

// absent is an endpoint of a live object (live[object]) that the desired object of the same key does not have.
type absent struct {
	object   int
	endpoint *translate.Endpoint
	id       endpointID
	source   model.SourceID
}

func count(tallies []tally, source model.SourceID) int {
	for _, t := range tallies {
		if t.source == source {
			return t.n
		}
	}
	return 0
}

func addTally(tallies []tally, source model.SourceID) []tally {
	for i := range tallies {
		if tallies[i].source == source {
			tallies[i].n++
			return tallies
		}
	}
	return append(tallies, tally{source, 1})
}

// newHost compares what is desired with what is live. It keeps what guards remember of old, which may be nil.
func newHost(key hostKey, desired []*translate.Object, live []Live, old *host) *host {
	h := &host{key: key, desired: slices.Clone(desired), live: slices.Clone(live)}
	if old != nil {
		h.notes = old.notes
	}
	h.settled = len(desired) == len(live)
	if same := h.settled && len(desired) == 1 && sameIDs(desired[0], live[0].Object); !same && len(live) > 0 {
		h.diff()
	}
	for _, o := range desired {
		for i := range o.ServiceEntry.Endpoints {
			h.wants = addTally(h.wants, o.ServiceEntry.Endpoints[i].Source())
		}
		for _, c := range o.Claims {
			h.wants = addTally(h.wants, c.Source)
		}
	}
	if len(live) == 1 {
		endpoints := live[0].Object.ServiceEntry.Endpoints
		for i := range endpoints {
			h.lives = addTally(h.lives, endpoints[i].Source())
		}
	}
	for i := 0; i < len(desired) && h.settled; i++ {
		h.settled = desired[i].Key == live[i].Object.Key && covers(live[i].Object, desired[i])
	}
	if h.settled {
		h.notes = notes{services: h.notes.services}
	}
	h.exposure = exposureOf(h)
	return h
}

// sameIDs reports whether both objects have the same endpoints in the same order, whatever else is said of them.
func sameIDs(a, b *translate.Object) bool {
	return a.Key == b.Key && slices.EqualFunc(a.ServiceEntry.Endpoints, b.ServiceEntry.Endpoints,
		func(x, y translate.Endpoint) bool { return x.Address == y.Address && x.Port() == y.Port() })
}

// diff sorts the live endpoints into those that stay, those that are gone, and those that move between the objects of the host. An
// endpoint that is live twice stays where it is desired, else where it is seen first.
func (h *host) diff() {
	wanted := map[endpointID]*translate.Object{}
	for _, o := range h.desired {
		for i := range o.ServiceEntry.Endpoints {
			wanted[idOf(&o.ServiceEntry.Endpoints[i])] = o
		}
	}
	seen, arrived := map[endpointID]bool{}, map[endpointID]bool{}
	several := len(h.live) > 1
	var moving []absent
	for n := range h.live {
		o := h.live[n].Object
		for i := range o.ServiceEntry.Endpoints {
			e := &o.ServiceEntry.Endpoints[i]
			a := absent{n, e, idOf(e), e.Source()}
			target := wanted[a.id]
			switch {
			case target != nil && target.Key == o.Key:
				arrived[a.id] = true
			case seen[a.id]:
				continue
			case target != nil:
				moving = append(moving, a)
			default:
				h.gone = append(h.gone, a)
			}
			if several && !seen[a.id] {
				h.lives = addTally(h.lives, a.source)
			}
			seen[a.id] = true
		}
	}
	for _, a := range moving {
		if !arrived[a.id] {
			h.moving = append(h.moving, a)
		}
	}
	h.settled = h.settled && len(h.gone)+len(moving) == 0
}

// findDesired returns the desired object of a key, nil when there is none.
func (h *host) findDesired(key translate.Key) *translate.Object {
	for _, o := range h.desired {
		if o.Key == key {
			return o
		}
	}
	return nil
}

// grouping sorts the objects of an Input by host. It serves one Compute: the slices point into flat arrays, and what is kept of them
// is cloned.
type grouping struct {
	index   map[hostKey]int
	keys    []hostKey
	desired [][]*translate.Object
	live    [][]Live
}

// group finds the objects of each host. Objects of a kind without hosts are left alone.
func group(in *Input) *grouping {
	g := &grouping{index: make(map[hostKey]int, max(len(in.Desired.Objects), len(in.Live)))}
	desiredIn := make([]int, len(in.Desired.Objects))
	liveIn := make([]int, len(in.Live))
	for i, o := range in.Desired.Objects {
		desiredIn[i] = g.place(o)
	}
	for i := range in.Live {
		liveIn[i] = g.place(in.Live[i].Object)
	}
	g.desired = gather(in.Desired.Objects, desiredIn, len(g.keys))
	g.live = gather(in.Live, liveIn, len(g.keys))
	return g
}

// place returns the position of the object's host, -1 when it has none.
func (g *grouping) place(o *translate.Object) int {
	if o == nil || o.ServiceEntry == nil {
		return -1
	}
	key := hostKey{o.Key.Namespace, o.ServiceEntry.Host}
	at, ok := g.index[key]
	if !ok {
		at = len(g.keys)
		g.index[key] = at
		g.keys = append(g.keys, key)
	}
	return at
}

// gather splits items into groups: items[i] goes into group in[i]. The order within a group stays.
func gather[T any](items []T, in []int, groups int) [][]T {
	sizes := make([]int, groups)
	for _, at := range in {
		if at >= 0 {
			sizes[at]++
		}
	}
	flat := make([]T, 0, len(items))
	out := make([][]T, groups)
	for at, n := range sizes {
		out[at] = flat[len(flat) : len(flat) : len(flat)+n]
		flat = flat[:len(flat)+n]
	}
	for i, at := range in {
		if at >= 0 {
			out[at] = append(out[at], items[i])
		}
	}
	return out
}
