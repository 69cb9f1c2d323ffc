package plan

import (
	"time"

	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// emptyTrip is an incident of guard EmptyService: n endpoints were there when the service fell to none.
type emptyTrip struct {
	at time.Time
	n  int
}

// step moves the incident of one service of one source on to now. n is the number of desired endpoints, fresh how many live ones have
// only now been found missing.
//
//	         n = 0, fresh > 0                n restored, emptyGrace, or released
//	(none) ────────────────────▶ holding ────────────────────────────────────────▶ (none)
//
// What has passed once is never fresh again, so a service that stays empty does not trip twice. While the whole source is empty, guard
// EmptySource decides; when it is not any more, the services that still are get their whole grace: the registry is filling up again.
func (t emptyTrip) step(v *view, from *source, n, fresh int) emptyTrip {
	if !t.at.IsZero() && t.at.Before(from.recovered) {
		t.at = from.recovered
	}
	if !t.at.IsZero() && !from.empty.active() && (n >= t.n || !v.now.Before(t.at.Add(from.policy.EmptyGrace)) || t.releasedBy(v, from)) {
		t = emptyTrip{}
	}
	if t.at.IsZero() && n == 0 && fresh > 0 {
		t = emptyTrip{v.now, fresh}
		if from.policy.EmptyGrace <= 0 || t.releasedBy(v, from) {
			t = emptyTrip{}
		}
	}
	return t
}

// releasedBy reports whether a person ended the incident, or that of the whole source that it is part of.
func (t emptyTrip) releasedBy(v *view, from *source) bool {
	return !from.released.Before(t.at) || v.released(from.policy, v.incident(reason.EmptyService, from.id))
}

// emptyService holds as many endpoints as are missing to what the service had before it fell to none.
func emptyService(_ *view, r *removal) (verdict, bool) {
	trip := r.service.trip
	if trip.at.IsZero() || r.service.held >= trip.n-r.service.n {
		return verdict{}, false
	}
	return verdict{
		guard:  reason.EmptyService,
		until:  trip.at.Add(r.from.policy.EmptyGrace),
		detail: "The service fell to no usable instance; it ends when as many are back, by release, or in time.",
	}, true
}
