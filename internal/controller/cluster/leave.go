package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

const (
	// leaveReason is what the status of Registries says meanwhile.
	leaveReason = "the bridge is being uninstalled; what is published stays"
	// leaveInterval is how often Leave looks. A bridge that is running sees the ConfigMap well before the second look, and sets no
	// finalizer from then on.
	leaveInterval = time.Second
)

// ErrNotLeft says that Registries still have the finalizer.
var ErrNotLeft = errors.New("some Registries still have the finalizer of the bridge")

// LeaveOptions say which installation leaves.
type LeaveOptions struct {
	// Client reads and writes without a cache; see NewClient.
	Client client.Client
	// Namespace, Name and Namespaces are those of Options.
	Namespace, Name string
	Namespaces      []string
	// ServiceAccount is that of the installation. The ConfigMap goes with it, so that it does not stop what is installed later. It has none
	// when this is empty, or when there is no such ServiceAccount.
	ServiceAccount string
	// Patience is how long the bridge has to take its finalizers away, before Leave does it.
	Patience time.Duration
	Logger   *slog.Logger
}

// NewClient returns a client without a cache for the kinds that an installation consists of. It does no I/O yet.
func NewClient(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("set the client up: %w", err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("set the connection to the API server up: %w", err)
	}
	return c, nil
}

// Leave tells an installation through its ConfigMap that it is being uninstalled, and returns when no Registry has its finalizer any more.
// Nothing that is published is changed. It returns ErrNotLeft when ctx ends before.
func Leave(ctx context.Context, o LeaveOptions) error {
	if err := announce(ctx, &o); err != nil {
		return err
	}
	begin := time.Now()
	ticker := time.NewTicker(leaveInterval)
	defer ticker.Stop()
	var last error
	// A reconciliation that was under way when the ConfigMap was written may still set a finalizer: one look without any is not enough.
	for quiet := 0; quiet < 2; {
		held, err := held(ctx, &o)
		switch {
		case err == nil && len(held) == 0:
			quiet++
			last = nil
		case err == nil:
			quiet, last = 0, fmt.Errorf("%w, e.g. %s/%s", ErrNotLeft, held[0].Namespace, held[0].Name)
			if time.Since(begin) >= o.Patience {
				last = errors.Join(last, letGo(ctx, &o, held))
			}
		default:
			quiet, last = 0, err
		}
		select {
		case <-ctx.Done():
			return errors.Join(last, context.Cause(ctx))
		case <-ticker.C:
		}
	}
	return nil
}

// announce writes the ConfigMap.
func announce(ctx context.Context, o *LeaveOptions) error {
	m := WriteFreeze(o.Namespace, o.Name, &Freeze{Reason: leaveReason, Since: time.Now(), Leaving: true})
	if o.ServiceAccount != "" {
		owner := &corev1.ServiceAccount{}
		err := o.Client.Get(ctx, types.NamespacedName{Namespace: o.Namespace, Name: o.ServiceAccount}, owner)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("read ServiceAccount %s/%s: %w", o.Namespace, o.ServiceAccount, err)
		}
		if err == nil {
			m.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ServiceAccount", Name: owner.Name, UID: owner.UID}}
		}
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(m)
	if err != nil {
		return fmt.Errorf("encode the ConfigMap: %w", err)
	}
	unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")
	apply := client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: fields})
	if err := o.Client.Apply(ctx, apply, client.FieldOwner(FieldManager), client.ForceOwnership); err != nil {
		return fmt.Errorf("write ConfigMap %s/%s: %w", m.Namespace, m.Name, err)
	}
	o.Logger.Info("the bridge is told that it is being uninstalled", "namespace", m.Namespace, "configmap", m.Name)
	return nil
}

// held returns the Registries that have the finalizer.
func held(ctx context.Context, o *LeaveOptions) ([]*v1alpha1.Registry, error) {
	namespaces := o.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	var held []*v1alpha1.Registry
	for _, namespace := range namespaces {
		var list v1alpha1.RegistryList
		err := o.Client.List(ctx, &list, client.InNamespace(namespace))
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return nil, nil // The definition is gone, and all Registries with it.
		}
		if err != nil {
			return nil, fmt.Errorf("list the Registries: %w", err)
		}
		for i := range list.Items {
			if controllerutil.ContainsFinalizer(&list.Items[i], Finalizer) {
				held = append(held, &list.Items[i])
			}
		}
	}
	return held, nil
}

// letGo takes the finalizer from Registries in the place of a bridge that does not.
func letGo(ctx context.Context, o *LeaveOptions, held []*v1alpha1.Registry) error {
	var errs []error
	for _, r := range held {
		o.Logger.Warn("the bridge has not taken its finalizer from a Registry; it is taken now", "namespace", r.Namespace, "registry", r.Name)
		errs = append(errs, setFinalizer(ctx, o.Client, r, false))
	}
	return errors.Join(errs...)
}
