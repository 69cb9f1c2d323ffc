package explain

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// place is an address with a port as holds name it.
func place(address string, port uint32) string {
	if addr, err := netip.ParseAddr(address); err == nil {
		address = addr.Unmap().String()
	}
	return net.JoinHostPort(address, strconv.FormatUint(uint64(port), 10))
}

// endpoints says what became of each instance and of each live endpoint; of those at an address only, when that was asked for.
func (x *index) endpoints(k subjectKey, q query) (list []Endpoint, left int) {
	list = []Endpoint{}
	live := map[string]*translate.Endpoint{}
	for _, o := range x.live[k] {
		for i := range o.ServiceEntry.Endpoints {
			e := &o.ServiceEntry.Endpoints[i]
			for _, port := range ports(e) {
				live[place(e.Address, port)] = e
			}
		}
	}
	named := map[*translate.Endpoint]bool{}
	for _, r := range x.records[k] {
		for i := range r.svc.Instances {
			inst := &r.svc.Instances[i]
			e := x.instance(k, r, inst, live)
			if at := live[e.Address]; at != nil {
				named[at] = true
			}
			if q.text != "" || q.is(inst.Address, numbers(inst)...) {
				list = append(list, e)
			}
		}
	}
	for _, o := range x.live[k] {
		for i := range o.ServiceEntry.Endpoints {
			if e := &o.ServiceEntry.Endpoints[i]; !named[e] && (q.text != "" || q.is(e.Address, ports(e)...)) {
				list = append(list, x.unnamed(k, e))
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Endpoint) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Instance, b.Instance))
	})
	if over := len(list) - maxEndpoints; over > 0 {
		return list[:maxEndpoints], over
	}
	return list, 0
}

// instance says what became of an instance.
func (x *index) instance(k subjectKey, r record, inst *model.Instance, live map[string]*translate.Endpoint) Endpoint {
	e := Endpoint{Address: inst.Address, Instance: inst.ID}
	var at *translate.Endpoint
	for _, port := range slices.Backward(numbers(inst)) {
		p := place(inst.Address, port)
		if e.Address = p; live[p] != nil {
			at = live[p]
			break
		}
	}
	drop := x.dropped(r.svc.Ref, inst.ID)
	hold := x.holdOf(k, e.Address)
	switch {
	case hold != nil:
		x.hold(&e, hold)
		if drop != nil {
			e.Detail += " In the registry: " + string(drop.Reason) + ", " + drop.Detail + "."
		}
	case drop != nil:
		e.Outcome, e.Reason, e.Detail = Dropped, drop.Reason, drop.Detail
	case at != nil:
		e.Outcome = Published
	default:
		e.Outcome, e.Detail = Waiting, "it is being written"
		if why, detail, blocked := x.blocked(k); blocked {
			e.Reason, e.Detail = why, detail
			if why == reason.HostConflict {
				e.Outcome = Dropped
			}
		}
	}
	e.Advice = advice(e.Reason)
	return e
}

// unnamed says why an endpoint is live that no instance stands for.
func (x *index) unnamed(k subjectKey, live *translate.Endpoint) Endpoint {
	e := Endpoint{Address: place(live.Address, live.Port())}
	hold := x.holdOf(k, e.Address)
	if hold == nil {
		hold = x.objectHold(k)
	}
	if hold != nil {
		x.hold(&e, hold)
	} else {
		e.Outcome, e.Detail = Waiting, "no registry has it, and it is being removed"
		if why, detail, blocked := x.blocked(k); blocked {
			e.Reason, e.Detail = why, "no registry has it; "+detail
		}
	}
	e.Advice = advice(e.Reason)
	return e
}

func (x *index) hold(e *Endpoint, h *plan.Hold) {
	e.Outcome, e.Reason, e.Detail, e.Hold = Held, h.Guard, h.Detail, h.ID
	if !h.Until.IsZero() {
		e.Until = &h.Until
	}
	if status, known := x.state.Statuses[h.Source]; known && reason.Releasable(h.Guard) {
		e.Release = status.Namespace + "/" + status.Registry
	}
}

// dropped returns why an instance, or its whole service, is not published.
func (x *index) dropped(ref model.Ref, id string) *translate.Diagnostic {
	for _, d := range x.problems[ref] {
		if kind(d.Reason) == reason.Drop && (d.Instance == id || d.Instance == "") {
			return d
		}
	}
	return nil
}

// holdOf returns what holds an endpoint.
func (x *index) holdOf(k subjectKey, address string) *plan.Hold {
	for _, h := range x.held[k] {
		if h.Endpoint == address {
			return h
		}
	}
	return nil
}

// objectHold returns what holds the object of a host as a whole.
func (x *index) objectHold(k subjectKey) *plan.Hold { return x.holdOf(k, "") }

// sentence says what a hold does, until when.
func sentence(h *plan.Hold) string {
	if h.Until.IsZero() {
		return h.Detail
	}
	return h.Detail + " Until " + stamp(h.Until) + "."
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}
