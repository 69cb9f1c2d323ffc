package explain

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
	"github.com/registry-bridge/registry-bridge/internal/translate/dubbo"
)

// verdict is what became of something, and why.
type verdict struct {
	outcome Outcome
	reason  reason.Reason
	detail  string
}

// subject answers for one host, or for one record without a host.
func (x *index) subject(k subjectKey, q query) Subject {
	s := Subject{Namespace: k.namespace, Host: k.host, Records: []Record{}}
	for _, r := range x.records[k] {
		s.Records = append(s.Records, x.record(r))
	}
	if len(s.Records) == 0 && k.ref != (model.Ref{}) {
		s.Records = append(s.Records, x.unreadRecord(k.ref))
	}
	if s.Endpoints, s.Left = x.endpoints(k, q); len(s.Endpoints) == 0 {
		s.Endpoints, s.Left = x.endpoints(k, query{text: k.host}) // It is the virtual address of all of them that was asked for.
	}
	v := x.judge(k, q)
	s.Outcome, s.Reason, s.Detail = v.outcome, v.reason, v.detail
	s.Advice = advice(v.reason)
	s.Notes = slices.DeleteFunc(x.notes(k), func(n Note) bool { return n.Reason == v.reason })
	switch live := x.live[k]; {
	case len(live) > 0:
		s.Live, s.Fields, s.Routing = true, fields(live), routing(live[0], x.dubbo(k), q)
		if len(s.Records) == 0 {
			s.Owner = owner(live[0])
		}
	case len(x.desired[k]) > 0:
		s.Fields = fields(x.desired[k])
	}
	return s
}

// owner says who published an object.
func owner(o *translate.Object) string {
	return fmt.Sprintf("Registry %s/%s, for %s", o.Key.Namespace, o.Registry(), o.Annotations[translate.AnnotationService])
}

// record says which service of which registry it is, and what rules say of it.
func (x *index) record(r record) Record {
	return Record{
		Registry: r.reg.Namespace + "/" + r.reg.Name, Source: r.src.Scope, State: x.state.Statuses[r.src.ID].State.String(),
		Unit: r.svc.Ref.Unit, Service: r.svc.Ref.Name, Instances: len(r.svc.Instances), Rules: rules(r.reg, r.svc.Ref.Name),
	}
}

// unreadRecord stands for a unit of which nothing is known but that it cannot be read.
func (x *index) unreadRecord(ref model.Ref) Record {
	status := x.state.Statuses[ref.Source]
	return Record{Registry: status.Namespace + "/" + status.Registry, Source: x.scope(ref.Source), State: status.State.String(), Unit: ref.Unit}
}

// scope returns the name of a source in the configuration.
func (x *index) scope(id model.SourceID) string {
	for _, r := range x.state.Config.Options.Registries {
		for i := range r.Sources {
			if r.Sources[i].ID == id {
				return r.Sources[i].Scope
			}
		}
	}
	return string(id)
}

// rules returns the fields that rules set for a service: the first that sets one wins.
func rules(reg *translate.Registry, service string) []Rule {
	var out []Rule
	set := func(i int, field, value string) {
		taken := slices.ContainsFunc(out, func(r Rule) bool { return r.Field == field })
		if value == "" || taken {
			return
		}
		name := "rules[" + strconv.Itoa(i) + "]"
		if reg.Rules[i].Name != "" {
			name += " " + reg.Rules[i].Name
		}
		out = append(out, Rule{Rule: name, Field: field, Value: value})
	}
	for i := range reg.Rules {
		r := &reg.Rules[i]
		if r.Match != nil && !r.Match(service) {
			continue
		}
		set(i, "protocol", string(r.Protocol))
		if r.ServicePort != 0 {
			set(i, "servicePort", strconv.FormatUint(uint64(r.ServicePort), 10))
		}
		set(i, "host", r.Host)
		set(i, "tlsMode", r.TLSMode)
	}
	return out
}

