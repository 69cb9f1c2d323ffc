package plan

import (
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// failing holds endpoints of a source, or of a unit, whose last read failed, until it reads again. The optional maxHold ends it: from
// then on the last state counts as the registry's word.
func failing(v *view, r *removal) (verdict, bool) {
	if r.known {
		return verdict{}, false
	}
	found := verdict{guard: reason.Failing}
	var since time.Time
	if r.from.status.State == model.Failing && !r.from.trusted(v.now) {
		found.detail = "The source's last run failed; it ends when the source has listed everything again."
		since = r.from.status.Since
	} else {
		found.detail = "What it belongs to cannot be read now; it ends when the registry's answer makes sense again."
		since = r.failure.Since
	}
	if r.policy.MaxHold > 0 {
		found.until = since.Add(r.policy.MaxHold)
	}
	return found, true
}
