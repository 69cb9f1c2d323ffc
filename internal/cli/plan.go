package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/registry-bridge/registry-bridge/internal/controller"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

type planFlags struct {
	bridgeFlags
	format  string
	timeout time.Duration
	// colour says that the output is a terminal.
	colour bool
}

func newPlanCommand(colour bool) *cobra.Command {
	f := planFlags{colour: colour}
	cmd := &cobra.Command{
		Use:   "plan --config FILE|DIR [--live kube | --output-dir DIR]",
		Short: "Show what run would write, and write nothing",
		Long: lines(
			"Reads the configured registries once, and shows what run would change in the output: what is created, updated and deleted, what",
			"guards hold back and until when, and what is not published. Nothing is written, and a bridge that runs meanwhile is not",
			"disturbed. It is compared with what is live in a Kubernetes API server (--live kube) or in a folder (--output-dir), and with an empty",
			"output when neither is given.",
			"",
			"Formats: text is the difference; json the same for scripts; yaml the objects as they would be afterwards, ready for",
			"kubectl apply.",
			"",
			"Exit codes: 0 nothing to write (always with yaml), 1 error, 2 there are differences."),
		Example: lines(
			"  registry-bridge plan --config examples/zookeeper-dubbo.yaml --output-dir ./out",
			"  registry-bridge plan --config examples/zookeeper-dubbo.yaml --live kube --instance dubbo-bridge",
			"  registry-bridge plan --config examples/zookeeper-dubbo.yaml -o yaml | kubectl apply --dry-run=server -f -"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			if known := []string{"text", "yaml", "json"}; !slices.Contains(known, f.format) {
				return unknownOutput(f.format, known...)
			}
			kind, err := f.output.resolve("live")
			if err != nil {
				return err
			}
			if err := f.identify(kind); err != nil {
				return err
			}
			return makePlan(cmd, &f, kind)
		},
	}
	f.register(cmd, "error")
	cmd.Flags().StringVar(&f.output.kind, "live", "",
		"`KIND` of output to compare with: kube or dir; may be left out when --kubeconfig or --output-dir says it")
	cmd.Flags().StringVarP(&f.format, "output", "o", "text", "`FORMAT` to write: text, yaml or json")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait for the registries and the API server")
	return cmd
}

// nothing is an output that is empty.
type nothing struct{}

var _ output.Output = nothing{}

// Live implements output.Output.
func (nothing) Live(context.Context) ([]plan.Live, error) { return nil, nil }

// Write implements output.Output. It is never called, because a plan writes nothing.
func (nothing) Write(context.Context, plan.Plan) []output.Result { return nil }

// unseen are pods that nobody has looked at: a plan leaves what a bridge in the cluster has found out about them.
type unseen struct{}

var _ engine.Pods = unseen{}

// Pods implements engine.Pods.
func (unseen) Pods() *translate.Pods { return translate.UnknownPods() }

// Changed implements engine.Pods.
func (unseen) Changed() <-chan struct{} { return nil }

func makePlan(cmd *cobra.Command, f *planFlags, kind string) error {
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), f.timeout, fmt.Errorf("not everything was read within %s (--timeout)", f.timeout))
	defer cancel()
	state, err := f.readOnce(ctx, cmd, kind)
	if err != nil {
		return err
	}
	return f.show(cmd.OutOrStdout(), state)
}

// readOnce reads the configured registries and the output, and makes a plan that is not carried out.
func (f *bridgeFlags) readOnce(ctx context.Context, cmd *cobra.Command, kind string) (*engine.State, error) {
	log, err := newLogger(cmd.ErrOrStderr(), f.logFormat, f.logLevel)
	if err != nil {
		return nil, err
	}
	out, err := f.openOutput(kind, true, log)
	if err != nil {
		return nil, err
	}
	b := newBridge(bridgeOptions{
		output: out.Output, secrets: controller.SecretsDir(f.secretsDir), instance: f.instance, root: f.output.root, pods: unseen{}, log: log,
	})
	config := newFiles(f.config, b)
	set := config.watcher.Load()
	if len(set.Problems) > 0 {
		printProblems(cmd.ErrOrStderr(), set.Problems)
		return nil, errReported
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { out.run(ctx) })
	config.apply(ctx, set)
	defer b.controller.Stop()
	if err := b.awaitSynced(ctx); err != nil {
		return nil, err
	}
	if err := out.await(ctx); err != nil {
		return nil, err
	}
	_, state, err := b.engine.Plan(ctx)
	return state, err
}

// show writes the plan in the format that was asked for.
func (f *planFlags) show(w io.Writer, state *engine.State) error {
	switch f.format {
	case "yaml":
		return writeManifests(w, state)
	case "json":
		if err := writePlanJSON(w, state); err != nil {
			return err
		}
	default:
		writePlanText(w, state, f.colour)
	}
	if p := &state.Plan; !p.Empty() || len(p.Suppressed) > 0 {
		return errDifferences
	}
	return nil
}

// awaitSynced waits until every source has read everything. When ctx ends before, the error names those that have not, and why.
func (b *bridge) awaitSynced(ctx context.Context) error {
	for {
		missing := unsynced(b.store.Statuses())
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-b.store.Changed():
		case <-ctx.Done():
			return fmt.Errorf("%w; missing: %s", context.Cause(ctx), strings.Join(missing, "; "))
		}
	}
}

// unsynced describes the sources that have not read everything.
func unsynced(statuses map[model.SourceID]model.Status) []string {
	var missing []string
	for _, id := range slices.Sorted(maps.Keys(statuses)) {
		s := statuses[id]
		if s.State == model.Synced {
			continue
		}
		text := fmt.Sprintf("source %s of Registry %s/%s", id, s.Namespace, s.Registry)
		if s.Err != "" {
			text += " (" + s.Err + ")"
		}
		missing = append(missing, text)
	}
	return missing
}
