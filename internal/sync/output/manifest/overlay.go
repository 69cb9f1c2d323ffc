package manifest

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Overlay returns existing with everything that is ours replaced by o, and everything that is somebody else's kept: labels,
// annotations, fields of metadata and spec that we do not set, and what was added to a port that keeps its name. Endpoints are ours
// as a whole. Existing is not changed, but the result shares with it.
func Overlay(existing map[string]any, o *translate.Object) (map[string]any, error) {
	ours, err := Map(o)
	if err != nil {
		return nil, err
	}
	live, err := Parse(existing)
	if err != nil {
		return nil, fmt.Errorf("overlay %s: %w", o.Key, err)
	}
	result := maps.Clone(existing)
	result["apiVersion"], result["kind"] = ours["apiVersion"], ours["kind"]

	meta, oldMeta := child(ours, "metadata"), child(existing, "metadata")
	newMeta := maps.Clone(oldMeta)
	newMeta["name"] = meta["name"]
	replace(newMeta, meta, []string{"namespace"})
	newMeta["labels"] = overlayKeys(child(oldMeta, "labels"), child(meta, "labels"), maps.Keys(live.Labels))
	newMeta["annotations"] = overlayKeys(child(oldMeta, "annotations"), child(meta, "annotations"),
		slices.Values(append(ownAnnotations(o.Key.Kind), translate.AnnotationLabels, translate.AnnotationIdentities)))
	for _, field := range []string{"labels", "annotations"} {
		if len(child(newMeta, field)) == 0 {
			delete(newMeta, field)
		}
	}
	result["metadata"] = newMeta

	spec, oldSpec := child(ours, "spec"), child(existing, "spec")
	newSpec := maps.Clone(oldSpec)
	if o.Key.Kind == translate.KindEnvoyFilter {
		newSpec = map[string]any{} // Whatever was added to it, a selector above all, changes what it does.
	}
	replace(newSpec, spec, specFields(o.Key.Kind))
	if o.Key.Kind == translate.KindServiceEntry {
		if len(live.ServiceEntry.SubjectAltNames) > 0 || len(o.ServiceEntry.SubjectAltNames) > 0 {
			replace(newSpec, spec, []string{"subjectAltNames"})
		}
		keepPortFields(newSpec, oldSpec)
	}
	result["spec"] = newSpec
	return result, nil
}

// specFields are the fields of a spec that are ours.
func specFields(kind translate.Kind) []string {
	switch kind {
	case translate.KindWorkloadEntry:
		return []string{"address", "ports", "labels", "network", "locality", "weight"}
	case translate.KindDestinationRule:
		return []string{"host", "subsets"}
	case translate.KindEnvoyFilter:
		return []string{"priority", "configPatches"}
	}
	return []string{"hosts", "addresses", "ports", "location", "resolution", "endpoints", "workloadSelector", "exportTo"}
}

// child returns the map at key, empty when there is none.
func child(m map[string]any, key string) map[string]any {
	if c, ok := m[key].(map[string]any); ok {
		return c
	}
	return map[string]any{}
}

// replace gives to the fields of m the values that they have in ours, and removes those that ours lacks.
func replace(m, ours map[string]any, fields []string) {
	for _, field := range fields {
		if value, ok := ours[field]; ok {
			m[field] = value
		} else {
			delete(m, field)
		}
	}
}

// overlayKeys returns old without the keys that were ours, and with those that are.
func overlayKeys(old, ours map[string]any, were iter.Seq[string]) map[string]any {
	m := maps.Clone(old)
	for key := range were {
		delete(m, key)
	}
	maps.Copy(m, ours)
	return m
}

// keepPortFields copies into the ports of spec what ports of the same name had in old and we do not set, such as targetPort.
func keepPortFields(spec, old map[string]any) {
	oldPorts, _ := old["ports"].([]any)
	byName := make(map[any]map[string]any, len(oldPorts))
	for _, p := range oldPorts {
		if p, ok := p.(map[string]any); ok {
			byName[p["name"]] = p
		}
	}
	ports, _ := spec["ports"].([]any)
	for _, p := range ports {
		if p, ok := p.(map[string]any); ok {
			for field, value := range byName[p["name"]] {
				if _, set := p[field]; !set {
					p[field] = value
				}
			}
		}
	}
}
