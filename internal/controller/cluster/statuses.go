package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/status"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

const (
	// lookInterval is how often the engine's state is looked at.
	lookInterval = time.Second
	// countInterval is the least time between two writes of one status in which only numbers and texts differ: a registry in which
	// instances come and go all day must not make the API server write all day.
	countInterval = 15 * time.Second
	// idleInterval is how long a state that stays the same is not looked at: what is known of pods is no part of it.
	idleInterval = 5 * time.Second
	// takeOverPatience is how long a new leader may leave the status of a Registry as the last one wrote it, while it reads the registry.
	takeOverPatience = time.Minute
)

// Recorder records Events; the recorders of client-go implement it.
type Recorder interface {
	Eventf(regarding, related runtime.Object, eventType, reason, action, note string, args ...any)
}

// Cluster is what the output knows of its API server.
type Cluster interface {
	// Served is the version of ServiceEntries that is written, "" when none is known yet.
	Served() string
	// Missing says that the API server has no ServiceEntries.
	Missing() bool
}

// Statuses writes the status of each Registry when it changes, an Event when a condition does, and takes the finalizer from a Registry
// whose objects are gone. Everything that it says comes from the engine's state.
type Statuses struct {
	Client client.Client
	Events Recorder
	// State is that of the engine, Set what the reconciler last handed on.
	State   func() *engine.State
	Set     func() Set
	Cluster Cluster
	// Workloads says what is known of the pods in a namespace; nil for nothing.
	Workloads func(namespace string) Workloads
	Logger    *slog.Logger
	// Writes counts the writes of status by result (ok, error); nil counts nothing.
	Writes *prometheus.CounterVec

	written map[types.UID]*written
	seen    glance
}

// glance is what the last look was about. Describing 5,000 services once a second for nothing would be most of what an idle bridge does.
type glance struct {
	state  *engine.State
	loaded time.Time
	at     time.Time
	// waiting says that something was not written, and is due later.
	waiting bool
}

// written is the status that was last written of a Registry.
type written struct {
	status v1alpha1.RegistryStatus
	// at is when this process wrote it, the zero time when an earlier leader did. known is since when this process knows the Registry.
	at, known time.Time
	// failed says that the last attempt failed, which is logged once; released that the finalizer was taken away.
	failed, released bool
}

// Start looks at the state until ctx ends. It implements manager.Runnable, and runs on the leader.
func (s *Statuses) Start(ctx context.Context) error {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		s.Look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Look writes what has changed. What cannot be written is tried again at the next look.
func (s *Statuses) Look(ctx context.Context) {
	set, now := s.Set(), time.Now()
	if s.seen.state == s.State() && s.seen.loaded.Equal(set.Loaded) && !s.seen.waiting && now.Sub(s.seen.at) < idleInterval {
		return
	}
	view := s.view(set)
	s.seen = glance{state: view.state, loaded: set.Loaded, at: now}
	next := make(map[types.UID]*written, len(set.Registries))
	for i := range set.Registries {
		r := set.Registries[i]
		last := s.written[r.Seen.UID]
		if last == nil {
			last = &written{status: r.Seen.Status, known: now}
		}
		next[r.Seen.UID] = last
		if r.Seen.DeletionTimestamp != nil && view.done(r.Seen) {
			s.release(ctx, last, r.Seen)
			continue
		}
		// What was written last is newer than what the cache has.
		r.Seen = r.Seen.DeepCopy()
		r.Seen.Status = last.status
		facts := view.facts(r, now)
		if s.Workloads != nil {
			facts.Workloads = s.Workloads(r.Seen.Namespace)
		}
		next := Describe(facts)
		if last.stays(facts, &next) {
			s.seen.waiting = true
			continue
		}
		s.write(ctx, last, r.Seen, next)
	}
	s.written = next
}

// write writes a status if it has changed enough.
func (s *Statuses) write(ctx context.Context, last *written, seen *v1alpha1.Registry, next v1alpha1.RegistryStatus) {
	now := time.Now()
	if equality.Semantic.DeepEqual(last.status, next) {
		return
	}
	if sameStates(&last.status, &next) && now.Sub(last.at) < countInterval {
		s.seen.waiting = true
		return
	}
	err := s.apply(ctx, seen, &next)
	s.seen.waiting = s.seen.waiting || err != nil
	s.count(err)
	if err != nil {
		if ctx.Err() == nil && !last.failed && client.IgnoreNotFound(err) != nil {
			s.Logger.Warn("the status of a Registry cannot be written, it is tried again",
				"namespace", seen.Namespace, "registry", seen.Name, "error", err)
		}
		last.failed = true
		return
	}
	s.tell(seen, last.status.Conditions, next.Conditions)
	last.status, last.at, last.failed = next, now, false
}

// stays reports whether a new leader has no news of a Registry: what the last leader wrote is about this generation, nothing has failed, and
// all that is different is that the sources are being read. To write that, and a moment later that they have been, would change every
// Registry twice at each upgrade.
func (w *written) stays(f *Facts, next *v1alpha1.RegistryStatus) bool {
	if !w.at.IsZero() || f.Now.Sub(w.known) >= takeOverPatience || w.status.ObservedGeneration != next.ObservedGeneration {
		return false
	}
	before := meta.FindStatusCondition(w.status.Conditions, v1alpha1.ConditionReady)
	ready := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionReady)
	if before == nil || ready.Reason != string(reason.Pending) && ready.Reason != before.Reason {
		return false
	}
	if f.Report == nil {
		return true
	}
	reading := false
	for i := range f.Report.Sources {
		if f.Report.Sources[i].Error != "" {
			return false
		}
		reading = reading || f.Report.Sources[i].State == string(v1alpha1.SourceListing)
	}
	return reading
}

