package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/client"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

const (
	// inFlight is how many requests are open at once while listing.
	inFlight = 64
	// A change is told when its interface has been quiet for quiet, at the latest after maxQuiet: what a restart deletes and
	// creates again within quiet is one update, and a removal is never kept for long by changes around it.
	quiet    = 120 * time.Millisecond
	maxQuiet = 400 * time.Millisecond
	// reread is how long one-shot watches let changes gather, because each costs the whole list again.
	reread = 300 * time.Millisecond
	// minRetry and maxRetry bound the wait before a unit that could not be read is read again.
	minRetry = time.Second
	maxRetry = time.Minute
)

// watcher keeps the state true over one connection.
//
// Everything that the server sends comes through the inbox in the server's order, and only the watcher's goroutine changes the state.
// So an answer is the truth at its place, the events behind it are what happened since, and those before it are contained in it:
// events about a list that has not been read on this connection are dropped, and a list that is read again must be equal to what is
// known, or the watches have missed something (drift).
//
//	connect ─▶ watch the root ─▶ list the root ─▶ list each interface ─▶ caught up: Synced, events, listings again
type watcher struct {
	*state
	line
	ctx context.Context //nolint:containedctx // Set by run for its duration; answers come as closures.
	// plain: one-shot watches, because the server does not know recursive ones.
	plain bool

	queue    []*unit
	inflight int
	// busy is the number of units that are queued or have open requests.
	busy int
	// rootOpen and rootListed: the root is being listed, has been listed.
	rootOpen, rootListed bool
	// rootStale is when the root is to be listed again because its one-shot watch has fired.
	rootStale time.Time
	// full: the root's listing is followed by that of every interface.
	full bool
	// caughtUp: everything was read once on this connection.
	caughtUp bool
	// checking: a listing beside the watches is under way; drift is what it has found.
	checking bool
	drift    int
	relist   time.Time

	dirty   map[*unit]struct{} // Changed and not yet told.
	waiting map[*unit]struct{} // With a time to be read again.
	fatal   error              // Ends the connection.
}

func newWatcher(s *state, l line, plain bool) *watcher {
	return &watcher{
		state: s, line: l, plain: plain, full: true,
		dirty: make(map[*unit]struct{}), waiting: make(map[*unit]struct{}),
	}
}

// run works until ctx ends or the connection is of no use any more, and returns why.
func (w *watcher) run(ctx context.Context) error {
	w.ctx = ctx
	for _, u := range w.units {
		u.link, u.retries, u.retry = link{}, 0, time.Time{}
	}
	w.start()
	return w.serve(ctx, w)
}

// failure implements worker.
func (w *watcher) failure() error { return w.fatal }

// progress implements session.
func (w *watcher) progress() (plain, caughtUp bool) { return w.plain, w.caughtUp }

// start leaves the watch and, behind it, lists.
func (w *watcher) start() {
	if w.plain {
		w.listRoot()
		return
	}
	w.conn.WatchTree(w.cfg.Root, func(err error) {
		w.inbox.put(message{answer: func() {
			switch {
			case client.CannotWatchTree(err):
				w.cfg.Logger.InfoContext(w.ctx, "the server has no recursive watches, using one-shot watches", "error", err)
				w.plain = true
			case err != nil:
				w.fatal = fmt.Errorf("watch %s: %w", w.cfg.Root, rootError(err))
				return
			}
			w.listRoot()
		}})
	})
}

// listRoot reads the names of the interface nodes.
func (w *watcher) listRoot() {
	if w.rootOpen {
		return
	}
	w.rootOpen = true
	w.conn.Children(w.cfg.Root, w.plain, func(names []string, err error) {
		w.inbox.put(message{answer: func() { w.onRoot(names, err) }})
	})
}

func (w *watcher) onRoot(names []string, err error) {
	w.rootOpen = false
	if errors.Is(err, wire.CodeNoNode) {
		names, err = nil, nil
		if w.plain {
			w.watchRoot()
		}
	}
	if err != nil {
		w.fatal = fmt.Errorf("list %s: %w", w.cfg.Root, rootError(err))
		return
	}
	present := make(map[string]struct{}, len(names))
	for _, node := range names {
		if isReserved(node) {
			continue
		}
		present[node] = struct{}{}
		u, isNew := w.ensure(w.ctx, node)
		if u == nil {
			continue
		}
		if isNew && w.checking {
			w.drift++
		}
		if isNew || w.full {
			w.enqueue(u)
		}
	}
	for node, u := range w.units {
		if _, ok := present[node]; !ok {
			w.drop(u)
			w.drift++
		}
	}
	w.full, w.rootListed = false, true
}

