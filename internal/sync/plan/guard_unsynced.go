package plan

import (
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// othersGrace is how long a removal waits for other sources at most: one whose registry is down must not stop all others for ever.
const othersGrace = time.Minute

// unsynced holds endpoints of a source that has not finished a full listing in this process: what it has not named may come yet. It also
// holds, for a while, what another source of the namespace may have, too, as in a migration: that one may have to be asked first.
func unsynced(v *view, r *removal) (verdict, bool) {
	if r.from.status.State == model.Listing {
		return verdict{guard: reason.Unsynced, detail: "The source has not finished its first full listing; it ends with that."}, true
	}
	var until time.Time
	for _, s := range v.sources {
		if s.status.State != model.Listing || s.policy.Namespace != r.policy.Namespace {
			continue
		}
		if end := s.status.Since.Add(othersGrace); end.After(until) {
			until = end
		}
	}
	if !until.After(v.now) {
		return verdict{}, false
	}
	return verdict{
		guard: reason.Unsynced, until: until,
		detail: "Another source, which may have it, too, has not finished its first full listing; it ends with that, or in time.",
	}, true
}

// unknownProvenance holds an endpoint that no configured source has published, until every source of its Registry has said what it
// has: it may be one of theirs under a new name. (Then it is not desired because its scope was removed, which is configuration.)
func unknownProvenance(*view, *removal) (verdict, bool) {
	return verdict{
		guard:  reason.Unsynced,
		detail: "No configured source has published it; it ends when every source of its Registry has finished a full listing.",
	}, true
}