// count counts a write of a status. One of a Registry that is gone meanwhile has not failed.
func (s *Statuses) count(err error) {
	switch {
	case s.Writes == nil:
	case client.IgnoreNotFound(err) != nil:
		s.Writes.WithLabelValues("error").Inc()
	default:
		s.Writes.WithLabelValues("ok").Inc()
	}
}

// sameStates reports whether two statuses differ in numbers and texts only.
func sameStates(a, b *v1alpha1.RegistryStatus) bool {
	states := func(s *v1alpha1.RegistryStatus) []string {
		out := []string{fmt.Sprint(s.ObservedGeneration, s.Naming != nil)}
		for i := range s.Conditions {
			c := &s.Conditions[i]
			out = append(out, fmt.Sprint(c.Type, c.Status, c.Reason))
		}
		for i := range s.Sources {
			out = append(out, s.Sources[i].Name+string(s.Sources[i].State))
		}
		for i := range s.Holds {
			out = append(out, s.Holds[i].ID)
		}
		return out
	}
	return slices.Equal(states(a), states(b))
}

// apply writes a status by server-side apply: what is not in it any more goes.
func (s *Statuses) apply(ctx context.Context, seen *v1alpha1.Registry, next *v1alpha1.RegistryStatus) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(next)
	if err != nil {
		return fmt.Errorf("encode the status: %w", err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": fields}}
	u.SetAPIVersion(v1alpha1.APIVersion)
	u.SetKind(v1alpha1.KindRegistry)
	u.SetNamespace(seen.Namespace)
	u.SetName(seen.Name)
	u.SetUID(seen.UID) // One of this name that was created meanwhile is another one.
	return s.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(FieldManager), client.ForceOwnership)
}

// tell records an Event for each condition that has another status or reason than before.
func (s *Statuses) tell(seen *v1alpha1.Registry, before, after []metav1.Condition) {
	for i := range after {
		c := &after[i]
		at := slices.IndexFunc(before, func(b metav1.Condition) bool { return b.Type == c.Type })
		if at >= 0 && before[at].Status == c.Status && before[at].Reason == c.Reason {
			continue
		}
		abnormal := reason.Abnormal(c.Type)
		well := abnormal != (c.Status == metav1.ConditionTrue)
		if at < 0 && well || c.Status == metav1.ConditionUnknown {
			continue // That everything is well is no news in a status that is new.
		}
		kind := "Normal"
		if !well {
			kind = "Warning"
		}
		s.Events.Eventf(seen, nil, kind, c.Reason, c.Type, "%s is %s: %s", c.Type, c.Status, c.Message)
	}
	for i := range before {
		b := &before[i]
		gone := !slices.ContainsFunc(after, func(c metav1.Condition) bool { return c.Type == b.Type })
		if gone && b.Status == metav1.ConditionTrue {
			s.Events.Eventf(seen, nil, "Normal", b.Reason, b.Type, "%s is over", b.Type)
		}
	}
}

