package translate

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate/dubbo"
)

// draft is what one service means by itself: it depends on the service, on its Registry, and on the pods at its addresses only, so it is
// made once for all of them.
type draft struct {
	svc *model.Service
	reg *Registry
	src *Source
	// dubbo says that the service is one of Dubbo's, where not all of its source are.
	dubbo bool
	// settings are what the rules say of the service.
	settings settings
	// host is empty when the service can have none.
	host string
	// excluded says that the configuration does not bridge the service.
	excluded bool
	// candidates are the endpoints that can be published, sorted by address and ports.
	candidates []candidate
	// denied are the endpoints that the configuration keeps out.
	denied []place
	// refusals are where Envoy cannot read the calls to the service.
	refusals []refusal
	// diagnostics are about the service and its instances.
	diagnostics []Diagnostic
}

// settings are the effective fields of a Registry's rules for one service.
type settings struct {
	protocol    Protocol
	servicePort uint32
	host        string
	tlsMode     string
}

// candidate is an endpoint before its ports have names.
type candidate struct {
	id, address string
	// joined are the other instances that it is made of.
	joined []string
	// offers is sorted by class and shared between candidates.
	offers []offer
	labels []Label
	// weight is in Istio's scale.
	weight            uint32
	locality, network string
	// identity is that of the pod at the address, empty when there is none with a sidecar.
	identity string
	// tag is Dubbo's tag, and refused the serialization of its calls where Envoy cannot read it.
	tag, refused string
}

// place is where an endpoint listens.
type place struct {
	address string
	port    uint32
}

func (c *candidate) place() place {
	least := c.offers[0].number
	for _, o := range c.offers[1:] {
		least = min(least, o.number)
	}
	return place{c.address, least}
}

// newDraft drafts a service.
func newDraft(svc *model.Service, reg *Registry, src *Source, pods *Pods) *draft {
	d := &draft{svc: svc, reg: reg, src: src, dubbo: dubbo.Served(svc), settings: reg.settingsOf(svc.Ref.Name)}
	host, f := reg.hostOf(svc, src, d.settings.host)
	d.host = host
	if d.ofDubbo() {
		d.refusals = refusalsOf(svc)
	}
	if reg.Selects != nil && !reg.Selects(svc.Ref.Name) {
		d.excluded = true
		d.report("", fault{reason.ServiceExcluded, "the configuration does not select the service"})
		return d
	}
	if f != nil {
		d.report("", *f)
		return d
	}
	if reg.Output.External {
		pods = nil // Clients do not use the mesh's mutual TLS there.
	}
	d.addInstances(pods)
	return d
}

// settingsOf returns what the rules say of a service: the first rule that sets a field wins.
func (r *Registry) settingsOf(original string) settings {
	var s settings
	for i := range r.Rules {
		rule := &r.Rules[i]
		if rule.Match != nil && !rule.Match(original) {
			continue
		}
		s.protocol = cmp.Or(s.protocol, rule.Protocol)
		s.servicePort = cmp.Or(s.servicePort, rule.ServicePort)
		s.host = cmp.Or(s.host, rule.Host)
		s.tlsMode = cmp.Or(s.tlsMode, rule.TLSMode)
	}
	return s
}

func (d *draft) report(instance string, f fault) {
	d.diagnostics = append(d.diagnostics, Diagnostic{
		Reason: f.reason, Registry: d.reg.Namespace + "/" + d.reg.Name, Ref: d.svc.Ref, Instance: instance, Host: d.host, Detail: f.detail,
	})
}

// pool lets equal slices be held once. It remembers only the last few: most instances of a service are alike.
type pool[T comparable] struct{ seen [][]T }

const poolSize = 8

// share returns a slice with the content of s that nobody else changes; s itself is not kept.
func (p *pool[T]) share(s []T) []T {
	if len(s) == 0 {
		return nil
	}
	for _, known := range p.seen {
		if slices.Equal(known, s) {
			return known
		}
	}
	s = slices.Clone(s)
	if len(p.seen) == poolSize {
		p.seen = p.seen[:0]
	}
	p.seen = append(p.seen, s)
	return s
}

// drafting is the working state of one draft.
type drafting struct {
	*draft
	pods   *Pods
	keys   []string
	offers []offer
	labels []Label

	sharedOffers pool[offer]
	sharedLabels pool[Label]
}

func (d *draft) addInstances(pods *Pods) {
	work := drafting{draft: d, pods: pods, keys: copiedKeys(d.reg.Endpoints.CopyLabels)}
	d.candidates = make([]candidate, 0, len(d.svc.Instances))
	for i := range d.svc.Instances {
		work.add(&d.svc.Instances[i])
	}
	slices.SortFunc(d.candidates, func(a, b candidate) int {
		return cmp.Or(
			strings.Compare(a.address, b.address),
			slices.CompareFunc(a.offers, b.offers, offer.compare),
			strings.Compare(a.id, b.id),
		)
	})
	work.join()
}

func (o offer) compare(p offer) int {
	return cmp.Or(strings.Compare(o.prefix, p.prefix), cmp.Compare(o.number, p.number))
}

