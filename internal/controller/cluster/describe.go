package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/status"
)

// Facts are what a status of a Registry is made from.
type Facts struct {
	Registry Registry
	// Report is what the engine last saw of the Registry; nil when it has not seen it yet.
	Report *status.Registry
	// Holds are the incidents of the Registry.
	Holds []status.Hold
	// Taken are the hosts of the Registry that somebody else has in the cluster; Refused are other objects that cannot be written, with
	// the answer. Both are sorted.
	Taken, Refused []string
	// Output is the trouble with the API server as a whole, nil when there is none or it is not noticed yet. Missing says that it lacks
	// Istio's CRDs.
	Output  *status.Trouble
	Missing bool
	// Served is the version of ServiceEntries that is written, "" when it is not known yet.
	Served string
	Freeze *Freeze
	// Workloads says whether pods with a sidecar run in the Registry's namespace.
	Workloads Workloads
	// Published says that something of the Registry is live, so that its naming scheme is pinned.
	Published bool
	Now       time.Time
}

// Workloads is what is known of the pods in a namespace.
type Workloads struct {
	// Denied says that pods may not be read; Found that there are some with a sidecar, Example one of them.
	Denied, Found bool
	Example       string
}

// maxExamples is how many things a message names; it says how many more there are.
const maxExamples = 3

// Describe returns the status of a Registry. Conditions and sources that are as they were in the last status keep its time.
func Describe(f *Facts) v1alpha1.RegistryStatus {
	seen := f.Registry.Seen
	out := v1alpha1.RegistryStatus{
		ObservedGeneration: seen.Generation,
		SourceType:         seen.Spec.Source.Type(),
		Naming:             naming(f),
	}
	if f.Report != nil {
		out.Summary = summary(f.Report)
		out.SetSources(sources(f.Report, seen.Status.Sources))
	}
	out.SetHolds(holds(f))
	all := conditions(f)
	for i := range all {
		all[i].ObservedGeneration = seen.Generation
		all[i].LastTransitionTime = transition(seen.Status.Conditions, &all[i], f.Now)
	}
	out.SetConditions(all)
	return out
}

// transition returns when a condition got its status.
func transition(last []metav1.Condition, c *metav1.Condition, now time.Time) metav1.Time {
	for i := range last {
		if last[i].Type == c.Type && last[i].Status == c.Status {
			return last[i].LastTransitionTime
		}
	}
	return metav1.Time{Time: now.UTC().Truncate(time.Second)}
}

func conditions(f *Facts) []metav1.Condition {
	out := []metav1.Condition{ready(f), connected(f), synced(f), holding(f)}
	if c, say := confirmRemoval(f); say {
		out = append(out, c)
	}
	if len(f.Taken) > 0 {
		out = append(out, condition(v1alpha1.ConditionHostConflict, metav1.ConditionTrue, reason.HostConflict,
			"Somebody else has "+list(f.Taken)+"; give the service another host by a rule, or remove the other object."))
	}
	if c, say := workloads(f); say {
		out = append(out, c)
	}
	return append(out, hints(f)...)
}

func condition(kind string, is metav1.ConditionStatus, why reason.Reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: is, Reason: string(why), Message: message}
}

// ready says what stands in the way of writing, the most fundamental first.
func ready(f *Facts) metav1.Condition {
	is := func(value metav1.ConditionStatus, why reason.Reason, message string) metav1.Condition {
		return condition(v1alpha1.ConditionReady, value, why, message)
	}
	switch {
	case len(f.Registry.Mistakes) > 0:
		message := f.Registry.Mistakes.ToAggregate().Error()
		if f.Registry.InUse != nil {
			message += "; the last configuration without mistakes stays in use"
		}
		return is(metav1.ConditionFalse, reason.Invalid, message)
	case f.Missing:
		return is(metav1.ConditionFalse, reason.IstioMissing, "The API server does not know ServiceEntries and WorkloadEntries; install Istio's CRDs.")
	case f.Output != nil:
		return is(metav1.ConditionFalse, reason.OutputUnavailable, f.Output.Error)
	case f.Report == nil:
		return is(metav1.ConditionUnknown, reason.Pending, "The bridge has not got to it yet.")
	case len(f.Refused) > 0:
		return is(metav1.ConditionFalse, reason.WritesRefused, "The API server refuses "+list(f.Refused))
	case f.Freeze != nil:
		return is(metav1.ConditionTrue, reason.Frozen, "Nothing is written"+f.Freeze.Circumstances()+". End it with registry-bridge unfreeze.")
	case f.Registry.InUse.Spec.Mode == v1alpha1.ModeObserve:
		return is(metav1.ConditionTrue, reason.Observed, "Changes are planned, and nothing is written; look at them with registry-bridge plan.")
	case f.Registry.InUse.Spec.Mode == v1alpha1.ModePaused:
		return is(metav1.ConditionTrue, reason.Paused, "Nothing is written until spec.mode is Active again.")
	case strings.Contains(f.Served, "alpha") || strings.Contains(f.Served, "beta"):
		return is(metav1.ConditionTrue, reason.IstioOutdated, "ServiceEntries are written as "+f.Served+", because the API server has no newer version.")
	}
	return is(metav1.ConditionTrue, reason.InUse, "The configuration is valid, and objects are written by it.")
}

