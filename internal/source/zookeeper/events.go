package zookeeper

import (
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// handle takes the next thing that the server sent.
func (w *watcher) handle(m message) {
	switch {
	case w.fatal != nil:
	case m.answer != nil:
		m.answer()
	case w.plain:
		w.onFired(locate(w.cfg.Root, m.event.Path))
	default:
		w.onChange(m.event.Type, locate(w.cfg.Root, m.event.Path))
	}
}

// onChange takes an event of the recursive watch. ChildrenChanged, which servers before 3.9.0 may add (ZOOKEEPER-4475), says nothing
// that Created and Deleted do not.
func (w *watcher) onChange(t wire.EventType, at place) {
	created := t == wire.EventNodeCreated
	if !created && t != wire.EventNodeDeleted {
		return
	}
	u := w.units[at.iface]
	switch {
	case at.level == atRoot:
		if !created {
			w.dropAll()
		}
		return
	case u == nil:
		// A part of an interface that nobody knows yet is no reason to wait for the interface's own event: it is filtered
		// when the node may not be read.
		if created && w.rootListed {
			if u, _ = w.ensure(w.ctx, at.iface); u != nil {
				w.enqueue(u)
			}
		}
		return
	}
	switch {
	case at.level == atInterface && !created:
		w.drop(u)
	case at.level == atNode:
		w.onNode(u, at, created)
	case created:
		w.enqueue(u) // The list tells whether it may be read; no event would.
	case u.listed[at.category] && u.replace(at.category, nil) > 0:
		w.changed(u)
	}
}

// onNode takes the change of one provider or rule: the name is the whole content, nothing needs to be read.
func (w *watcher) onNode(u *unit, at place, created bool) {
	if !u.listed[at.category] {
		return
	}
	known := false
	if created {
		known = u.add(at.category, at.node)
	} else {
		known = u.remove(at.category, at.node)
	}
	if known {
		w.changed(u)
	}
}

func (w *watcher) changed(u *unit) {
	u.touch(time.Now())
	w.dirty[u] = struct{}{}
}

// onFired takes the event of a one-shot watch, which says where to look again and nothing more.
func (w *watcher) onFired(at place) {
	when := time.Now().Add(reread)
	if at.level == atRoot {
		if w.rootStale.IsZero() {
			w.rootStale = when
		}
		return
	}
	u := w.units[at.iface]
	if u == nil {
		return
	}
	u.stale = [categories]bool{true, true}
	if u.reread.IsZero() {
		u.reread = when
		w.waiting[u] = struct{}{}
	}
}

// due does what its time has come for.
func (w *watcher) due(now time.Time) {
	w.tellDue(now)
	for u := range w.waiting {
		if u.open == 0 && !u.queued && isDue(readAt(u), now) {
			w.enqueue(u)
		}
	}
	if isDue(w.rootStale, now) && !w.rootOpen {
		w.rootStale = time.Time{}
		w.listRoot()
	}
	if w.caughtUp && !w.checking && isDue(w.relist, now) {
		w.checking, w.full, w.drift = true, true, 0
		w.listRoot()
	}
	if w.rootListed && !w.rootOpen && w.busy == 0 && w.fatal == nil {
		w.allRead(now)
	}
}

func (w *watcher) tellDue(now time.Time) {
	for u := range w.dirty {
		if !u.complete() {
			delete(w.dirty, u) // It is told when it has been read.
		} else if isDue(tellAt(u), now) {
			u.tell(w.ledger)
			delete(w.dirty, u)
		}
	}
}

// isDue ignores a zero time.
func isDue(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// allRead is called while nothing is being read.
func (w *watcher) allRead(now time.Time) {
	if w.caughtUp && !w.checking {
		return
	}
	if w.checking {
		w.cfg.tellDrift(w.ctx, w.drift)
	}
	if !w.caughtUp {
		source.SetInterruption(w.ledger.sink, nil)
	}
	w.caughtUp, w.checking = true, false
	w.relist = now.Add(jitter(w.cfg.Relist))
	w.ledger.sync()
}

// tellAt is when the changes of a dirty unit are told.
func tellAt(u *unit) time.Time { return earlier(u.latest.Add(quiet), u.since.Add(maxQuiet)) }

// readAt is when a waiting unit is read again.
func readAt(u *unit) time.Time { return earlier(u.retry, u.reread) }

// earlier ignores a zero time.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// wait is how long nothing is due.
func (w *watcher) wait(now time.Time) time.Duration {
	next := w.rootStale
	if w.caughtUp && !w.checking {
		next = earlier(next, w.relist)
	}
	for u := range w.dirty {
		next = earlier(next, tellAt(u))
	}
	for u := range w.waiting {
		if u.open == 0 && !u.queued {
			next = earlier(next, readAt(u))
		}
	}
	if next.IsZero() {
		return time.Hour
	}
	return max(next.Sub(now), 0)
}
