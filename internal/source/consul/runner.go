package consul

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

const (
	// listingEvery is the least time between two listings: the catalogue changes with every instance, and is sent as a whole.
	listingEvery = 2 * time.Second
	// listingFor is how long a listing may fail before Run gives up. Restarts and elections are shorter.
	listingFor = 30 * time.Second
	// listingBackoff bounds the wait between two attempts.
	listingBackoff = 5 * time.Second
	// listingWait is how long the listing waits at most. It is what notices that another server, with other indexes, has taken the place
	// of one, while the queries of the services wait for indexes that never come.
	listingWait = 20 * time.Second
)

// runner is one Run. Its state belongs to Run's goroutine; queries run in goroutines of their own and hand over what they made of the
// answer.
type runner struct {
	cfg     Config
	client  *client
	sink    source.Sink
	convert converter
	pace    pace

	listing listing
	units   map[string]*unit
	// reads and polls wait for their next query: one that is answered at once, and one that blocks. reading and polling count those
	// under way.
	reads, polls     queue
	reading, polling int
	// unnamed counts the units of which the sink has not heard in this Run.
	unnamed int
	// listed says that there was a listing, synced that the sink was told, crowded that the operator was told of services that take turns.
	listed, synced, crowded bool

	results chan result
	wg      sync.WaitGroup
}

// listing is the state of the query of the catalogue.
type listing struct {
	index uint64
	// wentBack says that an answer had a lower index than the one before.
	wentBack bool
	// afresh asks for an answer at once although there is an index, which may be of data that is no more; again whatever the query under
	// way brings.
	afresh, again bool
	// cancel ends the query under way; nil while there is none. blocking says that it waits for news.
	cancel   context.CancelFunc
	blocking bool
	due      time.Time
	// failures counts those in a row; since is when the first of them was.
	failures int
	since    time.Time
}

// result is what became of a query.
type result struct {
	// unit is nil for the listing.
	unit *unit
	// polled says that the query was taken from the queue of those that block.
	polled bool
	answer answer
	names  []string
	svc    *model.Service
	err    error
}

func newRunner(cfg Config, c *client, sink source.Sink) *runner {
	return &runner{
		cfg: cfg, client: c, sink: sink, pace: newPace(cfg), units: make(map[string]*unit), results: make(chan result),
		convert: converter{id: cfg.SourceID, addressFrom: cfg.AddressFrom, filtered: cfg.Filter != ""},
	}
}

func (r *runner) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer r.wg.Wait()
	defer cancel()
	if err := r.tryFilter(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case res := <-r.results:
			if err := r.take(ctx, res, time.Now()); err != nil {
				return err
			}
		}
		if next := r.launch(ctx, time.Now()); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// tryFilter asks once with the filter, so that one that Consul does not understand is told as that, and not as the failure of every
// service.
func (r *runner) tryFilter(ctx context.Context) error {
	if r.cfg.Filter == "" {
		return nil
	}
	_, err := r.client.get(ctx, question{path: "/v1/health/service/consul", filter: r.cfg.Filter})
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusBadRequest {
		return fmt.Errorf("filter: %w", err)
	}
	return nil
}

// launch starts the queries that are due and allowed, and returns when to look again; the zero time for "after the next result".
func (r *runner) launch(ctx context.Context, now time.Time) time.Time {
	var next time.Time
	wake := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if r.listing.cancel == nil {
		if r.listing.due.After(now) {
			wake(r.listing.due)
		} else {
			r.list(ctx, now)
		}
	}
	if r.listing.failures > 0 {
		// Until it answers again, one query asks for all.
		return next
	}
	for u := range r.dueUnits(&r.reads, now, wake) {
		if !r.pace.mayRead(r.reading, r.polling) {
			break
		}
		heap.Pop(&r.reads)
		r.reading++
		r.ask(ctx, u, question{path: u.path(), leader: u.failures > 0, filter: r.cfg.Filter}, false)
	}
	wait := r.pace.waitFor(len(r.units))
	for u := range r.dueUnits(&r.polls, now, wake) {
		if !r.pace.mayPoll(r.reading, r.polling) {
			break
		}
		heap.Pop(&r.polls)
		r.polling++
		r.ask(ctx, u, question{path: u.path(), index: u.index, wait: wait, filter: r.cfg.Filter}, true)
	}
	return next
}

// dueUnits yields the first unit of the queue as long as it is due; the caller takes it out. It tells wake when the next one is.
func (r *runner) dueUnits(q *queue, now time.Time, wake func(time.Time)) func(func(*unit) bool) {
	return func(yield func(*unit) bool) {
		for len(*q) > 0 {
			u := (*q)[0]
			if u.removed {
				heap.Pop(q)
				continue
			}
			if u.due.After(now) {
				wake(u.due)
				return
			}
			if !yield(u) {
				return
			}
		}
	}
}