// connected says which sources cannot be reached.
func connected(f *Facts) metav1.Condition {
	const kind = v1alpha1.ConditionConnected
	if f.Report == nil || len(f.Report.Sources) == 0 {
		return condition(kind, metav1.ConditionUnknown, reason.Pending, "No source has started yet.")
	}
	var failing []string
	why, waiting := reason.Unreachable, 0
	for i := range f.Report.Sources {
		switch s := &f.Report.Sources[i]; {
		case s.Error != "":
			if len(failing) == 0 && s.Cause != "" {
				why = reason.Reason(s.Cause)
			}
			failing = append(failing, fmt.Sprintf("%s: %s", s.Scope, s.Error))
		case s.State == string(v1alpha1.SourceListing):
			waiting++
		}
	}
	switch {
	case len(failing) > 0:
		return condition(kind, metav1.ConditionFalse, why, list(failing))
	case waiting > 0:
		return condition(kind, metav1.ConditionUnknown, reason.Pending, "The sources are being read for the first time.")
	}
	return condition(kind, metav1.ConditionTrue, reason.Connected, "Every source could be reached when it last tried.")
}

// synced says which sources are not up to date.
func synced(f *Facts) metav1.Condition {
	const kind = v1alpha1.ConditionSynced
	if f.Report == nil || len(f.Report.Sources) == 0 {
		return condition(kind, metav1.ConditionUnknown, reason.Pending, "No source has started yet.")
	}
	var listing, failing, units []string
	for i := range f.Report.Sources {
		s := &f.Report.Sources[i]
		switch s.State {
		case string(v1alpha1.SourceListing):
			listing = append(listing, s.Scope)
		case string(v1alpha1.SourceFailing):
			failing = append(failing, s.Scope)
		}
		for unit, err := range s.FailingUnits {
			units = append(units, unit+": "+err)
		}
	}
	slices.Sort(units)
	switch {
	case len(failing) > 0:
		return condition(kind, metav1.ConditionFalse, reason.Failing,
			"Cannot read "+list(failing)+"; what is published stays until it can be read again.")
	case len(listing) > 0:
		return condition(kind, metav1.ConditionFalse, reason.Unsynced,
			"Not everything of "+list(listing)+" was read since the bridge started; nothing is removed before that.")
	case len(units) > 0:
		return condition(kind, metav1.ConditionFalse, reason.Failing, "Cannot read a part of the registry, whose endpoints stay: "+list(units))
	}
	return condition(kind, metav1.ConditionTrue, reason.Synced, "Every source has read everything, and is watching.")
}

// holding sums up what is held.
func holding(f *Facts) metav1.Condition {
	const kind = v1alpha1.ConditionHolding
	if f.Report == nil {
		return condition(kind, metav1.ConditionUnknown, reason.Pending, "The bridge has not got to it yet.")
	}
	guards := map[reason.Reason]bool{}
	for i := range f.Holds {
		guards[f.Holds[i].Guard] = true
	}
	switch len(guards) {
	case 0:
		return condition(kind, metav1.ConditionFalse, reason.NothingHeld, "Nothing is held back.")
	case 1:
		return condition(kind, metav1.ConditionTrue, f.Holds[0].Guard, f.Holds[0].Detail)
	}
	names := make([]string, 0, len(guards))
	for _, guard := range slices.Sorted(maps.Keys(guards)) {
		names = append(names, string(guard))
	}
	return condition(kind, metav1.ConditionTrue, reason.SeveralGuards, strings.Join(names, ", ")+" hold something back; status.holds says what.")
}

