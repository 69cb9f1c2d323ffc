package manifest

import (
	"cmp"
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// newWorkloadDocument renders a WorkloadEntry. The label of its host stands in the spec, where the API wants the labels of a workload, and
// in the metadata, whose labels istiod prefers: there nobody can override it unseen, and kubectl can select by it.
func newWorkloadDocument(o *translate.Object) *document[endpoint] {
	d := &document[endpoint]{
		APIVersion: APIVersion, Kind: string(o.Key.Kind), Metadata: newMetadata(o), Spec: newEndpoint(&o.WorkloadEntry.Endpoint),
	}
	if d.Spec.Labels == nil {
		d.Spec.Labels = map[string]string{}
	}
	d.Spec.Labels[translate.LabelHost] = translate.HostLabel(o.WorkloadEntry.Host)
	return d
}

// parseWorkload reads a WorkloadEntry. Its endpoint does not show the label of the host, unless that is not what it should be.
func parseWorkload(m map[string]any) (*translate.Object, error) {
	var d document[endpoint]
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &d); err != nil {
		return nil, fmt.Errorf("parse manifest: %w", err)
	}
	label := d.Spec.Labels[translate.LabelHost]
	host := cmp.Or(
		d.Metadata.Annotations[translate.AnnotationHost], hostOfName(d.Metadata.Name), d.Metadata.Labels[translate.LabelHost], label,
	)
	if label == translate.HostLabel(host) {
		delete(d.Spec.Labels, translate.LabelHost)
	} else {
		if d.Spec.Labels == nil {
			d.Spec.Labels = map[string]string{}
		}
		d.Spec.Labels[translate.LabelHost] = label
	}
	return &translate.Object{
		Key:           d.Metadata.key(translate.KindWorkloadEntry),
		Labels:        pick(d.Metadata.Labels, workloadLabels()),
		Annotations:   pick(d.Metadata.Annotations, ownAnnotations(translate.KindWorkloadEntry)),
		WorkloadEntry: &translate.WorkloadEntry{Host: host, Endpoint: d.Spec.endpoint()},
	}, nil
}

// workloadLabels are the labels of a WorkloadEntry's metadata that are ours.
func workloadLabels() []string {
	return []string{translate.LabelManagedBy, translate.LabelInstance, translate.LabelHost}
}

// identity matches the end of the name of a WorkloadEntry (translate.WorkloadName).
var identity = regexp.MustCompile(`-[0-9a-f]{16}$`)

// hostOfName returns the host in the name of a WorkloadEntry, which nobody can edit. Annotations are asked before, because a name has only
// the beginning of a very long host.
func hostOfName(name string) string {
	if at := identity.FindStringIndex(name); at != nil {
		return name[:at[0]]
	}
	return ""
}