// list starts the query of the catalogue.
func (r *runner) list(ctx context.Context, now time.Time) {
	l := &r.listing
	l.due = now.Add(listingEvery)
	q := question{path: "/v1/catalog/services", index: l.index, wait: min(r.cfg.Wait, listingWait), leader: l.failures > 0}
	if l.failures > 0 || l.afresh {
		q.index = 0
	}
	l.blocking = q.index != 0
	query, cancel := context.WithCancel(ctx)
	l.cancel = cancel
	r.wg.Go(func() {
		a, err := r.client.get(query, q)
		res := result{answer: a, err: err}
		if err == nil && !a.unchanged {
			res.names, res.err = r.convert.listing(a.body, r.wholeDatacenter())
		}
		r.deliver(ctx, res)
	})
}

// wholeDatacenter says whether the catalogue has to have Consul's own service, which is in the default namespace of the default
// partition.
func (r *runner) wholeDatacenter() bool {
	standard := func(name string) bool { return name == "" || name == "default" }
	return standard(r.cfg.Namespace) && standard(r.cfg.Partition)
}

// ask starts a query of a unit.
func (r *runner) ask(ctx context.Context, u *unit, q question, polled bool) {
	query, cancel := context.WithCancel(ctx)
	u.cancel = cancel
	name := u.name
	r.wg.Go(func() {
		a, err := r.client.get(query, q)
		res := result{unit: u, polled: polled, answer: a, err: err}
		if err == nil && !a.unchanged {
			res.svc, res.err = r.convert.service(name, a.body)
		}
		r.deliver(ctx, res)
	})
}

func (r *runner) deliver(ctx context.Context, res result) {
	select {
	case r.results <- res:
	case <-ctx.Done():
	}
}

// take takes the result of a query. The error ends Run.
func (r *runner) take(ctx context.Context, res result, now time.Time) error {
	if res.err == nil {
		r.pace.answered(now)
	} else if refusal(res.err) {
		r.pace.refused(now)
	}
	defer r.hint(ctx)
	if res.unit == nil {
		return r.takeListing(ctx, res, now)
	}
	r.takeUnit(ctx, res, now)
	r.sync()
	return nil
}

func (r *runner) takeListing(ctx context.Context, res result, now time.Time) error {
	l := &r.listing
	l.cancel()
	l.cancel = nil
	if l.again {
		l.again = false
		return nil
	}
	if res.err != nil {
		return r.listingFailed(ctx, res.err, now)
	}
	if l.failures > 0 {
		source.SetInterruption(r.sink, nil)
		r.cfg.Logger.InfoContext(ctx, "consul answers again")
	}
	l.failures, l.afresh = 0, res.answer.abandoned
	switch {
	case res.answer.unchanged:
		return nil
	case res.answer.index < l.index:
		// From an older server, or from a younger registry: only what comes next is believed.
		l.index, l.wentBack, l.due = 0, true, now
		return nil
	}
	l.index = res.answer.index
	if l.wentBack {
		l.wentBack = false
		r.readAgain()
	}
	r.pace.shared = r.client.transport.multiplexed.Load()
	r.takeNames(res.names, now)
	r.listed = true
	r.sync()
	return nil
}

// hint tells the operator when services begin to take turns, and when they no longer do.
func (r *runner) hint(ctx context.Context) {
	crowded := r.pace.crowded(len(r.units))
	if !r.listed || crowded == r.crowded {
		return
	}
	r.crowded = crowded
	if !crowded {
		source.SetHints(r.sink)
		r.cfg.Logger.InfoContext(ctx, "services no longer take turns")
		return
	}
	detail := fmt.Sprintf("over plain HTTP each query needs a connection of its own, and there are more services than the %d that are used at most; "+
		"use https", r.pace.most)
	if strings.HasPrefix(r.cfg.Address, "https:") {
		detail = fmt.Sprintf("what answers at the address does not speak HTTP/2, and there are more services than the %d connections that are used at most",
			r.pace.most)
	}
	source.SetHints(r.sink, model.Hint{Reason: string(reason.ConnectionLimit), Detail: detail})
	r.cfg.Logger.WarnContext(ctx, "services are asked in turn, so changes are seen later", "reason", detail, "services", len(r.units))
}

