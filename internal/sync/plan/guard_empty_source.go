package plan

import (
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// stepEmpty is the state of guard EmptySource: a listing without any instance, while live objects have some, is more often a registry
// that lost its data than one that everybody left.
//
//	         n = 0, live has endpoints            holdFor, or released
//	(none) ────────────────────────────▶ holding ──────────────────────▶ over
//	   ▲                                    │                              │
//	   └────────────────────────────────────┴──────────── n > 0 ───────────┘
func (s *source) stepEmpty(v *view, n int) {
	switch {
	case n > 0:
		if s.empty.active() {
			s.recovered = v.now
		}
		s.empty, s.emptyOver = episode{}, false
	case s.emptyOver:
	case !s.empty.active() && s.lost == 0:
	case !s.empty.active():
		s.empty = begin(v.now)
		fallthrough
	default:
		if s.ended(v, reason.EmptySource, s.empty) {
			s.empty, s.emptyOver = episode{}, true
			s.accept(v.now)
		}
	}
}

// emptySource holds whatever a source without any instance had.
func emptySource(_ *view, r *removal) (verdict, bool) {
	if !r.from.empty.active() {
		return verdict{}, false
	}
	return verdict{
		guard:  reason.EmptySource,
		until:  r.from.empty.until(r.from.policy.MassRemovalHold),
		detail: "The registry suddenly lists no instance at all; it ends when one is listed again, by release, or in time.",
	}, true
}
