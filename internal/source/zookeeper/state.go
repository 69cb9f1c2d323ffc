package zookeeper

import (
	"context"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/client"
)

// state is what one Run knows of the interface level and what it has told the sink. It outlives connections and belongs to Run's
// goroutine, apart from watches, which only reads what never changes.
type state struct {
	cfg    Config
	ledger *ledger
	units  map[string]*unit // By the name of the node.
}

func newState(cfg Config, sink source.Sink, before map[string][]*model.Service) *state {
	return &state{cfg: cfg, ledger: newLedger(cfg.SourceID, sink, before), units: make(map[string]*unit)}
}

// watches implements layout.
func (s *state) watches(path string) bool { return locate(s.cfg.Root, path).level != elsewhere }

// watch implements layout.
func (s *state) watch(conn *client.Conn, box *inbox, plain bool) session {
	return newWatcher(s, line{conn: conn, inbox: box}, plain)
}

// told implements layout.
func (s *state) told() map[string][]*model.Service { return s.ledger.all() }

// ensure returns the unit of an interface node, making it when it is new; nil when it is not wanted.
func (s *state) ensure(ctx context.Context, node string) (u *unit, isNew bool) {
	if u := s.units[node]; u != nil {
		return u, false
	}
	name, err := interfaceName(node)
	if err != nil {
		name = node
	}
	if s.cfg.Selects != nil && !s.cfg.Selects(name) {
		return nil, false
	}
	if s.ledger.has(name) {
		s.cfg.Logger.WarnContext(ctx, "two nodes stand for one interface, the second is not read", "interface", name, "node", node)
		return nil, false
	}
	u = newUnit(node, name)
	u.told = s.ledger.open(name)
	s.units[node] = u
	if err != nil {
		u.err = err
		s.ledger.skip(name, err)
	}
	return u, true
}

// remove forgets a unit whose node is gone.
func (s *state) remove(u *unit) {
	u.removed = true
	delete(s.units, u.node)
	s.ledger.close(u.name)
}