// confirmRemoval asks for the confirmation of an edit that would remove much.
func confirmRemoval(f *Facts) (metav1.Condition, bool) {
	for i := range f.Holds {
		if h := &f.Holds[i]; h.Guard == reason.ConfirmRemoval {
			message := fmt.Sprintf("%s registry-bridge release %s/%s %s", h.Detail, f.Registry.Seen.Namespace, f.Registry.Seen.Name, h.ID)
			return condition(v1alpha1.ConditionConfirmRemoval, metav1.ConditionTrue, reason.ConfirmRemoval, message), true
		}
	}
	return metav1.Condition{}, false
}

func workloads(f *Facts) (metav1.Condition, bool) {
	const kind = v1alpha1.ConditionWorkloadsInOutputNamespace
	switch {
	case f.Workloads.Denied:
		return condition(kind, metav1.ConditionUnknown, reason.PodAccessDenied,
			"The bridge may not read pods, so it does not know which addresses are pods with a sidecar."), true
	case f.Workloads.Found:
		return condition(kind, metav1.ConditionTrue, reason.WorkloadsFound,
			"Pods with a sidecar run here, for instance "+f.Workloads.Example+"; Istio may bind entries of this namespace to them."), true
	}
	return metav1.Condition{}, false
}

// list joins the first few of a list of texts.
func list(texts []string) string {
	if more := len(texts) - maxExamples; more > 0 {
		return fmt.Sprintf("%s, and %d more", strings.Join(texts[:maxExamples], "; "), more)
	}
	return strings.Join(texts, "; ")
}

func summary(r *status.Registry) v1alpha1.Summary {
	var s v1alpha1.Summary
	for i := range r.Sources {
		s.Services += count(r.Sources[i].Services)
		s.Instances += count(r.Sources[i].Instances)
	}
	for _, n := range r.Dropped {
		s.Dropped += count(n)
	}
	s.Published, s.Held = count(r.Published), count(r.Held)
	return s
}

// count is a number as a status has it.
func count(n int) int32 { return int32(min(n, 1<<31-1)) } //nolint:gosec // It is bounded.

// sources describes the sources. The engine only knows since when they are in a state in this process.
func sources(r *status.Registry, last []v1alpha1.SourceStatus) []v1alpha1.SourceStatus {
	out := make([]v1alpha1.SourceStatus, len(r.Sources))
	for i := range r.Sources {
		s := &r.Sources[i]
		out[i] = v1alpha1.SourceStatus{
			Name: s.Scope, State: v1alpha1.SourceState(s.State), LastChangeTime: stamp(s.Since), Message: s.Error,
		}
		same := func(l v1alpha1.SourceStatus) bool { return l.Name == out[i].Name && l.State == out[i].State }
		if at := slices.IndexFunc(last, same); at >= 0 && last[at].LastChangeTime != nil {
			out[i].LastChangeTime = last[at].LastChangeTime
		}
	}
	return out
}

func holds(f *Facts) []v1alpha1.HoldStatus {
	scopes := map[string]string{}
	if f.Report != nil {
		for i := range f.Report.Sources {
			scopes[string(f.Report.Sources[i].ID)] = f.Report.Sources[i].Scope
		}
	}
	out := make([]v1alpha1.HoldStatus, len(f.Holds))
	for i := range f.Holds {
		h := &f.Holds[i]
		out[i] = v1alpha1.HoldStatus{
			ID: h.ID, Guard: string(h.Guard), Source: scopes[string(h.Source)],
			Endpoints: count(h.Endpoints), Objects: count(h.Objects), Since: stamp(h.Since),
		}
		if h.Until != nil {
			out[i].Until = stamp(*h.Until)
		}
	}
	return out
}

func stamp(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}

// naming pins the naming scheme while something is live under it.
func naming(f *Facts) *v1alpha1.NamingStatus {
	switch last := f.Registry.Seen.Status.Naming; {
	case f.Report == nil:
		return last // It is not known yet what is live.
	case !f.Published:
		return nil
	case last != nil:
		return last
	case f.Registry.InUse == nil:
		return nil
	}
	hosts := &f.Registry.InUse.Spec.Hosts
	return &v1alpha1.NamingStatus{Version: v1alpha1.NamingVersion, Template: hosts.Template, Suffix: hosts.Suffix}
}

// hints says what would work better with another configuration.
func hints(f *Facts) []metav1.Condition {
	if f.Report == nil {
		return nil
	}
	var reasons []reason.Reason
	var details []string
	for i := range f.Report.Sources {
		for _, h := range f.Report.Sources[i].Hints {
			reasons = append(reasons, h.Reason)
			details = append(details, f.Report.Sources[i].Scope+": "+h.Detail)
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return []metav1.Condition{condition(v1alpha1.ConditionHint, metav1.ConditionTrue, reasons[0], list(details))}
}
