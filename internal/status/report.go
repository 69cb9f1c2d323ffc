package status

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Report is the state of the program for a person or a script. Its lists are bounded; Left says what was left off.
type Report struct {
	// Cycle counts the plans that were made; 0 before the first.
	Cycle         uint64              `json:"cycle"`
	Time          time.Time           `json:"time"`
	Configuration ConfigurationReport `json:"configuration"`
	Output        *Trouble            `json:"output,omitempty"`
	// Frozen says that nothing is written at all.
	Frozen      bool         `json:"frozen,omitempty"`
	Registries  []Registry   `json:"registries"`
	Holds       []Hold       `json:"holds"`
	Diagnostics []Diagnostic `json:"diagnostics"`
	WriteErrors []WriteError `json:"writeErrors"`
	// Left counts what does not fit into the limit, by the name of the list.
	Left map[string]int `json:"left,omitempty"`
}

// ConfigurationReport is how the configuration is doing.
type ConfigurationReport struct {
	Loaded   *time.Time `json:"loaded,omitempty"`
	Problems []string   `json:"problems"`
}

// Trouble is something that did not work and will be tried again.
type Trouble struct {
	Error    string    `json:"error"`
	Since    time.Time `json:"since"`
	Attempts int       `json:"attempts"`
	Retry    time.Time `json:"retry"`
}

// Registry is one Registry with its sources.
type Registry struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Mode      plan.Mode `json:"mode"`
	// Deleted says that the Registry is gone, and that what it published is being removed.
	Deleted bool `json:"deleted,omitempty"`
	// Published counts the endpoints in the output, Held those among them that only a guard keeps.
	Published int `json:"published"`
	Held      int `json:"held"`
	// Dropped counts by reason what is not published.
	Dropped map[reason.Reason]int `json:"dropped"`
	Sources []Source              `json:"sources"`
}

