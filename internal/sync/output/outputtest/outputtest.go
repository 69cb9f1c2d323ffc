// Package outputtest has the conformance suite that every output passes, and an output in memory for tests of what stands before one.
package outputtest

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Instance is the owner id with which the suite wants its outputs.
const Instance = "outputtest"

// Place is where the objects of one output live, as a person with an editor or kubectl sees it.
type Place interface {
	// Open returns the output as a new process of the bridge would have it. The one returned before is not used any more.
	Open(t *testing.T) output.Output
	// Get returns the object as it is stored, nil when there is none.
	Get(t *testing.T, key translate.Key) map[string]any
	// Put stores an object of any owner, replacing what is there.
	Put(t *testing.T, key translate.Key, object map[string]any)
	// Remove takes an object away.
	Remove(t *testing.T, key translate.Key)
}

// Run runs the suite; newPlace returns an empty place.
func Run(t *testing.T, newPlace func(t *testing.T) Place) {
	t.Helper()
	tests := map[string]func(*suite){
		"EmptyPlace":                    (*suite).emptyPlace,
		"CreateUpdateDelete":            (*suite).createUpdateDelete,
		"SecondWriteIsTheSame":          (*suite).secondWriteIsTheSame,
		"ResultsComeInOrder":            (*suite).resultsComeInOrder,
		"PointersStay":                  (*suite).pointersStay,
		"RestartSeesTheSame":            (*suite).restartSeesTheSame,
		"ForeignObjectsAreNotOurs":      (*suite).foreignObjects,
		"ForeignObjectRefusesItsName":   (*suite).foreignAtOurName,
		"HandAddedFieldsStay":           (*suite).handAddedFields,
		"HandChangedFieldIsRepaired":    (*suite).handChangedField,
		"LostOwnerLabelDetaches":        (*suite).lostOwnerLabel,
		"ConflictWhenChangedSince":      (*suite).changedSince,
		"ConflictWhenRemovedSince":      (*suite).removedSince,
		"ConflictWhenCreatedSince":      (*suite).createdSince,
		"ObjectThatWasRemovedComesBack": (*suite).removedByHand,
	}
	maps.Copy(tests, workloadTests())
	maps.Copy(tests, routingTests())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			place := newPlace(t)
			test(&suite{T: t, place: place, out: place.Open(t)})
		})
	}
}

// Object returns an object of ours with endpoints at these addresses.
func Object(name string, addresses ...string) *translate.Object {
	const port = "tcp-dubbo-20880"
	o := &translate.Object{
		Key:         translate.Key{Kind: translate.KindServiceEntry, Namespace: "registry", Name: name},
		Labels:      map[string]string{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: Instance},
		Annotations: map[string]string{translate.AnnotationService: "com.acme." + name, translate.AnnotationRegistry: "zk"},
		ServiceEntry: &translate.ServiceEntry{
			Host: name, Addresses: []string{"240.239.0.1"}, Location: "MESH_INTERNAL", Resolution: "STATIC",
			Ports: []translate.ServicePort{{Name: port, Number: 20880, Protocol: translate.TCP}},
		},
	}
	for _, address := range addresses {
		o.ServiceEntry.Endpoints = append(o.ServiceEntry.Endpoints, translate.Endpoint{
			Address: address,
			Ports:   []translate.EndpointPort{{Name: port, Number: 20881}},
			Labels:  []translate.Label{{Key: translate.LabelSource, Value: "zk.00000001"}},
		})
	}
	return o
}

// Workloads returns the object in mode WorkloadEntries.
func Workloads(name string, addresses ...string) *translate.Object {
	o := Object(name, addresses...)
	o.ServiceEntry.Mode, o.ServiceEntry.Selector = translate.WorkloadEntries, translate.HostLabel(name)
	return o
}

