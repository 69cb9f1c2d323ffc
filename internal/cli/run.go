package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/registry-bridge/registry-bridge/internal/status"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/kube"
)

// stopTimeout is how long a stop may take: a write that is under way is finished, and everything else is given up.
const stopTimeout = 5 * time.Second

// gcPercent makes the collector run when the heap has grown by half, instead of having doubled. Most of the heap is what the registries
// hold and hardly changes, so that costs little, and a bridge of 5,000 services with 20 instances each needs 217 MB instead of 308 MB
// (resident, measured 30 s after everything was written).
const gcPercent = 50

var errSlowStop = errors.New("not everything stopped in time; nothing is lost by that")

type runFlags struct {
	bridgeFlags
	cluster clusterFlags
	listen  string
}

func newRunCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [--config FILE|DIR] (--output kube | --output-dir DIR)",
		Short: "Keep the output equal to what the registries hold",
		Long: lines(
			"Watches the configured registries, and keeps ServiceEntries equal to what is registered: those of a Kubernetes API server, or a",
			"folder of files that istiod reads. Configuration files are watched: an edit takes effect within a second, and one with a mistake",
			"leaves the Registry that it is about as it was.",
			"",
			"In Kubernetes, objects are written by server-side apply as field manager registry-bridge. Fields and labels that somebody else",
			"adds stay; what somebody else changes of ours is repaired at once; removing a label of ours lets go of the object. It needs to",
			"list and watch ServiceEntries and Services in all namespaces, and to create, patch and delete ServiceEntries in those of the",
			"Registries.",
			"",
			"Without --config, the Registries are those of the API server, with their status and Events. Several replicas may run then: one of",
			"them leads, and the others take over within seconds when it stops. --name and --namespace say which replicas belong together. Where",
			"it may list and watch pods and nodes, registered addresses that are pods with a sidecar get mutual TLS (--pods).",
			"",
			"A stop or a restart changes nothing in the output by itself. On SIGTERM or SIGINT it stops within 5 s; a second signal ends",
			"it at once.",
			"",
			"HTTP (read-only): /healthz, /readyz, /metrics, /debug/state, /debug/explain."),
		Example: lines(
			"  registry-bridge run --config examples/zookeeper-dubbo.yaml --output-dir ./out",
			"  registry-bridge run --config examples/zookeeper-dubbo.yaml --output kube --instance dubbo-bridge",
			"  registry-bridge run --config /etc/registry-bridge --secrets-dir /etc/registry-bridge-secrets \\",
			"      --output-dir /var/lib/registry-bridge --listen :8080 --log-format json"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			kind, err := f.output.resolve("output")
			if err != nil {
				return err
			}
			if kind == "" {
				return fmt.Errorf("--output kube or --output-dir is needed, e.g. --output-dir ./out; see %q", cmd.CommandPath()+" --help")
			}
			if f.output.qps <= 0 || f.output.burst <= 0 {
				return errors.New("--kube-api-qps and --kube-api-burst have to be above 0, e.g. --kube-api-qps 100 --kube-api-burst 200")
			}
			if err := f.checkRun(cmd, kind); err != nil {
				return err
			}
			log, err := newLogger(cmd.ErrOrStderr(), f.logFormat, f.logLevel)
			if err != nil {
				return err
			}
			saveMemory()
			log.Info("starting", "version", ReadVersion().Version, "instance", f.instance, "output", kind, "dir", f.output.dir)
			if len(f.config) == 0 {
				return runCluster(cmd, &f, log)
			}
			return runFiles(cmd, &f, kind, log)
		},
	}
	f.register(cmd, "info")
	f.cluster.register(cmd)
	cmd.Flags().StringVar(&f.output.kind, "output", "",
		"`KIND` of output: kube or dir; may be left out when --kubeconfig or --output-dir says it")
	cmd.Flags().Float64Var(&f.output.qps, "kube-api-qps", kube.DefaultQPS,
		"`REQUESTS` that are sent to the API server in a second; a first synchronisation is one for each object")
	cmd.Flags().IntVar(&f.output.burst, "kube-api-burst", kube.DefaultBurst, "`REQUESTS` that may be sent to the API server at once after a rest")
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8080", "`ADDRESS` for health, metrics and state over HTTP; empty for none")
	return cmd
}

// checkRun reports what is wrong with the flags for an output of this kind.
func (f *runFlags) checkRun(cmd *cobra.Command, kind string) error {
	if err := f.identify(kind); err != nil {
		return err
	}
	if len(f.config) == 0 && kind == outputKube {
		if err := f.checkInstance(); err != nil {
			return err
		}
		return f.cluster.check()
	}
	return f.check(cmd)
}

// runFiles runs the bridge with the Registries of files until the command's context ends.
func runFiles(cmd *cobra.Command, f *runFlags, kind string, log *slog.Logger) (err error) {
	out, err := f.openOutput(kind, false, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	b := f.newBridge(out.Output, log)
	config := newFiles(f.config, b)
	set := config.watcher.Load()
	if len(set.Registries) == 0 && len(set.Problems) > 0 {
		printProblems(cmd.ErrOrStderr(), set.Problems)
		return errReported
	}

	group, ctx := errgroup.WithContext(cmd.Context())
	if f.listen != "" {
		b.metrics.MustRegister(config.metrics()...)
		if err := b.listen(ctx, group, f.listen, status.Options{
			State: b.engine.State, LastTurn: b.engine.LastTurn, Configuration: config.configuration,
		}); err != nil {
			return err
		}
	}
	config.apply(ctx, set)
	group.Go(func() error {
		out.run(ctx)
		return nil
	})
	group.Go(func() error { return b.engine.Run(ctx) })
	group.Go(func() error {
		config.run(ctx)
		return nil
	})
	return wait(ctx, group, log)
}

// saveMemory applies gcPercent, unless the environment (GOGC) says something else.
func saveMemory() {
	const goDefault = 100
	if before := debug.SetGCPercent(gcPercent); before != goDefault {
		debug.SetGCPercent(before)
	}
}

// listen starts the status pages.
func (b *bridge) listen(ctx context.Context, group *errgroup.Group, address string, pages status.Options) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("open the address for health and metrics (change it with --listen): %w", err)
	}
	b.log.Info("listening", "address", listener.Addr().String())
	b.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	pages.Metrics, pages.Logger = b.metrics, b.log
	handler := status.NewHandler(pages)
	group.Go(func() error { return status.Serve(ctx, listener, handler, b.log) })
	return nil
}

// wait waits until everything has stopped, but not for longer than stopTimeout from the end of ctx.
func wait(ctx context.Context, group *errgroup.Group, log *slog.Logger) error {
	stopped := make(chan error, 1)
	go func() { stopped <- group.Wait() }()
	<-ctx.Done()
	log.Info("stopping")
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case err := <-stopped:
		log.Info("stopped")
		return err
	case <-timer.C:
		return errSlowStop
	}
}
