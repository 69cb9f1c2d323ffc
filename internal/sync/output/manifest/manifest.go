// Package manifest converts objects to and from the form that Kubernetes and istiod read: a networking.istio.io/v1 ServiceEntry,
// WorkloadEntry or DestinationRule, or a networking.istio.io/v1alpha3 EnvoyFilter, as unstructured map or YAML, the first two as typed
// values too. A ServiceEntry in mode WorkloadEntries is converted without its endpoints; package pieces makes WorkloadEntries of those, and
// several EnvoyFilters of a table that is too large for one. Nothing volatile is ever rendered (no status, no timestamps), so the same
// object gives the same bytes, and reading back what was rendered gives the same object.
package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// APIVersion is the version in which objects are rendered, but for EnvoyFilters. Any version of the group is read: their specs are equal.
const APIVersion = group + "/v1"

const group = "networking.istio.io"

// document has the fields of a manifest that are ours, and no other. Its spec is a spec or an endpoint.
type document[S any] struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
	Spec       S        `json:"spec"`
}

type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type spec struct {
	Hosts            []string   `json:"hosts,omitempty"`
	Addresses        []string   `json:"addresses,omitempty"`
	Ports            []port     `json:"ports,omitempty"`
	Location         string     `json:"location,omitempty"`
	Resolution       string     `json:"resolution,omitempty"`
	Endpoints        []endpoint `json:"endpoints,omitempty"`
	WorkloadSelector *selector  `json:"workloadSelector,omitempty"`
	ExportTo         []string   `json:"exportTo,omitempty"`
	SubjectAltNames  []string   `json:"subjectAltNames,omitempty"`
}

type selector struct {
	Labels map[string]string `json:"labels,omitempty"`
}

type port struct {
	Number   uint32 `json:"number"`
	Protocol string `json:"protocol,omitempty"`
	Name     string `json:"name"`
}