// listingFailed decides whether to go on.
func (r *runner) listingFailed(ctx context.Context, err error, now time.Time) error {
	l := &r.listing
	err = fmt.Errorf("list services: %w", err)
	l.failures++
	if l.failures == 1 {
		l.since = now
	}
	if !r.listed || now.Sub(l.since) > listingFor {
		return err
	}
	if l.failures == 1 {
		source.SetInterruption(r.sink, fmt.Errorf("consul: %w", err))
		r.cfg.Logger.InfoContext(ctx, "consul does not answer, trying again", "error", err)
	}
	l.due = now.Add(min(source.UnitBackoff(l.failures), listingBackoff))
	return nil
}

// takeNames brings the units in line with what the catalogue lists.
func (r *runner) takeNames(names []string, now time.Time) {
	for _, u := range r.units {
		u.listed = false
	}
	for _, name := range names {
		if u := r.units[name]; u != nil {
			u.listed = true
			continue
		}
		u := &unit{name: name, ref: r.convert.ref(name), listed: true, due: now}
		r.units[name] = u
		r.unnamed++
		if r.cfg.Selects != nil && !r.cfg.Selects(name) {
			r.tell(u, &model.Service{Ref: u.ref})
			continue
		}
		heap.Push(&r.reads, u)
	}
	for _, u := range r.units {
		r.removeGone(u)
	}
}

// removeGone forgets a unit that the catalogue no longer lists, unless the unit itself has been heard of since: queries are answered by
// several servers, and not in order.
func (r *runner) removeGone(u *unit) {
	newer := u.failures == 0 && u.index > r.listing.index && u.told != nil && len(u.told.Instances) > 0
	if u.listed || newer {
		return
	}
	u.removed = true
	delete(r.units, u.name)
	if u.cancel != nil {
		u.cancel()
	}
	r.name(u)
	r.sink.Delete(u.ref)
}

// listAgain lets the catalogue be asked for an answer at once. The failure of a service may be the first sign that the registry is not
// what it was; a query that waits for an index which that does not reach would not tell.
func (r *runner) listAgain() {
	l := &r.listing
	l.afresh = true
	if l.cancel != nil && l.blocking {
		l.again = true
		l.cancel()
	}
}

// readAgain lets all units be asked for answers at once: their indexes are those of a registry that is no more.
func (r *runner) readAgain() {
	for _, u := range r.units {
		u.index = 0
		if u.cancel != nil {
			u.again = true
			u.cancel()
		}
	}
}

// sync tells the sink once everything was named.
func (r *runner) sync() {
	if r.listed && !r.synced && r.unnamed == 0 {
		r.synced = true
		r.sink.Synced()
	}
}

func (r *runner) takeUnit(ctx context.Context, res result, now time.Time) {
	u := res.unit
	if res.polled {
		r.polling--
	} else {
		r.reading--
	}
	if u.removed {
		return
	}
	u.cancel()
	u.cancel = nil
	switch {
	case u.again:
		u.again = false
		r.enqueue(u, now)
		return
	case res.err != nil:
		r.failed(ctx, u, res.err, now)
		return
	case res.answer.index < u.index:
		u.index = 0
	case !res.answer.unchanged:
		u.index = res.answer.index
		r.tell(u, res.svc)
	}
	u.failures, u.afresh = 0, res.answer.abandoned
	r.enqueue(u, u.spend(now))
	r.removeGone(u)
}

// tell hands a unit to the sink when it is not what that has already; nil for one that is no application's.
func (r *runner) tell(u *unit, svc *model.Service) {
	switch {
	case svc == nil:
		if u.told != nil || u.skipped {
			r.sink.Delete(u.ref)
		}
		u.told = nil
	case u.skipped || u.told == nil || !u.told.Equal(svc):
		u.told = svc
		r.sink.Upsert(svc)
	}
	u.skipped = false
	r.name(u)
}

// failed notes that a unit could not be read, or that its answer is not believed.
func (r *runner) failed(ctx context.Context, u *unit, err error, now time.Time) {
	u.failures++
	u.afresh = true
	r.cfg.Logger.DebugContext(ctx, "service could not be read", "service", u.name, "failures", u.failures, "error", err)
	if u.failures == 1 {
		r.listAgain()
	}
	if u.failures >= patience {
		u.skipped = true
		r.sink.Skip(u.ref, err)
		r.name(u)
	}
	r.enqueue(u, now.Add(source.UnitBackoff(u.failures)))
	r.removeGone(u)
}

// name notes that the sink has heard of the unit.
func (r *runner) name(u *unit) {
	if !u.named {
		u.named = true
		r.unnamed--
	}
}

// enqueue lets a unit wait for its next query.
func (r *runner) enqueue(u *unit, due time.Time) {
	u.due = due
	if u.immediate() {
		heap.Push(&r.reads, u)
	} else {
		heap.Push(&r.polls, u)
	}
}
