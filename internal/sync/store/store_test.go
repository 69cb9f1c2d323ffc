package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/sync/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const zk = model.SourceID("dubbo.00000001")

var errRead = errors.New("read: broken")

// service returns a service of source zk with one instance for each address.
func service(unit, name string, addresses ...string) *model.Service {
	svc := &model.Service{Ref: ref(unit, name)}
	for _, a := range addresses {
		svc.Instances = append(svc.Instances, model.Instance{ID: a, Address: a, Weight: 1, Ports: []model.Port{{Number: 20880}}})
	}
	return svc
}

func ref(unit, name string) model.Ref { return model.Ref{Source: zk, Unit: unit, Name: name} }

func newStore(t *testing.T, ids ...model.SourceID) *store.Store {
	t.Helper()
	s := store.New()
	owners := map[model.SourceID]store.Owner{}
	for _, id := range ids {
		owners[id] = store.Owner{Namespace: "ns", Registry: "dubbo"}
	}
	s.Configure(owners)
	signalled(s)
	return s
}

// names lists "unit/name" of all services in order.
func names(s *store.Store) []string {
	list := []string{}
	for _, src := range s.Snapshot().Sources {
		for _, svc := range src.Services {
			list = append(list, svc.Ref.Unit+"/"+svc.Ref.Name)
		}
	}
	return list
}

// signalled takes a pending signal.
func signalled(s *store.Store) bool {
	select {
	case <-s.Changed():
		return true
	default:
		return false
	}
}

// step is one thing that happens to source zk.
type step func(r *script)

// script plays steps; begin gives it the sink.
type script struct {
	runs source.Runs
	sink source.Sink
	end  func(error)
}

func begin(r *script)        { r.sink, r.end = r.runs.Begin() }
func synced(r *script)       { r.sink.Synced() }
func endWith(err error) step { return func(r *script) { r.end(err) } }
func upsert(unit, name string) step {
	return func(r *script) { r.sink.Upsert(service(unit, name, "10.0.0.1")) }
}
func remove(unit, name string) step { return func(r *script) { r.sink.Delete(ref(unit, name)) } }
func skip(unit string) step         { return func(r *script) { r.sink.Skip(ref(unit, ""), errRead) } }

