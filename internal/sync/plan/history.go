package plan

import (
	"slices"
	"time"
)

// baselineAge is how old the count is that a loss is measured against.
const baselineAge = 5 * time.Minute

// historyGrain is how far apart samples are at least, so that a count that flaps does not fill the memory.
const historyGrain = time.Second

// history is how a count went, oldest first: a sample's count holds from its time until the next one's. The first sample is a seed:
// it holds for all time before. Histories are immutable.
type history []sample

type sample struct {
	at time.Time
	n  int
}

// seeded returns a history that always had n.
func seeded(n int) history { return history{{n: n}} }

// at returns the count at a time.
func (h history) at(t time.Time) int {
	n := h[0].n
	for _, s := range h[1:] {
		if s.at.After(t) {
			break
		}
		n = s.n
	}
	return n
}

// record returns the history with n from now on. What no lookup at keep or later needs is dropped.
func (h history) record(now time.Time, n int, keep time.Time) history {
	first := 0
	for first+1 < len(h) && !h[first+1].at.After(keep) {
		first++
	}
	out := slices.Clone(h[first:])
	out[0].at = time.Time{}
	if last := &out[len(out)-1]; len(out) > 1 && now.Sub(last.at) < historyGrain {
		last.n = n
		return out
	}
	return append(out, sample{now, n})
}

// lowered returns the history as if there had always been by fewer: what configuration takes away is no loss.
func (h history) lowered(by int) history {
	out := slices.Clone(h)
	for i := range out {
		out[i].n = max(0, out[i].n-by)
	}
	return out
}

// last returns the newest count.
func (h history) last() int { return h[len(h)-1].n }

// episode is how long an incident has lasted while its source could be trusted: the clock stands while the source fails, because
// nobody knows then what the registry would say.
type episode struct {
	// since is when the incident began; zero when there is none.
	since time.Time
	// used is what the clock showed when it was last stopped; running is since when it runs again, zero while it stands.
	used    time.Duration
	running time.Time
}

func begin(now time.Time) episode { return episode{since: now, running: now} }

func (e episode) active() bool { return !e.since.IsZero() }

// tick starts or stops the clock.
func (e episode) tick(now time.Time, trusted bool) episode {
	switch {
	case !e.active():
	case trusted && e.running.IsZero():
		e.running = now
	case !trusted && !e.running.IsZero():
		e.used += now.Sub(e.running)
		e.running = time.Time{}
	}
	return e
}

// until returns when the clock, which runs, will show hold.
func (e episode) until(hold time.Duration) time.Time {
	return e.running.Add(hold - e.used)
}
