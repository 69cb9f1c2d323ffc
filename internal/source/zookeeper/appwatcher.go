package zookeeper

import (
	"context"
	"fmt"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/client"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/tree"
)

// appWatcher keeps applications true over one connection.
//
//	connect ─▶ watch the roots ─▶ read what is looked at ─▶ evaluate, which looks at more ─▶ … ─▶ caught up: Synced, events
type appWatcher struct {
	*apps
	line
	ctx context.Context //nolint:containedctx // Set by run for its duration; answers come as closures.
	// plain: one-shot watches, because the server does not know recursive ones.
	plain bool
	// started: the roots are watched, and the tree uses the connection.
	started bool
	// caughtUp: everything was read once on this connection.
	caughtUp bool
	// checking: a listing beside the watches is under way.
	checking bool
	relist   time.Time
	fatal    error
}

// run implements session.
func (w *appWatcher) run(ctx context.Context) error {
	w.ctx = ctx
	w.start()
	w.due(time.Now()) // Nothing else may have a reason to look at something first.
	return w.serve(ctx, w)
}

// progress implements session.
func (w *appWatcher) progress() (plain, caughtUp bool) { return w.plain, w.caughtUp }

// start leaves the watches and, behind them, reads.
func (w *appWatcher) start() {
	if w.plain {
		w.connect()
		return
	}
	roots := w.roots()
	open := len(roots)
	for _, root := range roots {
		w.conn.WatchTree(root, func(err error) {
			w.inbox.put(message{answer: func() {
				open--
				switch {
				case client.CannotWatchTree(err):
					w.plain = true
				case err != nil && w.fatal == nil:
					w.fatal = fmt.Errorf("watch %s: %w", root, rootError(err))
				}
				if open > 0 || w.fatal != nil {
					return
				}
				if w.plain {
					w.cfg.Logger.InfoContext(w.ctx, "the server has no recursive watches, using one-shot watches", "error", err)
				}
				w.connect()
			}})
		})
	}
}

func (w *appWatcher) connect() {
	w.started = true
	w.tree.Connect(tree.Connection{
		Conn: w.conn, Plain: w.plain, Broken: isConnection,
		Post: func(f func()) { w.inbox.put(message{answer: f}) },
	})
}

// handle implements worker.
func (w *appWatcher) handle(m message) {
	switch {
	case w.failure() != nil:
	case m.answer != nil:
		m.answer()
	case w.started:
		w.tree.Handle(m.event.Type, m.event.Path)
	}
}

// failure implements worker.
func (w *appWatcher) failure() error {
	if w.fatal == nil && w.tree.Err() != nil && w.started {
		w.fatal = rootError(w.tree.Err())
	}
	return w.fatal
}

// pump implements worker.
func (w *appWatcher) pump() {
	if w.started {
		w.tree.Pump()
	}
}

// due implements worker.
func (w *appWatcher) due(now time.Time) {
	if !w.started || w.failure() != nil {
		return
	}
	w.tree.Due(now)
	if err := w.list(); err != nil {
		w.fatal = err
		return
	}
	if err := w.refresh(); err != nil {
		w.fatal = err
		return
	}
	if w.caughtUp {
		w.evaluateDue(now, false)
		w.tellStale()
	} else if w.tree.Settled() {
		w.evaluateDue(now, true) // Before, each answer would touch and evaluate the same applications again.
		w.catchUp(now)
	}
	w.check(now)
}

// catchUp tells everything once everything has been read on this connection.
func (w *appWatcher) catchUp(now time.Time) {
	if !w.tree.Settled() || len(w.touched) > 0 {
		return // The evaluation looked at something new.
	}
	w.caughtUp = true
	w.relist = now.Add(jitter(w.cfg.Relist))
	source.SetInterruption(w.ledger.sink, nil)
	w.tellAll()
	w.ledger.sync()
}

// check reads everything again beside the watches when its time has come, and reports what those had missed.
func (w *appWatcher) check(now time.Time) {
	switch {
	case !w.caughtUp:
	case w.checking && w.tree.Settled():
		w.checking = false
		w.relist = now.Add(jitter(w.cfg.Relist))
		w.cfg.tellDrift(w.ctx, w.tree.CheckEnd())
	case !w.checking && isDue(w.relist, now):
		w.checking = true
		w.tree.Check()
	}
}

// wait implements worker.
func (w *appWatcher) wait(now time.Time) time.Duration {
	if !w.started {
		return time.Hour
	}
	next := w.tree.Next()
	if w.caughtUp {
		for a := range w.touched {
			next = earlier(next, a.due())
		}
		if !w.checking {
			next = earlier(next, w.relist)
		}
	}
	if next.IsZero() {
		return time.Hour
	}
	return max(next.Sub(now), 0)
}