func TestServices(t *testing.T) {
	tests := map[string]struct {
		steps   []step
		want    []string
		failing map[string]bool // unit to UnitFailure.Read
		state   model.State
	}{
		"additions show before the listing is finished": {
			steps: []step{begin, upsert("u", "a")},
			want:  []string{"u/a"},
		},
		"a finished listing removes what it did not name": {
			steps: []step{begin, upsert("u", "a"), upsert("v", "b"), synced, begin, upsert("v", "b"), synced},
			want:  []string{"v/b"}, state: model.Synced,
		},
		"a service of a unit that was named, but not itself, is gone": {
			steps: []step{begin, upsert("u", "a"), upsert("u", "b"), synced, begin, upsert("u", "b"), synced},
			want:  []string{"u/b"}, state: model.Synced,
		},
		"an unfinished listing removes nothing": {
			steps: []step{begin, upsert("u", "a"), upsert("v", "b"), synced, endWith(errRead), begin, upsert("v", "b"), endWith(errRead)},
			want:  []string{"u/a", "v/b"}, state: model.Failing,
		},
		"a second Synced of one run counts from the first": {
			steps: []step{begin, upsert("u", "a"), upsert("v", "b"), synced, upsert("v", "b"), synced},
			want:  []string{"v/b"}, state: model.Synced,
		},
		"an empty registry is believed by the store": {
			steps: []step{begin, upsert("u", "a"), synced, endWith(errRead), begin, synced},
			want:  []string{}, state: model.Synced,
		},
		"delete of one service": {
			steps: []step{begin, upsert("u", "a"), upsert("u", "b"), synced, remove("u", "a")},
			want:  []string{"u/b"}, state: model.Synced,
		},
		"delete of a unit": {
			steps: []step{begin, upsert("u", "a"), upsert("u", "b"), upsert("v", "c"), synced, remove("u", "")},
			want:  []string{"v/c"}, state: model.Synced,
		},
		"delete of what was never there": {
			steps: []step{begin, upsert("u", "a"), synced, remove("v", "x"), remove("u", "x"), remove("w", "")},
			want:  []string{"u/a"}, state: model.Synced,
		},
		"a failing unit keeps its last state over a finished listing": {
			steps: []step{begin, upsert("u", "a"), upsert("u", "b"), synced, endWith(errRead), begin, skip("u"), synced},
			want:  []string{"u/a", "u/b"}, failing: map[string]bool{"u": true}, state: model.Synced,
		},
		"a failing unit stays over a later listing of the same run that leaves it to its retries": {
			steps: []step{begin, upsert("u", "a"), synced, skip("u"), synced, synced},
			want:  []string{"u/a"}, failing: map[string]bool{"u": true}, state: model.Synced,
		},
		"a unit that failed in an earlier run and is not listed any more is gone": {
			steps: []step{begin, upsert("u", "a"), synced, skip("u"), endWith(errRead), begin, synced},
			want:  []string{}, state: model.Synced,
		},
		"a unit that failed from the start has no state": {
			steps: []step{begin, skip("u"), synced},
			want:  []string{}, failing: map[string]bool{"u": false}, state: model.Synced,
		},
		"a unit that was read and found without services had a state": {
			steps: []step{begin, upsert("u", "a"), synced, remove("u", "a"), skip("u")},
			want:  []string{}, failing: map[string]bool{"u": true}, state: model.Synced,
		},
		"a failing unit recovers with an upsert": {
			steps: []step{begin, upsert("u", "a"), synced, skip("u"), upsert("u", "a")},
			want:  []string{"u/a"}, state: model.Synced,
		},
		"a failing unit recovers with a delete": {
			steps: []step{begin, upsert("u", "a"), synced, skip("u"), remove("u", "a")},
			want:  []string{}, state: model.Synced,
		},
		"a failing unit that is deleted": {
			steps: []step{begin, upsert("u", "a"), synced, skip("u"), remove("u", "")},
			want:  []string{}, state: model.Synced,
		},
		"calls behind the end of a run change nothing": {
			steps: []step{begin, upsert("u", "a"), synced, endWith(errRead), upsert("v", "b"), remove("u", ""), skip("u"), synced, endWith(nil)},
			want:  []string{"u/a"}, state: model.Failing,
		},
		"a service of another source makes its unit fail": {
			steps: []step{begin, upsert("u", "a"), synced, func(r *script) {
				r.sink.Upsert(&model.Service{Ref: model.Ref{Source: "other.00000002", Unit: "u", Name: "a"}})
			}},
			want: []string{"u/a"}, failing: map[string]bool{"u": true}, state: model.Synced,
		},
		"nothing is no service": {
			steps: []step{begin, func(r *script) { r.sink.Upsert(nil) }, func(r *script) { r.sink.Skip(ref("u", ""), nil) }},
			want:  []string{}, failing: map[string]bool{"u": false},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, zk)
			r := &script{runs: s.Runs(zk)}
			for _, do := range tc.steps {
				do(r)
				s.Snapshot() // Whatever is read in between makes no difference.
			}
			if diff := cmp.Diff(tc.want, names(s)); diff != "" {
				t.Errorf("services (-want +got):\n%s", diff)
			}
			status := s.Statuses()[zk]
			if status.State != tc.state {
				t.Errorf("state is %s, want %s", status.State, tc.state)
			}
			if len(status.FailingUnits) != len(tc.failing) {
				t.Errorf("failing units are %v, want %v", status.FailingUnits, tc.failing)
			}
			for unit, read := range tc.failing {
				if got, ok := status.FailingUnits[unit]; !ok || got.Read != read {
					t.Errorf("unit %q: failure is %+v (%v), want Read %v", unit, got, ok, read)
				}
			}
		})
	}
}