// add makes a candidate of an instance, or says why there is none.
func (d *drafting) add(inst *model.Instance) {
	if inst.Problem != "" {
		r, detail := reason.SplitProblem(inst.Problem)
		d.report(inst.ID, fault{r, detail})
		return
	}
	addr, f := parseAddress(inst.Address)
	if f != nil {
		d.report(inst.ID, *f)
		return
	}
	offers, faults := d.offersOf(inst, d.offers)
	d.offers = offers
	for _, f := range faults {
		d.report(inst.ID, f)
	}
	if len(offers) == 0 {
		if len(faults) == 0 {
			d.report(inst.ID, fault{reason.PortOutOfRange, "the instance has no port"})
		}
		return
	}
	c := candidate{id: inst.ID, address: canonical(addr, inst.Address), offers: offers}
	if f := d.unusable(inst, addr); f != nil {
		if f.reason == reason.AddressDenied {
			d.denied = append(d.denied, c.place())
		}
		d.report(inst.ID, *f)
		return
	}
	c.offers = d.sharedOffers.share(offers)
	pod, meshed := d.pods.At(c.address)
	c.identity = pod.Identity
	c.labels = d.labelsOf(inst, meshed)
	c.weight = d.weightOf(inst)
	c.locality = cmp.Or(pod.Locality, sanitiseLocality(inst.Locality.Region, inst.Locality.Zone, inst.Locality.Subzone))
	c.network = d.reg.Output.Network
	d.describeProvider(&c, inst)
	d.candidates = append(d.candidates, c)
}

// ofDubbo reports whether the service is one of Dubbo's.
func (d *draft) ofDubbo() bool { return d.src.Dubbo || d.dubbo }

// describeProvider notes what matters of an instance where calls are routed.
func (d *draft) describeProvider(c *candidate, inst *model.Instance) {
	if !d.ofDubbo() {
		return
	}
	c.tag = inst.Metadata[dubbo.KeyTag]
	isDubbo := func(o offer) bool { return dubbo.Routable(o.prefix) }
	if s := dubbo.Serialization(inst.Metadata); !dubbo.Readable(s) && slices.ContainsFunc(c.offers, isDubbo) {
		c.refused = s
	}
}

// unusable says why an instance takes no traffic, or nothing.
func (d *draft) unusable(inst *model.Instance, addr netip.Addr) *fault {
	if f := d.reg.Endpoints.denied(addr); f != nil {
		return f
	}
	switch {
	case inst.Health == model.Healthy, inst.Health == model.Warning && d.reg.PublishWarning:
	default:
		return &fault{reason.Unusable, "the registry says that it is " + inst.Health.String()}
	}
	if inst.Weight == 0 {
		return &fault{reason.Unusable, "its weight is 0"}
	}
	return nil
}

// labelsOf returns the labels of an instance, sorted and shared; meshed says that it is a pod with a sidecar.
func (d *drafting) labelsOf(inst *model.Instance, meshed bool) []Label {
	labels := d.labels[:0]
	labels = append(labels, Label{LabelSource, string(d.src.ID)})
	for _, key := range d.keys {
		text, ok := inst.Metadata[key]
		if !ok || text == "" {
			continue
		}
		value, changed := sanitise(text)
		if changed {
			d.report(inst.ID, fault{reason.LabelSanitised, "the value of " + key + " is published as " + value})
		}
		labels = append(labels, Label{key, value})
	}
	if d.reg.Dubbo.ByTag && d.ofDubbo() {
		labels = append(labels, Label{LabelDubboTag, subsetOf(inst.Metadata[dubbo.KeyTag])})
	}
	mode := d.settings.tlsMode
	if mode == "" && meshed {
		mode = tlsModeIstio
	}
	if mode != "" {
		labels = append(labels, Label{labelTLSMode, mode})
	}
	slices.SortFunc(labels, Label.Compare)
	d.labels = labels
	return d.sharedLabels.share(labels)
}

// labelTLSMode tells istiod whether an endpoint speaks the mesh's mutual TLS; it does with the value tlsModeIstio.
const (
	labelTLSMode = "security.istio.io/tlsMode"
	tlsModeIstio = "istio"
)

// UnitWeight is the weight of an instance with the registry's default on Istio's scale, so that a tenth of it can still be told.
const UnitWeight = 10

const maxWeight = 10_000

// weightOf returns the weight of an instance in Istio's scale.
func (d *draft) weightOf(inst *model.Instance) uint32 {
	unit := uint64(max(d.src.DefaultWeight, 1))
	weight := (uint64(inst.Weight)*UnitWeight*2 + unit) / (unit * 2)
	clamped := min(max(weight, 1), maxWeight)
	if clamped != weight {
		d.report(inst.ID, fault{reason.WeightClamped, "its weight is outside of what can be published"})
	}
	return uint32(clamped)
}

// join makes one candidate of those that are at one address with different protocols: registries that name each protocol of a process
// by itself (Dubbo) mean one endpoint with several ports. Of two that claim the same port of an address, the first stays.
func (d *drafting) join() {
	joined := d.candidates[:0]
	first := 0 // the first of joined that is at the current address
	for _, c := range d.candidates {
		if first < len(joined) && joined[first].address != c.address {
			first = len(joined)
		}
		if !d.joinInto(joined[first:], c) {
			joined = append(joined, c)
		}
	}
	clear(d.candidates[len(joined):])
	d.candidates = slices.Clip(joined)
}

// joinInto adds the ports of c to one of the candidates at the same address, or finds that they have it already.
func (d *drafting) joinInto(same []candidate, c candidate) bool {
	for i := range same {
		if same[i].place() == c.place() && slices.Equal(same[i].offers, c.offers) {
			return true
		}
	}
	for i := range same {
		if !disjoint(same[i].offers, c.offers) || len(same[i].offers)+len(c.offers) > maxPorts {
			continue
		}
		d.offers = append(append(d.offers[:0], same[i].offers...), c.offers...)
		slices.SortFunc(d.offers, offer.compare)
		same[i].offers = d.sharedOffers.share(d.offers)
		same[i].joined = append(same[i].joined, c.id)
		same[i].refused = cmp.Or(same[i].refused, c.refused)
		return true
	}
	return false
}

func disjoint(a, b []offer) bool {
	return !slices.ContainsFunc(a, func(o offer) bool { return slices.ContainsFunc(b, o.alike) })
}
