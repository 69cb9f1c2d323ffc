package translate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// identityLen is the number of hex digits that tell the endpoints of a host apart in the names of WorkloadEntries: 64 bits, so that two
// of 10,000 endpoints share a name once in 300 billion hosts.
const identityLen = 16

// HostLabel returns the value of LabelHost for a host: the host itself, or its beginning and a hash where it is too long for a label. No
// pod and no foreign WorkloadEntry has the label by accident.
func HostLabel(host string) string {
	if len(host) <= maxLabel {
		return host
	}
	return strings.TrimRight(host[:maxLabel-1-identityLen], "-.") + "-" + hash(host, identityLen)
}

// WorkloadName returns the name of the WorkloadEntry of an endpoint: the host, which is cut where it is too long for a name, and a hash of
// what identifies the endpoint. Neither other endpoints nor anything else about this one make a difference.
func WorkloadName(host string, e *Endpoint) string {
	identity := hash(host+"|"+e.Address+"|"+strconv.FormatUint(uint64(e.Port()), 10), identityLen)
	return strings.TrimRight(host[:min(len(host), maxHost-1-identityLen)], "-.") + "-" + identity
}

// chooseMode decides where the endpoints go: where they are, when the host is live. Moving them would take all of them away for a moment.
func (e *entry) chooseMode() {
	e.mode = e.registry.Endpoints.Mode
	if e.prior.Host == "" || e.prior.Mode == e.mode {
		return
	}
	e.mode = e.prior.Mode
	e.report(e.first, "", fault{reason.EndpointModeFixed, fmt.Sprintf("its endpoints stay in mode %s, in which the host was published", e.mode)})
}

// String returns the word of the configuration.
func (m EndpointMode) String() string {
	if m == Inline {
		return "Inline"
	}
	return string(m)
}

// selector returns the value of ServiceEntry.Selector.
func (e *entry) selector() string {
	if e.mode != WorkloadEntries {
		return ""
	}
	return HostLabel(e.claim.host)
}

// hideLabels gives copied labels of endpoints that become WorkloadEntries private keys. Istiod lets Services and ServiceEntries select
// WorkloadEntries of their namespace as if they were pods, and what a registry calls its instances is no label of a pod.
func (e *entry) hideLabels(all []located) {
	if e.mode != WorkloadEntries {
		return
	}
	var (
		shared pool[Label]
		labels []Label
	)
	for i := range all {
		labels = labels[:0]
		for _, l := range all[i].Labels {
			if !reservedLabel(l.Key) {
				l.Key = privateKey(l.Key)
			}
			labels = append(labels, l)
		}
		// Two keys may become one: the one that is smaller as it was stays.
		slices.SortStableFunc(labels, func(a, b Label) int { return strings.Compare(a.Key, b.Key) })
		labels = slices.CompactFunc(labels, func(a, b Label) bool { return a.Key == b.Key })
		all[i].Labels = shared.share(labels)
	}
}
