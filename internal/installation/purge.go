package installation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// istioGroup is the API group of what the bridge publishes.
const istioGroup = "networking.istio.io"

// Published is an object that a bridge has published, as far as a purge looks at it.
type Published struct {
	Object *metav1.PartialObjectMetadata
	// Registry is the Registry that published it; its name is empty when the object does not say.
	Registry types.NamespacedName
}

// String renders "ServiceEntry namespace/name".
func (p *Published) String() string {
	return p.Object.Kind + " " + p.Object.Namespace + "/" + p.Object.Name
}

// Instances returns the ids of the bridges that have published something in these namespaces, in all when there is none.
func Instances(ctx context.Context, c client.Client, namespaces []string) ([]string, error) {
	objects, err := lister{c, client.MatchingLabels{translate.LabelManagedBy: translate.ManagedBy}}.list(ctx, namespaces)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, p := range objects {
		if id := p.Object.Labels[translate.LabelInstance]; id != "" {
			ids[id] = true
		}
	}
	return slices.Sorted(maps.Keys(ids)), nil
}

// Everything returns what the bridge with an instance id has published in these namespaces (all when there is none), in the order in which
// it can be deleted: WorkloadEntries, ServiceEntries, DestinationRules, EnvoyFilters.
func Everything(ctx context.Context, c client.Client, instance string, namespaces []string) ([]Published, error) {
	labels := client.MatchingLabels{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: instance}
	return lister{c, labels}.list(ctx, namespaces)
}

// lister lists what has these labels.
type lister struct {
	client client.Client
	labels client.MatchingLabels
}

func (l lister) list(ctx context.Context, namespaces []string) ([]Published, error) {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	var all []Published
	owners := map[types.NamespacedName]string{} // By the value of the label of the host.
	for _, kind := range translate.Kinds() {
		for _, namespace := range namespaces {
			found, err := l.kind(ctx, kind, namespace)
			if err != nil {
				return nil, err
			}
			for i := range found {
				o := &found[i]
				p := Published{Object: o, Registry: types.NamespacedName{Namespace: o.Namespace, Name: o.Annotations[translate.AnnotationRegistry]}}
				host := types.NamespacedName{Namespace: o.Namespace, Name: cmp.Or(o.Labels[translate.LabelHost], translate.HostLabel(o.Name))}
				switch {
				case kind == translate.KindServiceEntry:
					owners[host] = p.Registry.Name
				case p.Registry.Name == "" && kind == translate.KindWorkloadEntry:
					p.Registry.Name = owners[host]
				}
				all = append(all, p)
			}
		}
	}
	// The Registry of a WorkloadEntry is known from its ServiceEntry, so that goes behind it; and without its table of routes, an entry would
	// get the calls of all others on its port.
	order := []translate.Kind{translate.KindWorkloadEntry, translate.KindServiceEntry, translate.KindDestinationRule, translate.KindEnvoyFilter}
	rank := func(p *Published) int { return slices.Index(order, translate.Kind(p.Object.Kind)) }
	slices.SortStableFunc(all, func(a, b Published) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Name, b.Object.Name))
	})
	return all, nil
}

// kind lists the metadata of one kind, in the version that the API server prefers. A kind that it does not have has no objects.
func (l lister) kind(ctx context.Context, kind translate.Kind, namespace string) ([]metav1.PartialObjectMetadata, error) {
	mapping, err := l.client.RESTMapper().RESTMapping(schema.GroupKind{Group: istioGroup, Kind: string(kind)})
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the version of %s: %w", kind, err)
	}
	found := &metav1.PartialObjectMetadataList{}
	found.SetGroupVersionKind(mapping.GroupVersionKind)
	if err := l.client.List(ctx, found, client.InNamespace(namespace), l.labels); err != nil {
		return nil, fmt.Errorf("list the %s objects: %w", kind, err)
	}
	for i := range found.Items {
		found.Items[i].SetGroupVersionKind(mapping.GroupVersionKind)
	}
	return found.Items, nil
}

// Selection says what a purge is about: exactly one of its fields is set.
type Selection struct {
	Registries []types.NamespacedName
	// Orphans are objects whose Registry is gone. Objects that do not say whose they are, are none; EnvoyFilters are nobody's, and go by
	// themselves when a bridge runs.
	Orphans bool
	All     bool
}

// Select returns those objects that a purge is about. Registries are those that exist.
func (s *Selection) Select(objects []Published, registries []v1alpha1.Registry) []Published {
	exists := map[types.NamespacedName]bool{}
	for i := range registries {
		exists[client.ObjectKeyFromObject(&registries[i])] = true
	}
	var selected []Published
	for _, p := range objects {
		if s.All || s.Orphans && p.Registry.Name != "" && !exists[p.Registry] || slices.Contains(s.Registries, p.Registry) {
			selected = append(selected, p)
		}
	}
	return selected
}

// Publishing returns the Registries that would publish these objects again: those that exist and are not paused or observed.
func Publishing(objects []Published, registries []v1alpha1.Registry) []string {
	names := map[string]bool{}
	for i := range registries {
		r := &registries[i]
		writes := r.DeletionTimestamp == nil && r.Spec.Mode != v1alpha1.ModePaused && r.Spec.Mode != v1alpha1.ModeObserve
		key := client.ObjectKeyFromObject(r)
		if writes && slices.ContainsFunc(objects, func(p Published) bool { return p.Registry == key }) {
			names[key.String()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Registries lists the Registries of these namespaces, all when there is none. Where the kind does not exist there are none.
func Registries(ctx context.Context, c client.Client, namespaces []string) ([]v1alpha1.Registry, error) {
	found, err := (&Bridge{Client: c}).registries(ctx, namespaces)
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return nil, nil
	}
	return found, err
}

// ErrNotPurged says that some objects are still there.
var ErrNotPurged = errors.New("not everything was deleted")

// Purge deletes objects, each only if it is still what was listed. It calls done after each that is gone, goes on when one cannot be
// deleted, and returns ErrNotPurged with the first answers then.
func Purge(ctx context.Context, c client.Client, objects []Published, done func(*Published)) error {
	var left []string
	for i := range objects {
		p := &objects[i]
		err := c.Delete(ctx, p.Object, client.Preconditions{UID: &p.Object.UID, ResourceVersion: &p.Object.ResourceVersion})
		if client.IgnoreNotFound(err) != nil {
			if apierrors.IsConflict(err) {
				err = errors.New("it has changed meanwhile; look at it, and purge again")
			}
			left = append(left, fmt.Sprintf("%s: %v", p, err))
			continue
		}
		done(p)
	}
	if len(left) > 0 {
		return fmt.Errorf("%w (%d of %d are left):\n  %s", ErrNotPurged, len(left), len(objects), strings.Join(left[:min(len(left), 10)], "\n  "))
	}
	return nil
}
