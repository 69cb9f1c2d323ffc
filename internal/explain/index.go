package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// record is one service of a snapshot with its configuration.
type record struct {
	svc *model.Service
	reg *translate.Registry
	src *translate.Source
}

// index is the state of the engine by host.
type index struct {
	state    *engine.State
	records  map[subjectKey][]record
	desired  map[subjectKey][]*translate.Object
	live     map[subjectKey][]*translate.Object
	held     map[subjectKey][]*plan.Hold
	problems map[model.Ref][]*translate.Diagnostic
	policies map[[2]string]*plan.Policy
}

func newIndex(state *engine.State) *index {
	x := &index{
		state: state, records: map[subjectKey][]record{}, desired: map[subjectKey][]*translate.Object{}, live: map[subjectKey][]*translate.Object{},
		held: map[subjectKey][]*plan.Hold{}, problems: map[model.Ref][]*translate.Diagnostic{}, policies: map[[2]string]*plan.Policy{},
	}
	if state.Config == nil {
		return x
	}
	for i := range state.Config.Policies {
		p := &state.Config.Policies[i]
		x.policies[[2]string{p.Namespace, p.Name}] = p
	}
	x.addRecords()
	for _, o := range state.Result.Objects {
		if o.ServiceEntry != nil {
			k := subjectKey{namespace: o.Key.Namespace, host: o.ServiceEntry.Host}
			x.desired[k] = append(x.desired[k], o)
		}
	}
	for i := range state.Live {
		if o := state.Live[i].Object; o.ServiceEntry != nil {
			k := subjectKey{namespace: o.Key.Namespace, host: o.ServiceEntry.Host}
			x.live[k] = append(x.live[k], o)
		}
	}
	for i := range state.Plan.Held {
		h := &state.Plan.Held[i]
		k := subjectKey{namespace: h.Key.Namespace, host: h.Host}
		x.held[k] = append(x.held[k], h)
	}
	for i := range state.Result.Diagnostics {
		d := &state.Result.Diagnostics[i]
		x.problems[d.Ref] = append(x.problems[d.Ref], d)
	}
	return x
}

func (x *index) addRecords() {
	services := map[model.SourceID][]*model.Service{}
	for _, s := range x.state.Snapshot.Sources {
		services[s.ID] = s.Services
	}
	for _, reg := range x.state.Config.Options.Registries {
		for i := range reg.Sources {
			src := &reg.Sources[i]
			for _, svc := range services[src.ID] {
				k := subjectKey{namespace: reg.Namespace}
				if k.host, _ = translate.HostOf(svc, reg, src); k.host == "" {
					k.ref = svc.Ref
				}
				x.records[k] = append(x.records[k], record{svc, reg, src})
			}
		}
	}
}

// match returns the subjects that a query is about, sorted.
func (x *index) match(q query) []subjectKey {
	found := map[subjectKey]bool{}
	for k, records := range x.records {
		for _, r := range records {
			found[k] = found[k] || q.matchesRecord(k, r.svc)
		}
	}
	for _, objects := range []map[subjectKey][]*translate.Object{x.desired, x.live} {
		for k, list := range objects {
			for _, o := range list {
				found[k] = found[k] || q.matchesObject(o)
			}
		}
	}
	for id, status := range x.state.Statuses {
		for unit, failure := range status.FailingUnits {
			if unit == q.text && !failure.Read {
				found[subjectKey{namespace: status.Namespace, ref: model.Ref{Source: id, Unit: unit}}] = true
			}
		}
	}
	for k := range x.held { // An object that is held back before it was ever written has no other trace.
		found[k] = found[k] || q.text != "" && strings.EqualFold(k.host, q.text)
	}
	maps.DeleteFunc(found, func(_ subjectKey, matches bool) bool { return !matches })
	return slices.SortedFunc(maps.Keys(found), subjectKey.compare)
}

func (q *query) matchesRecord(k subjectKey, svc *model.Service) bool {
	if q.text != "" {
		return strings.EqualFold(k.host, q.text) || svc.Ref.Name == q.text || svc.Ref.Unit == q.text
	}
	return slices.ContainsFunc(svc.Instances, func(i model.Instance) bool { return q.is(i.Address, numbers(&i)...) })
}

func (q *query) matchesObject(o *translate.Object) bool {
	s := o.ServiceEntry
	if q.text != "" {
		return strings.EqualFold(s.Host, q.text) || o.Annotations[translate.AnnotationService] == translate.EncodeName(q.text) ||
			o.Annotations[translate.AnnotationUnit] == translate.EncodeName(q.text)
	}
	if slices.ContainsFunc(s.Addresses, func(vip string) bool { return q.is(vip, published(s)...) }) {
		return true
	}
	return slices.ContainsFunc(s.Endpoints, func(e translate.Endpoint) bool { return q.is(e.Address, ports(&e)...) })
}

// numbers are the ports of an instance.
func numbers(i *model.Instance) []uint32 {
	list := make([]uint32, len(i.Ports))
	for n, p := range i.Ports {
		list[n] = p.Number
	}
	return list
}

// ports are the real ports of an endpoint.
func ports(e *translate.Endpoint) []uint32 {
	list := make([]uint32, len(e.Ports))
	for n, p := range e.Ports {
		list[n] = p.Number
	}
	return list
}

// published are the ports of a host.
func published(s *translate.ServiceEntry) []uint32 {
	list := make([]uint32, len(s.Ports))
	for n, p := range s.Ports {
		list[n] = p.Number
	}
	return list
}

// similar returns hosts and services whose names contain a text, or are contained in it.
func (x *index) similar(text string) []string {
	text = strings.ToLower(text)
	names := map[string]bool{}
	note := func(name string) {
		lower := strings.ToLower(name)
		if lower != "" && (strings.Contains(lower, text) || strings.Contains(text, lower)) {
			names[name] = true
		}
	}
	for k, records := range x.records {
		note(k.host)
		for _, r := range records {
			note(r.svc.Ref.Name)
		}
	}
	for k := range x.live {
		note(k.host)
	}
	sorted := slices.Sorted(maps.Keys(names))
	return sorted[:min(len(sorted), maxSimilar)]
}

// unselected names the Registries that leave out a service of that name: some registries are not even asked for those.
func (x *index) unselected(name string) []string {
	if x.state.Config == nil {
		return nil
	}
	var list []string
	for _, r := range x.state.Config.Options.Registries {
		if r.Selects != nil && !r.Selects(name) {
			list = append(list, r.Namespace+"/"+r.Name)
		}
	}
	return list
}

// unread names the sources that have not been read in full.
func (x *index) unread() []string {
	if x.state.Config == nil {
		return nil
	}
	var list []string
	for _, r := range x.state.Config.Options.Registries {
		for i := range r.Sources {
			status := x.state.Statuses[r.Sources[i].ID]
			if status.State == model.Synced {
				continue
			}
			text := fmt.Sprintf("source %s of Registry %s/%s is %s", r.Sources[i].Scope, r.Namespace, r.Name, status.State)
			if status.Err != "" {
				text += ": " + status.Err
			}
			list = append(list, text)
		}
	}
	return list
}
