package outputtest

import (
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// workloadTests are about objects in mode WorkloadEntries.
func workloadTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"WorkloadsComeAndGo":           (*suite).workloadsComeAndGo,
		"WorkloadChangeIsOneWrite":     (*suite).workloadChange,
		"WorkloadsAfterRestart":        (*suite).workloadsAfterRestart,
		"WorkloadsWithoutServiceEntry": (*suite).workloadsWithoutEntry,
		"WorkloadRemovedByHand":        (*suite).workloadRemoved,
		"WorkloadChangedByHand":        (*suite).workloadChanged,
		"WorkloadHandAddedFieldsStay":  (*suite).workloadFields,
		"WorkloadLostOwnerLabel":       (*suite).workloadDetached,
		"WorkloadConflict":             (*suite).workloadConflict,
		"WorkloadsOfLongHosts":         (*suite).workloadsOfLongHosts,
	}
}

// workloadKey returns the key of the WorkloadEntry of the n-th endpoint.
func workloadKey(o *translate.Object, n int) translate.Key {
	return translate.Key{
		Kind: translate.KindWorkloadEntry, Namespace: o.Key.Namespace,
		Name: translate.WorkloadName(o.ServiceEntry.Host, &o.ServiceEntry.Endpoints[n]),
	}
}

func (s *suite) workloadsComeAndGo() {
	a, b := Workloads("a.acme", "10.0.0.1", "10.0.0.2"), Object("b.acme", "10.0.0.1")
	gone := workloadKey(a, 0)
	s.must(plan.Create, b)
	s.must(plan.Create, a)
	s.wantLive(a, b)
	entry := s.place.Get(s.T, a.Key)
	if at(entry, "spec", "endpoints") != nil || at(entry, "spec", "workloadSelector", "labels", translate.LabelHost) != "a.acme" {
		s.Errorf("stored ServiceEntry: %v", entry)
	}
	workload := s.place.Get(s.T, gone)
	if at(workload, "spec", "address") != "10.0.0.1" || at(workload, "spec", "labels", translate.LabelHost) != "a.acme" ||
		at(workload, "metadata", "labels", translate.LabelHost) != "a.acme" {
		s.Errorf("stored WorkloadEntry: %v", workload)
	}
	a = Workloads("a.acme", "10.0.0.2", "10.0.0.3")
	s.must(plan.Remove, a)
	s.wantLive(a, b)
	if left := s.place.Get(s.T, gone); left != nil {
		s.Errorf("the WorkloadEntry of a removed endpoint is still there: %v", left)
	}
	a = Workloads("a.acme")
	s.must(plan.Remove, a)
	s.wantLive(a, b)
	a = Workloads("a.acme", "10.0.0.4")
	s.must(plan.Update, a)
	s.wantLive(a, b)
	gone = workloadKey(a, 0)
	s.must(plan.Delete, a)
	s.wantLive(b)
	if left := s.place.Get(s.T, gone); left != nil || s.place.Get(s.T, a.Key) != nil {
		s.Errorf("the deleted object is still stored: %v", left)
	}
}

// versions returns the version of each piece of the only object.
func (s *suite) versions() map[string]string {
	s.Helper()
	live := s.live()
	if len(live) != 1 || live[0].Stored == nil {
		s.Fatalf("live is %+v", live)
	}
	versions := map[string]string{}
	for _, piece := range *live[0].Stored {
		versions[piece.Object.Key.String()] = piece.ResourceVersion
	}
	return versions
}

