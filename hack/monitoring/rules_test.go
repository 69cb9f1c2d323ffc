package monitoring

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// interval is how often rules are evaluated here, and metrics scraped.
const interval = 30 * time.Second

// target are the labels of the scraped pod, and source those of a source.
const (
	target = `job="registry-bridge",namespace="bridge",pod="a"`
	source = `registry="dubbo/shop",source="shop.00000001",` + target
)

// healthy are the series of a bridge with which everything is well, in the notation of Prometheus' own tests: a value and what is added to it
// at each step, and how often.
func healthy() map[string]string {
	const long = "x2000"
	return map[string]string{
		`registry_bridge_leader{` + target + `}`:                                            "1" + long,
		`registry_bridge_leader{job="registry-bridge",namespace="bridge",pod="b"}`:          "0" + long,
		`registry_bridge_last_turn_timestamp_seconds{` + target + `}`:                       "0+30" + long,
		`registry_bridge_output_up{` + target + `}`:                                         "1" + long,
		`registry_bridge_failing_objects{result="conflict",` + target + `}`:                 "0" + long,
		`registry_bridge_failing_objects{result="refused",` + target + `}`:                  "0" + long,
		`registry_bridge_failing_objects{result="unavailable",` + target + `}`:              "0" + long,
		`registry_bridge_failing_objects{result="taken",` + target + `}`:                    "3" + long,
		`registry_bridge_source_up{` + source + `}`:                                         "1" + long,
		`registry_bridge_source_synced{` + source + `}`:                                     "1" + long,
		`registry_bridge_source_failing_units{` + source + `}`:                              "0" + long,
		`registry_bridge_source_drift_total{` + source + `}`:                                "0" + long,
		`registry_bridge_held{guard="EmptyService",` + source + `}`:                         "7" + long,
		`registry_bridge_config_problems{` + target + `}`:                                   "0" + long,
		`registry_bridge_frozen{` + target + `}`:                                            "0" + long,
		`registry_bridge_registry_mode{mode="Active",registry="dubbo/shop",` + target + `}`: "1" + long,
		`registry_bridge_change_to_write_seconds_bucket{le="0.5",` + target + `}`:           "0+9" + long,
		`registry_bridge_change_to_write_seconds_bucket{le="5",` + target + `}`:             "0+10" + long,
		`registry_bridge_change_to_write_seconds_bucket{le="60",` + target + `}`:            "0+10" + long,
		`registry_bridge_change_to_write_seconds_bucket{le="+Inf",` + target + `}`:          "0+10" + long,
	}
}

// scenario is a bridge in which something is wrong for a while: series that differ from those of a healthy one.
type scenario struct {
	name   string
	series map[string]string
	// length is how long it is looked at.
	length time.Duration
}

func scenarios() []scenario {
	return slices.Concat(shortScenarios(), longScenarios())
}

func shortScenarios() []scenario {
	list := []scenario{
		{name: "healthy"},
		{name: "no replica leads from minute 10 to 20", series: map[string]string{
			`registry_bridge_leader{` + target + `}`: "1x19 0x20 1x2000",
		}},
		{name: "no replica is there from minute 10 to 20", series: map[string]string{
			`registry_bridge_leader{` + target + `}`:                                   "1x19 stale _x19 1x2000",
			`registry_bridge_leader{job="registry-bridge",namespace="bridge",pod="b"}`: "0x19 stale _x19 0x2000",
		}},
		{name: "the loop is stuck from minute 10 to 20", series: map[string]string{
			`registry_bridge_last_turn_timestamp_seconds{` + target + `}`: "0+30x19 570x20 1200+30x2000",
		}},
		{name: "the output is away from minute 10 to 20", series: map[string]string{
			`registry_bridge_output_up{` + target + `}`: "1x19 0x20 1x2000",
		}},
		{name: "two objects are refused from minute 10 to 40", series: map[string]string{
			`registry_bridge_failing_objects{result="refused",` + target + `}`: "0x19 2x60 0x2000",
		}},
		{name: "the registry is away from minute 10 to 40", series: map[string]string{
			`registry_bridge_source_up{` + source + `}`:     "1x19 0x60 1x2000",
			`registry_bridge_source_synced{` + source + `}`: "1x19 0x60 1x2000",
		}},
		{name: "the first listing lasts until minute 30", series: map[string]string{
			`registry_bridge_source_synced{` + source + `}`: "0x60 1x2000",
		}},
		{name: "a unit cannot be read from minute 10 to 60", series: map[string]string{
			`registry_bridge_source_failing_units{` + source + `}`: "0x19 1x100 0x2000",
		}},
		{name: "the registry comes back empty at minute 10, and is repaired at 20", series: map[string]string{
			`registry_bridge_held{guard="EmptySource",` + source + `}`: "_x20 500x19 stale",
		}},
		{name: "half of the registry goes at minute 10, and comes back at 15", series: map[string]string{
			`registry_bridge_held{guard="MassRemoval",` + source + `}`: "_x20 250x9 stale",
		}},
		{name: "an edit would remove 40 objects from minute 10 to 30", series: map[string]string{
			`registry_bridge_held{guard="ConfirmRemoval",` + source + `}`: "_x20 40x39 stale",
		}},
		{name: "an edit has a mistake from minute 10 to 30", series: map[string]string{
			`registry_bridge_config_problems{` + target + `}`: "0x19 1x40 0x2000",
		}},
		{name: "changes are slow from minute 10 to 40", series: map[string]string{
			`registry_bridge_change_to_write_seconds_bucket{le="0.5",` + target + `}`: "0+9x19 180x60 180+9x2000",
			`registry_bridge_change_to_write_seconds_bucket{le="5",` + target + `}`:   "0+10x19 200x60 200+10x2000",
		}},
		{name: "a listing at minute 10 finds what watches missed", series: map[string]string{
			`registry_bridge_source_drift_total{` + source + `}`: "0x19 3x2000",
		}},
	}
	for i := range list {
		list[i].length = 90 * time.Minute
	}
	return list
}

