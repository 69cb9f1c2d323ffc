package plan

import (
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// unsynced holds endpoints of a source that has not finished a full listing in this process: what it has not named may come yet.
func unsynced(_ *view, r *removal) (verdict, bool) {
	if r.from.status.State != model.Listing {
		return verdict{}, false
	}
	return verdict{guard: reason.Unsynced, detail: "The source has not finished its first full listing; it ends with that."}, true
}

// unknownProvenance holds an endpoint that no configured source has published, until every source of its Registry has said what it
// has: it may be one of theirs under a new name. (Then it is not desired because its scope was removed, which is configuration.)
func unknownProvenance(*view, *removal) (verdict, bool) {
	return verdict{
		guard:  reason.Unsynced,
		detail: "No configured source has published it; it ends when every source of its Registry has finished a full listing.",
	}, true
}
