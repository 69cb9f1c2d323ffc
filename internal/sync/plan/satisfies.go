package plan

import "github.com/registry-bridge/registry-bridge/internal/translate"

// Satisfies reports whether what is live says all that want says, so that a plan would not write it. An output asks it whether what it
// has written is really there, also of the WorkloadEntries that it keeps for an object.
func Satisfies(live, want *translate.Object) bool {
	l, w := live.WorkloadEntry, want.WorkloadEntry
	if l == nil || w == nil {
		return l == w && covers(live, want)
	}
	return contains(live.Labels, want.Labels) && contains(live.Annotations, want.Annotations) &&
		l.Host == w.Host && sameEndpoint(l.Endpoint, w.Endpoint)
}
