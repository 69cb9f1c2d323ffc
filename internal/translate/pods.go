package translate

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// Pods are the pods with a sidecar, by address. They are immutable: With makes the next ones, which share what did not change, so that a
// change costs what changed. A nil Pods has none, and is not waited for.
type Pods struct {
	known   bool
	buckets []*podBucket
}

// podBucket is never changed once it is in Pods.
type podBucket map[string]Pod

// podBuckets makes a bucket of 10,000 pods cheap to copy, and the list of buckets too.
const podBuckets = 512

// UnknownPods are those before all pods have been seen: what is live of mutual TLS stays as it is.
func UnknownPods() *Pods { return &Pods{} }

// NewPods returns the pods at these addresses, which have to be canonical texts.
func NewPods(byAddress map[string]Pod) *Pods {
	changes := make(map[string]*Pod, len(byAddress))
	for address, pod := range byAddress {
		changes[address] = &pod
	}
	return UnknownPods().With(changes)
}

// With returns the pods that p becomes by changes, nil for an address that is no pod any more. They are known.
func (p *Pods) With(changes map[string]*Pod) *Pods {
	next := &Pods{known: true, buckets: slices.Clone(p.buckets)}
	if next.buckets == nil {
		next.buckets = make([]*podBucket, podBuckets)
	}
	owned := make(map[uint32]bool, len(changes))
	for address, pod := range changes {
		at := podBucketOf(address)
		if !owned[at] {
			owned[at] = true
			bucket := podBucket{}
			if old := next.buckets[at]; old != nil {
				maps.Copy(bucket, *old)
			}
			next.buckets[at] = &bucket
		}
		if pod == nil {
			delete(*next.buckets[at], address)
		} else {
			(*next.buckets[at])[address] = *pod
		}
	}
	return next
}

// podBucketOf spreads addresses with FNV-1a.
func podBucketOf(address string) uint32 {
	h := uint32(2166136261)
	for i := range len(address) {
		h = (h ^ uint32(address[i])) * 16777619
	}
	return (h ^ h>>16) % podBuckets
}

// Pod is a pod that speaks the mesh's mutual TLS.
type Pod struct {
	// Identity is what its certificate says, "spiffe://cluster.local/ns/shop/sa/cart".
	Identity string
	// Locality is "region/zone/subzone", empty when it is not known.
	Locality string
}

// NewLocality returns the locality of these parts as istiod reads it, empty without a region.
func NewLocality(region, zone, subzone string) string { return sanitiseLocality(region, zone, subzone) }

// At returns the pod at an address, and whether there is one.
func (p *Pods) At(address string) (Pod, bool) {
	if p == nil || p.buckets == nil {
		return Pod{}, false
	}
	bucket := p.buckets[podBucketOf(address)]
	if bucket == nil {
		return Pod{}, false
	}
	pod, ok := (*bucket)[address]
	return pod, ok
}

// Known reports whether all pods have been seen.
func (p *Pods) Known() bool { return p != nil && p.known }

// unknown reports whether what is live has to stay.
func (p *Pods) unknown() bool { return p != nil && !p.known }

// alike reports whether both are looked at in the same way.
func (p *Pods) alike(o *Pods) bool { return (p == nil) == (o == nil) && p.unknown() == o.unknown() }

// since returns the addresses that are not what they were, sorted.
func (p *Pods) since(before *Pods) []string {
	var moved []string
	if p == before {
		return nil
	}
	for i := range podBuckets {
		is, was := p.bucket(i), before.bucket(i)
		if is == was {
			continue
		}
		moved = missing(moved, was, is)
		moved = missing(moved, is, was)
	}
	slices.Sort(moved)
	return slices.Compact(moved)
}

func (p *Pods) bucket(i int) *podBucket {
	if p == nil || p.buckets == nil {
		return nil
	}
	return p.buckets[i]
}

// missing appends the addresses of one bucket that are not the same in the other.
func missing(to []string, of, in *podBucket) []string {
	if of == nil {
		return to
	}
	for address, pod := range *of {
		if in != nil {
			if other, ok := (*in)[address]; ok && other == pod {
				continue
			}
		}
		to = append(to, address)
	}
	return to
}

