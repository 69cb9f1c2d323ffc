package installation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// lookInterval is how often a command looks whether what it asked for has happened.
const lookInterval = 200 * time.Millisecond

// Freeze stops every write of the bridge, until Unfreeze. One that is frozen already stays so since when it was, and gets the reason when
// there is one. It returns what is in force afterwards.
func (b *Bridge) Freeze(ctx context.Context, why string, now time.Time) (*cluster.Freeze, error) {
	freeze := &cluster.Freeze{Reason: why, Since: now, By: whoami(ctx, b.Client)}
	err := b.change(ctx, func(m *corev1.ConfigMap) {
		next := *freeze
		if m.ResourceVersion != "" {
			if last := cluster.ReadFreeze(m); last != nil {
				next.Leaving = last.Leaving
				if !last.Since.IsZero() {
					next.Since = last.Since
				}
				if why == "" {
					next.Reason, next.By = last.Reason, last.By
				}
			}
		}
		m.Data = cluster.WriteFreeze(b.Namespace, b.Name, &next).Data
		*freeze = next
	})
	return freeze, err
}

// Unfreeze lets the bridge write again. It returns what was in force, nil when nothing was.
func (b *Bridge) Unfreeze(ctx context.Context) (*cluster.Freeze, error) {
	var last *cluster.Freeze
	err := b.change(ctx, func(m *corev1.ConfigMap) {
		if m.ResourceVersion != "" {
			last = cluster.ReadFreeze(m)
		}
		m.Data = cluster.WriteFreeze(b.Namespace, b.Name, nil).Data
	})
	return last, err
}

// change writes the ConfigMap that freezes. It replaces all of its data: no key of an earlier writer, such as that of an uninstallation
// that was given up, comes back into force by that.
func (b *Bridge) change(ctx context.Context, edit func(*corev1.ConfigMap)) error {
	key := client.ObjectKey{Namespace: b.Namespace, Name: b.Name + cluster.FreezeSuffix}
	again := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	err := retry.OnError(retry.DefaultRetry, again, func() error {
		m := &corev1.ConfigMap{}
		err := b.Client.Get(ctx, key, m)
		if apierrors.IsNotFound(err) {
			m = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
			edit(m)
			return b.Client.Create(ctx, m, client.FieldOwner(FieldManager))
		}
		if err != nil {
			return err
		}
		edit(m)
		return b.Client.Update(ctx, m, client.FieldOwner(FieldManager))
	})
	if err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", key, err)
	}
	return nil
}

// ErrUnconfirmed says that the bridge has not confirmed a change in time. The change itself is written.
var ErrUnconfirmed = errors.New("the bridge has not confirmed it yet")

// AwaitFrozen waits until the status of every Registry in these namespaces (all when there is none) says that the bridge is frozen, or that
// it is not. It returns the number of Registries that say so; ErrUnconfirmed with those that do not when ctx ends before. A Registry that is
// not Ready has something more urgent to say, and is not waited for: nothing is written for it either.
func (b *Bridge) AwaitFrozen(ctx context.Context, frozen bool, namespaces []string) (int, error) {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		confirmed, missing, err := b.confirm(ctx, frozen, namespaces)
		if err != nil && ctx.Err() == nil {
			return 0, err
		}
		if err == nil && len(missing) == 0 {
			return confirmed, nil
		}
		select {
		case <-ctx.Done():
			return confirmed, fmt.Errorf("%w: %s", ErrUnconfirmed, sample(missing))
		case <-ticker.C:
		}
	}
}

// confirm counts the Registries that say what they should, and names the others.
func (b *Bridge) confirm(ctx context.Context, frozen bool, namespaces []string) (confirmed int, missing []string, err error) {
	registries, err := b.registries(ctx, namespaces)
	if err != nil {
		return 0, nil, err
	}
	for i := range registries {
		ready := meta.FindStatusCondition(registries[i].Status.Conditions, v1alpha1.ConditionReady)
		switch {
		case ready == nil || ready.Status != metav1.ConditionTrue:
		case (ready.Reason == string(reason.Frozen)) == frozen:
			confirmed++
		default:
			missing = append(missing, fmt.Sprintf("Registry %s/%s says %s", registries[i].Namespace, registries[i].Name, ready.Reason))
		}
	}
	return confirmed, missing, nil
}

// registries lists the Registries of these namespaces, of all when there is none.
func (b *Bridge) registries(ctx context.Context, namespaces []string) ([]v1alpha1.Registry, error) {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	var all []v1alpha1.Registry
	for _, namespace := range slices.Compact(slices.Sorted(slices.Values(namespaces))) {
		var list v1alpha1.RegistryList
		if err := b.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("list the Registries: %w", err)
		}
		all = append(all, list.Items...)
	}
	return all, nil
}

// maxSample is how many things a message names.
const maxSample = 3

// sample names the first of a list.
func sample(list []string) string {
	text := strings.Join(list[:min(len(list), maxSample)], "; ")
	if more := len(list) - maxSample; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}
