package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/dir"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/kube"
)

// The kinds of outputs.
const (
	outputDir  = "dir"
	outputKube = "kube"
)

// outputFlags say where the objects live.
type outputFlags struct {
	// kind is one of the constants above, or empty: then the other flags say which.
	kind       string
	dir        string
	kubeconfig string
	context    string
	// qps and burst bound the requests to the API server.
	qps   float64
	burst int
	// routing says that EnvoyFilters and DestinationRules are watched and written.
	routing bool
	// root is the root namespace of the mesh.
	root string
}

// register adds the flags that all commands share. The flag for the kind is the command's own: plan has another meaning for --output.
func (f *outputFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "output-dir", "", "`DIR` with the objects, one YAML file each, as istiod reads it with configSources fs://")
	cmd.Flags().BoolVar(&f.routing, "envoy-filters", false,
		"watch and write EnvoyFilters and DestinationRules in Kubernetes, which data plane Envoy of Dubbo needs")
	cmd.Flags().StringVar(&f.root, "root-namespace", "istio-system", "root `NAMESPACE` of the mesh: EnvoyFilters in it are for all proxies")
	f.registerKube(cmd)
}

// registerKube adds the flags that say how to reach an API server.
func (f *outputFlags) registerKube(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.kubeconfig, "kubeconfig", "",
		"`FILE` that says how to reach the Kubernetes API server; without it $KUBECONFIG, ~/.kube/config, or the pod's service account")
	flags.StringVar(&f.context, "context", "", "`NAME` of the context in the kubeconfig; by default its current one")
}

// resolve decides which kind is meant, "" for none. Flag is the name of the flag for the kind.
func (f *outputFlags) resolve(flag string) (string, error) {
	kind, forKube := f.kind, f.kubeconfig != "" || f.context != ""
	switch {
	case kind == "" && f.dir != "":
		kind = outputDir
	case kind == "" && forKube:
		kind = outputKube
	}
	switch {
	case kind == outputDir && f.dir == "":
		return "", fmt.Errorf("--%s dir needs --output-dir, e.g. --output-dir ./out", flag)
	case kind != outputDir && f.dir != "", kind != outputKube && forKube:
		return "", errors.New("--output-dir and the flags for Kubernetes (--kubeconfig, --context) exclude each other")
	case kind != "" && kind != outputDir && kind != outputKube:
		return "", fmt.Errorf("unknown --%s %q; use %s or %s", flag, kind, outputKube, outputDir)
	}
	return kind, nil
}

// opened is an output with what belongs to it.
type opened struct {
	output.Output
	// run keeps what Live says up to date until its context ends.
	run func(ctx context.Context)
	// await waits until there is something that Live can say.
	await func(ctx context.Context) error
	// close gives it back.
	close func() error
}

// openOutput opens the output of a kind, "" for one that is empty.
func (f *bridgeFlags) openOutput(kind string, readOnly bool, log *slog.Logger) (*opened, error) {
	o := &opened{
		Output: nothing{},
		run:    func(context.Context) {},
		await:  func(context.Context) error { return nil },
		close:  func() error { return nil },
	}
	switch kind {
	case outputDir:
		folder, err := dir.Open(dir.Options{Path: f.output.dir, Instance: f.instance, ReadOnly: readOnly, Logger: log})
		if err != nil {
			return nil, err
		}
		o.Output, o.close = folder, folder.Close
	case outputKube:
		config, _, err := f.output.kubeConfig()
		if err != nil {
			return nil, err
		}
		cluster, err := kube.New(kube.Options{
			Config: config, Instance: f.instance, Routing: f.output.routing, QPS: f.output.qps, Burst: f.output.burst, Logger: log,
		})
		if err != nil {
			return nil, err
		}
		o.Output, o.run = cluster, cluster.Run
		o.await = func(ctx context.Context) error {
			select {
			case <-cluster.Synced():
				return nil
			case <-ctx.Done():
				return fmt.Errorf("%w; read the API server: %w", context.Cause(ctx), cluster.Trouble())
			}
		}
	}
	return o, nil
}

// kubeConfig reads how to reach the API server, and in which namespace we are there: that of the pod, or of the kubeconfig's context.
func (f *outputFlags) kubeConfig() (config *rest.Config, namespace string, err error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.context})
	if config, err = loader.ClientConfig(); err == nil {
		namespace, _, err = loader.Namespace()
	}
	if err != nil {
		return nil, "", fmt.Errorf("find the Kubernetes API server (--kubeconfig, $KUBECONFIG, ~/.kube/config, or inside of a pod): %w", err)
	}
	return config, namespace, nil
}
