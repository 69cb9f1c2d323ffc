// Package manifest converts objects to and from the form that Kubernetes and istiod read: a networking.istio.io/v1 ServiceEntry, as
// typed value, unstructured map or YAML. Nothing volatile is ever rendered (no status, no timestamps), so the same object gives the
// same bytes, and reading back what was rendered gives the same object.
package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1alpha3 "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// APIVersion is the version in which ServiceEntries are rendered. Any version of the group is read: their specs are equal.
const APIVersion = group + "/v1"

const group = "networking.istio.io"

// document has the fields of a manifest that are ours, and no other.
type document struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
	Spec       spec     `json:"spec"`
}

type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type spec struct {
	Hosts      []string   `json:"hosts,omitempty"`
	Addresses  []string   `json:"addresses,omitempty"`
	Ports      []port     `json:"ports,omitempty"`
	Location   string     `json:"location,omitempty"`
	Resolution string     `json:"resolution,omitempty"`
	Endpoints  []endpoint `json:"endpoints,omitempty"`
	ExportTo   []string   `json:"exportTo,omitempty"`
}

type port struct {
	Number   uint32 `json:"number"`
	Protocol string `json:"protocol,omitempty"`
	Name     string `json:"name"`
}

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
	text, err := yaml.Marshal(newDocument(o))
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", o.Key, err)
	}
	return text, nil
}

// Map renders o as Kubernetes clients hold unstructured objects: integers are int64.
func Map(o *translate.Object) (map[string]any, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(newDocument(o))
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", o.Key, err)
	}
	return m, nil
}

// Render renders o for typed clients.
func Render(o *translate.Object) *networkingv1.ServiceEntry {
	d := newDocument(o)
	se := &networkingv1.ServiceEntry{
		TypeMeta: metav1.TypeMeta{APIVersion: d.APIVersion, Kind: d.Kind},
		ObjectMeta: metav1.ObjectMeta{
			Name: d.Metadata.Name, Namespace: d.Metadata.Namespace, Labels: d.Metadata.Labels, Annotations: d.Metadata.Annotations,
		},
	}
	s := &se.Spec
	s.Hosts, s.Addresses, s.ExportTo = d.Spec.Hosts, slices.Clone(d.Spec.Addresses), slices.Clone(d.Spec.ExportTo)
	s.Location = networkingv1alpha3.ServiceEntry_Location(networkingv1alpha3.ServiceEntry_Location_value[d.Spec.Location])
	s.Resolution = networkingv1alpha3.ServiceEntry_Resolution(networkingv1alpha3.ServiceEntry_Resolution_value[d.Spec.Resolution])
	for _, p := range d.Spec.Ports {
		s.Ports = append(s.Ports, &networkingv1alpha3.ServicePort{Name: p.Name, Number: p.Number, Protocol: p.Protocol})
	}
	for _, e := range d.Spec.Endpoints {
		s.Endpoints = append(s.Endpoints, &networkingv1alpha3.WorkloadEntry{
			Address: e.Address, Ports: e.Ports, Labels: e.Labels, Network: e.Network, Locality: e.Locality, Weight: e.Weight,
		})
	}
	return se
}

func newDocument(o *translate.Object) *document {
	d := &document{
		APIVersion: APIVersion, Kind: string(o.Key.Kind),
		Metadata: metadata{
			Name: o.Key.Name, Namespace: o.Key.Namespace, Labels: maps.Clone(o.Labels), Annotations: maps.Clone(o.Annotations),
		},
	}
	if added := addedLabels(o.Labels); added != "" {
		if d.Metadata.Annotations == nil {
			d.Metadata.Annotations = map[string]string{}
		}
		d.Metadata.Annotations[translate.AnnotationLabels] = added
	}
	if o.ServiceEntry != nil {
		d.Spec = newSpec(o.ServiceEntry)
	}
	return d
}

func newSpec(se *translate.ServiceEntry) spec {
	s := spec{
		Hosts: []string{se.Host}, Addresses: se.Addresses, Location: se.Location, Resolution: se.Resolution, ExportTo: se.ExportTo,
		Ports: make([]port, len(se.Ports)), Endpoints: make([]endpoint, len(se.Endpoints)),
	}
	for i, p := range se.Ports {
		s.Ports[i] = port{Name: p.Name, Number: p.Number, Protocol: string(p.Protocol)}
	}
	for i := range se.Endpoints {
		e := &se.Endpoints[i]
		s.Endpoints[i] = endpoint{Address: e.Address, Network: e.Network, Locality: e.Locality, Weight: e.Weight}
		if len(e.Ports) > 0 {
			ports := make(map[string]uint32, len(e.Ports))
			for _, p := range e.Ports {
				ports[p.Name] = p.Number
			}
			s.Endpoints[i].Ports = ports
		}
		if len(e.Labels) > 0 {
			labels := make(map[string]string, len(e.Labels))
			for _, l := range e.Labels {
				labels[l.Key] = l.Value
			}
			s.Endpoints[i].Labels = labels
		}
	}
	return s
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
var ErrForeign = errors.New("not a ServiceEntry")

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
// we would write. It does not look at the owner; the error wraps ErrForeign for anything but a ServiceEntry.
func Parse(m map[string]any) (*translate.Object, error) {
	version, _ := m["apiVersion"].(string)
	kind, _ := m["kind"].(string)
	if g, _, _ := strings.Cut(version, "/"); g != group || kind != string(translate.KindServiceEntry) {
		return nil, fmt.Errorf("parse manifest of %q, kind %q: %w", version, kind, ErrForeign)
	}
	var d document
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &d); err != nil {
		return nil, fmt.Errorf("parse manifest: %w", err)
	}
	o := &translate.Object{
		Key:          translate.Key{Kind: translate.KindServiceEntry, Namespace: d.Metadata.Namespace, Name: d.Metadata.Name},
		Labels:       pick(d.Metadata.Labels, ownLabels(d.Metadata.Annotations)),
		Annotations:  pick(d.Metadata.Annotations, ownAnnotations()),
		ServiceEntry: d.Spec.serviceEntry(),
	}
	return o, nil
}

func ownLabels(annotations map[string]string) []string {
	own := []string{translate.LabelManagedBy, translate.LabelInstance}
	if added := annotations[translate.AnnotationLabels]; added != "" {
		own = append(own, strings.Split(added, ",")...)
	}
	return own
}

func ownAnnotations() []string {
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
	}
	for _, p := range s.Ports {
		se.Ports = append(se.Ports, translate.ServicePort{Name: p.Name, Number: p.Number, Protocol: translate.Protocol(p.Protocol)})
	}
	slices.SortStableFunc(se.Ports, func(a, b translate.ServicePort) int { return int(a.Number) - int(b.Number) })
	if len(s.Endpoints) > 0 {
		se.Endpoints = make([]translate.Endpoint, len(s.Endpoints))
	}
	for i, e := range s.Endpoints {
		se.Endpoints[i] = translate.Endpoint{
			Address: e.Address, Ports: sortedPorts(e.Ports), Labels: sortedLabels(e.Labels),
			Weight: e.Weight, Locality: e.Locality, Network: e.Network,
		}
		if i > 0 { // Most endpoints of a service are alike; let them share.
			share(&se.Endpoints[i], &se.Endpoints[i-1])
		}
	}
	slices.SortStableFunc(se.Endpoints, func(a, b translate.Endpoint) int { return a.Compare(&b) })
	return se
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