// endpoint is one endpoint of a ServiceEntry, and the spec of a WorkloadEntry.
type endpoint struct {
	Address  string            `json:"address,omitempty"`
	Ports    map[string]uint32 `json:"ports,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Network  string            `json:"network,omitempty"`
	Locality string            `json:"locality,omitempty"`
	Weight   uint32            `json:"weight,omitempty"`
}

// YAML renders o as one YAML document.
func YAML(o *translate.Object) ([]byte, error) {
	d, err := render(o)
	if err != nil {
		return nil, err
	}
	text, err := yaml.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", o.Key, err)
	}
	return text, nil
}

// Map renders o as Kubernetes clients hold unstructured objects: integers are int64.
func Map(o *translate.Object) (map[string]any, error) {
	d, err := render(o)
	if err != nil {
		return nil, err
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(d)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", o.Key, err)
	}
	return m, nil
}

// render returns the document of o.
func render(o *translate.Object) (any, error) {
	switch o.Key.Kind {
	case translate.KindWorkloadEntry:
		return newWorkloadDocument(o), nil
	case translate.KindDestinationRule:
		return newRuleDocument(o), nil
	case translate.KindEnvoyFilter:
		return newFilterDocument(o)
	}
	return newDocument(o), nil
}

func newDocument(o *translate.Object) *document[spec] {
	d := &document[spec]{APIVersion: APIVersion, Kind: string(o.Key.Kind), Metadata: newMetadata(o)}
	if added := addedLabels(o.Labels); added != "" {
		d.Metadata.annotate(translate.AnnotationLabels, added)
	}
	if o.ServiceEntry != nil && len(o.ServiceEntry.SubjectAltNames) > 0 {
		d.Metadata.annotate(translate.AnnotationIdentities, translate.IdentitiesOfPods)
	}
	if o.ServiceEntry != nil {
		d.Spec = newSpec(o.ServiceEntry)
	}
	return d
}

func (m *metadata) annotate(key, value string) {
	if m.Annotations == nil {
		m.Annotations = map[string]string{}
	}
	m.Annotations[key] = value
}

func newMetadata(o *translate.Object) metadata {
	return metadata{Name: o.Key.Name, Namespace: o.Key.Namespace, Labels: maps.Clone(o.Labels), Annotations: maps.Clone(o.Annotations)}
}

func newSpec(se *translate.ServiceEntry) spec {
	s := spec{
		Hosts: []string{se.Host}, Addresses: se.Addresses, Location: se.Location, Resolution: se.Resolution, ExportTo: se.ExportTo,
		SubjectAltNames: se.SubjectAltNames, Ports: make([]port, len(se.Ports)),
	}
	for i, p := range se.Ports {
		s.Ports[i] = port{Name: p.Name, Number: p.Number, Protocol: string(p.Protocol)}
	}
	if se.Mode == translate.WorkloadEntries {
		s.WorkloadSelector = &selector{map[string]string{translate.LabelHost: se.Selector}}
		return s
	}
	s.Endpoints = make([]endpoint, len(se.Endpoints))
	for i := range se.Endpoints {
		s.Endpoints[i] = newEndpoint(&se.Endpoints[i])
	}
	return s
}

func newEndpoint(from *translate.Endpoint) endpoint {
	e := endpoint{Address: from.Address, Network: from.Network, Locality: from.Locality, Weight: from.Weight}
	if len(from.Ports) > 0 {
		e.Ports = make(map[string]uint32, len(from.Ports))
		for _, p := range from.Ports {
			e.Ports[p.Name] = p.Number
		}
	}
	if len(from.Labels) > 0 {
		e.Labels = make(map[string]string, len(from.Labels))
		for _, l := range from.Labels {
			e.Labels[l.Key] = l.Value
		}
	}
	return e
}

// addedLabels returns the value of AnnotationLabels.
func addedLabels(labels map[string]string) string {
	var keys []string
	for key := range labels {
		if key != translate.LabelManagedBy && key != translate.LabelInstance {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, ",")
}

// ErrForeign says that a manifest is something else than an object that could be ours.
var ErrForeign = errors.New("no kind of object that is written")

// ParseYAML reads one YAML document; see Parse.
func ParseYAML(text []byte) (*translate.Object, error) {
	var m map[string]any
	if err := yaml.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("parse manifest: %w", err)
	}
	return Parse(m)
}

// Parse takes from an unstructured manifest what is ours and ignores the rest: labels and annotations that somebody else added, and
// fields that we do not set. A manifest with several hosts yields them joined by commas, so that it differs from every object that
// we would write; so does any other selector of WorkloadEntries than ours, and an EnvoyFilter that is not exactly what we would write. It
// does not look at the owner; the error wraps ErrForeign for every other kind of object.
func Parse(m map[string]any) (*translate.Object, error) {
	version, _ := m["apiVersion"].(string)
	kind, _ := m["kind"].(string)
	if g, _, _ := strings.Cut(version, "/"); g == group {
		switch translate.Kind(kind) {
		case translate.KindServiceEntry:
			return parseEntry(m)
		case translate.KindWorkloadEntry:
			return parseWorkload(m)
		case translate.KindDestinationRule:
			return parseRule(m)
		case translate.KindEnvoyFilter:
			return parseFilter(m)
		}
	}
	return nil, fmt.Errorf("parse manifest of %q, kind %q: %w", version, kind, ErrForeign)
}

func parseEntry(m map[string]any) (*translate.Object, error) {
	var d document[spec]
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &d); err != nil {
		return nil, fmt.Errorf("parse manifest: %w", err)
	}
	if d.Metadata.Annotations[translate.AnnotationIdentities] == "" {
		d.Spec.SubjectAltNames = nil
	}
	return &translate.Object{
		Key:          d.Metadata.key(translate.KindServiceEntry),
		Labels:       pick(d.Metadata.Labels, ownLabels(d.Metadata.Annotations)),
		Annotations:  pick(d.Metadata.Annotations, ownAnnotations(translate.KindServiceEntry)),
		ServiceEntry: d.Spec.serviceEntry(),
	}, nil
}

func (m *metadata) key(kind translate.Kind) translate.Key {
	return translate.Key{Kind: kind, Namespace: m.Namespace, Name: m.Name}
}

func ownLabels(annotations map[string]string) []string {
	own := []string{translate.LabelManagedBy, translate.LabelInstance}
	if added := annotations[translate.AnnotationLabels]; added != "" {
		own = append(own, strings.Split(added, ",")...)
	}
	return own
}

func ownAnnotations(kind translate.Kind) []string {
	switch kind {
	case translate.KindWorkloadEntry:
		return []string{translate.AnnotationHost}
	case translate.KindEnvoyFilter:
		return nil
	}
	return []string{translate.AnnotationService, translate.AnnotationUnit, translate.AnnotationRegistry}
}

func pick(from map[string]string, keys []string) map[string]string {
	var picked map[string]string
	for _, key := range keys {
		if value, ok := from[key]; ok {
			if picked == nil {
				picked = make(map[string]string, len(keys))
			}
			picked[key] = value
		}
	}
	return picked
}

func (s *spec) serviceEntry() *translate.ServiceEntry {
	se := &translate.ServiceEntry{
		Host: strings.Join(s.Hosts, ","), Addresses: s.Addresses, Location: s.Location, Resolution: s.Resolution, ExportTo: s.ExportTo,
		SubjectAltNames: s.SubjectAltNames,
	}
	for _, p := range s.Ports {
		se.Ports = append(se.Ports, translate.ServicePort{Name: p.Name, Number: p.Number, Protocol: translate.Protocol(p.Protocol)})
	}
	slices.SortStableFunc(se.Ports, func(a, b translate.ServicePort) int { return int(a.Number) - int(b.Number) })
	s.readSelector(se)
	if se.Mode == translate.WorkloadEntries {
		return se
	}
	if len(s.Endpoints) > 0 {
		se.Endpoints = make([]translate.Endpoint, len(s.Endpoints))
	}
	for i := range s.Endpoints {
		se.Endpoints[i] = s.Endpoints[i].endpoint()
		if i > 0 { // Most endpoints of a service are alike; let them share.
			share(&se.Endpoints[i], &se.Endpoints[i-1])
		}
	}
	slices.SortStableFunc(se.Endpoints, func(a, b translate.Endpoint) int { return a.Compare(&b) })
	return se
}

func (e *endpoint) endpoint() translate.Endpoint {
	return translate.Endpoint{
		Address: e.Address, Ports: sortedPorts(e.Ports), Labels: sortedLabels(e.Labels),
		Weight: e.Weight, Locality: e.Locality, Network: e.Network,
	}
}

// readSelector sets the mode and the selector of a ServiceEntry. It is in mode WorkloadEntries when its selector names our label; whatever
// else it selects by, or holds in endpoints, shows in the selector and is thus no selector of ours.
func (s *spec) readSelector(se *translate.ServiceEntry) {
	if s.WorkloadSelector == nil {
		return
	}
	labels := s.WorkloadSelector.Labels
	host, ours := labels[translate.LabelHost]
	if ours {
		se.Mode = translate.WorkloadEntries
	}
	if ours && len(labels) == 1 && len(s.Endpoints) == 0 {
		se.Selector = host
		return
	}
	for _, l := range sortedLabels(labels) {
		se.Selector += l.Key + "=" + l.Value + ","
	}
	se.Selector += strconv.Itoa(len(s.Endpoints)) + " endpoints"
}

func share(e, previous *translate.Endpoint) {
	if slices.Equal(e.Labels, previous.Labels) {
		e.Labels = previous.Labels
	}
	if slices.Equal(e.Ports, previous.Ports) {
		e.Ports = previous.Ports
	}
	if e.Locality == previous.Locality {
		e.Locality = previous.Locality
	}
}

func sortedPorts(m map[string]uint32) []translate.EndpointPort {
	if len(m) == 0 {
		return nil
	}
	ports := make([]translate.EndpointPort, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		ports = append(ports, translate.EndpointPort{Name: name, Number: m[name]})
	}
	return ports
}

func sortedLabels(m map[string]string) []translate.Label {
	if len(m) == 0 {
		return nil
	}
	labels := make([]translate.Label, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		labels = append(labels, translate.Label{Key: key, Value: m[key]})
	}
	return labels
}
