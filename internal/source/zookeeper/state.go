package zookeeper

import (
	"context"
	"maps"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// state is what one Run knows of the registry and what it has told the sink. It outlives connections and belongs to Run's goroutine,
// apart from watches, which only reads what never changes.
type state struct {
	cfg   Config
	sink  source.Sink
	units map[string]*unit // By the name of the node.
	names map[string]*unit // By the name of the interface: two nodes may decode to one.
	// before is what the last Run has told, of interfaces that this one has not seen yet.
	before map[string][]*model.Service
	// synced says that the sink was told Synced.
	synced bool
	// current is when everything was last known to be as the registry has it; zero before Synced.
	current time.Time
}

func newState(cfg Config, sink source.Sink, before map[string][]*model.Service) *state {
	return &state{cfg: cfg, sink: sink, units: make(map[string]*unit), names: make(map[string]*unit), before: maps.Clone(before)}
}

// allTold returns what the sink has been told in this Run, and what it keeps from the last.
func (s *state) allTold() map[string][]*model.Service {
	told := s.before
	if told == nil || s.synced {
		told = make(map[string][]*model.Service, len(s.units))
	}
	for name, u := range s.names {
		if len(u.services) > 0 {
			told[name] = u.services
		}
	}
	return told
}

// watches says whether an event about path is of interest. It may be called from any goroutine.
func (s *state) watches(path string) bool { return locate(s.cfg.Root, path).level != elsewhere }

func (s *state) ref(u *unit) model.Ref { return model.Ref{Source: s.cfg.SourceID, Unit: u.name} }

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
	if first := s.names[name]; first != nil {
		s.cfg.Logger.WarnContext(ctx, "two nodes stand for one interface, the second is not read", "interface", name, "node", node)
		return nil, false
	}
	u = newUnit(node, name)
	u.services, u.unnamed = s.before[name], true
	delete(s.before, name)
	s.units[node], s.names[name] = u, u
	if err != nil {
		u.err, u.skipped = err, true
		s.sink.Skip(s.ref(u), err)
	}
	return u, true
}

// remove forgets a unit whose node is gone.
func (s *state) remove(u *unit) {
	u.removed = true
	delete(s.units, u.node)
	delete(s.names, u.name)
	if len(u.services) > 0 || u.skipped {
		s.sink.Delete(s.ref(u))
	}
}
