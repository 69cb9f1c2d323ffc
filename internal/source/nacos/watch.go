package nacos

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	grpcapi "github.com/nacos-group/nacos-sdk-go/v2/api/grpc"

	"github.com/registry-bridge/registry-bridge/internal/source"
)

const (
	// inFlight is how many services are asked for at the same time.
	inFlight = 64
	// checkAfter is how long a server may say nothing before it is asked whether it is there. Servers forget clients after 20 s of silence.
	checkAfter = 5 * time.Second
	// pageSize is how many names a page has: more than there are.
	pageSize = 1 << 20
	// maxPages bounds the pages of a server that gives fewer than were asked for.
	maxPages = 1000
)

// listing is what a server says of which services there are.
type listing struct {
	names []string
	// complete says that there are as many as the server counts. Pages of a server that gives fewer than it was asked for are in no order,
	// so that names may be missing.
	complete bool
}

// watch is the time of one connection. Its state belongs to Run's goroutine; questions are asked by goroutines of their own.
type watch struct {
	*runner

	conn *conn
	// results has what is to be done with the answers to questions; an error ends the connection.
	results chan func() error
	// queue has the units that wait to be asked, in no order; asking counts those that are asked.
	queue  []*unit
	asking int
	// listDue and checkDue are when to ask for the list and for the connection; listing and checking say that it is being done.
	listDue, checkDue time.Time
	listing, checking bool
	// begun says that there was a listing in this connection; failures counts those that failed since, failing is when the first did.
	begun    bool
	failures int
	failing  time.Time
	wg       sync.WaitGroup
}

func newWatch(r *runner, c *conn) *watch {
	return &watch{runner: r, conn: c, results: make(chan func() error), checkDue: time.Now().Add(checkAfter)}
}

func (w *watch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p, open := <-w.conn.pushes:
			if !open {
				return errLost
			}
			if err := w.pushed(p); err != nil {
				return err
			}
		case take := <-w.results:
			if err := take(); err != nil {
				return err
			}
		case <-timer.C:
		}
		timer.Reset(time.Until(w.launch(ctx, time.Now())))
	}
}

// launch asks what is due, and returns when to look again.
func (w *watch) launch(ctx context.Context, now time.Time) time.Time {
	if !w.listing && !w.listDue.After(now) {
		w.listing = true
		w.listDue = now.Add(w.cfg.ListEvery*9/10 + rand.N(w.cfg.ListEvery/5+1)) //nolint:gosec // Jitter needs no secret randomness.
		w.do(ctx, func(ctx context.Context) func() error {
			list, err := w.listAll(ctx)
			return func() error { return w.takeListing(ctx, list, err) }
		})
	}
	if !w.checking && !w.checkDue.After(now) {
		if silent := now.Sub(time.Unix(0, w.conn.heard.Load())); silent < checkAfter {
			w.checkDue = now.Add(checkAfter - silent)
		} else {
			w.checking = true
			w.checkDue = now.Add(checkAfter)
			w.do(ctx, func(ctx context.Context) func() error {
				err := w.conn.check(ctx)
				return func() error {
					w.checking = false
					return err
				}
			})
		}
	}
	wake := w.checkDue
	if !w.listing && w.listDue.Before(wake) {
		wake = w.listDue
	}
	if due := w.askDue(ctx, now); !due.IsZero() && due.Before(wake) {
		wake = due
	}
	return wake
}

// askDue asks for the units that are due, as many as may be asked at once, and returns when the next one is.
func (w *watch) askDue(ctx context.Context, now time.Time) (next time.Time) {
	waiting := w.queue[:0]
	for i, u := range w.queue {
		if w.asking >= inFlight {
			waiting = append(waiting, w.queue[i:]...)
			break // A result makes room.
		}
		switch {
		case u.removed:
		case u.due.After(now):
			waiting = append(waiting, u)
			if next.IsZero() || u.due.Before(next) {
				next = u.due
			}
		default:
			w.ask(ctx, u)
		}
	}
	clear(w.queue[len(waiting):])
	w.queue = waiting
	return next
}

// ask asks for what a unit has now, and for its pushes if they are not coming already.
func (w *watch) ask(ctx context.Context, u *unit) {
	w.asking++
	u.queued, u.asking, u.pushed, u.doubted = false, true, false, false
	name, question := u.name, w.conn.query
	if !u.subscribed {
		question = w.conn.subscribe
	}
	w.do(ctx, func(ctx context.Context) func() error {
		answer, err := question(ctx, name)
		return func() error { return w.takeUnit(ctx, u, answer, err) }
	})
}

// do asks a question and lets Run's goroutine do what it returns.
func (w *watch) do(ctx context.Context, question func(context.Context) func() error) {
	w.wg.Go(func() {
		take := question(ctx)
		select {
		case w.results <- take:
		case <-ctx.Done():
		}
	})
}

// enqueue lets a unit be asked.
func (w *watch) enqueue(u *unit) {
	if !u.queued && !u.removed && !u.unwanted {
		u.queued = true
		w.queue = append(w.queue, u)
	}
}