// touches reports whether the draft has one of the addresses, which are sorted as its candidates are. It looks for those of the shorter
// list in the longer one.
func (d *draft) touches(addresses []string) bool {
	if len(addresses) < len(d.candidates) {
		return slices.ContainsFunc(addresses, func(address string) bool {
			at := sort.Search(len(d.candidates), func(i int) bool { return d.candidates[i].address >= address })
			return at < len(d.candidates) && d.candidates[at].address == address
		})
	}
	for i := range d.candidates {
		if _, found := slices.BinarySearch(addresses, d.candidates[i].address); found {
			return true
		}
	}
	return false
}

// lastTLS is what the live objects of a host say of mutual TLS.
type lastTLS struct {
	// endpoints are those that speak it, sorted by place.
	endpoints []lastEndpoint
	names     []string
}

type lastEndpoint struct {
	place
	locality string
}

func (l *lastTLS) equal(o *lastTLS) bool {
	return slices.Equal(l.endpoints, o.endpoints) && slices.Equal(l.names, o.names)
}

func comparePlaces(a, b place) int {
	if c := strings.Compare(a.address, b.address); c != 0 {
		return c
	}
	return int(a.port) - int(b.port)
}

// lastTLS collects what the live objects of the host say. Without names of ours it is nothing: what is live of mutual TLS is by rules then.
func (r *run) lastTLS(q *question) lastTLS {
	last := lastTLS{names: q.prior.SubjectAltNames}
	if len(last.names) == 0 {
		return last
	}
	for _, name := range append([]string{q.claim.host}, q.shards...) {
		endpoints := r.prior[Key{KindServiceEntry, q.claim.namespace, name}].Endpoints
		for i := range endpoints {
			if e := &endpoints[i]; e.MutualTLS() {
				last.endpoints = append(last.endpoints, lastEndpoint{place{e.Address, e.Port()}, e.Locality})
			}
		}
	}
	slices.SortFunc(last.endpoints, func(a, b lastEndpoint) int { return comparePlaces(a.place, b.place) })
	return last
}

// sameTLS reports whether both say the same of mutual TLS. It looks at what is cheap: objects without a change share their endpoints.
func (p *Prior) sameTLS(o *Prior) bool {
	return len(p.Endpoints) == len(o.Endpoints) && (len(p.Endpoints) == 0 || &p.Endpoints[0] == &o.Endpoints[0]) &&
		slices.Equal(p.SubjectAltNames, o.SubjectAltNames)
}

// MutualTLS reports whether clients use the mesh's mutual TLS with the endpoint.
func (e *Endpoint) MutualTLS() bool {
	return slices.Contains(e.Labels, Label{labelTLSMode, tlsModeIstio})
}

// keepTLS gives to endpoints what they have in the live objects, as long as the pods are not known. What a rule says comes first.
func (e *entry) keepTLS(all []located) {
	if len(e.lastTLS.endpoints) == 0 {
		return
	}
	var shared pool[Label]
	for i := range all {
		l := &all[i]
		at, ok := slices.BinarySearchFunc(e.lastTLS.endpoints, place{l.Address, l.Port()}, func(last lastEndpoint, p place) int {
			return comparePlaces(last.place, p)
		})
		if !ok || l.draft.reg.Output.External || l.draft.settings.tlsMode != "" {
			continue
		}
		labels := append(slices.Clone(l.Labels), Label{labelTLSMode, tlsModeIstio})
		slices.SortFunc(labels, Label.Compare)
		l.Labels, l.Locality = shared.share(labels), e.lastTLS.endpoints[at].locality
	}
}

// identify collects the identities of the endpoints. Clients refuse everybody else then, so as soon as one is not known, there are none:
// anybody of the mesh is accepted.
func (e *entry) identify(all []located) {
	if names := e.lastTLS.names; len(names) > 0 {
		e.subjectAltNames = names
		return
	}
	names, unknown := map[string]struct{}{}, (*located)(nil)
	for i := range all {
		switch l := &all[i]; {
		case !l.MutualTLS():
		case l.identity != "":
			names[l.identity] = struct{}{}
		case unknown == nil:
			unknown = l
		}
	}
	if len(names) == 0 {
		return
	}
	if unknown != nil {
		e.report(unknown.draft, unknown.id, fault{reason.IdentityUnknown, fmt.Sprintf(
			"%s speaks mutual TLS by a rule and is no pod with a sidecar, so clients of the host accept any identity of the mesh", unknown.Address)})
		return
	}
	e.subjectAltNames = slices.Sorted(maps.Keys(names))
}
