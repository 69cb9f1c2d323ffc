package monitoring

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	alertsFile = "../../deploy/helm/registry-bridge/files/alerts.yaml"
	metricsRef = "../../docs/reference/metrics.md"
	runbooks   = "../../docs/runbooks"
	runbookURL = "https://github.com/registry-bridge/registry-bridge/blob/main/docs/runbooks/"
)

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// alerts reads the alerts of the chart.
func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(alertsFile, false, model.UTF8Validation, newParser(), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var rules []rulefmt.Rule
	for _, g := range groups.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// reference reads the labels of all metrics from the page of the documentation. Those that a histogram consists of are among them.
func reference(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile(metricsRef)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{"process_resident_memory_bytes": nil, "process_cpu_seconds_total": nil}
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\| ([^|]*) \\|")
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		var names []string
		for _, label := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(m[3], -1) {
			names = append(names, label[1])
		}
		if m[2] != "histogram" {
			known[m[1]] = names
			continue
		}
		known[m[1]+"_bucket"] = append(slices.Clone(names), "le")
		known[m[1]+"_sum"], known[m[1]+"_count"] = names, names
	}
	if len(known) < 20 {
		t.Fatalf("only %d metrics in %s", len(known), metricsRef)
	}
	return known
}

// targetLabels are those that Prometheus adds to what it scrapes.
func targetLabels() []string { return []string{"job", "namespace", "pod", "instance"} }

// checkNames reports metrics and labels of a query that the documentation does not have.
func checkNames(t *testing.T, query string) {
	t.Helper()
	known := reference(t)
	expr, err := newParser().ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v", query, err)
		return
	}
	all := map[string]bool{}
	for _, selector := range selectors(expr) {
		names, exists := known[selector.Name]
		if !exists {
			t.Errorf("%s: there is no metric %s", query, selector.Name)
		}
		for _, name := range append(names, targetLabels()...) {
			all[name] = true
		}
		for _, m := range selector.LabelMatchers {
			if m.Name != model.MetricNameLabel && !slices.Contains(append(names, targetLabels()...), m.Name) {
				t.Errorf("%s: %s has no label %s", query, selector.Name, m.Name)
			}
		}
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok {
			for _, name := range a.Grouping {
				if !all[name] {
					t.Errorf("%s: there is no label %s", query, name)
				}
			}
		}
		return nil
	})
}

// selectors returns the selectors of a query.
func selectors(expr parser.Expr) []*parser.VectorSelector {
	var found []*parser.VectorSelector
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			found = append(found, s)
		}
		return nil
	})
	return found
}

func TestAlertsUseMetricsThatExist(t *testing.T) {
	for _, rule := range alerts(t) {
		checkNames(t, rule.Expr)
	}
}

// TestAlertsAreComplete: whoever is woken finds out what is at risk, and where to read on.
func TestAlertsAreComplete(t *testing.T) {
	for _, rule := range alerts(t) {
		if s := rule.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has severity %q", rule.Alert, s)
		}
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s needs a summary and a description", rule.Alert)
		}
		if got, want := rule.Annotations["runbook_url"], runbookURL+rule.Alert+".md"; got != want {
			t.Errorf("%s has runbook_url %s, want %s", rule.Alert, got, want)
		}
	}
}

// TestRunbooks: each alert has a page with the same sections, and each page an alert and a place in the list.
func TestRunbooks(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(runbooks, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(runbooks, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]rulefmt.Rule{}
	for _, rule := range alerts(t) {
		missing[rule.Alert] = rule
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name == "README" {
			continue
		}
		rule, known := missing[name]
		if !known {
			t.Errorf("%s is about no alert", page)
			continue
		}
		delete(missing, name)
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{
			"# " + name + "\n", "Severity: " + rule.Labels["severity"], "## What it means\n", "## What is safe meanwhile\n", "## How to look\n", "## How to fix\n",
		} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s does not contain %q", page, part)
			}
		}
		if !strings.Contains(string(index), "["+name+"]("+name+".md)") {
			t.Errorf("the list of runbooks does not have %s", name)
		}
	}
	for name := range missing {
		t.Errorf("%s has no runbook", name)
	}
}