func TestFencing(t *testing.T) {
	s := newStore(t, zk)
	old, endOld := s.Runs(zk).Begin()
	old.Upsert(service("u", "a", "10.0.0.1"))
	old.Synced()

	t.Run("a later run replaces one that was not ended", func(t *testing.T) {
		sink, end := s.Runs(zk).Begin()
		before, status := s.Snapshot(), s.Statuses()
		signalled(s)
		old.Delete(ref("u", ""))
		endOld(errRead)
		if got := s.Snapshot(); !same(before, got) || signalled(s) || !reflect.DeepEqual(status, s.Statuses()) {
			t.Errorf("the replaced run changed the store: %v", got)
		}
		sink.Synced()
		end(nil)
	})
	t.Run("a source that was removed and came back starts anew", func(t *testing.T) {
		sink, _ := s.Runs(zk).Begin()
		s.Configure(nil)
		s.Configure(map[model.SourceID]store.Owner{zk: {Namespace: "ns", Registry: "dubbo"}})
		sink.Upsert(service("u", "a", "10.0.0.1"))
		sink.Synced()
		if got := names(s); len(got) != 0 {
			t.Errorf("services of the removed source are back: %v", got)
		}
		if got := s.Statuses()[zk].State; got != model.Listing {
			t.Errorf("state is %s, want Listing", got)
		}
	})
	t.Run("runs of a source that is not configured", func(t *testing.T) {
		sink, end := s.Runs("unknown.00000009").Begin()
		sink.Upsert(&model.Service{Ref: model.Ref{Source: "unknown.00000009", Unit: "u", Name: "a"}})
		sink.Synced()
		end(errRead)
		if got := names(s); len(got) != 0 {
			t.Errorf("services of a source that is not configured: %v", got)
		}
		if got := s.Statuses(); len(got) != 1 {
			t.Errorf("statuses are %v, want one", got)
		}
	})
}

// same reports whether two snapshots share everything.
func same(a, b model.Snapshot) bool {
	if len(a.Sources) != len(b.Sources) {
		return false
	}
	for i := range a.Sources {
		x, y := a.Sources[i].Services, b.Sources[i].Services
		if len(x) != len(y) || (len(x) > 0 && &x[0] != &y[0]) {
			return false
		}
	}
	return true
}

func TestPointersStay(t *testing.T) {
	const other = model.SourceID("other.00000002")
	s := newStore(t, zk, other)
	sink, _ := s.Runs(zk).Begin()
	otherSink, _ := s.Runs(other).Begin()
	for i := range 10 {
		sink.Upsert(service(fmt.Sprint("u", i), "a", "10.0.0.1"))
		otherSink.Upsert(&model.Service{Ref: model.Ref{Source: other, Unit: fmt.Sprint("u", i)}})
	}
	sink.Synced()
	otherSink.Synced()
	first, statuses := s.Snapshot(), s.Statuses()
	signalled(s)

	sink.Upsert(service("u3", "a", "10.0.0.1")) // A heartbeat.
	sink.Synced()
	if got := s.Snapshot(); len(got.Sources[0].Services) != 1 {
		t.Fatalf("the second listing left %d services, want 1", len(got.Sources[0].Services))
	}
	signalled(s)
	before := s.Snapshot()
	sink.Upsert(service("u3", "a", "10.0.0.1"))
	if signalled(s) {
		t.Error("equal content was signalled as a change")
	}
	after := s.Snapshot()
	if !same(before, after) {
		t.Error("equal content made a new snapshot")
	}
	if before.Sources[0].Services[0] != first.Sources[0].Services[3] {
		t.Error("a service without a change has a new pointer")
	}
	if &before.Sources[1].Services[0] != &first.Sources[1].Services[0] {
		t.Error("a source without a change has a new slice")
	}
	if reflect.ValueOf(statuses).Pointer() != reflect.ValueOf(s.Statuses()).Pointer() {
		t.Error("statuses without a change are a new map")
	}
	if got := len(first.Sources[0].Services); got != 10 {
		t.Errorf("a snapshot changed after it was made: %d services, want 10", got)
	}
}

