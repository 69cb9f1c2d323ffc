package plan

import "github.com/registry-bridge/registry-bridge/internal/reason"

// orphan keeps an object whose Registry is not configured any more, endpoints and all: it was told to retain it. A Registry that wants
// the host adopts it; a person may purge it.
func (r *review) orphan(v *view, live *Live) {
	h := objectHold(reason.Orphan, live.Object)
	h.set(v.keepIncident(incidentKey{reason.Orphan, live.Object.Key.String()}))
	h.Detail = "Its Registry is gone and retained it; it ends with a purge, or when a Registry adopts it."
	v.hold(h)
}
