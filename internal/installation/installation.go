// Package installation is an installed bridge as somebody outside of it sees it: what a person can tell it through the API server, and how
// to ask its leader. It has the rights of whoever uses it, and every change is an ordinary write that the API server checks and audits.
package installation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

// FieldManager is the name under which the API server notes what people write into Registries with the commands.
const FieldManager = "registry-bridge-cli"

var (
	// ErrNone says that there is no installation of that name.
	ErrNone = errors.New("no bridge is installed")
	// ErrSeveral says that there is more than one.
	ErrSeveral = errors.New("several bridges are installed")
)

// Bridge is one installation: the replicas that share a Lease.
type Bridge struct {
	Client client.Client
	// Namespace and Name are those of the Lease.
	Namespace, Name string
}

// NewClient returns a client without a cache for everything that commands look at. It does no I/O yet.
func NewClient(config *rest.Config) (client.Client, error) {
	c, err := client.New(config, client.Options{Scheme: Scheme()})
	if err != nil {
		return nil, fmt.Errorf("set the connection to the API server up: %w", err)
	}
	return c, nil
}

// Scheme returns the kinds that commands look at.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		v1alpha1.AddToScheme, corev1.AddToScheme, coordinationv1.AddToScheme, authenticationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err) // Two kinds of one name: a mistake of this program that every test would meet.
		}
	}
	return scheme
}

// Find returns the installation with a Lease of this name in a namespace. When namespace is empty, it is the only one in the cluster.
// Looking before writing matters: what freezes a bridge that does not exist would look to its author like one that does.
func Find(ctx context.Context, c client.Client, namespace, name string) (*Bridge, error) {
	if namespace != "" {
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &coordinationv1.Lease{})
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("read the Lease %s/%s: %w", namespace, name, err)
		}
		if err != nil {
			return nil, fmt.Errorf("%w as %s/%s: it has no Lease there; see --namespace and --name", ErrNone, namespace, name)
		}
		return &Bridge{Client: c, Namespace: namespace, Name: name}, nil
	}
	var leases coordinationv1.LeaseList
	if err := c.List(ctx, &leases); err != nil {
		return nil, fmt.Errorf("look for Leases named %s (--namespace says where it is): %w", name, err)
	}
	var found []string
	for i := range leases.Items {
		if leases.Items[i].Name == name {
			found = append(found, leases.Items[i].Namespace)
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: no namespace has a Lease %s; see --namespace and --name", ErrNone, name)
	case 1:
		return &Bridge{Client: c, Namespace: found[0], Name: name}, nil
	}
	return nil, fmt.Errorf("%w with the name %s; say which with --namespace: %s", ErrSeveral, name, strings.Join(found, ", "))
}

// whoami returns the name by which the API server knows the user, empty when it does not say.
func whoami(ctx context.Context, c client.Client) string {
	review := &authenticationv1.SelfSubjectReview{}
	if err := c.Create(ctx, review); err != nil {
		return "" // A note, without which everything works.
	}
	return review.Status.UserInfo.Username
}
