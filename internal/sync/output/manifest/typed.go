package manifest

import (
	"slices"

	networkingv1alpha3 "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Render renders a ServiceEntry for typed clients.
func Render(o *translate.Object) *networkingv1.ServiceEntry {
	d := newDocument(o)
	se := &networkingv1.ServiceEntry{
		TypeMeta: metav1.TypeMeta{APIVersion: d.APIVersion, Kind: d.Kind}, ObjectMeta: d.Metadata.objectMeta(),
	}
	s := &se.Spec
	s.Hosts, s.Addresses, s.ExportTo = d.Spec.Hosts, slices.Clone(d.Spec.Addresses), slices.Clone(d.Spec.ExportTo)
	s.SubjectAltNames = slices.Clone(d.Spec.SubjectAltNames)
	s.Location = networkingv1alpha3.ServiceEntry_Location(networkingv1alpha3.ServiceEntry_Location_value[d.Spec.Location])
	s.Resolution = networkingv1alpha3.ServiceEntry_Resolution(networkingv1alpha3.ServiceEntry_Resolution_value[d.Spec.Resolution])
	for _, p := range d.Spec.Ports {
		s.Ports = append(s.Ports, &networkingv1alpha3.ServicePort{Name: p.Name, Number: p.Number, Protocol: p.Protocol})
	}
	if d.Spec.WorkloadSelector != nil {
		s.WorkloadSelector = &networkingv1alpha3.WorkloadSelector{Labels: d.Spec.WorkloadSelector.Labels}
	}
	for _, e := range d.Spec.Endpoints {
		s.Endpoints = append(s.Endpoints, &networkingv1alpha3.WorkloadEntry{
			Address: e.Address, Ports: e.Ports, Labels: e.Labels, Network: e.Network, Locality: e.Locality, Weight: e.Weight,
		})
	}
	return se
}

// RenderWorkload renders a WorkloadEntry for typed clients.
func RenderWorkload(o *translate.Object) *networkingv1.WorkloadEntry {
	d := newWorkloadDocument(o)
	we := &networkingv1.WorkloadEntry{
		TypeMeta: metav1.TypeMeta{APIVersion: d.APIVersion, Kind: d.Kind}, ObjectMeta: d.Metadata.objectMeta(),
	}
	s, e := &we.Spec, &d.Spec
	s.Address, s.Ports, s.Labels, s.Network, s.Locality, s.Weight = e.Address, e.Ports, e.Labels, e.Network, e.Locality, e.Weight
	return we
}

func (m *metadata) objectMeta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, Labels: m.Labels, Annotations: m.Annotations}
}
