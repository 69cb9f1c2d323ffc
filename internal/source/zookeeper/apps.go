package zookeeper

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/client"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/tree"
)

// lookup reads nodes as if all of the ZooKeeper were here, see tree.View.
type lookup interface {
	List(path string) []string
	Data(path string) any
}

// flavour is what layouts that register instances below applications do differently.
type flavour interface {
	// roots are the nodes below which everything is.
	roots() []string
	// parse makes what a lookup returns of the data of a node.
	parse(path string, data []byte) any
	// refresh reads again what applications share, as far as it has changed, and touches those that it matters to. An error ends the
	// connection.
	refresh() error
	// evaluate returns what the instances of an application offer, by unit: instances sorted by ID, services by Ref, without Source.
	evaluate(l lookup, app string) (map[string][]*model.Service, error)
	// expects returns the units that an application may belong to, as far as that is known without reading it.
	expects(app string) []string
	// unreadable is why a unit cannot be told although its applications can be read, nil when it can.
	unreadable(unit string) error
}

// apps is what one Run knows of a layout with applications:
//
//	<root>/<application>/<instance>     one node per instance; its data is the content
//
// Each application is evaluated by itself. A unit has what all of its applications have; one that cannot be read makes all of its units
// unreadable.
type apps struct {
	cfg    Config
	ledger *ledger
	tree   *tree.Tree
	flavour
	listing *tree.View
	// relisted says that the list of applications may have changed.
	relisted bool
	apps     map[string]*app
	members  map[string]map[*app]struct{} // By unit.
	touched  map[*app]struct{}            // Have to be evaluated.
	stale    map[string]struct{}          // Units that have to be told.
}

// app is one application.
type app struct {
	name string
	view *tree.View
	// services is what its last evaluation found, by unit; err why it cannot be evaluated.
	services map[string][]*model.Service
	err      error
	// units are those that it is a member of.
	units map[string]struct{}
	// since is when the oldest change happened that is not in services, latest the newest; zero when there is none.
	since, latest time.Time
}

func newApps(cfg Config, sink source.Sink, before map[string][]*model.Service) *apps {
	s := &apps{
		cfg: cfg, ledger: newLedger(cfg.SourceID, sink, before), apps: map[string]*app{}, members: map[string]map[*app]struct{}{},
		touched: map[*app]struct{}{}, stale: map[string]struct{}{}, relisted: true,
	}
	s.tree = tree.New(func(path string, data []byte) any { return s.parse(path, data) })
	s.listing = s.tree.View(func() { s.relisted = true })
	return s
}

// watches implements layout.
func (s *apps) watches(path string) bool {
	for _, root := range s.roots() {
		if path == root || strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}

// watch implements layout.
func (s *apps) watch(conn *client.Conn, box *inbox, plain bool) session {
	return &appWatcher{apps: s, line: line{conn: conn, inbox: box}, plain: plain}
}

// told implements layout.
func (s *apps) told() map[string][]*model.Service { return s.ledger.all() }

// touch has an application evaluated again.
func (s *apps) touch(a *app) {
	now := time.Now()
	if a.since.IsZero() {
		a.since = now
	}
	a.latest = now
	s.touched[a] = struct{}{}
}

// touchName touches an application if there is one of that name.
func (s *apps) touchName(name string) {
	if a := s.apps[name]; a != nil {
		s.touch(a)
	}
}

// list takes over which applications there are. An error ends the connection.
func (s *apps) list() error {
	if !s.relisted {
		return nil
	}
	s.relisted = false
	var names []string
	err := s.listing.Evaluate(func() { names = slices.Clone(s.listing.List(s.cfg.Root)) })
	if errors.Is(err, tree.ErrPending) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", s.cfg.Root, rootError(err))
	}
	for _, name := range names {
		if s.apps[name] == nil {
			a := &app{name: name}
			a.view = s.tree.View(func() { s.touch(a) })
			s.apps[name] = a
			s.touch(a)
		}
	}
	for name, a := range s.apps {
		if _, present := slices.BinarySearch(names, name); !present {
			a.view.Close()
			delete(s.apps, name)
			delete(s.touched, a)
			s.join(a, nil)
		}
	}
	return nil
}

