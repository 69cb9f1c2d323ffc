package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
)

// leaveFlags say which installation leaves.
type leaveFlags struct {
	kube              outputFlags
	namespace, name   string
	namespaces        []string
	serviceAccount    string
	timeout, patience time.Duration
}

func newLeaveCommand() *cobra.Command {
	var f leaveFlags
	cmd := &cobra.Command{
		Use:   "leave [--namespace NAMESPACE] [--name NAME]",
		Short: "Prepare the uninstallation of a bridge from a cluster",
		Long: lines(
			"Tells a bridge, through its ConfigMap NAME-freeze, that it is being uninstalled: it writes nothing any more, and takes its finalizer",
			"from all Registries, so that none of them waits for a bridge that is gone. What a bridge that does not run has left is taken away by",
			"this command after --patience. What is published stays.",
			"",
			"The chart runs it before `helm uninstall` deletes anything. Run it by hand where hooks of Helm do not run. To change your mind:",
			"",
			"  kubectl -n NAMESPACE patch configmap NAME-freeze --type merge -p '{\"data\":{\"frozen\":\"false\"}}'"),
		Example: lines("  registry-bridge leave --namespace registry-bridge --name registry-bridge"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runLeave(cmd, &f)
		},
	}
	flags := cmd.Flags()
	f.kube.registerKube(cmd)
	flags.StringVar(&f.namespace, "namespace", "", "`NAMESPACE` of the installation; by default the pod's, or that of the kubeconfig")
	flags.StringVar(&f.name, "name", defaultName, "`NAME` of the installation, as in run")
	flags.StringSliceVar(&f.namespaces, "watch-namespaces", nil, "`NAMESPACES` whose Registries are looked at, separated by commas; by default all")
	flags.StringVar(&f.serviceAccount, "service-account", "",
		"`NAME` of the installation's ServiceAccount: the ConfigMap is deleted with it, so that it does not freeze what is installed later")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long it may take")
	flags.DurationVar(&f.patience, "patience", 15*time.Second, "how long the bridge has to take its finalizers away by itself")
	return cmd
}

// runLeave tells an installation that it is being uninstalled.
func runLeave(cmd *cobra.Command, f *leaveFlags) error {
	config, namespace, err := f.kube.kubeConfig()
	if err != nil {
		return err
	}
	if f.namespace != "" {
		namespace = f.namespace
	}
	client, err := cluster.NewClient(config)
	if err != nil {
		return err
	}
	log, err := newLogger(cmd.ErrOrStderr(), "text", "info")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	if err := cluster.Leave(ctx, cluster.LeaveOptions{
		Client: client, Namespace: namespace, Name: f.name, Namespaces: f.namespaces, ServiceAccount: f.serviceAccount,
		Patience: f.patience, Logger: log,
	}); err != nil {
		return fmt.Errorf("leave %s/%s: %w", namespace, f.name, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s/%s has left: no Registry has its finalizer, and it writes nothing any more\n", namespace, f.name)
	return nil
}