func TestSignals(t *testing.T) {
	s := newStore(t, zk)
	sink, end := s.Runs(zk).Begin()
	expect := func(want bool, what string) {
		t.Helper()
		if got := signalled(s); got != want {
			t.Errorf("%s: signalled %v, want %v", what, got, want)
		}
	}
	expect(false, "a run begins")
	sink.Upsert(service("u", "a", "10.0.0.1"))
	expect(true, "a new service")
	sink.Upsert(service("u", "a", "10.0.0.2"))
	expect(false, "a service that is pending changes again")
	sink.Upsert(service("u", "b", "10.0.0.2"))
	expect(true, "another service")
	s.Snapshot()
	sink.Upsert(service("u", "a", "10.0.0.3"))
	expect(true, "the service changes after it has been read")
	sink.Synced()
	expect(true, "first Synced")
	sink.Skip(ref("u", ""), errRead)
	expect(true, "a unit fails")
	sink.Skip(ref("u", ""), errRead)
	expect(false, "it fails again")
	sink.Skip(ref("u", ""), errors.New("other"))
	expect(true, "it fails in another way")
	end(errRead)
	expect(true, "the run fails")
	_, end = s.Runs(zk).Begin()
	end(errRead)
	expect(false, "the next run fails alike")
	s.Configure(map[model.SourceID]store.Owner{zk: {Namespace: "ns", Registry: "dubbo"}})
	expect(false, "the same configuration")
	s.Configure(map[model.SourceID]store.Owner{zk: {Namespace: "ns", Registry: "renamed"}})
	expect(true, "another owner")
	if got := s.Statuses()[zk].Registry; got != "renamed" {
		t.Errorf("owner is %q", got)
	}
}

func TestStates(t *testing.T) {
	refused := fmt.Errorf("again: %w", source.ErrUnauthorized)
	causes := map[string]string{"read: broken": "Unreachable", refused.Error(): "Unauthorized"}
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, zk)
		start := time.Now()
		expect := func(state model.State, since time.Duration, err string) {
			t.Helper()
			want := model.Status{
				Namespace: "ns", Registry: "dubbo", State: state, Since: start.Add(since), Err: err, Cause: causes[err],
				FailingUnits: map[string]model.UnitFailure{},
			}
			if diff := cmp.Diff(want, s.Statuses()[zk]); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		}
		tick := func() { <-time.After(time.Second) }

		tick()
		expect(model.Listing, 0, "")
		_, end := s.Runs(zk).Begin()
		end(errRead)
		expect(model.Listing, 0, "read: broken")
		tick()
		sink, end := s.Runs(zk).Begin()
		sink.Synced()
		expect(model.Synced, 2*time.Second, "")
		tick()
		sink.Synced()
		expect(model.Synced, 2*time.Second, "")
		end(errRead)
		expect(model.Failing, 3*time.Second, "read: broken")
		tick()
		_, end = s.Runs(zk).Begin()
		end(refused)
		expect(model.Failing, 3*time.Second, refused.Error())
		sink, end = s.Runs(zk).Begin()
		sink.Synced()
		tick()
		end(nil)
		expect(model.Synced, 4*time.Second, "")
	})
}

func TestFailureSinceItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, zk)
		start := time.Now()
		sink, _ := s.Runs(zk).Begin()
		sink.Skip(ref("u", ""), errRead)
		<-time.After(time.Minute)
		sink.Skip(ref("u", ""), errors.New("worse"))
		want := model.UnitFailure{Since: start, Err: "worse"}
		if diff := cmp.Diff(want, s.Statuses()[zk].FailingUnits["u"]); diff != "" {
			t.Errorf("failure (-want +got):\n%s", diff)
		}
	})
}

func TestView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, zk)
		s.View()
		sink, _ := s.Runs(zk).Begin()
		if got := s.View().Since; !got.IsZero() {
			t.Errorf("pending since %v without a change", got)
		}
		start := time.Now()
		sink.Upsert(service("u", "a"))
		<-time.After(time.Second)
		sink.Upsert(service("u", "b"))
		sink.Synced()
		s.Snapshot()
		view := s.View()
		if !view.Since.Equal(start) {
			t.Errorf("pending since %v, want the first change at %v", view.Since, start)
		}
		if len(view.Snapshot.Sources[0].Services) != 2 || view.Statuses[zk].State != model.Synced {
			t.Errorf("view is %+v", view)
		}
		if got := s.View().Since; !got.IsZero() {
			t.Errorf("pending since %v after a view", got)
		}
		if got := s.Changes()[zk]; got != 2 {
			t.Errorf("%d changes, want 2", got)
		}
	})
}