// watchRoot waits for a root that does not exist.
func (w *watcher) watchRoot() {
	w.conn.WatchExists(w.cfg.Root, func(err error) {
		if err == nil { // It was created meanwhile.
			w.inbox.put(message{answer: w.listRoot})
		}
	})
}

// enqueue has a unit read, unless that is under way.
func (w *watcher) enqueue(u *unit) {
	if u.err != nil || u.queued || u.open > 0 {
		return
	}
	u.queued = true
	u.retry, u.reread = time.Time{}, time.Time{}
	delete(w.waiting, u)
	w.busy++
	w.queue = append(w.queue, u)
}

// pump sends requests of queued units while there is room.
func (w *watcher) pump() {
	for w.inflight < inFlight && len(w.queue) > 0 {
		u := w.queue[0]
		w.queue[0], w.queue = nil, w.queue[1:]
		u.queued = false
		if u.removed {
			w.busy--
			continue
		}
		w.read(u)
	}
}

// read asks for both lists of a unit. With one-shot watches the interface node is watched too, because a list that does not exist
// cannot be.
func (w *watcher) read(u *unit) {
	u.failed = nil
	base := w.cfg.Root + "/" + u.node
	if w.cfg.Root == "/" {
		base = "/" + u.node
	}
	ask := func(path string, done func(names []string)) {
		u.open++
		w.inflight++
		w.conn.Children(path, w.plain, func(names []string, err error) {
			w.inbox.put(message{answer: func() { w.onAnswer(u, names, err, done) }})
		})
	}
	if w.plain {
		ask(base, func([]string) {})
	}
	for c := range categories {
		ask(base+"/"+c.String(), func(names []string) { w.onList(u, c, names) })
	}
}

// onAnswer takes one answer of a unit's read and ends the read with the last one.
func (w *watcher) onAnswer(u *unit, names []string, err error, done func([]string)) {
	u.open--
	w.inflight--
	switch {
	case errors.Is(err, wire.CodeNoNode): // No list is an empty one; that a node is gone is said by its own watch.
		err = nil
	case err != nil && isConnection(err):
		w.fatal = fmt.Errorf("list %q: %w", u.name, rootError(err))
		return
	}
	if err == nil && !u.removed {
		done(names)
	} else if u.failed == nil {
		u.failed = err
	}
	if u.open > 0 {
		return
	}
	w.busy--
	if !u.removed {
		w.finish(u)
	}
}

func (w *watcher) onList(u *unit, c category, names []string) {
	changes := u.replace(c, names)
	if w.checking && u.listed[c] && !u.stale[c] {
		w.drift += changes
	}
	if changes > 0 {
		u.touch(time.Now())
	}
	u.listed[c], u.stale[c] = true, false
}

// finish ends a read: what it found is told, at once while everything is being listed, else together with the events around it.
func (w *watcher) finish(u *unit) {
	if u.failed != nil {
		w.skip(u)
		return
	}
	u.retries = 0
	switch {
	case u.since.IsZero() && !u.told.skipped:
	case w.caughtUp && !u.since.IsZero():
		w.dirty[u] = struct{}{}
	default:
		u.tell(w.ledger)
		delete(w.dirty, u)
	}
}

// skip reports a unit that cannot be read and has it read again later.
func (w *watcher) skip(u *unit) {
	err := u.failed
	if errors.Is(err, wire.CodeNoAuth) {
		err = fmt.Errorf("%w: %w", source.ErrUnauthorized, err)
	} else if errors.Is(err, wire.ErrMalformed) {
		err = fmt.Errorf("%w: %w", source.ErrMalformed, err)
	}
	u.listed = [categories]bool{}
	delete(w.dirty, u)
	w.ledger.skip(u.name, fmt.Errorf("list %q: %w", u.name, err))
	u.retry = time.Now().Add(jitter(min(minRetry<<min(u.retries, 10), maxRetry)))
	u.retries++
	w.waiting[u] = struct{}{}
}

// drop forgets a unit whose node is gone.
func (w *watcher) drop(u *unit) {
	delete(w.dirty, u)
	delete(w.waiting, u)
	w.remove(u)
}

func (w *watcher) dropAll() {
	for _, u := range w.units {
		w.drop(u)
	}
}