// release lets go of a Registry whose objects are gone. It stays for as long as somebody else's finalizer keeps it.
func (s *Statuses) release(ctx context.Context, last *written, seen *v1alpha1.Registry) {
	if last.released || !controllerutil.ContainsFinalizer(seen, Finalizer) {
		return
	}
	// Its own status was written since it was seen.
	now := &v1alpha1.Registry{}
	err := s.Client.Get(ctx, client.ObjectKeyFromObject(seen), now)
	if err == nil && now.UID == seen.UID {
		err = setFinalizer(ctx, s.Client, now, false)
	}
	if client.IgnoreNotFound(err) != nil {
		if ctx.Err() == nil && !last.failed {
			s.Logger.Warn("a Registry whose objects are gone cannot be let go, it is tried again",
				"namespace", seen.Namespace, "registry", seen.Name, "error", err)
		}
		last.failed, s.seen.waiting = true, true
		return
	}
	last.released = true
}

// view is what the engine last saw, by Registry.
type view struct {
	state   *engine.State
	set     Set
	cluster Cluster

	reports map[string]*status.Registry
	holds   map[string][]status.Hold
	taken   map[string][]string
	refused map[string][]string
	// live counts objects and endpoints.
	live map[string]int
}

func (s *Statuses) view(set Set) *view {
	state := s.State()
	v := &view{
		state: state, set: set, cluster: s.Cluster, reports: map[string]*status.Registry{}, holds: map[string][]status.Hold{},
		taken: map[string][]string{}, refused: map[string][]string{}, live: map[string]int{},
	}
	registries := status.Registries(state)
	for i := range registries {
		r := &registries[i]
		v.reports[r.Namespace+"/"+r.Name] = r
		v.live[r.Namespace+"/"+r.Name] += r.Published
	}
	for _, h := range status.Holds(state) {
		v.holds[h.Registry] = append(v.holds[h.Registry], h)
	}
	for i := range state.Live {
		o := state.Live[i].Object
		v.live[o.Key.Namespace+"/"+o.Registry()]++
	}
	v.failures()
	return v
}

// failures sorts the objects that cannot be written by Registry.
func (v *view) failures() {
	desired := map[translate.Key]*translate.Object{}
	for _, o := range v.state.Result.Objects {
		desired[o.Key] = o
	}
	for key, failure := range v.state.WriteErrors {
		o := desired[key]
		if o == nil {
			continue
		}
		text := fmt.Sprintf("%s: %v", key, failure.Err)
		for _, name := range v.registriesOf(o) {
			switch {
			case errors.Is(failure.Err, output.ErrTaken) && o.ServiceEntry != nil:
				v.taken[name] = append(v.taken[name], o.ServiceEntry.Host)
			case errors.Is(failure.Err, output.ErrRefused):
				v.refused[name] = append(v.refused[name], text)
			}
		}
	}
	for _, texts := range v.taken {
		slices.Sort(texts)
	}
	for _, texts := range v.refused {
		slices.Sort(texts)
	}
}

// registriesOf returns the Registries that an object is made for: a table of Dubbo routes for all whose hosts need it.
func (v *view) registriesOf(o *translate.Object) []string {
	var names []string
	if o.EnvoyFilter == nil {
		for _, name := range o.Registries {
			names = append(names, o.Key.Namespace+"/"+name)
		}
		return names
	}
	root := v.state.Config.Options.Root()
	for _, entry := range v.state.Result.Objects {
		if slices.Contains(entry.Tables(root), o.Key) {
			names = append(names, v.registriesOf(entry)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// current reports whether the state is about what the reconciler last handed on.
func (v *view) current() bool {
	return v.state.Cycle > 0 && v.state.Config != nil && !v.state.Time.Before(v.set.Loaded)
}

// done reports whether nothing keeps a Registry that is going: it is seen to be without objects and endpoints, or it does not want them
// removed.
func (v *view) done(seen *v1alpha1.Registry) bool {
	name := seen.Namespace + "/" + seen.Name
	switch {
	case seen.Spec.DeletionPolicy != v1alpha1.DeletionDelete:
		return true
	case v.cluster.Missing():
		return true // Nothing can be published where there are no ServiceEntries.
	}
	report := v.reports[name]
	return v.current() && report != nil && report.Deleted && v.live[name] == 0
}

func (v *view) facts(r Registry, now time.Time) *Facts {
	name := r.Seen.Namespace + "/" + r.Seen.Name
	f := &Facts{
		Registry: r, Report: v.reports[name], Holds: v.holds[name], Taken: v.taken[name], Refused: v.refused[name],
		Missing: v.cluster.Missing(), Served: v.cluster.Served(), Freeze: v.set.Freeze, Published: v.live[name] > 0, Now: now,
	}
	if v.state.Output != nil {
		f.Output = &status.Trouble{Error: v.state.Output.Err.Error()}
	}
	if r.InUse == nil {
		f.Report = nil
	}
	slices.SortFunc(f.Holds, func(a, b status.Hold) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	return f
}
