package kube

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// kindService is the kind of a Service, which is never written.
const kindService translate.Kind = "Service"

// annotationExportTo says who sees a Service, as spec.exportTo does for a ServiceEntry.
const annotationExportTo = "networking.istio.io/exportTo"

// read cuts an object down to what is kept of it. It changes u.
func read(u *unstructured.Unstructured, instance string) *item {
	i := newItem(u, translate.Kind(u.GetKind()))
	labels := u.GetLabels()
	if labels[translate.LabelManagedBy] == translate.ManagedBy && labels[translate.LabelInstance] == instance {
		dropForeign(u.Object, i.kind)
		if object, err := manifest.Parse(u.Object); err == nil {
			i.object = object
			i.facts = factsOf(u, i)
			return i
		}
		// The schema of the API server lets nothing else in than what can be parsed; without it, it is somebody else's.
	}
	if i.kind != translate.KindServiceEntry {
		i.facts = factsOf(u, i)
		return i
	}
	hosts, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "hosts")
	exportTo, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "exportTo")
	for n, host := range hosts {
		hosts[n] = strings.ToLower(host)
	}
	i.claim = claim{hosts: hosts, exportTo: exportTo}
	i.facts = factsOf(u, i)
	return i
}

// readService takes from a Service the host that could be mistaken for one of a registry. All its other hosts end with .svc and the
// domain of the cluster, and are never published.
func readService(m metav1.Object) *item {
	i := newItem(m, kindService)
	i.claim.hosts = []string{i.Name + "." + i.Namespace}
	if exportTo := m.GetAnnotations()[annotationExportTo]; exportTo != "" {
		for to := range strings.SplitSeq(exportTo, ",") {
			i.claim.exportTo = append(i.claim.exportTo, strings.TrimSpace(to))
		}
	}
	if u, ok := m.(*unstructured.Unstructured); ok {
		i.facts = factsOf(u, i)
	}
	return i
}

func newItem(m metav1.Object, kind translate.Kind) *item {
	return &item{kind: kind, ObjectMeta: metav1.ObjectMeta{
		Namespace: m.GetNamespace(), Name: m.GetName(), UID: m.GetUID(), ResourceVersion: m.GetResourceVersion(),
	}}
}

// dropForeign removes from an object of ours what somebody else added, as the API server notes it in managedFields: ports and list
// fields that are not always set. Labels and annotations of others are left out by manifest.Parse; fields that we always set show as they
// are, whoever set them last. An object of which nothing is noted as ours (a restored backup) is left whole: the next write makes it ours.
func dropForeign(object map[string]any, kind translate.Kind) {
	owned := ownedFields(object)
	spec, _ := object["spec"].(map[string]any)
	if owned == nil || spec == nil || kind == translate.KindEnvoyFilter || kind == translate.KindDestinationRule {
		return // Of the last two, what is ours is ours as a whole.
	}
	fields := []string{"addresses", "exportTo"}
	if kind == translate.KindWorkloadEntry {
		fields = []string{"network", "locality", "weight"}
	}
	for _, field := range fields {
		if !owns(owned, "f:spec", "f:"+field) {
			delete(spec, field)
		}
	}
	if kind == translate.KindWorkloadEntry {
		for _, field := range []string{"labels", "ports"} {
			entries, _ := spec[field].(map[string]any)
			maps.DeleteFunc(entries, func(key string, _ any) bool { return !owns(owned, "f:spec", "f:"+field, "f:"+key) })
		}
		return
	}
	ports, _ := spec["ports"].([]any)
	spec["ports"] = slices.DeleteFunc(ports, func(port any) bool {
		p, _ := port.(map[string]any)
		key, err := json.Marshal(map[string]any{"name": p["name"]})
		return err == nil && !owns(owned, "f:spec", "f:ports", "k:"+string(key))
	})
}

// ownedFields returns the fields that the API server notes as ours, nil for none.
func ownedFields(object map[string]any) map[string]any {
	var owned map[string]any
	metadata, _ := object["metadata"].(map[string]any)
	entries, _ := metadata["managedFields"].([]any)
	for _, entry := range entries {
		e, _ := entry.(map[string]any)
		if e["manager"] != FieldManager || e["subresource"] != nil {
			continue
		}
		if fields, ok := e["fieldsV1"].(map[string]any); ok {
			owned = fields
		}
	}
	return owned
}

// owns reports whether a path is among owned fields. A field without anything below it is owned as a whole.
func owns(owned map[string]any, path ...string) bool {
	for _, step := range path {
		below, ok := owned[step].(map[string]any)
		if !ok {
			return false
		}
		if len(below) == 0 {
			return true
		}
		owned = below
	}
	return true
}

// equal reports whether two objects say the same in the output.
func equal(a, b *translate.Object) bool { return plan.Satisfies(a, b) && plan.Satisfies(b, a) }