func longScenarios() []scenario {
	const length = 7 * time.Hour
	return []scenario{
		{name: "somebody freezes at hour 1, and unfreezes at 6", series: map[string]string{
			`registry_bridge_frozen{` + target + `}`: "0x119 1x600 0x2000",
		}, length: length},
		{name: "a Registry is paused from hour 1 to 6", series: map[string]string{
			`registry_bridge_registry_mode{mode="Active",registry="dubbo/shop",` + target + `}`: "1x119 stale _x599 1x2000",
			`registry_bridge_registry_mode{mode="Paused",registry="dubbo/shop",` + target + `}`: "_x120 1x599 stale",
		}, length: length},
	}
}

// TestAlertsFireAndResolve runs each scenario and compares when which alert fired, and what it said, with a golden file. Every
// alert fires in one of them, none still fires at the end, and none fires while all is well.
func TestAlertsFireAndResolve(t *testing.T) {
	var got strings.Builder
	fired := map[string]bool{}
	for _, s := range scenarios() {
		fmt.Fprintf(&got, "== %s\n", s.name)
		firings := run(t, s)
		for _, f := range firings {
			fired[f.alert] = true
			fmt.Fprintf(&got, "%s to %s %s\n", f.from, f.to, f.text)
			if f.to >= s.length {
				t.Errorf("%s: %s does not resolve", s.name, f.alert)
			}
		}
		if s.series == nil && len(firings) > 0 {
			t.Errorf("%d alerts although all is well", len(firings))
		}
		got.WriteString("\n")
	}
	for _, rule := range alerts(t) {
		if !fired[rule.Alert] {
			t.Errorf("%s fires in no scenario", rule.Alert)
		}
	}
	const golden = "testdata/alerts.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("alerts (-want +got); -update rewrites them:\n%s", diff)
	}
}

// firing is a time during which an alert fired.
type firing struct {
	alert    string
	from, to time.Duration
	// text is what it said at first.
	text string
}

// run evaluates all alerts over a scenario.
func run(t *testing.T, s scenario) []firing {
	t.Helper()
	series := healthy()
	maps.Copy(series, s.series)
	input := &strings.Builder{}
	fmt.Fprintf(input, "load %s\n", interval)
	for _, name := range slices.Sorted(maps.Keys(series)) {
		fmt.Fprintf(input, "  %s %s\n", name, series[name])
	}
	loader, err := promqltest.NewLazyLoader(input.String(), promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	if err != nil {
		t.Fatal(err)
	}
	defer loader.Close()
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:    rules.EngineQueryFunc(loader.QueryEngine(), loader.Storage()),
		AppendableV2: loader.Storage(),
		Context:      t.Context(),
		NotifyFunc:   func(context.Context, string, ...*rules.Alert) {},
		Logger:       promslog.NewNopLogger(),
		Parser:       newParser(),
	})
	groups, errs := manager.LoadGroups(interval, labels.EmptyLabels(), "", nil, false, alertsFile)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var all []firing
	open := map[string]int{}
	for at := time.Duration(0); at <= s.length; at += interval {
		now := time.Unix(0, 0).UTC().Add(at)
		loader.WithSamplesTill(now, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		})
		for _, g := range groups {
			g.Eval(loader.Context(), now)
			for _, rule := range g.Rules() {
				if rule.LastError() != nil {
					t.Fatalf("%s: %v", rule.Name(), rule.LastError())
				}
			}
			still := map[string]int{}
			for _, alert := range g.AlertingRules() {
				for _, a := range alert.ActiveAlerts() {
					if a.State != rules.StateFiring {
						continue
					}
					id := a.Labels.String()
					i, known := open[id]
					if !known {
						i = len(all)
						all = append(all, firing{alert: alert.Name(), from: at, text: id + "\n  " + a.Annotations.Get("summary") + "\n  " + a.Annotations.Get("description")})
					}
					all[i].to = at
					still[id] = i
				}
			}
			open = still
		}
	}
	return all
}
