package plan

import (
	"slices"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// covers reports whether live says all that want says, so that nothing has to be written. Labels, annotations and ports that somebody
// added by hand do not matter; everything that we set does.
//
// A port of ours that want no longer has is not overlooked: endpoints of ours map it, so the endpoints differ.
func covers(live, want *translate.Object) bool {
	if !contains(live.Labels, want.Labels) || !contains(live.Annotations, want.Annotations) {
		return false
	}
	switch {
	case want.EnvoyFilter != nil:
		return live.EnvoyFilter.Same(want.EnvoyFilter)
	case want.DestinationRule != nil:
		return live.DestinationRule.Host == want.DestinationRule.Host &&
			slices.EqualFunc(live.DestinationRule.Subsets, want.DestinationRule.Subsets, sameSubset)
	}
	return coversEntry(live.ServiceEntry, want.ServiceEntry)
}

func sameSubset(a, b translate.Subset) bool {
	return a.Name == b.Name && slices.Equal(a.Labels, b.Labels)
}

func coversEntry(l, w *translate.ServiceEntry) bool {
	return l.Host == w.Host && l.Location == w.Location && l.Resolution == w.Resolution &&
		l.Mode == w.Mode && l.Selector == w.Selector &&
		slices.Equal(l.Addresses, w.Addresses) &&
		slices.Equal(l.ExportTo, w.ExportTo) &&
		slices.Equal(l.SubjectAltNames, w.SubjectAltNames) &&
		hasPorts(l.Ports, w.Ports) &&
		slices.EqualFunc(l.Endpoints, w.Endpoints, sameEndpoint)
}

func contains(live, want map[string]string) bool {
	for k, v := range want {
		if got, ok := live[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func hasPorts(live, want []translate.ServicePort) bool {
	for _, p := range want {
		if !slices.Contains(live, p) {
			return false
		}
	}
	return true
}

func sameEndpoint(a, b translate.Endpoint) bool {
	return a.Address == b.Address && a.Weight == b.Weight && a.Locality == b.Locality && a.Network == b.Network &&
		slices.Equal(a.Ports, b.Ports) && slices.Equal(a.Labels, b.Labels)
}
