// Package pieces stands between a plan, which knows a host as one object with endpoints, and an output that stores it in pieces: in mode
// WorkloadEntries a ServiceEntry and one WorkloadEntry for each endpoint. Split takes an object apart, Join puts together what is
// stored, and a Writing turns one Change into writes of the pieces that differ. Every output uses it alike.
package pieces

import (
	"hash/fnv"
	"io"
	"slices"
	"strconv"

	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// isSplit reports whether an object, which may be nil, is stored in pieces.
func isSplit(o *translate.Object) bool {
	return o != nil && (o.ServiceEntry != nil && o.ServiceEntry.Mode == translate.WorkloadEntries || isLarge(o))
}

// Split returns the pieces of o, sorted by key: o itself, or its ServiceEntry and its WorkloadEntries. What is left of a host whose
// ServiceEntry is gone has no ports, and no ServiceEntry.
func Split(o *translate.Object) []*translate.Object {
	if !isSplit(o) {
		return []*translate.Object{o}
	}
	if o.EnvoyFilter != nil {
		return splitTable(o)
	}
	list := make([]*translate.Object, 0, 1+len(o.ServiceEntry.Endpoints))
	if len(o.ServiceEntry.Ports) > 0 {
		entry, spec := *o, *o.ServiceEntry
		spec.Endpoints, spec.Selector = nil, translate.HostLabel(spec.Host)
		entry.ServiceEntry = &spec
		list = append(list, &entry)
	}
	labels, annotations := workloadMetadata(o)
	for i := range o.ServiceEntry.Endpoints {
		e := o.ServiceEntry.Endpoints[i]
		e.Labels = withoutHost(e.Labels)
		list = append(list, &translate.Object{
			Key: translate.Key{
				Kind: translate.KindWorkloadEntry, Namespace: o.Key.Namespace, Name: translate.WorkloadName(o.ServiceEntry.Host, &e),
			},
			Labels: labels, Annotations: annotations,
			WorkloadEntry: &translate.WorkloadEntry{Host: o.ServiceEntry.Host, Endpoint: e},
		})
	}
	slices.SortStableFunc(list, func(a, b *translate.Object) int { return a.Key.Compare(b.Key) })
	return slices.CompactFunc(list, func(a, b *translate.Object) bool { return a.Key == b.Key })
}

// workloadMetadata returns the labels and annotations of all WorkloadEntries of an object. Labels that the configuration adds to objects
// are not among them: istiod takes the labels of a WorkloadEntry for those of the workload.
func workloadMetadata(o *translate.Object) (labels, annotations map[string]string) {
	host := translate.HostLabel(o.ServiceEntry.Host)
	labels = map[string]string{
		translate.LabelManagedBy: o.Labels[translate.LabelManagedBy], translate.LabelInstance: o.Labels[translate.LabelInstance],
		translate.LabelHost: host,
	}
	if host != o.ServiceEntry.Host {
		annotations = map[string]string{translate.AnnotationHost: o.ServiceEntry.Host}
	}
	return labels, annotations
}

func withoutHost(labels []translate.Label) []translate.Label {
	isHost := func(l translate.Label) bool { return l.Key == translate.LabelHost }
	if !slices.ContainsFunc(labels, isHost) {
		return labels
	}
	return slices.DeleteFunc(slices.Clone(labels), isHost)
}

// Owner returns the key of the object that a piece belongs to. A host in mode WorkloadEntries is one object, which has its name.
func Owner(piece *translate.Object) translate.Key {
	if piece.EnvoyFilter != nil {
		return tableOwner(piece.Key)
	}
	if piece.WorkloadEntry == nil {
		return piece.Key
	}
	return translate.Key{Kind: translate.KindServiceEntry, Namespace: piece.Key.Namespace, Name: piece.WorkloadEntry.Host}
}

// Join returns the object whose pieces are stored, which are sorted by key. It keeps the pointers of last, which may be nil, as far as it
// says the same.
func Join(stored []plan.Live, last *plan.Live) plan.Live {
	if len(stored) == 1 && Owner(stored[0].Object) == stored[0].Object.Key {
		return keep(stored[0], last)
	}
	if last != nil && last.Stored != nil && slices.Equal(*last.Stored, stored) {
		return *last
	}
	stored = slices.Clone(stored)
	live := plan.Live{Object: joined(stored), Stored: &stored, ResourceVersion: digest(stored)}
	if stored[0].Object.ServiceEntry != nil {
		live.UID = stored[0].UID
	}
	return keep(live, last)
}

// keep returns live with the object of last, when that says the same.
func keep(live plan.Live, last *plan.Live) plan.Live {
	if last != nil && last.Object != live.Object && last.Object.Key == live.Object.Key && plan.Satisfies(live.Object, last.Object) && plan.Satisfies(last.Object, live.Object) {
		live.Object = last.Object
	}
	return live
}

// joined makes one object of the pieces.
func joined(stored []plan.Live) *translate.Object {
	if stored[0].Object.EnvoyFilter != nil {
		return joinedTable(stored)
	}
	var o translate.Object
	var spec translate.ServiceEntry
	workloads := stored
	if first := stored[0].Object; first.ServiceEntry != nil {
		o, spec, workloads = *first, *first.ServiceEntry, stored[1:]
	} else {
		o.Key, spec.Host = Owner(first), first.WorkloadEntry.Host
		o.Labels = map[string]string{
			translate.LabelManagedBy: first.Labels[translate.LabelManagedBy], translate.LabelInstance: first.Labels[translate.LabelInstance],
		}
	}
	spec.Mode = translate.WorkloadEntries
	spec.Endpoints = make([]translate.Endpoint, len(workloads))
	for i := range workloads {
		spec.Endpoints[i] = endpoint(workloads[i].Object)
	}
	slices.SortStableFunc(spec.Endpoints, func(a, b translate.Endpoint) int { return a.Compare(&b) })
	o.ServiceEntry = &spec
	return &o
}

// endpoint returns the endpoint of a WorkloadEntry. One whose metadata is not what it should be shows the label of the host, which no
// endpoint has that should exist, and so is written again.
func endpoint(w *translate.Object) translate.Endpoint {
	e := w.WorkloadEntry.Endpoint
	host := translate.HostLabel(w.WorkloadEntry.Host)
	annotated := host == w.WorkloadEntry.Host || w.Annotations[translate.AnnotationHost] == w.WorkloadEntry.Host
	if w.Labels[translate.LabelHost] != host || !annotated {
		e.Labels = append(withoutHost(slices.Clone(e.Labels)), translate.Label{Key: translate.LabelHost, Value: w.Labels[translate.LabelHost]})
		slices.SortFunc(e.Labels, translate.Label.Compare)
	}
	return e
}

// digest tells two states of the pieces apart.
func digest(stored []plan.Live) string {
	h := fnv.New64a()
	for i := range stored {
		for _, text := range []string{stored[i].Object.Key.Name, stored[i].UID, stored[i].ResourceVersion} {
			_, _ = io.WriteString(h, text+"\x00")
		}
	}
	return strconv.FormatUint(h.Sum64(), 16)
}

// Joiner joins everything that an output stores, and keeps the pointers of what did not change. The zero value is ready.
type Joiner struct{ last map[translate.Key]plan.Live }

// Join returns the objects whose pieces are stored, sorted by key. It is never nil.
func (j *Joiner) Join(stored []plan.Live) []plan.Live {
	owned := make(map[translate.Key][]plan.Live, len(stored))
	for i := range stored {
		owner := Owner(stored[i].Object)
		owned[owner] = append(owned[owner], stored[i])
	}
	live := make([]plan.Live, 0, len(owned))
	next := make(map[translate.Key]plan.Live, len(owned))
	for key, list := range owned {
		slices.SortFunc(list, Compare)
		last, known := j.last[key]
		if !known {
			last = plan.Live{Object: &translate.Object{}}
		}
		one := Join(list, &last)
		live = append(live, one)
		next[key] = one
	}
	slices.SortFunc(live, Compare)
	j.last = next
	return live
}

// Wrote tells what a write has returned, so that Join returns the same.
func (j *Joiner) Wrote(live *plan.Live) {
	if live == nil {
		return
	}
	if j.last == nil {
		j.last = map[translate.Key]plan.Live{}
	}
	j.last[live.Object.Key] = *live
}

// Compare orders live objects by key.
func Compare(a, b plan.Live) int { return a.Object.Key.Compare(b.Object.Key) }