// evaluateDue evaluates the touched applications whose time has come, all of them when everything is wanted.
func (s *apps) evaluateDue(now time.Time, everything bool) {
	for a := range s.touched {
		if everything || isDue(a.due(), now) {
			s.evaluateApp(a)
		}
	}
}

// due is when a touched application is evaluated.
func (a *app) due() time.Time { return earlier(a.latest.Add(quiet), a.since.Add(maxQuiet)) }

func (s *apps) evaluateApp(a *app) {
	delete(s.touched, a)
	var services map[string][]*model.Service
	var malformed error
	err := a.view.Evaluate(func() { services, malformed = s.evaluate(a.view, a.name) })
	if errors.Is(err, tree.ErrPending) {
		return // It is touched when what it needs has been read.
	}
	err = cmp.Or(err, malformed)
	a.since, a.latest = time.Time{}, time.Time{}
	units := map[string]struct{}{}
	if a.err = err; err == nil {
		a.services = services
		for _, list := range services {
			for _, svc := range list {
				svc.Ref.Source = s.cfg.SourceID
			}
		}
	} else {
		for _, unit := range s.expects(a.name) {
			units[unit] = struct{}{}
		}
	}
	for unit := range a.services {
		units[unit] = struct{}{}
	}
	if s.cfg.Selects != nil {
		maps.DeleteFunc(units, func(unit string, _ struct{}) bool { return !s.cfg.Selects(unit) })
	}
	s.join(a, units)
}

// join makes an application a member of exactly these units, and has all that this is about told.
func (s *apps) join(a *app, units map[string]struct{}) {
	for unit := range a.units {
		s.stale[unit] = struct{}{}
		delete(s.members[unit], a)
		if len(s.members[unit]) == 0 {
			delete(s.members, unit)
		}
	}
	for unit := range units {
		s.stale[unit] = struct{}{}
		if s.members[unit] == nil {
			s.members[unit] = map[*app]struct{}{}
		}
		s.members[unit][a] = struct{}{}
	}
	a.units = units
}

// tellStale tells the units that may have changed.
func (s *apps) tellStale() {
	for unit := range s.stale {
		s.tellUnit(unit)
	}
	clear(s.stale)
}

// tellAll tells every unit, because an earlier connection or Run may have left something.
func (s *apps) tellAll() {
	for unit := range s.members {
		s.stale[unit] = struct{}{}
	}
	for unit := range s.ledger.units {
		s.stale[unit] = struct{}{}
	}
	s.tellStale()
}

func (s *apps) tellUnit(unit string) {
	members := slices.SortedFunc(maps.Keys(s.members[unit]), func(a, b *app) int { return cmp.Compare(a.name, b.name) })
	err := s.unreadable(unit)
	for _, a := range members {
		err = cmp.Or(err, a.err)
	}
	switch {
	case err != nil:
		s.ledger.skip(unit, err)
	case len(members) == 0:
		s.ledger.close(unit)
	default:
		s.ledger.tell(unit, merge(members, unit))
	}
}

// merge returns what several applications offer of one unit. Of instances with one ID that of the first application counts.
func merge(members []*app, unit string) []*model.Service {
	if len(members) == 1 {
		return slices.Clone(members[0].services[unit])
	}
	byName := map[string]*model.Service{}
	for _, a := range members {
		for _, svc := range a.services[unit] {
			all := byName[svc.Ref.Name]
			if all == nil {
				all = &model.Service{Ref: svc.Ref, Metadata: svc.Metadata}
				byName[svc.Ref.Name] = all
			}
			all.Instances = append(all.Instances, svc.Instances...)
		}
	}
	for _, svc := range byName {
		slices.SortStableFunc(svc.Instances, func(a, b model.Instance) int { return cmp.Compare(a.ID, b.ID) })
		svc.Instances = slices.CompactFunc(svc.Instances, func(a, b model.Instance) bool { return a.ID == b.ID })
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b *model.Service) int { return a.Ref.Compare(b.Ref) })
}
