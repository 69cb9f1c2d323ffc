package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller"
	"github.com/registry-bridge/registry-bridge/internal/controller/file"
	"github.com/registry-bridge/registry-bridge/internal/status"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/sync/store"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// folderInstance is the instance of a bridge that writes into a folder, when nothing is said: a folder has one bridge.
const folderInstance = "standalone"

// bridgeFlags are the flags of all commands that read registries.
type bridgeFlags struct {
	config     []string
	output     outputFlags
	instance   string
	secretsDir string
	logFormat  string
	logLevel   string
}

// register adds the flags to a command; logLevel is the command's default.
func (f *bridgeFlags) register(cmd *cobra.Command, logLevel string) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.config, "config", nil, "`FILE|DIR` with Registries; may be given several times")
	f.output.register(cmd)
	flags.StringVar(&f.instance, "instance", "",
		"`ID` of this bridge, the value of the label "+translate.LabelInstance+"; objects with another one are never touched. In a cluster each "+
			"bridge needs one of its own, the same at each start; for a folder it is "+folderInstance+" when nothing is said")
	flags.StringVar(&f.secretsDir, "secrets-dir", "", "`DIR` with the secrets that Registries refer to, as DIR/NAMESPACE/NAME/KEY; read again at each connection")
	flags.StringVar(&f.logFormat, "log-format", "text", "`FORMAT` of logs: text or json")
	flags.StringVar(&f.logLevel, "log-level", logLevel, "least `LEVEL` that is logged: debug, info, warn or error")
}

// check reports what is wrong with the flags.
func (f *bridgeFlags) check(cmd *cobra.Command) error {
	if len(f.config) == 0 {
		return fmt.Errorf("--config is needed, e.g. --config examples/zookeeper-dubbo.yaml; see %q", cmd.CommandPath()+" --help")
	}
	if len(validation.IsValidLabelValue(f.instance)) > 0 {
		return fmt.Errorf("--instance %q needs 1 to 63 letters, digits, '-', '_' and '.', e.g. dubbo-bridge", f.instance)
	}
	return nil
}

// identify sets the instance for an output of this kind when the command line does not. It does not make one up for a cluster, where
// bridges that do not know of each other would share it and undo each other's objects.
func (f *bridgeFlags) identify(kind string) error {
	if f.instance != "" {
		return nil
	}
	if kind == outputKube {
		return errors.New("a Kubernetes API server needs --instance: an id that no other bridge of the cluster has, the same at each start, e.g. --instance dubbo-bridge")
	}
	f.instance = folderInstance
	return nil
}

// bridge is everything between files and an output.
type bridge struct {
	watcher    *file.Watcher
	store      *store.Store
	engine     *engine.Engine
	controller *controller.Controller
	drift      *prometheus.CounterVec
	metrics    *prometheus.Registry
	log        *slog.Logger

	mu     sync.Mutex
	set    file.Set
	loaded time.Time
}

// newBridge wires a bridge that does nothing yet.
func newBridge(f *bridgeFlags, out output.Output, log *slog.Logger) *bridge {
	b := &bridge{
		watcher: file.NewWatcher(file.WatcherOptions{Paths: f.config, Logger: log}),
		store:   store.New(),
		metrics: prometheus.NewRegistry(),
		log:     log,
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "registry_bridge", Name: "source_drift_total",
			Help: "Nodes that a full listing found and that the watches had missed.",
		}, []string{"namespace", "registry", "source"}),
	}
	b.engine = engine.New(engine.Deps{
		Store: b.store, Output: out, Translate: translate.NewTranslator().Translate, Compute: plan.Compute,
		Logger: log, Registerer: b.metrics,
	})
	sources := controller.Sources{Secrets: controller.SecretsDir(f.secretsDir), Logger: log, Drift: b.drift}
	b.controller = controller.New(controller.Deps{
		Store: b.store, Configure: b.engine.Configure, NewSource: sources.New, Instance: f.instance, Logger: log,
	})
	b.metrics.MustRegister(b.drift)
	b.metrics.MustRegister(b.configMetrics()...)
	return b
}

// Metrics returns the program's own metrics, for those who document them.
func Metrics() []prometheus.Collector {
	b := newBridge(&bridgeFlags{}, nothing{}, slog.New(slog.DiscardHandler))
	return append(b.configMetrics(), b.drift, b.engine.Metrics())
}

// apply makes a set of files the configuration. What is wrong in them leaves the Registries that it is about as they were.
func (b *bridge) apply(ctx context.Context, set file.Set) {
	b.mu.Lock()
	set = set.Keeping(b.set)
	b.set, b.loaded = set, time.Now()
	b.mu.Unlock()
	registries := make([]v1alpha1.Registry, len(set.Registries))
	for i, e := range set.Registries {
		registries[i] = e.Registry
	}
	b.controller.Apply(ctx, registries)
	for _, p := range set.Problems {
		b.log.Error("the configuration has a problem; what it is about stays as it was", "problem", p.String())
	}
	b.log.Info("configuration loaded", "registries", len(registries), "files", set.Files, "problems", len(set.Problems))
}

// configuration says how the configuration is doing.
func (b *bridge) configuration() status.Configuration {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := status.Configuration{Loaded: b.loaded}
	for _, p := range b.set.Problems {
		c.Problems = append(c.Problems, p.String())
	}
	return c
}

// configMetrics are the gauges about the configuration.
func (b *bridge) configMetrics() []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "registry_bridge", Name: name, Help: help}, value)
	}
	return []prometheus.Collector{
		gauge("config_problems", "Problems in the configuration files; the last good configuration is in use while there are any.", func() float64 {
			return float64(len(b.configuration().Problems))
		}),
		gauge("config_loaded_timestamp_seconds", "When the configuration was last loaded, 0 for never.", func() float64 {
			loaded := b.configuration().Loaded
			if loaded.IsZero() {
				return 0
			}
			return float64(loaded.UnixMilli()) / 1000
		}),
	}
}
