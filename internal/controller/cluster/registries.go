package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

// Finalizer keeps a Registry with deletionPolicy Delete until everything that it published is gone. No other Registry gets it, so that a
// bridge that is not running keeps none in Terminating that has nothing to wait for.
const Finalizer = v1alpha1.Group + "/cleanup"

// Registry is a Registry as it was last seen, and as it is in use.
type Registry struct {
	// Seen is the object as it is in the API server.
	Seen *v1alpha1.Registry
	// Mistakes are what is wrong with the spec; the last good one is in use as long as there are any.
	Mistakes field.ErrorList
	// InUse is the spec in use, with its defaults; nil when there has been no valid one since this process leads.
	InUse *v1alpha1.Registry
}

// Set is what the reconciler last made the configuration. It is immutable.
type Set struct {
	// Registries are sorted by namespace and name.
	Registries []Registry
	// Freeze is why nothing is written at all, nil when it may be.
	Freeze *Freeze
	// Loaded is when it was made.
	Loaded time.Time
}

// Registries reads all Registries at each change of one, and hands those that are valid on. It is a reconcile.Reconciler for one request
// only, which stands for all of them: what is in use is decided over all Registries anyway.
type Registries struct {
	// Client reads from the cache and writes finalizers.
	Client client.Client
	// Apply gets the Registries in use and whether writing is frozen.
	Apply func(ctx context.Context, registries []v1alpha1.Registry, frozen bool)
	// FreezeName is the ConfigMap that freezes.
	FreezeName types.NamespacedName
	// Logger gets a line for each Registry that has a mistake, once.
	Logger *slog.Logger

	mu  sync.Mutex
	set Set
}

var _ reconcile.Reconciler = (*Registries)(nil)

// Set returns what was last handed on.
func (r *Registries) Set() Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set
}

// Reconcile implements reconcile.Reconciler.
func (r *Registries) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	set, err := r.read(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	r.mu.Lock()
	r.set = set
	r.mu.Unlock()
	var inUse []v1alpha1.Registry
	for i := range set.Registries {
		if r := set.Registries[i].InUse; r != nil {
			inUse = append(inUse, *r)
		}
	}
	r.Apply(ctx, inUse, set.Freeze != nil)
	return reconcile.Result{}, r.finalizers(ctx, &set)
}

// read reads everything. A Registry that is not valid keeps its last good spec.
func (r *Registries) read(ctx context.Context) (Set, error) {
	var list v1alpha1.RegistryList
	if err := r.Client.List(ctx, &list); err != nil {
		return Set{}, fmt.Errorf("list the Registries: %w", err)
	}
	freeze, err := r.freeze(ctx)
	if err != nil {
		return Set{}, err
	}
	last := map[types.UID]Registry{}
	for _, known := range r.Set().Registries {
		last[known.Seen.UID] = known
	}
	set := Set{Freeze: freeze, Loaded: time.Now()}
	for i := range list.Items {
		seen := &list.Items[i]
		set.Registries = append(set.Registries, r.judge(seen, last[seen.UID]))
	}
	slices.SortFunc(set.Registries, func(a, b Registry) int {
		return cmp.Or(cmp.Compare(a.Seen.Namespace, b.Seen.Namespace), cmp.Compare(a.Seen.Name, b.Seen.Name))
	})
	return set, nil
}

// judge decides what of a Registry is used.
func (r *Registries) judge(seen *v1alpha1.Registry, last Registry) Registry {
	filled := seen.DeepCopy()
	filled.APIVersion, filled.Kind = v1alpha1.APIVersion, v1alpha1.KindRegistry // Clients may leave it out.
	v1alpha1.Default(filled)
	mistakes := v1alpha1.Validate(filled)
	if len(mistakes) == 0 {
		return Registry{Seen: seen, InUse: filled}
	}
	if last.Seen == nil || last.Seen.Generation != seen.Generation {
		r.Logger.Error("a Registry has mistakes; what was last good of it stays in use",
			"namespace", seen.Namespace, "registry", seen.Name, "generation", seen.Generation, "mistakes", mistakes.ToAggregate())
	}
	if last.InUse == nil && seen.DeletionTimestamp == nil {
		return Registry{Seen: seen, Mistakes: mistakes}
	}
	if last.InUse == nil {
		// It is not read any more, so what is wrong with how does not matter. What it once published still goes by its policy.
		last.InUse = &v1alpha1.Registry{ObjectMeta: *seen.ObjectMeta.DeepCopy()}
		last.InUse.Spec.DeletionPolicy = seen.Spec.DeletionPolicy
		v1alpha1.Default(last.InUse)
	}
	kept := last.InUse.DeepCopy()
	// Going away, and releasing holds, need no valid spec.
	kept.DeletionTimestamp, kept.Annotations = seen.DeletionTimestamp, maps.Clone(seen.Annotations)
	return Registry{Seen: seen, Mistakes: mistakes, InUse: kept}
}

// finalizers gives those Registries the finalizer that need it, and takes it from those that do not need it any more; from all when the
// bridge is leaving. That of a Registry that is going is the business of Statuses otherwise.
func (r *Registries) finalizers(ctx context.Context, set *Set) error {
	leaving := set.Freeze != nil && set.Freeze.Leaving
	var errs []error
	for i := range set.Registries {
		seen := set.Registries[i].Seen
		has, going := controllerutil.ContainsFinalizer(seen, Finalizer), seen.DeletionTimestamp != nil
		wanted := seen.Spec.DeletionPolicy == v1alpha1.DeletionDelete && !leaving && (has || !going)
		if has != wanted {
			errs = append(errs, setFinalizer(ctx, r.Client, seen, wanted))
		}
	}
	return errors.Join(errs...)
}

// setFinalizer writes the finalizers of a Registry, unless somebody else has changed it meanwhile.
func setFinalizer(ctx context.Context, c client.Client, seen *v1alpha1.Registry, wanted bool) error {
	changed := seen.DeepCopy()
	if wanted {
		controllerutil.AddFinalizer(changed, Finalizer)
	} else {
		controllerutil.RemoveFinalizer(changed, Finalizer)
	}
	patch := client.MergeFromWithOptions(seen, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(c.Patch(ctx, changed, patch, client.FieldOwner(FieldManager))); err != nil {
		return fmt.Errorf("write the finalizers of Registry %s/%s: %w", seen.Namespace, seen.Name, err)
	}
	return nil
}

// freeze reads the ConfigMap that freezes.
func (r *Registries) freeze(ctx context.Context) (*Freeze, error) {
	m := &corev1.ConfigMap{}
	m.Data = map[string]string{freezeFrozen: "false"} // That is what a ConfigMap that is not there says.
	if err := client.IgnoreNotFound(r.Client.Get(ctx, r.FreezeName, m)); err != nil {
		return nil, fmt.Errorf("read ConfigMap %s: %w", r.FreezeName, err)
	}
	return ReadFreeze(m), nil
}