// listAll asks for all names, page after page until the server has no more.
func (w *watch) listAll(ctx context.Context) (listing, error) {
	seen := map[string]bool{}
	var all listing
	for page := 1; page <= maxPages; page++ {
		list, err := w.conn.list(ctx, page)
		if err != nil {
			return listing{}, fmt.Errorf("list services: %w", err)
		}
		if list.ServiceNames == nil && list.Count != 0 || list.Count < 0 {
			return listing{}, fmt.Errorf("list services: %w: %d services, and no names", source.ErrMalformed, list.Count)
		}
		for _, name := range list.ServiceNames {
			if !seen[name] {
				seen[name] = true
				all.names = append(all.names, name)
			}
		}
		all.complete = len(all.names) >= list.Count
		if all.complete || len(list.ServiceNames) == 0 {
			break
		}
	}
	return all, nil
}

// takeListing takes the list of services. One that fails is asked for again: by another connection, unless it worked in this one.
func (w *watch) takeListing(ctx context.Context, list listing, err error) error {
	w.listing = false
	if err != nil {
		now := time.Now()
		w.failures++
		if w.failures == 1 {
			w.failing = now
		}
		if !w.begun || lost(err) || now.Sub(w.failing) > awayFor {
			return err
		}
		w.interrupt(ctx, err)
		w.listDue = now.Add(min(source.UnitBackoff(w.failures), w.cfg.ListEvery))
		return nil
	}
	w.failures = 0
	w.resume(ctx, w.conn.server)
	ask, gone := w.takeNames(list)
	if !w.begun {
		w.begun = true
		ask = slices.Collect(maps.Values(w.units)) // Subscriptions end with their connection.
	}
	for _, u := range ask {
		w.enqueue(u)
	}
	for _, u := range gone {
		w.unsubscribe(ctx, u)
	}
	w.sync()
	return nil
}

// unsubscribe tells the server that nobody waits for a unit any more. It does not matter whether the server hears that.
func (w *watch) unsubscribe(ctx context.Context, u *unit) {
	if !u.subscribed {
		return
	}
	w.do(ctx, func(ctx context.Context) func() error {
		err := w.conn.unsubscribe(ctx, u.name)
		return func() error {
			if err != nil {
				w.cfg.Logger.DebugContext(ctx, "a subscription could not be ended", "service", u.name, "error", err)
			}
			return nil
		}
	})
}

// takeUnit takes the answer to a question about a unit.
func (w *watch) takeUnit(ctx context.Context, u *unit, answer serviceAnswer, err error) error {
	w.asking--
	u.asking = false
	switch {
	case lost(err):
		return err
	case u.removed:
		return nil
	case err == nil:
		u.subscribed = true
		if !u.pushed { // What was pushed meanwhile is younger.
			err = w.takeInfo(u, answer.ServiceInfo)
		}
	}
	if err != nil {
		w.failed(ctx, u, err)
	} else if u.doubted {
		w.enqueue(u)
	}
	w.sync()
	return nil
}

// takeInfo takes what a server says of a unit.
func (w *watch) takeInfo(u *unit, info *serviceInfo) error {
	services, err := w.convert.convert(u.name, info)
	if err != nil {
		return err
	}
	u.refTime = info.LastRefTime
	w.tell(u, services)
	return nil
}

// failed notes a failure of a unit, which is tried again.
func (w *watch) failed(ctx context.Context, u *unit, err error) {
	u.failures++
	u.subscribed = false // So that the next question does not take anything for granted.
	w.cfg.Logger.DebugContext(ctx, "a service could not be read", "service", u.name, "failures", u.failures, "error", err)
	if u.failures >= patience {
		u.skipped = true
		w.sink.Skip(w.convert.ref(u.name, ""), err)
		w.name(u)
	}
	u.due = time.Now().Add(source.UnitBackoff(u.failures))
	w.enqueue(u)
}

// pushed takes a request of the server, which was answered already. The error ends the connection.
func (w *watch) pushed(p *grpcapi.Payload) error {
	body := p.GetBody().GetValue()
	switch p.GetMetadata().GetType() {
	case typeReset:
		var reset resetRequest
		if err := json.Unmarshal(body, &reset); err == nil {
			w.moveTo(reset.ServerIP)
		}
		return fmt.Errorf("%w: the server sends its clients elsewhere", errLost)
	case typeNotify:
		var push serviceAnswer
		if err := json.Unmarshal(body, &push); err != nil {
			return fmt.Errorf("%w: push: %w", source.ErrMalformed, err) // Of what service it is nobody knows.
		}
		w.takePush(push.ServiceInfo)
	}
	return nil
}

// takePush takes what a service has now. Answers and pushes go different ways, and may overtake each other: a push whose time is before that
// of what is known may be an old one, or the server's clock went back. What is true then, or when it cannot be understood, is asked for.
func (w *watch) takePush(info *serviceInfo) {
	if info == nil || info.GroupName != "" && info.GroupName != w.cfg.Group {
		return
	}
	u := w.units[w.convert.unitName(info.Name)]
	if u == nil || u.unwanted {
		return
	}
	if info.LastRefTime >= u.refTime && w.takeInfo(u, info) == nil {
		u.pushed = true
		w.sync()
		return
	}
	u.doubted = true
	if !u.asking {
		w.enqueue(u)
	}
}

// reconnectAfter returns how long to wait before the n-th round of attempts to connect.
func reconnectAfter(n int) time.Duration {
	if n == 0 {
		return 0
	}
	return min(source.UnitBackoff(n), 5*time.Second)
}