// Source is where one source stands.
type Source struct {
	ID model.SourceID `json:"id"`
	// Scope is its name in the configuration.
	Scope     string    `json:"scope,omitempty"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Error     string    `json:"error,omitempty"`
	Cause     string    `json:"cause,omitempty"`
	Services  int       `json:"services"`
	Instances int       `json:"instances"`
	// FailingUnits are units that cannot be read, with the reason: 20 at most.
	FailingUnits map[string]string `json:"failingUnits,omitempty"`
	Failing      int               `json:"failing"`
	// Hints are what would work better with another configuration.
	Hints []Hint `json:"hints,omitempty"`
}

// Hint is something about a source that works, and could work better. What to do is in the list of reasons.
type Hint struct {
	Reason reason.Reason `json:"reason"`
	Detail string        `json:"detail"`
}

// Hold is one incident: everything that one guard holds back for one reason.
type Hold struct {
	ID       string         `json:"id"`
	Guard    reason.Reason  `json:"guard"`
	Registry string         `json:"registry,omitempty"`
	Source   model.SourceID `json:"source,omitempty"`
	// Endpoints and Objects count what is held; Examples are up to five of them.
	Endpoints int       `json:"endpoints"`
	Objects   int       `json:"objects"`
	Examples  []string  `json:"examples"`
	Detail    string    `json:"detail"`
	Since     time.Time `json:"since"`
	// Until is the latest time at which a part of it ends by itself; absent when only an event or a person ends it.
	Until *time.Time `json:"until,omitempty"`
}

// Diagnostic is why something is not published, or is published differently.
type Diagnostic struct {
	Reason   reason.Reason `json:"reason"`
	Registry string        `json:"registry"`
	Unit     string        `json:"unit,omitempty"`
	Service  string        `json:"service,omitempty"`
	Instance string        `json:"instance,omitempty"`
	Host     string        `json:"host,omitempty"`
	Detail   string        `json:"detail"`
}

// WriteError is an object that could not be written.
type WriteError struct {
	Object string `json:"object"`
	Trouble
}

// maxExamples bounds the examples of a hold, maxFailingUnits the units of a source that are named.
const (
	maxExamples     = 5
	maxFailingUnits = 20
)

// NewReport makes a report of what the engine last saw. Registry, "name" or "namespace/name", selects one Registry, all when empty; no
// list of incidents is longer than limit.
func NewReport(state *engine.State, config Configuration, registry string, limit int) *Report {
	b := &builder{state: state, limit: limit, selects: selector(registry), left: map[string]int{}}
	r := &Report{
		Cycle: state.Cycle, Time: state.Time,
		Configuration: ConfigurationReport{Problems: nonNil(limited(b, "problems", config.Problems))},
	}
	if !config.Loaded.IsZero() {
		r.Configuration.Loaded = &config.Loaded
	}
	if state.Output != nil {
		r.Output = new(trouble(*state.Output))
	}
	r.Frozen = state.Config != nil && state.Config.Frozen
	r.Registries = nonNil(b.registries())
	r.Holds = nonNil(limited(b, "holds", b.holds()))
	r.Diagnostics = nonNil(b.diagnostics())
	r.WriteErrors = nonNil(limited(b, "writeErrors", b.writeErrors()))
	if len(b.left) > 0 {
		r.Left = b.left
	}
	return r
}

// Registries returns where each Registry stands, in the order of the configuration.
func Registries(state *engine.State) []Registry { return newBuilder(state).registries() }

// Holds returns every incident, the newest first.
func Holds(state *engine.State) []Hold { return newBuilder(state).holds() }

// newBuilder returns a builder of everything there is.
func newBuilder(state *engine.State) *builder {
	return &builder{state: state, limit: math.MaxInt, selects: selector(""), left: map[string]int{}}
}

// selector compiles the filter for a Registry.
func selector(filter string) func(namespace, name string) bool {
	return func(namespace, name string) bool {
		return filter == "" || filter == name || filter == namespace+"/"+name
	}
}

// builder makes one report.
type builder struct {
	state   *engine.State
	limit   int
	selects func(namespace, name string) bool
	left    map[string]int
}

// limited cuts a list to the limit, and notes how much was cut.
func limited[T any](b *builder, name string, list []T) []T {
	if over := len(list) - b.limit; over > 0 {
		b.left[name] = over
		return list[:b.limit]
	}
	return list
}

// nonNil makes an absent list an empty one in JSON.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (b *builder) registries() []Registry {
	if b.state.Config == nil {
		return nil
	}
	published, held := b.endpoints()
	dropped := b.dropped()
	scopes := map[model.SourceID]string{}
	for _, r := range b.state.Config.Options.Registries {
		for _, s := range r.Sources {
			scopes[s.ID] = s.Scope
		}
	}
	services := map[model.SourceID][]*model.Service{}
	for _, s := range b.state.Snapshot.Sources {
		services[s.ID] = s.Services
	}
	var out []Registry
	for i := range b.state.Config.Policies {
		p := &b.state.Config.Policies[i]
		if !b.selects(p.Namespace, p.Name) {
			continue
		}
		r := Registry{
			Namespace: p.Namespace, Name: p.Name, Mode: p.Mode, Deleted: p.Deleted,
			Dropped: dropped[p.Namespace+"/"+p.Name], Sources: []Source{},
		}
		if r.Dropped == nil {
			r.Dropped = map[reason.Reason]int{}
		}
		for _, id := range p.Sources {
			r.Published += published[id]
			r.Held += held[id]
			if status, known := b.state.Statuses[id]; known {
				r.Sources = append(r.Sources, source(id, scopes[id], status, services[id]))
			}
		}
		out = append(out, r)
	}
	return out
}

// endpoints counts what is live by source, and what a guard holds.
func (b *builder) endpoints() (published, held map[model.SourceID]int) {
	published, held = map[model.SourceID]int{}, map[model.SourceID]int{}
	for _, l := range b.state.Live {
		if l.Object.ServiceEntry == nil {
			continue
		}
		for i := range l.Object.ServiceEntry.Endpoints {
			published[l.Object.ServiceEntry.Endpoints[i].Source()]++
		}
	}
	for i := range b.state.Plan.Held {
		if h := &b.state.Plan.Held[i]; h.Endpoint != "" {
			held[h.Source]++
		}
	}
	return published, held
}

// dropped counts by Registry and reason.
func (b *builder) dropped() map[string]map[reason.Reason]int {
	kinds := map[reason.Reason]reason.Kind{}
	for _, info := range reason.All() {
		kinds[info.Reason] = info.Kind
	}
	counts := map[string]map[reason.Reason]int{}
	for i := range b.state.Result.Diagnostics {
		d := &b.state.Result.Diagnostics[i]
		if kinds[d.Reason] == reason.Note {
			continue
		}
		if counts[d.Registry] == nil {
			counts[d.Registry] = map[reason.Reason]int{}
		}
		counts[d.Registry][d.Reason]++
	}
	return counts
}

func source(id model.SourceID, scope string, status model.Status, services []*model.Service) Source {
	s := Source{
		ID: id, Scope: scope, State: status.State.String(), Since: status.Since, Error: status.Err, Cause: status.Cause,
		Services: len(services), Failing: len(status.FailingUnits),
	}
	for _, svc := range services {
		s.Instances += len(svc.Instances)
	}
	for _, unit := range slices.Sorted(maps.Keys(status.FailingUnits)) {
		if len(s.FailingUnits) == maxFailingUnits {
			break
		}
		if s.FailingUnits == nil {
			s.FailingUnits = map[string]string{}
		}
		s.FailingUnits[unit] = status.FailingUnits[unit].Err
	}
	for _, h := range status.Hints {
		s.Hints = append(s.Hints, Hint{Reason: reason.Reason(h.Reason), Detail: h.Detail})
	}
	return s
}

// holds sums up what is held by incident, the newest first.
func (b *builder) holds() []Hold {
	byID := map[string]*Hold{}
	endless := map[string]bool{}
	owners := b.owners()
	for i := range b.state.Plan.Held {
		held := &b.state.Plan.Held[i]
		namespace, registry := held.Key.Namespace, owners[held.Key]
		if status, known := b.state.Statuses[held.Source]; known {
			namespace, registry = status.Namespace, status.Registry
		}
		if !b.selects(namespace, registry) {
			continue
		}
		h := byID[held.ID]
		if h == nil {
			h = &Hold{ID: held.ID, Guard: held.Guard, Source: held.Source, Detail: held.Detail, Since: held.Since}
			if registry != "" {
				h.Registry = namespace + "/" + registry
			}
			byID[held.ID] = h
		}
		b.add(h, held)
		endless[held.ID] = endless[held.ID] || held.Until.IsZero()
	}
	holds := make([]Hold, 0, len(byID))
	for id, h := range byID {
		if endless[id] {
			h.Until = nil
		}
		holds = append(holds, *h)
	}
	slices.SortFunc(holds, func(a, b Hold) int { return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID)) })
	return holds
}

// owners returns the Registries of objects that are held as a whole, which no source stands for.
func (b *builder) owners() map[translate.Key]string {
	owners := map[translate.Key]string{}
	for i := range b.state.Plan.Held {
		if held := &b.state.Plan.Held[i]; held.Source == "" {
			owners[held.Key] = ""
		}
	}
	if len(owners) == 0 {
		return nil
	}
	for i := range b.state.Live {
		o := b.state.Live[i].Object
		if _, asked := owners[o.Key]; asked {
			owners[o.Key] = o.Registry()
		}
	}
	return owners
}

// add adds one hold to its incident.
func (b *builder) add(h *Hold, held *plan.Hold) {
	example := held.Host
	if held.Endpoint == "" {
		h.Objects++
	} else {
		h.Endpoints++
		example += " " + held.Endpoint
	}
	if len(h.Examples) < maxExamples {
		h.Examples = append(h.Examples, example)
	}
	if held.Since.Before(h.Since) {
		h.Since = held.Since
	}
	if h.Until == nil || held.Until.After(*h.Until) {
		h.Until = &held.Until
	}
}

func (b *builder) diagnostics() []Diagnostic {
	var out []Diagnostic
	for i := range b.state.Result.Diagnostics {
		d := &b.state.Result.Diagnostics[i]
		if namespace, name, _ := strings.Cut(d.Registry, "/"); !b.selects(namespace, name) {
			continue
		}
		if len(out) == b.limit {
			b.left["diagnostics"]++
			continue
		}
		out = append(out, Diagnostic{
			Reason: d.Reason, Registry: d.Registry, Unit: d.Ref.Unit, Service: d.Ref.Name, Instance: d.Instance, Host: d.Host, Detail: d.Detail,
		})
	}
	return out
}

func (b *builder) writeErrors() []WriteError {
	var out []WriteError
	for _, key := range slices.SortedFunc(maps.Keys(b.state.WriteErrors), translate.Key.Compare) {
		out = append(out, WriteError{Object: key.String(), Trouble: trouble(b.state.WriteErrors[key])})
	}
	return out
}

func trouble(f engine.Failure) Trouble {
	return Trouble{Error: f.Err.Error(), Since: f.Since, Attempts: f.Attempts, Retry: f.Retry}
}
