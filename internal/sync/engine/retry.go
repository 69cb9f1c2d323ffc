package engine

import (
	"errors"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// How long to wait before trying again: one object, and the output as a whole.
const (
	minRetry       = time.Second
	maxObjectRetry = 5 * time.Minute
	maxOutputRetry = time.Minute
	// maxConflicts is how many conflicts in a row are tried again at once.
	maxConflicts = 3
)

// retries remembers what failed and when it is tried again.
type retries struct {
	// output is the trouble with the output as a whole; its Err is nil when there is none.
	output  Failure
	objects map[translate.Key]Failure
	// shown is the copy of objects that was handed out last; changed says that it is out of date.
	shown   map[translate.Key]Failure
	changed bool
	// refused are the wishes that failed last, of objects that are stored in pieces.
	refused map[translate.Key]wish
	// paces are the objects that were written a short time ago.
	paces map[translate.Key]pace
	// paced is when the first object may be written again that pace alone kept from the last due, zero for none.
	paced time.Time
}

// wish is what an object should have been, and when that was tried.
type wish struct {
	object *translate.Object
	at     time.Time
}

// pace is how often one object was written lately. A change is written at once, and so is the next, because an instance that restarts is
// two; what follows them waits until the object has been left alone for paceInterval. The first two are free again once it has been
// left alone for paceRest.
//
//	changes  | | | | | | | | | | | | |            |
//	writes   | |         |         |              |
//	         0 0.1      1.1       2.1            ≥ 4.1 s
//
// A service may change as often as it likes: each write of its object is a whole list of endpoints for every proxy of the mesh. A
// second is what a removal may take.
type pace struct {
	// run counts the writes since the last rest, up to paceBurst; at is when the last was.
	run int
	at  time.Time
}

const (
	paceBurst    = 2
	paceInterval = time.Second
	paceRest     = 2 * paceInterval
)

// next returns when the object may be written again.
func (p pace) next() time.Time {
	if p.run < paceBurst {
		return p.at
	}
	return p.at.Add(paceInterval)
}

// rested reports whether the object has been left alone for so long that its pace may be forgotten.
func (p pace) rested(now time.Time) bool { return now.Sub(p.at) >= paceRest }

func newRetries() retries {
	return retries{objects: map[translate.Key]Failure{}, refused: map[translate.Key]wish{}, paces: map[translate.Key]pace{}}
}

// paused reports whether nothing may be sent to the output now.
func (r *retries) paused(now time.Time) bool {
	return r.output.Err != nil && now.Before(r.output.Retry)
}

// due returns the part of p whose objects do not wait.
func (r *retries) due(p plan.Plan, now time.Time) plan.Plan {
	r.paced = time.Time{}
	maps.DeleteFunc(r.paces, func(_ translate.Key, p pace) bool { return p.rested(now) })
	if len(r.objects) > 0 || len(r.paces) > 0 {
		p.Apply, p.Delete = r.ready(p.Apply, now), r.ready(p.Delete, now)
	}
	return p
}

// ready returns the changes whose object does not wait.
func (r *retries) ready(changes []plan.Change, now time.Time) []plan.Change {
	var ready []plan.Change
	for _, c := range changes {
		next := r.paces[c.Key].next()
		if f, failed := r.objects[c.Key]; failed && now.Before(f.Retry) {
			if !r.isNewWish(&c) {
				continue
			}
			next = r.refused[c.Key].at.Add(minRetry)
		}
		if now.Before(next) {
			if r.paced.IsZero() || next.Before(r.paced) {
				r.paced = next
			}
			continue
		}
		ready = append(ready, c)
	}
	return ready
}

// isNewWish reports whether an object that waits for a retry should be something else by now. One that is stored in pieces need not wait
// then: what failed is one of its endpoints, and the others go on.
func (r *retries) isNewWish(c *plan.Change) bool {
	last := r.refused[c.Key].object
	return last != nil && c.Object != nil && (!plan.Satisfies(last, c.Object) || !plan.Satisfies(c.Object, last))
}

// noteWish notes what was tried in vain.
func (r *retries) noteWish(c *plan.Change, now time.Time) {
	if c.Object != nil && c.Object.ServiceEntry != nil && c.Object.ServiceEntry.Mode == translate.WorkloadEntries {
		r.refused[c.Key] = wish{c.Object, now}
	}
}

// wrote notes a write of the object.
func (r *retries) wrote(key translate.Key, now time.Time) {
	run := 1
	if last, recent := r.paces[key]; recent && !last.rested(now) {
		run = min(last.run+1, paceBurst)
	}
	r.paces[key] = pace{run: run, at: now}
}

// keepOnly forgets the failures of objects that need no write any more.
func (r *retries) keepOnly(p *plan.Plan) {
	if len(r.objects) == 0 {
		return
	}
	needed := map[translate.Key]bool{}
	for _, changes := range [][]plan.Change{p.Apply, p.Delete} {
		for _, c := range changes {
			needed[c.Key] = true
		}
	}
	for key := range r.objects {
		if !needed[key] {
			r.succeeded(key)
		}
	}
}

// forgive lets everything be tried again now.
func (r *retries) forgive() {
	r.output.Retry = time.Time{}
	for key, f := range r.objects {
		f.Retry = time.Time{}
		r.objects[key] = f
		r.changed = true
	}
}

// recheck lets objects be tried now that were refused because of others, and would not be any more.
func (r *retries) recheck(p *plan.Plan, check func(plan.Change) error) {
	if len(r.objects) == 0 {
		return
	}
	for _, c := range p.Apply {
		f, failed := r.objects[c.Key]
		if failed && errors.Is(f.Err, output.ErrTaken) && check(c) == nil {
			f.Retry, f.Attempts = time.Time{}, 0
			r.objects[c.Key] = f
			r.changed = true
		}
	}
}

// failed notes the failure of one object and reports whether it is news. The first conflicts are tried again at once, because they only say
// that somebody else wrote, and a removal must not wait for that; whoever conflicts again and again waits like all others.
func (r *retries) failed(key translate.Key, err error, after time.Duration, now time.Time) (news bool) {
	last, known := r.objects[key]
	f := Failure{Err: err, Since: now, Attempts: last.Attempts + 1}
	if known {
		f.Since = last.Since
	}
	limit := maxObjectRetry
	if errors.Is(err, output.ErrFailed) {
		limit = maxOutputRetry
	}
	wait := backoff(f.Attempts, limit)
	if errors.Is(err, output.ErrConflict) {
		wait = 0
		if f.Attempts > maxConflicts {
			wait = backoff(f.Attempts-maxConflicts, limit)
		}
	}
	f.Retry = now.Add(max(wait, after))
	r.objects[key] = f
	r.changed = true
	return !known || last.Err.Error() != err.Error()
}

// succeeded forgets the failure of an object and reports whether there was one.
func (r *retries) succeeded(key translate.Key) bool {
	if _, failed := r.objects[key]; !failed {
		return false
	}
	delete(r.objects, key)
	delete(r.refused, key)
	r.changed = true
	return true
}

// outputFailed notes that the output as a whole is in trouble and reports whether that is news.
func (r *retries) outputFailed(err error, after time.Duration, now time.Time) (news bool) {
	news = r.output.Err == nil
	if news {
		r.output = Failure{Since: now}
	}
	r.output.Err = err
	r.output.Attempts++
	r.output.Retry = now.Add(max(backoff(r.output.Attempts, maxOutputRetry), after))
	return news
}

// next returns when to go on: at the next retry, at t at the latest. An output in trouble is left alone until its own retry.
func (r *retries) next(t time.Time) time.Time {
	if r.output.Err != nil {
		return r.output.Retry
	}
	for _, f := range r.objects {
		if f.Retry.Before(t) {
			t = f.Retry
		}
	}
	if !r.paced.IsZero() && r.paced.Before(t) {
		return r.paced
	}
	return t
}

// failures returns what is wrong now, as values that are never changed.
func (r *retries) failures() (map[translate.Key]Failure, *Failure) {
	if r.changed {
		r.shown, r.changed = maps.Clone(r.objects), false
	}
	if r.output.Err == nil {
		return r.shown, nil
	}
	out := r.output
	return r.shown, &out
}

// backoff returns the wait before the attempt behind the n-th failure: doubling from a second to limit, less up to a quarter so that
// many do not come back in step.
func backoff(n int, limit time.Duration) time.Duration {
	wait := minRetry
	for range n - 1 {
		wait = min(2*wait, limit)
	}
	return max(minRetry, wait-rand.N(wait/4)) //nolint:gosec // Jitter needs no secret randomness.
}
