package eureka

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// registry is what one server holds, all instances of it whatever their status. It is immutable: changes give another registry, which
// shares what has not changed.
type registry struct {
	id   model.SourceID
	apps map[string]*app
	// unreadable has what is wrong with the applications that make no sense.
	unreadable map[string]error
}

// app is an application.
type app struct {
	service *model.Service
	// marks belong to the instances of the service, in their order.
	marks []mark
	// counts are those of the instances by status.
	counts [statuses]int
}

// mark is what is known of an instance besides what is published.
type mark struct {
	status  status
	updated int64
}

func newRegistry(id model.SourceID) *registry {
	return &registry{id: id, apps: map[string]*app{}, unreadable: map[string]error{}}
}

// add puts in what an answer has of an application, which may have it in several parts; with a problem none of them counts. It keeps what
// before, which may be nil, has of it when that is the same.
func (r *registry) add(name string, records []record, problem error, before *registry) {
	if problem = cmp.Or(r.unreadable[name], problem); problem != nil {
		r.unreadable[name] = problem
		delete(r.apps, name)
		return
	}
	if part := r.apps[name]; part != nil {
		records = slices.Concat(slices.Collect(maps.Values(part.records())), records)
	}
	r.put(name, records, before)
}

// put replaces an application.
func (r *registry) put(name string, records []record, before *registry) {
	a := r.app(name, records)
	if before != nil {
		if old := before.apps[name]; old != nil && old.service.Equal(a.service) {
			a.service = old.service
		}
	}
	r.apps[name] = a
}

// app makes an application of records, which it changes: each gets an ID of its own.
func (r *registry) app(name string, records []record) *app {
	seen := make(map[string]bool, len(records))
	for i := range records {
		inst := &records[i].instance
		given := inst.ID
		for n := 1; inst.ID == "" || seen[inst.ID]; n++ {
			inst.ID = fmt.Sprintf("%s#%d", given, n)
			inst.Problem = cmp.Or(inst.Problem, reason.Problem(reason.MalformedName, "the instance id is that of another instance"))
		}
		seen[inst.ID] = true
	}
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.instance.ID, b.instance.ID) })
	a := &app{
		service: &model.Service{Ref: model.Ref{Source: r.id, Unit: name, Name: name}, Instances: make([]model.Instance, len(records))},
		marks:   make([]mark, len(records)),
	}
	for i, rec := range records {
		a.service.Instances[i], a.marks[i] = rec.instance, mark{status: rec.status, updated: rec.updated}
		a.counts[rec.status]++
	}
	return a
}

// records returns those that the application was made of, by ID.
func (a *app) records() map[string]record {
	out := make(map[string]record, len(a.marks))
	for i, inst := range a.service.Instances {
		out[inst.ID] = record{instance: inst, status: a.marks[i].status, updated: a.marks[i].updated}
	}
	return out
}

// apply returns the registry with the changes of a server, of each instance the last one. Complete is false when one of them is older than
// what is known, or cannot be applied: the whole tells what is right.
func (r *registry) apply(changes []change) (after *registry, complete bool) {
	after = &registry{id: r.id, apps: maps.Clone(r.apps), unreadable: r.unreadable}
	complete = true
	for _, c := range changes {
		if r.unreadable[c.app] != nil {
			complete = false
			continue
		}
		known := map[string]record{}
		if old := after.apps[c.app]; old != nil {
			known = old.records()
		}
		latest := map[string]record{}
		for _, rec := range c.records {
			latest[rec.instance.ID] = rec
		}
		for id, rec := range latest {
			switch {
			case id == "" || rec.updated > 0 && rec.updated < known[id].updated:
				complete = false
			case rec.deleted:
				delete(known, id)
			default:
				known[id] = rec
			}
		}
		if len(known) == 0 {
			delete(after.apps, c.app)
			continue
		}
		after.put(c.app, slices.Collect(maps.Values(known)), r)
	}
	return after, complete
}

// change is what an answer says of the changes of one application.
type change struct {
	app     string
	records []record
}

// hash sums up the registry as servers do: how many instances have each status.
func (r *registry) hash() string {
	var counts [statuses]int
	for _, a := range r.apps {
		for s, n := range a.counts {
			counts[s] += n
		}
	}
	var b strings.Builder
	for s, n := range counts {
		if n > 0 {
			b.WriteString(status(s).String() + "_" + strconv.Itoa(n) + "_")
		}
	}
	return b.String()
}

// content is what there is to name.
func (r *registry) content() source.Content {
	c := source.Content{Services: make([]*model.Service, 0, len(r.apps)), Unreadable: r.unreadable}
	for _, a := range r.apps {
		c.Services = append(c.Services, a.service)
	}
	return c
}
