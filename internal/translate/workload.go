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

// selectable reports whether the host may have WorkloadEntries.
func (q *question) selectable() bool {
	return q.prior.Mode == WorkloadEntries ||
		slices.ContainsFunc(q.drafts, func(d *draft) bool { return d.reg.Endpoints.Mode == WorkloadEntries })
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

// withhold takes from endpoints that become WorkloadEntries the copied labels by which somebody else would select them: istiod lets
// Services and ServiceEntries select WorkloadEntries of their namespace as if they were pods.
func (e *entry) withhold(all []located) {
	if e.mode != WorkloadEntries || len(e.selectors) == 0 {
		return
	}
	fixed := []Label{{LabelManagedBy, ManagedBy}, {LabelInstance, e.instance}, {LabelHost, e.selector()}}
	var shared pool[Label]
	for i := range all {
		l := &all[i]
		for j := range e.selectors {
			s := &e.selectors[j]
			if !s.selects(fixed, l.Labels) {
				continue
			}
			left := slices.DeleteFunc(slices.Clone(l.Labels), func(label Label) bool {
				return !reservedLabel(label.Key) && slices.Contains(s.Labels, label)
			})
			if len(left) == len(l.Labels) {
				continue // It names labels of ours, which is no accident.
			}
			l.Labels = shared.share(left)
			e.report(l.draft, l.id, fault{reason.LabelWithheld, fmt.Sprintf("%s would select it by labels that are copied from the registry", s.Owner)})
		}
	}
}

// selects reports whether a selector selects a WorkloadEntry with these labels. What istiod itself may add counts as there.
func (s *Selector) selects(fixed, labels []Label) bool {
	return !slices.ContainsFunc(s.Labels, func(l Label) bool {
		return !slices.Contains(labels, l) && !slices.Contains(fixed, l) && !strings.HasPrefix(l.Key, "topology.")
	})
}

func sameSelectors(a, b []Selector) bool {
	if len(a) > 0 && len(a) == len(b) && &a[0] == &b[0] {
		return true
	}
	return slices.EqualFunc(a, b, func(x, y Selector) bool { return x.Compare(y) == 0 })
}
