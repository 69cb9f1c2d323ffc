package outputtest

import (
	"fmt"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func (s *suite) emptyPlace() { s.wantLive() }

func (s *suite) createUpdateDelete() {
	a, b := Object("a.acme", "10.0.0.1"), Object("b.acme", "10.0.0.2")
	r := s.must(plan.Create, b)
	if diff := cmp.Diff(b, r.Live.Object); diff != "" {
		s.Errorf("result (-want +got):\n%s", diff)
	}
	s.must(plan.Create, a)
	s.wantLive(a, b)
	if got := at(s.place.Get(s.T, a.Key), "spec", "hosts"); !cmp.Equal(got, []any{"a.acme"}) {
		s.Errorf("stored hosts are %v", got)
	}
	a = Object("a.acme", "10.0.0.1", "10.0.0.3")
	s.must(plan.Update, a)
	s.wantLive(a, b)
	a = Object("a.acme")
	s.must(plan.Remove, a)
	s.wantLive(a, b)
	if spec, _ := at(s.place.Get(s.T, a.Key), "spec").(map[string]any); spec["endpoints"] != nil {
		s.Errorf("an object without endpoints has the field: %v", spec)
	}
	s.must(plan.Delete, a)
	s.wantLive(b)
	if got := s.place.Get(s.T, a.Key); got != nil {
		s.Errorf("the deleted object is still stored: %v", got)
	}
}

func (s *suite) secondWriteIsTheSame() {
	a := Object("a.acme", "10.0.0.1")
	s.must(plan.Create, a)
	before := s.place.Get(s.T, a.Key)
	s.must(plan.Update, Object("a.acme", "10.0.0.1"))
	if diff := cmp.Diff(before, s.place.Get(s.T, a.Key)); diff != "" {
		s.Errorf("the same object was stored differently (-first +second):\n%s", diff)
	}
	s.wantLive(a)
}

func (s *suite) resultsComeInOrder() {
	s.must(plan.Create, Object("z.acme", "10.0.0.1", "10.0.0.2"))
	s.must(plan.Create, Object("y.acme"))
	live := s.live()
	p := plan.Plan{
		Apply: []plan.Change{
			{Op: plan.Remove, Key: live[1].Object.Key, Object: Object("z.acme", "10.0.0.1"), Live: &live[1]},
			{Op: plan.Create, Key: Object("a.acme").Key, Object: Object("a.acme")},
		},
		Delete: []plan.Change{{Op: plan.Delete, Key: live[0].Object.Key, Live: &live[0]}},
	}
	var got []string
	for _, r := range s.out.Write(s.Context(), p) {
		if r.Err != nil {
			s.Errorf("%s %s: %v", r.Op, r.Key, r.Err)
		}
		if (r.Live == nil) != (r.Op == plan.Delete) {
			s.Errorf("%s %s: live object in the result is %v", r.Op, r.Key, r.Live)
		}
		got = append(got, fmt.Sprint(r.Op, " ", r.Key.Name))
	}
	if diff := cmp.Diff([]string{"remove z.acme", "create a.acme", "delete y.acme"}, got); diff != "" {
		s.Errorf("results (-want +got):\n%s", diff)
	}
	s.wantLive(Object("a.acme"), Object("z.acme", "10.0.0.1"))
}

func (s *suite) pointersStay() {
	r := s.must(plan.Create, Object("a.acme", "10.0.0.1"))
	s.must(plan.Create, Object("b.acme", "10.0.0.1"))
	first := s.live()
	if first[0].Object != r.Live.Object || first[0].ResourceVersion != r.Live.ResourceVersion || first[0].UID != r.Live.UID {
		s.Errorf("Live shows %+v, want what the write returned: %+v", first[0], *r.Live)
	}
	s.must(plan.Update, Object("b.acme", "10.0.0.2"))
	second := s.live()
	if first[0].Object != second[0].Object {
		s.Error("an object without a change has a new pointer")
	}
	if first[1].ResourceVersion == second[1].ResourceVersion {
		s.Error("an object that changed has the same version")
	}
}

func (s *suite) restartSeesTheSame() {
	s.must(plan.Create, Object("a.acme", "10.0.0.1", "fd00::1"))
	s.must(plan.Create, Object("b.acme"))
	before := s.live()
	s.out = s.place.Open(s.T)
	if diff := cmp.Diff(before, s.live()); diff != "" {
		s.Errorf("live (-before +after the restart):\n%s", diff)
	}
	s.must(plan.Update, Object("a.acme", "10.0.0.1"))
	s.wantLive(Object("a.acme", "10.0.0.1"), Object("b.acme"))
}

// foreign returns manifests that are not ours, by what is wrong with them.
func foreign(name string) map[string]map[string]any {
	build := func(label string, value any) map[string]any {
		m := manifestOf(Object(name, "192.0.2.1"))
		labels, _ := at(m, "metadata", "labels").(map[string]any)
		if value == nil {
			delete(labels, label)
		} else {
			labels[label] = value
		}
		return m
	}
	return map[string]map[string]any{
		"no manager":       build(translate.LabelManagedBy, nil),
		"another manager":  build(translate.LabelManagedBy, "Helm"),
		"no instance":      build(translate.LabelInstance, nil),
		"another instance": build(translate.LabelInstance, "other"),
	}
}

func (s *suite) foreignObjects() {
	i := 0
	for _, m := range foreign("x") {
		i++
		key := Object(fmt.Sprintf("foreign-%d.acme", i)).Key
		set(m, key.Name, "metadata", "name")
		s.place.Put(s.T, key, m)
	}
	s.wantLive()
	s.must(plan.Create, Object("a.acme"))
	s.wantLive(Object("a.acme"))
}

func (s *suite) foreignAtOurName() {
	key := Object("a.acme").Key
	for what, m := range foreign("a.acme") {
		s.place.Put(s.T, key, m)
		before := s.place.Get(s.T, key)
		s.live()
		b := Object("b.acme", "10.0.0.1")
		p := plan.Plan{Apply: []plan.Change{
			{Op: plan.Create, Key: key, Object: Object("a.acme", "10.0.0.1")},
			{Op: plan.Create, Key: b.Key, Object: b},
		}}
		results := s.out.Write(s.Context(), p)
		if len(results) != 2 {
			s.Fatalf("%s: %d results, want 2", what, len(results))
		}
		s.wantErr(results[0], output.ErrRefused)
		s.wantErr(results[1], nil)
		if diff := cmp.Diff(before, s.place.Get(s.T, key)); diff != "" {
			s.Errorf("%s: the foreign object was touched:\n%s", what, diff)
		}
		s.wantLive(b)
		s.must(plan.Delete, b)
		s.place.Remove(s.T, key)
	}
}

func (s *suite) handAddedFields() {
	a := Object("a.acme", "10.0.0.1")
	s.must(plan.Create, a)
	m := s.place.Get(s.T, a.Key)
	set(m, "me", "metadata", "labels", "owner")
	set(m, "why", "metadata", "annotations", "note")
	set(m, []any{"spiffe://acme/a"}, "spec", "subjectAltNames")
	s.place.Put(s.T, a.Key, m)
	s.wantLive(a)

	s.must(plan.Update, Object("a.acme", "10.0.0.1", "10.0.0.2"))
	s.wantLive(Object("a.acme", "10.0.0.1", "10.0.0.2"))
	m = s.place.Get(s.T, a.Key)
	for _, path := range [][]string{{"metadata", "labels", "owner"}, {"metadata", "annotations", "note"}, {"spec", "subjectAltNames"}} {
		if at(m, path...) == nil {
			s.Errorf("the hand-added field %v is gone: %v", path, m)
		}
	}
	s.must(plan.Update, Object("a.acme", "10.0.0.2"))
	if got := at(s.place.Get(s.T, a.Key), "metadata", "labels", "owner"); got != "me" {
		s.Errorf("the hand-added label is %v behind a second write", got)
	}
}

func (s *suite) handChangedField() {
	a := Object("a.acme", "10.0.0.1")
	s.must(plan.Create, a)
	m := s.place.Get(s.T, a.Key)
	set(m, "MESH_EXTERNAL", "spec", "location")
	s.place.Put(s.T, a.Key, m)
	changed := Object("a.acme", "10.0.0.1")
	changed.ServiceEntry.Location = "MESH_EXTERNAL"
	s.wantLive(changed)
	s.must(plan.Update, a)
	s.wantLive(a)
	if got := at(s.place.Get(s.T, a.Key), "spec", "location"); got != "MESH_INTERNAL" {
		s.Errorf("stored location is %v", got)
	}
}

func (s *suite) lostOwnerLabel() {
	a := Object("a.acme", "10.0.0.1")
	for what, m := range foreign("a.acme") {
		s.must(plan.Create, a)
		s.place.Put(s.T, a.Key, m)
		s.wantLive()
		before := s.place.Get(s.T, a.Key)
		s.wantErr(s.write(plan.Create, a), output.ErrRefused)
		if diff := cmp.Diff(before, s.place.Get(s.T, a.Key)); diff != "" {
			s.Errorf("%s: the detached object was touched:\n%s", what, diff)
		}
		s.place.Remove(s.T, a.Key)
	}
}

func (s *suite) changedSince() {
	a := Object("a.acme", "10.0.0.1")
	s.must(plan.Create, a)
	seen := s.live()[0]
	s.place.Put(s.T, a.Key, manifestOf(Object("a.acme", "10.0.0.1", "192.0.2.1")))
	s.wantErr(s.writeChange(plan.Change{Op: plan.Update, Key: a.Key, Object: Object("a.acme", "10.0.0.2"), Live: &seen}), output.ErrConflict)
	s.wantErr(s.writeChange(plan.Change{Op: plan.Delete, Key: a.Key, Live: &seen}), output.ErrConflict)
	s.wantLive(Object("a.acme", "10.0.0.1", "192.0.2.1"))
	s.must(plan.Remove, a)
	s.wantLive(a)
}

func (s *suite) removedSince() {
	a := Object("a.acme", "10.0.0.1")
	s.must(plan.Create, a)
	seen := s.live()[0]
	s.place.Remove(s.T, a.Key)
	s.wantErr(s.writeChange(plan.Change{Op: plan.Update, Key: a.Key, Object: Object("a.acme"), Live: &seen}), output.ErrConflict)
	s.wantErr(s.writeChange(plan.Change{Op: plan.Delete, Key: a.Key, Live: &seen}), output.ErrConflict)
	s.wantLive()
}

func (s *suite) createdSince() {
	a := Object("a.acme", "10.0.0.1")
	s.live()
	s.place.Put(s.T, a.Key, manifestOf(Object("a.acme", "192.0.2.1")))
	s.wantErr(s.writeChange(plan.Change{Op: plan.Create, Key: a.Key, Object: a}), output.ErrConflict)
	s.wantLive(Object("a.acme", "192.0.2.1"))
}

func (s *suite) removedByHand() {
	a := Object("a.acme", "10.0.0.1")
	s.must(plan.Create, a)
	s.place.Remove(s.T, a.Key)
	s.wantLive()
	s.must(plan.Create, a)
	s.wantLive(a)
}
