package plan

import (
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

func TestHistory(t *testing.T) {
	at := func(seconds int) time.Time { return start().Add(time.Duration(seconds) * time.Second) }
	h := seeded(7)
	h = h.record(at(0), 10, at(-300))
	h = h.record(at(1), 20, at(-299))
	h = h.record(at(10), 30, at(-290))
	for _, c := range []struct{ at, want int }{{-1000, 7}, {-1, 7}, {0, 10}, {1, 20}, {9, 20}, {10, 30}, {1000, 30}} {
		if got := h.at(at(c.at)); got != c.want {
			t.Errorf("at %d: %d, want %d", c.at, got, c.want)
		}
	}
	// Less than a second after the last one, a sample takes its place.
	merged := h.record(at(10).Add(historyGrain-1), 31, at(-290))
	if len(merged) != len(h) || merged.last() != 31 || h.last() != 30 {
		t.Errorf("merged: %v, before: %v", merged, h)
	}
	if apart := h.record(at(10).Add(historyGrain), 31, at(-290)); len(apart) != len(h)+1 {
		t.Errorf("a second apart: %v", apart)
	}
	// What no lookup needs is dropped; what is needed at the limit is not.
	for _, c := range []struct{ keep, samples, first int }{{0, 4, 10}, {1, 3, 20}, {9, 3, 20}, {10, 2, 30}} {
		if got := h.record(at(20), 40, at(c.keep)); len(got) != c.samples || got.at(at(c.keep)) != c.first {
			t.Errorf("keep %d: %v", c.keep, got)
		}
	}
	if low := h.lowered(15); low.at(at(0)) != 0 || low.at(at(1)) != 5 || low.last() != 15 || h.last() != 30 {
		t.Errorf("lowered: %v", low)
	}
}

func TestEpisodeClock(t *testing.T) {
	e := begin(start())
	e = e.tick(start().Add(time.Minute), true)
	e = e.tick(start().Add(2*time.Minute), false)
	e = e.tick(start().Add(5*time.Minute), false)
	e = e.tick(start().Add(10*time.Minute), true)
	if got := e.until(10 * time.Minute).Sub(start()); got != 18*time.Minute {
		t.Errorf("until %v", got)
	}
	if got := (episode{}).tick(start(), true); got.active() {
		t.Errorf("an incident out of nothing: %v", got)
	}
}

func TestClaims(t *testing.T) {
	var none claims
	a, b := endpointID{"10.0.0.1", 80}, endpointID{"10.0.0.1", 81}
	e := none.edit()
	e.add(a, 1)
	e.add(a, 1)
	e.add(b, 1)
	one := e.claims
	e = one.edit()
	e.add(a, -1)
	e.add(b, -1)
	two := e.claims
	for _, c := range []struct {
		c              claims
		a, b, distinct int
	}{{none, 0, 0, 0}, {one, 2, 1, 2}, {two, 1, 0, 1}} {
		if c.c.of(a) != c.a || c.c.of(b) != c.b || c.c.distinct != c.distinct {
			t.Errorf("claims %v: %d %d %d", c, c.c.of(a), c.c.of(b), c.c.distinct)
		}
	}
}

// TestSameQuestion changes each part of the input alone: the last answer must not be given again.
func TestSameQuestion(t *testing.T) {
	base := func() Input {
		in := scale(1)
		in.Sources["s"] = model.Status{State: model.Synced, Namespace: "ns", Registry: "r", FailingUnits: map[string]model.UnitFailure{"u": {}}}
		return in
	}
	same := base()
	var seen inputs
	seen = seen.next(&same, false)
	if !seen.sameObjects(&same) || !seen.sameRest(&same) {
		t.Fatal("the same is not the same")
	}
	policy := func(change func(p *Policy)) func(in *Input) { return func(in *Input) { change(&in.Policies[0]) } }
	status := func(change func(s *model.Status)) func(in *Input) {
		return func(in *Input) {
			s := in.Sources["s"]
			change(&s)
			in.Sources["s"] = s
		}
	}
	for name, change := range map[string]func(in *Input){
		"frozen":     func(in *Input) { in.Frozen = true },
		"no source":  func(in *Input) { in.Sources = nil },
		"no policy":  func(in *Input) { in.Policies = nil },
		"namespace":  policy(func(p *Policy) { p.Namespace = "x" }),
		"name":       policy(func(p *Policy) { p.Name = "x" }),
		"sources":    policy(func(p *Policy) { p.Sources = nil }),
		"mode":       policy(func(p *Policy) { p.Mode = Pause }),
		"deleted":    policy(func(p *Policy) { p.Deleted = true }),
		"max":        policy(func(p *Policy) { p.MaxServices++ }),
		"grace":      policy(func(p *Policy) { p.EmptyGrace++ }),
		"deleteA":    policy(func(p *Policy) { p.DeleteAfter++ }),
		"maxHold":    policy(func(p *Policy) { p.MaxHold++ }),
		"percent":    policy(func(p *Policy) { p.MassRemovalPercent++ }),
		"massHold":   policy(func(p *Policy) { p.MassRemovalHold++ }),
		"released":   policy(func(p *Policy) { p.Released = []string{"h"} }),
		"state":      status(func(s *model.Status) { s.State = model.Failing }),
		"since":      status(func(s *model.Status) { s.Since = start() }),
		"registry":   status(func(s *model.Status) { s.Registry = "x" }),
		"statusName": status(func(s *model.Status) { s.Namespace = "x" }),
		"units":      status(func(s *model.Status) { s.FailingUnits = nil }),
	} {
		t.Run(name, func(t *testing.T) {
			in := base()
			in.Desired = same.Desired
			change(&in)
			if seen.sameRest(&in) {
				t.Error("not noticed")
			}
		})
	}
}
