package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/internal/installation"
)

// installationFlags say which installation a command is about.
type installationFlags struct {
	kube            outputFlags
	namespace, name string
}

func (f *installationFlags) register(cmd *cobra.Command) {
	f.kube.registerKube(cmd)
	cmd.Flags().StringVarP(&f.namespace, "namespace", "n", "", "`NAMESPACE` of the installation, where its Lease is; by default the only one of the cluster")
	cmd.Flags().StringVar(&f.name, "name", defaultName, "`NAME` of the installation, as in run")
}

// find returns the installation.
func (f *installationFlags) find(cmd *cobra.Command) (*installation.Bridge, error) {
	config, _, err := f.kube.kubeConfig()
	if err != nil {
		return nil, err
	}
	c, err := installation.NewClient(config)
	if err != nil {
		return nil, err
	}
	return installation.Find(cmd.Context(), c, f.namespace, f.name)
}

// registryFlags say where a Registry is.
type registryFlags struct {
	kube      outputFlags
	namespace string
}

func (f *registryFlags) register(cmd *cobra.Command) {
	f.kube.registerKube(cmd)
	cmd.Flags().StringVarP(&f.namespace, "namespace", "n", "", "`NAMESPACE` of Registries that are named without one; by default that of the kubeconfig")
}

// open returns a client, and the full names of Registries.
func (f *registryFlags) open(names ...string) (client.Client, []types.NamespacedName, error) {
	config, namespace, err := f.kube.kubeConfig()
	if err != nil {
		return nil, nil, err
	}
	if f.namespace != "" {
		namespace = f.namespace
	}
	full, err := registryNames(namespace, names)
	if err != nil {
		return nil, nil, err
	}
	c, err := installation.NewClient(config)
	return c, full, err
}

// registryNames reads "name" and "namespace/name".
func registryNames(namespace string, names []string) ([]types.NamespacedName, error) {
	full := make([]types.NamespacedName, len(names))
	for i, name := range names {
		full[i] = types.NamespacedName{Namespace: namespace, Name: name}
		if ns, rest, ok := strings.Cut(name, "/"); ok {
			full[i] = types.NamespacedName{Namespace: ns, Name: rest}
		}
		if full[i].Namespace == "" || full[i].Name == "" || strings.Contains(full[i].Name, "/") {
			return nil, fmt.Errorf("%q is not the name of a Registry; write NAME or NAMESPACE/NAME", name)
		}
	}
	return full, nil
}