// fields shows the objects of a host.
func fields(objects []*translate.Object) []Field {
	var out []Field
	o := objects[0]
	s := o.ServiceEntry
	add := func(path, value string) {
		if value != "" {
			out = append(out, Field{Object: o.Key.String(), Path: path, Value: value})
		}
	}
	add("spec.hosts", s.Host)
	for _, p := range s.Ports {
		add("spec.ports", fmt.Sprintf("%s %d %s", p.Name, p.Number, p.Protocol))
	}
	add("spec.addresses", strings.Join(s.Addresses, " "))
	add("spec.exportTo", strings.Join(s.ExportTo, " "))
	add("spec.location", s.Location)
	for _, shard := range objects[1:] {
		out = append(out, Field{Object: shard.Key.String(), Path: "spec.endpoints", Value: strconv.Itoa(len(shard.ServiceEntry.Endpoints)) + " more"})
	}
	return out
}

// notes are what was decided about the host or its instances without leaving it out, and what of it is left out as a whole.
func (x *index) notes(k subjectKey) []Note {
	var out []Note
	add := func(r reason.Reason, detail string) {
		n := Note{Reason: r, Detail: detail, Advice: advice(r)}
		if !slices.Contains(out, n) && len(out) < maxSubjects {
			out = append(out, n)
		}
	}
	for _, r := range x.records[k] {
		for _, d := range x.problems[r.svc.Ref] {
			switch {
			case d.Instance == "" && kind(d.Reason) == reason.Drop:
				add(d.Reason, r.svc.Ref.Name+": "+d.Detail)
			case kind(d.Reason) == reason.Note && d.Instance != "":
				add(d.Reason, d.Instance+": "+d.Detail)
			case kind(d.Reason) == reason.Note:
				add(d.Reason, d.Detail)
			}
		}
		if f, failing := x.state.Statuses[r.src.ID].FailingUnits[r.svc.Ref.Unit]; failing {
			add(reason.UnitUnreadable, "since "+stamp(f.Since)+": "+f.Err)
		}
	}
	if len(x.live[k]) > 0 {
		if why, detail, blocked := x.blocked(k); blocked {
			add(why, detail)
		}
	}
	return out
}

// judge says what became of the host as a whole; of the record that was asked for by name, when it is left out.
func (x *index) judge(k subjectKey, q query) verdict {
	if v, left := x.leftOut(k, q); left {
		return v
	}
	switch {
	case len(x.live[k]) > 0:
		return x.judgeLive(k)
	case len(x.desired[k]) > 0:
		if why, detail, blocked := x.blocked(k); blocked {
			outcome := Waiting
			if why == reason.HostConflict {
				outcome = Dropped
			}
			return verdict{outcome, why, detail}
		}
		return verdict{outcome: Waiting, detail: "it is being written"}
	}
	return x.judgeAbsent(k)
}

// leftOut reports whether the records that were asked for by their names are all left out as a whole.
func (x *index) leftOut(k subjectKey, q query) (verdict, bool) {
	var v verdict
	asked := false
	for _, r := range x.records[k] {
		if q.text != r.svc.Ref.Name && q.text != r.svc.Ref.Unit {
			continue
		}
		at := slices.IndexFunc(x.problems[r.svc.Ref], wholeDrop)
		if at < 0 {
			return verdict{}, false
		}
		d := x.problems[r.svc.Ref][at]
		asked, v = true, verdict{Dropped, d.Reason, d.Detail}
	}
	return v, asked
}

// wholeDrop reports whether a diagnostic is about a whole service that is not published.
func wholeDrop(d *translate.Diagnostic) bool {
	return d.Instance == "" && kind(d.Reason) == reason.Drop
}

