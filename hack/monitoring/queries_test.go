package monitoring

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/registry-bridge/registry-bridge/internal/cli"
)

const dashboardFile = "../../deploy/helm/registry-bridge/files/dashboard.json"

// dashboardQueries returns all queries of the dashboard, by panel, with the variables of Grafana filled in.
func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	queries := map[string]string{}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$namespace", ".*", "$registry", ".*")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries[panel.Title+" "+target.RefID] = variables.Replace(target.Expr)
		}
	}
	if len(queries) < 20 {
		t.Fatalf("%s has only %d queries", dashboardFile, len(queries))
	}
	return queries
}

func TestDashboardUsesMetricsThatExist(t *testing.T) {
	for _, query := range dashboardQueries(t) {
		checkNames(t, query)
	}
}

// observer is a Prometheus that scrapes a bridge. Its clock is its own, so that nothing has to wait for the time between two scrapes.
type observer struct {
	bridge *bridge
	// unwritten are the metrics of the program that a bridge of files does not have.
	unwritten *prometheus.Registry
	storage   *teststorage.TestStorage
	engine    *promql.Engine
	now       time.Time
	// open are the queries that have returned nothing yet.
	open map[string]string
}

// watch evaluates all open queries after two scrapes, and forgets those that return something.
func (o *observer) watch(t *testing.T) {
	t.Helper()
	for range 2 {
		o.now = o.now.Add(interval)
		o.scrape(t)
	}
	for name, text := range o.open {
		query, err := o.engine.NewInstantQuery(t.Context(), o.storage, nil, text, o.now)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		result := query.Exec(t.Context())
		if result.Err != nil {
			t.Fatalf("%s: %v", name, result.Err)
		}
		vector, err := result.Vector()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, sample := range vector {
			if !math.IsNaN(sample.F) {
				delete(o.open, name)
			}
		}
		query.Close()
	}
}

// scrape stores what the bridge says now, with the labels of a target.
func (o *observer) scrape(t *testing.T) {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(o.bridge.scrape(t)))
	if err != nil {
		t.Fatal(err)
	}
	more, err := o.unwritten.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range more {
		families[family.GetName()] = family
	}
	appender := o.storage.Appender(t.Context())
	for _, family := range families {
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnix(o.now.Unix())}, family)
		if err != nil {
			t.Fatal(err)
		}
		for _, sample := range samples {
			set := labels.NewBuilder(labels.EmptyLabels())
			for name, value := range sample.Metric {
				set.Set(string(name), string(value))
			}
			set.Set("job", "registry-bridge").Set("namespace", "bridge").Set("pod", "a").Set("instance", "10.0.0.9:8080")
			if _, err := appender.Append(0, set.Labels(), o.now.UnixMilli(), float64(sample.Value)); err != nil {
				t.Fatalf("%s: %v", sample.Metric, err)
			}
		}
	}
	if err := appender.Commit(); err != nil {
		t.Fatal(err)
	}
}

// unprovoked are the alerts that do not begin to fire in a run of seconds in one process. Everything that they select is there.
func unprovoked() map[string]bool {
	return map[string]bool{
		"RegistryBridgeNoLeader": true, "RegistryBridgeLoopStuck": true, "RegistryBridgeSourceNotSynced": true,
		"RegistryBridgeChangesSlow": true, "RegistryBridgeWatchDrift": true,
	}
}

// statusWrites are the program's own counters of what a bridge of files does not do.
func statusWrites(t *testing.T) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewRegistry()
	for _, c := range cli.Metrics() {
		vec, ok := c.(*prometheus.CounterVec)
		if !ok {
			continue
		}
		if counter, err := vec.GetMetricWith(prometheus.Labels{"result": "ok"}); err == nil {
			counter.Inc()
			registry.MustRegister(vec)
		}
	}
	return registry
}

// TestEveryQueryFindsSeries runs a bridge, lets happen to it what alerts and dashboard are about, and scrapes it: every query of the
// dashboard returns something, what every alert selects exists, and the conditions of those alerts are met that can be provoked here.
func TestEveryQueryFindsSeries(t *testing.T) {
	o := &observer{
		bridge: start(t), unwritten: statusWrites(t), storage: teststorage.New(t), now: time.Now(), open: dashboardQueries(t),
		engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute, Parser: newParser()}),
	}
	for _, rule := range alerts(t) {
		expr, err := newParser().ParseExpr(rule.Expr)
		if err != nil {
			t.Fatal(err)
		}
		for _, selector := range selectors(expr) {
			if selector.Name != "registry_bridge_held" || !unprovoked()[rule.Alert] {
				o.open[rule.Alert+" selects "+selector.String()] = selector.String()
			}
		}
		if !unprovoked()[rule.Alert] {
			o.open[rule.Alert] = rule.Expr
		}
	}
	provoke(t, o)
	for name, query := range o.open {
		t.Errorf("%s has found nothing: %s", name, query)
	}
}

// provoke lets one thing after the other happen.
func provoke(t *testing.T, o *observer) {
	t.Helper()
	b := o.bridge
	b.await(t, `source_synced{registry="dubbo/shop",.*} 1`)
	b.await(t, `endpoints{registry="consul/dc1",.*} 1`)
	b.await(t, `source_failing_units{registry="dubbo/shop",.*} 1`)
	o.watch(t)

	// Changes; an address that is not one; a file of somebody else where an object belongs.
	if err := os.WriteFile(filepath.Join(b.out, "serviceentry_dubbo_com.acme.s50.yaml"), []byte("kind: ConfigMap\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.register(t, 50, 1)
	b.register(t, 0, 4)
	if err := b.zk.Create(strings.Replace(node(0, 5), "10.1.0.5", "a-host", 1), nil); err != nil {
		t.Fatal(err)
	}
	b.await(t, `failing_objects{result="(refused|taken)"} 1`)
	b.await(t, `dropped{reason="AddressNotIP",.*} 1`)
	o.watch(t)

	b.configure(t, "  services: {exclude: [\"com.acme.S0*\", \"com.acme.S1*\"]}")
	b.await(t, `held{guard="ConfirmRemoval",.*} \d+`)
	o.watch(t)
	b.configure(t, "  services: {exclude: [\"[\"]}")
	b.await(t, `config_problems 1`)
	o.watch(t)
	b.configure(t, "  mode: Paused")
	b.await(t, `registry_mode{mode="Paused",.*} 1`)
	o.watch(t)
	b.configure(t, "")
	b.await(t, `registry_mode{mode="Active",registry="dubbo/shop"} 1`)

	// A registry that is empty; a registry that does not answer; an output that is not there.
	b.consul.Deregister(&api.CatalogDeregistration{Node: "node-1"})
	b.await(t, `held{guard="EmptySource",registry="consul/dc1",.*} 1`)
	o.watch(t)
	b.consul.Stop()
	b.await(t, `source_up{registry="consul/dc1",.*} 0`)
	o.watch(t)
	if err := os.RemoveAll(b.out); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.out, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.register(t, 60, 1)
	b.await(t, `output_up 0`)
	o.watch(t)
}
