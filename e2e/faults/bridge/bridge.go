// Package bridge runs the program under test as an operator does: the built binary, a configuration file, an output folder.
package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// Namespace is where the Registry is, and its objects. In a cluster it has to exist.
const Namespace = "dubbo"

// Options configures a bridge. Durations that are 0 keep the program's defaults.
type Options struct {
	// Program is the path of the binary, see Build.
	Program string
	// Config is the whole configuration in YAML, for a test that needs more than one Registry; the other fields about it do not count then.
	Config string
	// Source is what the Registry has as its source, in YAML's flow style. When it is empty, that is a ZooKeeper with the next three fields.
	Source string
	// Servers are the registry's, each as host:port.
	Servers []string
	// Root is the layout's root, "/dubbo" when empty.
	Root           string
	SessionTimeout time.Duration
	EmptyGrace     time.Duration
	DeleteAfter    time.Duration
	// HoldFor is that of the guard against mass removal, and of an empty source.
	HoldFor time.Duration
	// Kubeconfig says how to reach the API server that is the output. When it is empty, that is the folder Out.
	Kubeconfig string
	// Namespace is that of the Registry when it is not the constant of this name. In a cluster it is the bridge's instance, too.
	Namespace string
	// Mode is that of the Registry, Active when it is empty.
	Mode string
	// Spec has more members of the Registry's spec, in YAML, each line but the first indented by two blanks.
	Spec string
	// Flags are further flags for the program.
	Flags []string
}

// Bridge is one configured bridge, running or not.
type Bridge struct {
	// Out is the output folder. It exists before the first start.
	Out string

	program string
	config  string
	// target are the flags that say where it writes and who it is, flags those of run alone.
	target  []string
	flags   []string
	http    string
	process *lab.Process
}

// New writes the configuration. Nothing runs yet.
func New(t testing.TB, options Options) *Bridge {
	t.Helper()
	dir := t.TempDir()
	b := &Bridge{
		Out:     filepath.Join(dir, "out"),
		program: options.Program,
		http:    net.JoinHostPort("127.0.0.1", strconv.Itoa(lab.FreePort(t))),
	}
	b.config = filepath.Join(dir, "registry.yaml")
	b.target = []string{"--output-dir", b.Out}
	if options.Kubeconfig != "" {
		b.target = []string{"--kubeconfig", options.Kubeconfig, "--instance", cmp.Or(options.Namespace, "e2e")}
	}
	b.flags = append([]string{"--listen", b.http}, options.Flags...)
	if err := os.Mkdir(b.Out, 0o750); err != nil {
		t.Fatal(err)
	}
	b.Configure(t, options)
	return b
}

// Configure replaces the configuration, which a running program reads. Who the bridge is and where it writes stays.
func (b *Bridge) Configure(t testing.TB, options Options) {
	t.Helper()
	if err := os.WriteFile(b.config+".new", options.manifest(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(b.config+".new", b.config); err != nil {
		t.Fatal(err)
	}
}

// Command returns the arguments of a command over the same configuration and output.
func (b *Bridge) Command(name string, more ...string) []string {
	return slices.Concat([]string{name, "--config", b.config}, b.target, more)
}

// Build builds the program from the present sources into a folder and returns its path. The working directory is that of a test two
// folders below the root of the repository.
func Build(dir string) (string, error) {
	program := filepath.Join(dir, "registry-bridge")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/registry-bridge") //nolint:noctx,gosec // before any test, with fixed words
	build.Dir = filepath.Join("..", "..")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, output)
	}
	return program, nil
}

func (o Options) manifest() []byte {
	if o.Config != "" {
		return []byte(o.Config)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: %s, namespace: %s}
spec:
  mode: %s
`, Namespace, cmp.Or(o.Namespace, Namespace), cmp.Or(o.Mode, "Active"))
	line := func(indent int, key string, d time.Duration) {
		if d > 0 {
			fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat(" ", indent), key, d)
		}
	}
	if o.Source != "" {
		fmt.Fprintf(&b, "  source: %s\n", o.Source)
	} else {
		fmt.Fprintf(&b, "  source:\n    zookeeper:\n      servers: [\"%s\"]\n", strings.Join(o.Servers, `", "`))
		line(6, "sessionTimeout", o.SessionTimeout)
		fmt.Fprintf(&b, "      layouts: [{type: DubboInterface, root: %s}]\n", cmp.Or(o.Root, "/dubbo"))
	}
	b.WriteString("  guards:\n    massRemoval:\n      maxPercent: 30\n")
	line(6, "holdFor", o.HoldFor)
	line(4, "emptyGrace", o.EmptyGrace)
	line(4, "deleteAfter", o.DeleteAfter)
	if o.Spec != "" {
		fmt.Fprintf(&b, "  %s\n", o.Spec)
	}
	return []byte(b.String())
}

// Start starts the program. It returns at once.
func (b *Bridge) Start(t testing.TB) {
	t.Helper()
	b.process = lab.StartProcess(t, "registry-bridge", b.program, b.Command("run", b.flags...)...)
}

// Stop asks the program to end and waits until it did.
func (b *Bridge) Stop(t testing.TB) {
	t.Helper()
	b.process.Stop(t)
}

// Kill ends the program as a crash would.
func (b *Bridge) Kill() { b.process.Kill() }

// Process returns the running program.
func (b *Bridge) Process() *lab.Process { return b.process }

// Metrics asks the program for its metrics.
func (b *Bridge) Metrics(ctx context.Context) (Metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.http+"/metrics", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for metrics: %s", response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return families, nil
}

// Metrics is one scrape.
type Metrics map[string]*dto.MetricFamily

// Has reports whether there is any series of this name.
func (m Metrics) Has(name string) bool { return len(m["registry_bridge_"+name].GetMetric()) > 0 }

// Sum adds up the values of all series of a gauge or counter whose labels have these values, in pairs of name and value.
func (m Metrics) Sum(name string, labels ...string) float64 {
	var sum float64
	for _, series := range m["registry_bridge_"+name].GetMetric() {
		if matches(series, labels) {
			sum += series.GetGauge().GetValue() + series.GetCounter().GetValue()
		}
	}
	return sum
}

func matches(series *dto.Metric, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		found := false
		for _, pair := range series.GetLabel() {
			found = found || pair.GetName() == labels[i] && pair.GetValue() == labels[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}

// errNotYet is why a wait goes on.
var errNotYet = errors.New("not yet")

// Await waits until the metrics say what the test waits for.
func (b *Bridge) Await(t testing.TB, limit time.Duration, what string, condition func(Metrics) bool) {
	t.Helper()
	lab.Await(t, limit, what, func(ctx context.Context) error {
		m, err := b.Metrics(ctx)
		if err == nil && !condition(m) {
			err = errNotYet
		}
		return err
	})
}
