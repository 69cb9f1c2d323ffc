package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
	"github.com/registry-bridge/registry-bridge/internal/installation"
)

// confirmTimeout is how long commands wait for the bridge to do what they ask for. It promises to stop writing within this time.
const confirmTimeout = 5 * time.Second

// freezeFlags are those of freeze and unfreeze.
type freezeFlags struct {
	installationFlags
	reason     string
	wait       bool
	timeout    time.Duration
	namespaces []string
}

func (f *freezeFlags) register(cmd *cobra.Command) {
	f.installationFlags.register(cmd)
	cmd.Flags().BoolVar(&f.wait, "wait", true, "wait until the status of the Registries confirms it")
	cmd.Flags().DurationVar(&f.timeout, "timeout", confirmTimeout, "how long to wait")
	cmd.Flags().StringSliceVar(&f.namespaces, "watch-namespaces", nil, "`NAMESPACES` of the Registries that are waited for, separated by commas; by default all")
}

func newFreezeCommand() *cobra.Command {
	var f freezeFlags
	cmd := &cobra.Command{
		Use:   "freeze [--reason TEXT]",
		Short: "Stop all writes of a bridge",
		Long: lines(
			"Stops every write of a bridge within 5 s, and keeps it stopped over restarts, upgrades and changes of the leader, until unfreeze. What",
			"is published stays as it is; registries are watched and plans are made meanwhile. Who froze, when and why is in the ConfigMap",
			"NAME"+cluster.FreezeSuffix+" of the installation and in the status of each Registry.",
			"",
			"It needs the rights to get, create and update ConfigMaps in the namespace of the installation, to get its Lease, and to list the",
			"Registries. Where this program is not at hand:",
			"",
			"  kubectl -n NAMESPACE create configmap NAME"+cluster.FreezeSuffix+" --from-literal=frozen=true",
			"",
			"Exit codes: 0 frozen, 1 error, or not confirmed in time."),
		Example: lines(
			`  registry-bridge freeze --reason "incident 4711"`,
			"  registry-bridge freeze --namespace mesh --name bridge-eu"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return freeze(cmd, &f) },
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.reason, "reason", "", "`TEXT` for others: why nothing may be written")
	return cmd
}

func newUnfreezeCommand() *cobra.Command {
	var f freezeFlags
	cmd := &cobra.Command{
		Use:   "unfreeze",
		Short: "Let a bridge write again",
		Long: lines(
			"Ends what freeze began. What has changed in the registries meanwhile is written then; look at it before:",
			"registry-bridge explain, or suppressed changes in /debug/state. Guards judge removals as always.",
			"",
			"Exit codes: 0 it may write, 1 error, or not confirmed in time."),
		Example: lines("  registry-bridge unfreeze"),
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return unfreeze(cmd, &f) },
	}
	f.register(cmd)
	return cmd
}

func freeze(cmd *cobra.Command, f *freezeFlags) error {
	bridge, err := f.find(cmd)
	if err != nil {
		return err
	}
	inForce, err := bridge.Freeze(cmd.Context(), f.reason, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s/%s is frozen%s\n", bridge.Namespace, bridge.Name, inForce.Circumstances())
	return f.await(cmd, bridge, true)
}

func unfreeze(cmd *cobra.Command, f *freezeFlags) error {
	bridge, err := f.find(cmd)
	if err != nil {
		return err
	}
	last, err := bridge.Unfreeze(cmd.Context())
	if err != nil {
		return err
	}
	if last == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "%s/%s was not frozen\n", bridge.Namespace, bridge.Name)
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s/%s may write again; it was frozen%s\n", bridge.Namespace, bridge.Name, last.Circumstances())
	return f.await(cmd, bridge, false)
}

// await waits until the Registries say what was asked for.
func (f *freezeFlags) await(cmd *cobra.Command, bridge *installation.Bridge, frozen bool) error {
	if !f.wait {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	confirmed, err := bridge.AwaitFrozen(ctx, frozen, f.namespaces)
	if err != nil {
		return fmt.Errorf("the ConfigMap is written, and after %s %w; does a bridge run there?", f.timeout, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "confirmed by %s\n", registriesCount(confirmed))
	return nil
}

func registriesCount(n int) string { return count(n, "Registry", "Registries") }