func (s *suite) workloadChange() {
	a := Workloads("a.acme", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	r := s.must(plan.Create, a)
	if live := s.live()[0]; live.Object != r.Live.Object || live.ResourceVersion != r.Live.ResourceVersion || live.Stored != r.Live.Stored {
		s.Errorf("Live shows %+v, want what the write returned: %+v", live, *r.Live)
	}
	before := s.versions()
	a = Workloads("a.acme", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	a.ServiceEntry.Endpoints[1].Weight = 7
	s.must(plan.Update, a)
	s.wantLive(a)
	var changed []string
	for key, version := range s.versions() {
		if before[key] != version {
			changed = append(changed, key)
		}
	}
	if want := []string{workloadKey(a, 1).String()}; !slices.Equal(changed, want) {
		s.Errorf("written were %v, want %v", changed, want)
	}
}

func (s *suite) workloadsAfterRestart() {
	s.must(plan.Create, Workloads("a.acme", "10.0.0.1", "fd00::1"))
	before := s.live()
	s.out = s.place.Open(s.T)
	if diff := cmp.Diff(before, s.live()); diff != "" {
		s.Errorf("live (-before +after the restart):\n%s", diff)
	}
	s.must(plan.Remove, Workloads("a.acme", "fd00::1"))
	s.wantLive(Workloads("a.acme", "fd00::1"))
}

// orphan returns what is live of a host in mode WorkloadEntries without its ServiceEntry.
func orphan(o *translate.Object) *translate.Object {
	return &translate.Object{
		Key: o.Key, Labels: o.Labels,
		ServiceEntry: &translate.ServiceEntry{
			Host: o.ServiceEntry.Host, Mode: translate.WorkloadEntries, Endpoints: o.ServiceEntry.Endpoints,
		},
	}
}

func (s *suite) workloadsWithoutEntry() {
	a := Workloads("a.acme", "10.0.0.1", "10.0.0.2")
	s.must(plan.Create, a)
	s.place.Remove(s.T, a.Key)
	s.wantLive(orphan(a))
	s.must(plan.Update, a)
	s.wantLive(a)

	s.place.Remove(s.T, a.Key)
	s.must(plan.Remove, orphan(Workloads("a.acme", "10.0.0.2")))
	s.wantLive(orphan(Workloads("a.acme", "10.0.0.2")))
	s.must(plan.Remove, orphan(Workloads("a.acme")))
	s.wantLive()

	s.must(plan.Create, a)
	s.place.Remove(s.T, a.Key)
	s.live()
	s.must(plan.Delete, a)
	s.wantLive()
}

func (s *suite) workloadRemoved() {
	a := Workloads("a.acme", "10.0.0.1", "10.0.0.2")
	s.must(plan.Create, a)
	s.place.Remove(s.T, workloadKey(a, 0))
	s.wantLive(Workloads("a.acme", "10.0.0.2"))
	s.must(plan.Update, a)
	s.wantLive(a)
}

func (s *suite) workloadChanged() {
	a := Workloads("a.acme", "10.0.0.1", "10.0.0.2")
	s.must(plan.Create, a)
	key := workloadKey(a, 0)
	for _, edit := range []struct {
		value any
		path  []string
	}{
		{"10.9.9.9", []string{"spec", "address"}},
		{"z/z", []string{"spec", "locality"}},
		{"other", []string{"spec", "labels", translate.LabelHost}},
		{"other", []string{"metadata", "labels", translate.LabelHost}},
	} {
		m := s.place.Get(s.T, key)
		set(m, edit.value, edit.path...)
		s.place.Put(s.T, key, m)
		live := s.live()
		if len(live) != 1 || edit.path[1] != "locality" && plan.Satisfies(live[0].Object, a) {
			s.Errorf("an edit of %v does not show: %+v", edit.path, live)
		}
		s.must(plan.Update, a)
		s.wantLive(a)
	}
}

func (s *suite) workloadFields() {
	a := Workloads("a.acme", "10.0.0.1", "10.0.0.2")
	s.must(plan.Create, a)
	key := workloadKey(a, 0)
	m := s.place.Get(s.T, key)
	set(m, "me", "metadata", "labels", "owner")
	set(m, map[string]any{"note": "why"}, "metadata", "annotations")
	set(m, "vm", "spec", "serviceAccount")
	s.place.Put(s.T, key, m)
	s.wantLive(a)
	a = Workloads("a.acme", "10.0.0.1")
	a.ServiceEntry.Endpoints[0].Weight = 3
	s.must(plan.Remove, a)
	s.wantLive(a)
	m = s.place.Get(s.T, key)
	for _, path := range [][]string{{"metadata", "labels", "owner"}, {"metadata", "annotations", "note"}, {"spec", "serviceAccount"}} {
		if at(m, path...) == nil {
			s.Errorf("the hand-added field %v is gone: %v", path, m)
		}
	}
}

func (s *suite) workloadDetached() {
	a := Workloads("a.acme", "10.0.0.1", "10.0.0.2")
	s.must(plan.Create, a)
	key := workloadKey(a, 0)
	m := s.place.Get(s.T, key)
	labels, _ := at(m, "metadata", "labels").(map[string]any)
	delete(labels, translate.LabelInstance)
	s.place.Put(s.T, key, m)
	s.wantLive(Workloads("a.acme", "10.0.0.2"))
	before := s.place.Get(s.T, key)
	// The others go on.
	s.wantErr(s.write(plan.Update, Workloads("a.acme", "10.0.0.1", "10.0.0.2", "10.0.0.3")), output.ErrRefused)
	s.wantLive(Workloads("a.acme", "10.0.0.2", "10.0.0.3"))
	s.must(plan.Delete, a)
	s.wantLive()
	if diff := cmp.Diff(before, s.place.Get(s.T, key)); diff != "" {
		s.Errorf("the detached WorkloadEntry was touched:\n%s", diff)
	}
}

func (s *suite) workloadConflict() {
	a := Workloads("a.acme", "10.0.0.1", "10.0.0.2")
	s.must(plan.Create, a)
	seen := s.live()[0]
	key := workloadKey(a, 0)
	m := s.place.Get(s.T, key)
	set(m, "z/z", "spec", "locality")
	s.place.Put(s.T, key, m)
	s.wantErr(s.writeChange(plan.Change{Op: plan.Remove, Key: a.Key, Object: Workloads("a.acme", "10.0.0.2"), Live: &seen}), output.ErrConflict)
	if s.place.Get(s.T, key) == nil {
		s.Error("a WorkloadEntry that changed since the plan was deleted")
	}
	s.wantErr(s.writeChange(plan.Change{Op: plan.Delete, Key: a.Key, Live: &seen}), output.ErrConflict)
	if s.place.Get(s.T, a.Key) == nil {
		s.Error("a ServiceEntry was deleted that still has an endpoint")
	}
	s.live()
	s.must(plan.Delete, a)
	s.wantLive()
}

func (s *suite) workloadsOfLongHosts() {
	host := "a"
	for len(host) < 210 {
		host += ".registry-of-a-very-long-name"
	}
	host += ".and-more" // It does not fit into a label, nor, with what tells endpoints apart, into a name.
	a := Workloads(host, "10.0.0.1", "fd00::1")
	s.must(plan.Create, a)
	s.wantLive(a)
	s.out = s.place.Open(s.T)
	s.wantLive(a)
	s.must(plan.Delete, a)
	s.wantLive()
}
