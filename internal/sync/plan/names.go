package plan

import (
	"slices"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// subjectAltNames returns the names that all objects of the host get: the desired ones, and, as long as an endpoint with mutual TLS is
// held, those that are live, because its own is among them. No names mean that any is accepted; while the live ones are none, a held
// endpoint may need that.
func (r *review) subjectAltNames() []string {
	h := r.host
	if len(h.desired) == 0 {
		return nil
	}
	names := h.desired[0].ServiceEntry.SubjectAltNames
	for i := range r.removals {
		m := &r.removals[i]
		if m.held == nil || !m.endpoint.MutualTLS() || len(names) == 0 {
			continue
		}
		live := h.live[m.object].Object.ServiceEntry.SubjectAltNames
		if len(live) == 0 {
			return nil
		}
		names = union(names, live)
	}
	return names
}

// union returns what is in either of two sorted lists, sorted; the first itself when it has all.
func union(a, b []string) []string {
	if !slices.ContainsFunc(b, func(name string) bool {
		_, found := slices.BinarySearch(a, name)
		return !found
	}) {
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// withNames returns the object with these names.
func withNames(o *translate.Object, names []string) *translate.Object {
	if slices.Equal(o.ServiceEntry.SubjectAltNames, names) {
		return o
	}
	out, entry := *o, *o.ServiceEntry
	entry.SubjectAltNames = names
	out.ServiceEntry = &entry
	return &out
}
