package pods

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// What Istio's injector leaves on a pod. Istiod itself goes by the label, which the injector sets for a sidecar, native ones included, and
// not for gRPC without a proxy, which has the annotation too.
const (
	labelTLSMode        = "security.istio.io/tlsMode"
	tlsModeIstio        = "istio"
	annotationStatus    = "sidecar.istio.io/status"
	annotationTemplates = "inject.istio.io/templates"
)

// pod is what is kept of a pod that has, or may soon have, an address of its own.
type pod struct {
	name types.NamespacedName
	// addresses are canonical; a pod without any is kept for Example.
	addresses      []string
	node, identity string
	// created is in Unix seconds; leaving says that the pod is being deleted.
	created          int64
	leaving, sidecar bool
}

// readPod cuts a pod down, to nil when nothing of it matters: it has ended, or its address is its node's.
//
// A pod without a sidecar matters because it may have the address that one with a sidecar had: only its addresses and its age are kept.
func readPod(from *corev1.Pod, trustDomain string) *pod {
	ended := from.Status.Phase == corev1.PodSucceeded || from.Status.Phase == corev1.PodFailed
	if ended || from.Spec.HostNetwork {
		return nil
	}
	p := &pod{
		name:    types.NamespacedName{Namespace: strings.Clone(from.Namespace), Name: strings.Clone(from.Name)},
		created: from.CreationTimestamp.Unix(), leaving: from.DeletionTimestamp != nil, sidecar: hasSidecar(from),
	}
	for _, ip := range from.Status.PodIPs {
		p.add(ip.IP)
	}
	p.add(from.Status.PodIP)
	if p.sidecar {
		account := cmp.Or(from.Spec.ServiceAccountName, "default")
		p.identity = "spiffe://" + trustDomain + "/ns/" + from.Namespace + "/sa/" + account
		p.node = strings.Clone(from.Spec.NodeName)
	} else if len(p.addresses) == 0 {
		return nil
	}
	return p
}

func (p *pod) add(text string) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return
	}
	if address := addr.Unmap().String(); !slices.Contains(p.addresses, address) {
		p.addresses = append(p.addresses, address)
	}
}

// hasSidecar reports whether a pod speaks the mesh's mutual TLS.
func hasSidecar(from *corev1.Pod) bool {
	if mode, says := from.Labels[labelTLSMode]; says {
		return mode == tlsModeIstio
	}
	return from.Annotations[annotationStatus] != "" && !strings.Contains(from.Annotations[annotationTemplates], "grpc-")
}

// equal reports whether both say the same; nil says nothing.
func (p *pod) equal(o *pod) bool {
	if p == nil || o == nil {
		return p == o
	}
	return p.node == o.node && p.identity == o.identity && p.created == o.created && p.leaving == o.leaving && p.sidecar == o.sidecar &&
		slices.Equal(p.addresses, o.addresses)
}

// compare orders pods that say they have one address: the last one has it.
func (p *pod) compare(o *pod) int {
	stays := func(p *pod) int {
		if p.leaving {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(stays(p), stays(o)), cmp.Compare(p.created, o.created), strings.Compare(p.name.String(), o.name.String()))
}

// readNode returns the locality of a node, as istiod reads it.
func readNode(from *metav1.PartialObjectMetadata) string {
	return translate.NewLocality(from.Labels[corev1.LabelTopologyRegion], from.Labels[corev1.LabelTopologyZone], from.Labels["topology.istio.io/subzone"])
}