// manifestOf returns the object as a person would write it. It is written out here, and not rendered by the code under test.
func manifestOf(o *translate.Object) map[string]any {
	var endpoints []any
	for _, e := range o.ServiceEntry.Endpoints {
		endpoints = append(endpoints, map[string]any{
			"address": e.Address,
			"ports":   map[string]any{e.Ports[0].Name: int64(e.Ports[0].Number)},
			"labels":  map[string]any{e.Labels[0].Key: e.Labels[0].Value},
		})
	}
	port := o.ServiceEntry.Ports[0]
	spec := map[string]any{
		"hosts": []any{o.ServiceEntry.Host}, "addresses": []any{o.ServiceEntry.Addresses[0]},
		"location": o.ServiceEntry.Location, "resolution": o.ServiceEntry.Resolution,
		"ports": []any{map[string]any{"name": port.Name, "number": int64(port.Number), "protocol": string(port.Protocol)}},
	}
	if endpoints != nil {
		spec["endpoints"] = endpoints
	}
	return map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": string(o.Key.Kind),
		"metadata": map[string]any{
			"namespace": o.Key.Namespace, "name": o.Key.Name, "labels": anyMap(o.Labels), "annotations": anyMap(o.Annotations),
		},
		"spec": spec,
	}
}

func anyMap(from map[string]string) map[string]any {
	to := map[string]any{}
	for k, v := range from {
		to[k] = v
	}
	return to
}

// at returns the value at a path of keys, nil when there is none.
func at(m map[string]any, path ...string) any {
	var value any = m
	for _, key := range path {
		m, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = m[key]
	}
	return value
}

// set sets the value at a path of keys, all but the last of which exist.
func set(m map[string]any, value any, path ...string) {
	last := len(path) - 1
	if parent, ok := at(m, path[:last]...).(map[string]any); ok {
		parent[path[last]] = value
	}
}

// suite is one test of the suite with its place.
type suite struct {
	*testing.T
	place Place
	out   output.Output
}

func (s *suite) live() []plan.Live {
	s.Helper()
	live, err := s.out.Live(s.Context())
	if err != nil {
		s.Fatalf("Live: %v", err)
	}
	return live
}

// write writes one change and returns its result, taking the newest live object as what the plan saw.
func (s *suite) write(op plan.Op, o *translate.Object) output.Result {
	s.Helper()
	c := plan.Change{Op: op, Key: o.Key, Object: o}
	live := s.live()
	for i := range live {
		if live[i].Object.Key == o.Key {
			c.Live = &live[i]
		}
	}
	return s.writeChange(c)
}

// writeChange writes one change.
func (s *suite) writeChange(c plan.Change) output.Result {
	s.Helper()
	p := plan.Plan{}
	if c.Op == plan.Delete {
		c.Object = nil
		p.Delete = []plan.Change{c}
	} else {
		p.Apply = []plan.Change{c}
	}
	results := s.out.Write(context.WithoutCancel(s.Context()), p)
	if len(results) != 1 || results[0].Key != c.Key || results[0].Op != c.Op {
		s.Fatalf("results are %+v, want one of %s %s", results, c.Op, c.Key)
	}
	return results[0]
}

// must writes and wants no error.
func (s *suite) must(op plan.Op, o *translate.Object) output.Result {
	s.Helper()
	r := s.write(op, o)
	if r.Err != nil {
		s.Fatalf("%s %s: %v", op, o.Key, r.Err)
	}
	return r
}

func (s *suite) wantErr(r output.Result, want error) {
	s.Helper()
	if !errors.Is(r.Err, want) {
		s.Errorf("%s %s: error is %v, want %v", r.Op, r.Key, r.Err, want)
	}
}

// wantLive compares what is live with what should be.
func (s *suite) wantLive(want ...*translate.Object) {
	s.Helper()
	got := []*translate.Object{}
	for _, l := range s.live() {
		got = append(got, l.Object)
	}
	if want == nil {
		want = []*translate.Object{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("live (-want +got):\n%s", diff)
	}
}
