package plan

import (
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// massRemovalFloor is the number of addresses that a source may always lose at once.
const massRemovalFloor = 10

// massive reports whether a fall from base to n distinct addresses is a mass removal. (What was lost less what was gained is base
// less n, whatever was exchanged, so that a blue/green switch is none.)
func massive(base, n, percent int) bool {
	net := base - n
	return net > massRemovalFloor && net*100 > base*percent
}

// stepMass is the state of guard MassRemoval. base is the count at the horizon, n the count now.
//
//	         massive(base, n): latch base           no longer massive(latched, n),
//	(none) ─────────────────────────────▶ holding ──────────────────────────────────▶ (none)
//	   ▲                                     │
//	   └───── holdFor, or released: accept ──┘
func (s *source) stepMass(v *view, base, n int) {
	percent := s.policy.MassRemovalPercent
	if !s.mass.active() && massive(base, n, percent) {
		s.mass, s.massBase = begin(v.now), base
	}
	switch {
	case !s.mass.active():
	case !massive(s.massBase, n, percent):
		s.mass, s.massBase = episode{}, 0
	case s.ended(v, reason.MassRemoval, s.mass):
		s.accept(v.now)
	}
	if !s.mass.active() && s.lost > 0 {
		s.wakeForBaseline(v, n)
	}
}

// wakeForBaseline asks to be woken when the baseline moves on to a count that makes a mass removal of what has been lost already.
func (s *source) wakeForBaseline(v *view, n int) {
	horizon := s.horizon(v.now)
	for _, past := range s.history {
		if past.at.After(horizon) && massive(past.n, n, s.policy.MassRemovalPercent) {
			v.wakeAt(past.at.Add(baselineAge))
			return
		}
	}
}

// massQuota is how many endpoints guard MassRemoval keeps in a service that has n: none when it keeps at least half of its own
// baseline, else as many as are missing to that baseline.
func massQuota(base, n int) int {
	if 2*n >= base {
		return 0
	}
	return base - n
}

// massRemoval holds endpoints of services that keep less than half, while their source loses many.
func massRemoval(_ *view, r *removal) (verdict, bool) {
	if r.service.massLeft == 0 {
		return verdict{}, false
	}
	r.service.massLeft--
	return verdict{
		guard:  reason.MassRemoval,
		until:  r.from.mass.until(r.from.policy.MassRemovalHold),
		detail: "The registry lost too many addresses at once, and most of this service; it ends on recovery, by release, or in time.",
	}, true
}
