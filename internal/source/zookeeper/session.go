package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/client"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// layout is what one Run knows of one way to register. It outlives connections and belongs to Run's goroutine.
type layout interface {
	// watches says whether an event about path is of interest. It may be called from any goroutine.
	watches(path string) bool
	// watch begins to use a connection; plain says that its server does not know recursive watches.
	watch(conn *client.Conn, box *inbox, plain bool) session
	// told returns what the sink has been told, by unit.
	told() map[string][]*model.Service
}

// session keeps a layout true over one connection.
type session interface {
	// run works until ctx ends or the connection is of no use any more, and returns why.
	run(ctx context.Context) error
	// progress says, after run, whether the server turned out not to know recursive watches, and whether everything was read once.
	progress() (plain, caughtUp bool)
}

// newLayout makes the layout that the configuration wants; before is what the last Run has told.
func newLayout(cfg Config, sink source.Sink, before map[string][]*model.Service) layout {
	switch cfg.Layout {
	case DubboApplication:
		return newApplications(cfg, sink, before)
	case SpringCloud:
		return newSpringCloud(cfg, sink, before)
	default:
		return newState(cfg, sink, before)
	}
}

// line is a connection and what came through it.
type line struct {
	conn  *client.Conn
	inbox *inbox
}

// worker is a session as its line sees it.
type worker interface {
	// handle takes the next thing that the server sent.
	handle(m message)
	// pump sends what there is room for.
	pump()
	// due does what its time has come for, wait is how long nothing is due.
	due(now time.Time)
	wait(now time.Time) time.Duration
	// failure is why the connection is of no use any more, nil while it is.
	failure() error
}

// serve lets w work until ctx ends or the connection is of no use any more, and returns why.
func (l *line) serve(ctx context.Context, w worker) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for w.failure() == nil {
		w.pump()
		timer.Reset(w.wait(time.Now()))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.conn.Done():
			l.handleAll(w) // What the server said before it hung up may be why it did.
			if err := w.failure(); err != nil {
				return err
			}
			return l.conn.Err()
		case <-l.inbox.ready:
			l.handleAll(w)
		case <-timer.C:
		}
		w.due(time.Now())
	}
	return w.failure()
}

// handleAll hands over everything that has come.
func (l *line) handleAll(w worker) {
	for _, m := range l.inbox.take() {
		w.handle(m)
	}
}

// rootError classes what went wrong with the root: everything does not only concern a unit.
func rootError(err error) error {
	switch {
	case errors.Is(err, wire.CodeNoAuth), errors.Is(err, wire.CodeAuthFailed), errors.Is(err, wire.CodeSessionClosedRequireAuth):
		return fmt.Errorf("%w: %w", source.ErrUnauthorized, err)
	case errors.Is(err, source.ErrUnavailable), errors.Is(err, source.ErrMalformed):
		return err
	case errors.Is(err, wire.ErrMalformed), errors.Is(err, client.ErrReplyTooLarge):
		return fmt.Errorf("%w: %w", source.ErrMalformed, err)
	default:
		return fmt.Errorf("%w: %w", source.ErrUnavailable, err)
	}
}

// isConnection says whether err is about the connection or its session, and not about what was asked for.
func isConnection(err error) bool {
	return errors.Is(err, source.ErrUnavailable) || errors.Is(err, source.ErrMalformed) || errors.Is(err, client.ErrClosed) ||
		errors.Is(err, wire.CodeSessionExpired) || errors.Is(err, wire.CodeConnectionLoss) || errors.Is(err, wire.CodeSessionMoved)
}

// tellDrift reports how many nodes a full listing found that the watches had missed.
func (cfg *Config) tellDrift(ctx context.Context, nodes int) {
	if nodes == 0 {
		return
	}
	cfg.Logger.WarnContext(ctx, "a full listing found what the watches had missed", "nodes", nodes)
	if cfg.Drift != nil {
		cfg.Drift(nodes)
	}
}