func (x *index) judgeLive(k subjectKey) verdict {
	total := 0
	for _, o := range x.live[k] {
		total += len(o.ServiceEntry.Endpoints)
	}
	held := 0
	var first *plan.Hold
	for _, h := range x.held[k] {
		if h.Endpoint != "" {
			held++
		}
		if first == nil || h.Endpoint == "" && first.Endpoint != "" {
			first = h
		}
	}
	switch {
	case first != nil && (first.Endpoint == "" || held >= total):
		return verdict{Held, first.Guard, sentence(first)}
	case held > 0:
		return verdict{Published, "", fmt.Sprintf("%s, %d of them held", plural(total, "endpoint"), held)}
	}
	return verdict{Published, "", plural(total, "endpoint")}
}

// judgeAbsent says why there is no object, and none is wanted.
func (x *index) judgeAbsent(k subjectKey) verdict {
	instances := 0
	counts := map[reason.Reason]int{}
	var most reason.Reason
	for _, r := range x.records[k] {
		instances += len(r.svc.Instances)
		for _, d := range x.problems[r.svc.Ref] {
			if wholeDrop(d) {
				return verdict{Dropped, d.Reason, d.Detail}
			}
			if kind(d.Reason) != reason.Drop {
				continue
			}
			counts[d.Reason]++
			if counts[d.Reason] > counts[most] {
				most = d.Reason
			}
		}
		if f, failing := x.state.Statuses[r.src.ID].FailingUnits[r.svc.Ref.Unit]; failing {
			return verdict{Waiting, reason.UnitUnreadable, f.Err}
		}
	}
	if f, failing := x.state.Statuses[k.ref.Source].FailingUnits[k.ref.Unit]; failing && instances == 0 {
		return verdict{Waiting, reason.UnitUnreadable, "since " + stamp(f.Since) + ": " + f.Err}
	}
	if instances == 0 {
		return verdict{Dropped, reason.Unusable, "the registry lists no instance of it, and it is not published"}
	}
	return verdict{Dropped, most, "no instance of " + plural(instances, "instance") + " can be published"}
}

// blocked says what keeps the output from being what it should be.
func (x *index) blocked(k subjectKey) (why reason.Reason, detail string, blocked bool) {
	for _, list := range [][]*translate.Object{x.desired[k], x.live[k]} {
		for _, o := range list {
			failure, failed := x.state.WriteErrors[o.Key]
			if !failed {
				continue
			}
			why := reason.WritesRefused
			if errors.Is(failure.Err, output.ErrTaken) {
				why = reason.HostConflict
			}
			return why, failure.Err.Error(), true
		}
	}
	if len(x.live[k]) == 0 && len(x.held[k]) > 0 {
		return x.held[k][0].Guard, sentence(x.held[k][0]), true
	}
	waits := slices.ContainsFunc(x.state.Plan.Suppressed, func(c plan.Change) bool { return x.about(k, c.Key) })
	if mode := x.mode(k); waits {
		return mode, "changes are planned, and not written", true
	}
	if x.state.Output != nil {
		return reason.OutputUnavailable, x.state.Output.Err.Error(), true
	}
	return "", "", false
}

// about reports whether an object is one of a host.
func (x *index) about(k subjectKey, key translate.Key) bool {
	is := func(o *translate.Object) bool { return o.Key == key }
	return slices.ContainsFunc(x.desired[k], is) || slices.ContainsFunc(x.live[k], is)
}

// mode says what keeps changes of a host from being written.
func (x *index) mode(k subjectKey) reason.Reason {
	if x.state.Config.Frozen {
		return reason.Frozen
	}
	for _, r := range x.records[k] {
		if p := x.policies[[2]string{r.reg.Namespace, r.reg.Name}]; p != nil && p.Mode == plan.Observe {
			return reason.Observed
		}
	}
	return reason.Paused
}

// dubbo reports whether the consumers of a host dial what the registry tells them.
func (x *index) dubbo(k subjectKey) bool {
	return slices.ContainsFunc(x.records[k], func(r record) bool { return r.src.Dubbo || dubbo.Served(r.svc) })
}