func TestRace(t *testing.T) {
	s := newStore(t, zk)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				sink, end := s.Runs(zk).Begin()
				sink.Upsert(service(fmt.Sprint("u", i%7), "a", fmt.Sprint("10.0.0.", i)))
				sink.Skip(ref(fmt.Sprint("u", i%5), ""), errRead)
				sink.Delete(ref(fmt.Sprint("u", i%3), ""))
				sink.Synced()
				end(errRead)
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			s.Snapshot()
			s.Statuses()
			s.View()
			s.Changes()
			if i%50 == 0 {
				s.Configure(map[model.SourceID]store.Owner{zk: {Registry: strconv.Itoa(i)}})
			}
		}
	})
	wg.Wait()
}

// TestHints: they are those of the last call in the current run, and a change of them is signalled.
// TestInterruption: it shows in the status until it is over, and changes nothing else.
func TestInterruption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, zk)
		sink, end := s.Runs(zk).Begin()
		sink.Synced()
		signalled(s)
		since := s.Statuses()[zk].Since
		<-time.After(time.Minute)
		source.SetInterruption(sink, errRead)
		begin := time.Now()
		for range 2 { // Every attempt to connect fails.
			got := s.Statuses()[zk]
			if got.State != model.Synced || got.Since != since || got.Err != errRead.Error() || !got.Interrupted.Equal(begin) {
				t.Errorf("interrupted: %+v", got)
			}
			<-time.After(time.Second)
			source.SetInterruption(sink, errRead)
		}
		if !signalled(s) {
			t.Error("nobody was told of the interruption")
		}
		source.SetInterruption(sink, nil)
		if got := s.Statuses()[zk]; !signalled(s) || got.Err != "" || !got.Interrupted.IsZero() {
			t.Errorf("after the interruption: %+v", got)
		}
		source.SetInterruption(sink, errRead)
		end(errRead)
		if got := s.Statuses()[zk]; got.State != model.Failing || !got.Interrupted.IsZero() {
			t.Errorf("after the run: %+v", got)
		}
	})
}

func TestHints(t *testing.T) {
	hint := func(reason, detail string) model.Hint { return model.Hint{Reason: reason, Detail: detail} }
	s := newStore(t, zk)
	sink, end := s.Runs(zk).Begin()
	steps := []struct {
		hints []model.Hint
		want  []model.Hint
		news  bool
	}{
		{nil, nil, false},
		{[]model.Hint{hint("B", "b"), hint("A", "a"), hint("B", "again")}, []model.Hint{hint("A", "a"), hint("B", "b")}, true},
		{[]model.Hint{hint("A", "a"), hint("B", "b")}, []model.Hint{hint("A", "a"), hint("B", "b")}, false},
		{[]model.Hint{hint("A", "other")}, []model.Hint{hint("A", "other")}, true},
		{nil, nil, true},
		{[]model.Hint{hint("A", "a")}, []model.Hint{hint("A", "a")}, true},
	}
	for i, step := range steps {
		source.SetHints(sink, step.hints...)
		if got := signalled(s); got != step.news {
			t.Errorf("step %d: signalled %t", i, got)
		}
		if diff := cmp.Diff(step.want, s.Statuses()[zk].Hints); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
	end(errRead)
	source.SetHints(sink, hint("B", "late"))
	if got := s.Statuses()[zk].Hints; len(got) != 1 || got[0].Reason != "A" {
		t.Errorf("after the run: %v", got)
	}
	_, _ = s.Runs(zk).Begin()
	if got := s.Statuses()[zk].Hints; len(got) != 0 {
		t.Errorf("a new run begins with %v", got)
	}
}
