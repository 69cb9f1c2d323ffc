package cli

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/registry-bridge/registry-bridge/internal/controller"
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
	return f.checkInstance()
}

// checkInstance reports what is wrong with the instance.
func (f *bridgeFlags) checkInstance() error {
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

// bridge is everything between Registries and an output.
type bridge struct {
	store      *store.Store
	engine     *engine.Engine
	controller *controller.Controller
	drift      *prometheus.CounterVec
	metrics    *prometheus.Registry
	log        *slog.Logger
}

// bridgeOptions are what a bridge is made of.
type bridgeOptions struct {
	output   output.Output
	secrets  controller.Secrets
	instance string
	// root is controller.Deps.RootNamespace.
	root string
	// announced is controller.Deps.Announced.
	announced bool
	// pods is engine.Deps.Pods.
	pods engine.Pods
	log  *slog.Logger
}

// newBridge wires a bridge of files.
func (f *bridgeFlags) newBridge(out output.Output, log *slog.Logger) *bridge {
	return newBridge(bridgeOptions{output: out, secrets: controller.SecretsDir(f.secretsDir), instance: f.instance, root: f.output.root, log: log})
}

// newBridge wires a bridge that does nothing yet.
func newBridge(o bridgeOptions) *bridge {
	b := &bridge{
		store:   store.New(),
		metrics: prometheus.NewRegistry(),
		log:     o.log,
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "registry_bridge", Name: "source_drift_total",
			Help: "Nodes that a full listing found and that the watches had missed.",
		}, []string{"registry", "source"}),
	}
	b.engine = engine.New(engine.Deps{
		Store: b.store, Output: o.output, Translate: translate.NewTranslator().Translate, Compute: plan.Compute, Pods: o.pods,
		Logger: o.log, Registerer: b.metrics,
	})
	sources := controller.Sources{Secrets: o.secrets, Logger: o.log, Drift: b.drift}
	b.controller = controller.New(controller.Deps{
		Store: b.store, Configure: b.engine.Configure, NewSource: sources.New, Instance: o.instance, RootNamespace: o.root,
		Announced: o.announced, Logger: o.log,
	})
	b.metrics.MustRegister(b.drift, buildInfo())
	return b
}

// Metrics returns the program's own metrics, for those who document it.
func Metrics() []prometheus.Collector {
	b := newBridge(bridgeOptions{output: nothing{}, secrets: controller.SecretsDir(""), log: slog.New(slog.DiscardHandler)})
	f := newFiles(nil, b)
	return append(f.metrics(), b.drift, b.engine.Metrics(), buildInfo(), newStatusWrites())
}
