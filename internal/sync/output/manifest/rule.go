package manifest

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

type ruleSpec struct {
	Host    string   `json:"host,omitempty"`
	Subsets []subset `json:"subsets,omitempty"`
}

type subset struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
}

func newRuleDocument(o *translate.Object) *document[ruleSpec] {
	d := &document[ruleSpec]{APIVersion: APIVersion, Kind: string(o.Key.Kind), Metadata: newMetadata(o)}
	if added := addedLabels(o.Labels); added != "" {
		d.Metadata.annotate(translate.AnnotationLabels, added)
	}
	d.Spec.Host = o.DestinationRule.Host
	for _, s := range o.DestinationRule.Subsets {
		labels := make(map[string]string, len(s.Labels))
		for _, l := range s.Labels {
			labels[l.Key] = l.Value
		}
		d.Spec.Subsets = append(d.Spec.Subsets, subset{s.Name, labels})
	}
	return d
}

func parseRule(m map[string]any) (*translate.Object, error) {
	var d document[ruleSpec]
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &d); err != nil {
		return nil, fmt.Errorf("parse manifest: %w", err)
	}
	rule := &translate.DestinationRule{Host: d.Spec.Host}
	for _, s := range d.Spec.Subsets {
		rule.Subsets = append(rule.Subsets, translate.Subset{Name: s.Name, Labels: sortedLabels(s.Labels)})
	}
	return &translate.Object{
		Key:             d.Metadata.key(translate.KindDestinationRule),
		Labels:          pick(d.Metadata.Labels, ownLabels(d.Metadata.Annotations)),
		Annotations:     pick(d.Metadata.Annotations, ownAnnotations(translate.KindDestinationRule)),
		DestinationRule: rule,
	}, nil
}
