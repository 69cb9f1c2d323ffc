package zookeeper

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/dubboapp"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/tree"
)

// applications reads what Dubbo 3 writes at the application level:
//
//	<root>/<application>/<host:port>                                an instance: its ports, and the revision of what it offers
//	<meta>/metadata/<application>/<revision>                        what that is, with metadata-type=remote
//	<meta>/mapping/<interface>                                      the applications that offer an interface
//	<meta>/metadata/<interface>[/<version>][/<group>]/provider/<application>   in which versions and groups, for administrators
//
// An interface is a unit, as at the interface level, and its services have the same names, so that what is registered at both levels is
// one thing.
//
// What an instance offers is said exactly by its revision where that is published; otherwise its provider alone knows, and the interfaces
// that are mapped to its application stand for it. Without any, the application is a unit whose instances have a Problem.
type applications struct {
	run  *apps
	meta string
	// mappings are the nodes of the mapping, by interface; changed those that have to be evaluated.
	mappings map[string]*mapping
	changed  map[*mapping]struct{}
	index    *tree.View
	// indexed says that the list of interfaces may have changed.
	indexed bool
	// mapped are the interfaces of an application.
	mapped map[string]map[string]struct{}
}

// mapping is which applications offer an interface.
type mapping struct {
	iface string
	view  *tree.View
	apps  []string
	// err is why it cannot be read.
	err error
}

func newApplications(cfg Config, sink source.Sink, before map[string][]*model.Service) layout {
	s := newApps(cfg, sink, before)
	f := &applications{
		run: s, meta: cfg.MetadataRoot, mappings: map[string]*mapping{}, changed: map[*mapping]struct{}{}, indexed: true,
		mapped: map[string]map[string]struct{}{},
	}
	f.index = s.tree.View(func() { f.indexed = true })
	s.flavour = f
	return s
}

func (f *applications) roots() []string {
	return []string{f.run.cfg.Root, f.mappingRoot(), f.meta + "/metadata"}
}

func (f *applications) mappingRoot() string { return f.meta + "/mapping" }

// revision is what was read of the description of a revision, definition of that of a service.
type (
	revision struct {
		services []dubboapp.Service
		err      error
	}
	definition struct {
		group, version string
		err            error
	}
)

func (f *applications) parse(path string, data []byte) any {
	if strings.HasPrefix(path, f.mappingRoot()+"/") {
		return dubboapp.ParseMapping(data)
	}
	below, ok := strings.CutPrefix(path, f.meta+"/metadata/")
	switch {
	case !ok:
		return parseRegistration(path[strings.LastIndexByte(path, '/')+1:], data)
	case strings.Count(below, "/") == 1:
		var r revision
		r.services, r.err = dubboapp.ParseRevision(data)
		return r
	}
	var d definition
	d.group, d.version, d.err = dubboapp.ParseDefinition(data)
	return d
}

// refresh keeps the mapping true.
func (f *applications) refresh() error {
	if f.indexed {
		f.indexed = false
		var names []string
		err := f.index.Evaluate(func() { names = slices.Clone(f.index.List(f.mappingRoot())) })
		switch {
		case errors.Is(err, tree.ErrPending):
		case err != nil:
			return fmt.Errorf("list %s: %w", f.mappingRoot(), rootError(err))
		default:
			f.takeOver(names)
		}
	}
	for m := range f.changed {
		f.evaluateMapping(m)
	}
	return nil
}

// takeOver notes which interfaces are mapped; names is sorted.
func (f *applications) takeOver(names []string) {
	for _, iface := range names {
		if f.mappings[iface] == nil {
			m := &mapping{iface: iface}
			m.view = f.run.tree.View(func() { f.changed[m] = struct{}{} })
			f.mappings[iface], f.changed[m] = m, struct{}{}
		}
	}
	for iface, m := range f.mappings {
		if _, present := slices.BinarySearch(names, iface); !present {
			m.view.Close()
			delete(f.mappings, iface)
			delete(f.changed, m)
			f.run.stale[iface] = struct{}{}
			f.remap(m, nil)
		}
	}
}

func (f *applications) evaluateMapping(m *mapping) {
	delete(f.changed, m)
	var apps []string
	err := m.view.Evaluate(func() { apps, _ = m.view.Data(f.mappingRoot() + "/" + m.iface).([]string) })
	if errors.Is(err, tree.ErrPending) {
		return
	}
	if err != nil || m.err != nil {
		f.run.stale[m.iface] = struct{}{}
	}
	if m.err = err; err == nil {
		f.remap(m, apps)
	}
}

// remap notes that an interface is mapped to other applications, and has those evaluated that this is about; apps is sorted.
func (f *applications) remap(m *mapping, apps []string) {
	for _, app := range m.apps {
		if _, still := slices.BinarySearch(apps, app); !still {
			delete(f.mapped[app], m.iface)
			f.run.touchName(app)
		}
	}
	for _, app := range apps {
		if _, had := slices.BinarySearch(m.apps, app); !had {
			if f.mapped[app] == nil {
				f.mapped[app] = map[string]struct{}{}
			}
			f.mapped[app][m.iface] = struct{}{}
			f.run.touchName(app)
		}
	}
	m.apps = apps
}

// interfaces returns what is mapped to an application, sorted.
func (f *applications) interfaces(app string) []string {
	return slices.Sorted(maps.Keys(f.mapped[app]))
}

func (f *applications) expects(app string) []string {
	if mapped := f.interfaces(app); len(mapped) > 0 {
		return mapped
	}
	return []string{app}
}

func (f *applications) unreadable(unit string) error {
	if m := f.mappings[unit]; m != nil {
		return m.err
	}
	return nil
}

func (f *applications) evaluate(l lookup, app string) (map[string][]*model.Service, error) {
	return convertApplication(l, applicationNodes{
		app: app, node: f.run.cfg.Root + "/" + app, metadata: f.meta + "/metadata", interfaces: f.interfaces(app),
	})
}
