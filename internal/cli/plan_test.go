package cli_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/cli"
)

func TestPlan(t *testing.T) {
	w := newWorld(t)
	w.register(t, foo, "10.0.0.1:20880")
	w.register(t, foo, "10.0.0.2:20880")
	args := []string{"plan", "--config", w.config, "--output-dir", w.out}

	got := run(t, args...)
	want := lines(
		"+ ServiceEntry dubbo/com.acme.foo  com.acme.foo  2 endpoints",
		"    + 10.0.0.1:20880",
		"    + 10.0.0.2:20880",
		"1 to create, 0 to update, 0 to delete.", "")
	if diff := cmp.Diff(want, got.out); diff != "" || got.code != cli.ExitDifferences || got.err != "" {
		t.Errorf("exit code %d, %q, output (-want +got):\n%s", got.code, got.err, diff)
	}
	if files := w.files(t); len(files) > 0 {
		t.Errorf("plan wrote %v", files)
	}

	p := w.start(t)
	w.expect(t, "com.acme.foo 10.0.0.1", "com.acme.foo 10.0.0.2")
	p.end(t)
	if got := run(t, args...); got.code != cli.ExitOK || got.out != "0 to create, 0 to update, 0 to delete.\n" {
		t.Errorf("nothing to do: got %+v", got)
	}

	manifests := run(t, append(args, "-o", "yaml")...)
	if diff := cmp.Diff(strings.Join(values(w.files(t)), "---\n"), manifests.out); diff != "" || manifests.code != cli.ExitOK {
		t.Errorf("exit code %d, manifests (-files +got):\n%s", manifests.code, diff)
	}

	w.deregister(t, foo, "10.0.0.1:20880")
	w.register(t, foo, "10.0.0.3:20880")
	got = run(t, args...)
	want = lines(
		"~ ServiceEntry dubbo/com.acme.foo  com.acme.foo  2 -> 2 endpoints",
		"    + 10.0.0.3:20880",
		"    - 10.0.0.1:20880",
		"0 to create, 1 to update, 0 to delete.", "")
	if diff := cmp.Diff(want, got.out); diff != "" || got.code != cli.ExitDifferences {
		t.Errorf("exit code %d, output (-want +got):\n%s", got.code, diff)
	}

	w.deregister(t, foo, "10.0.0.2:20880")
	w.deregister(t, foo, "10.0.0.3:20880")
	got = run(t, args...)
	if !strings.Contains(got.out, "held by Empty") || !strings.Contains(got.out, "2 held.") || got.code != cli.ExitOK {
		t.Errorf("everything is gone: got %+v", got)
	}
	var shown struct {
		Changes []any
		Holds   []struct{ Guard, Endpoint string }
	}
	got = run(t, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(got.out), &shown); err != nil || len(shown.Changes) != 0 || len(shown.Holds) != 2 {
		t.Errorf("as JSON: got %+v, %v", got, err)
	}
}

func values(files map[string]string) []string {
	var texts []string
	for _, text := range files {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return texts
}

func TestPlanObserves(t *testing.T) {
	w := newWorld(t)
	w.configure(t, "  mode: Observe\n")
	w.register(t, foo, "10.0.0.1:20880")
	got := run(t, "plan", "--config", w.config)
	if got.code != cli.ExitDifferences || !strings.Contains(got.out, "not written: observed") {
		t.Errorf("got %+v", got)
	}
	if got := run(t, "plan", "--config", w.config, "-o", "yaml"); !strings.Contains(got.out, "- com.acme.foo\n") {
		t.Errorf("got %+v", got)
	}
}

func TestPlanFails(t *testing.T) {
	w := newWorld(t)
	w.zk.Stop()
	got := run(t, "plan", "--config", w.config, "--timeout", "1s")
	if got.code != cli.ExitError || !strings.Contains(got.err, "of Registry dubbo/shop (") || !strings.Contains(got.err, "--timeout") {
		t.Errorf("got %+v, want the source that cannot be read, and why", got)
	}
	if got := run(t, "plan", "--config", w.config, "--live", "kube"); got.code != cli.ExitError || !strings.Contains(got.err, "needs --instance") {
		t.Errorf("got %+v", got)
	}
	if got := run(t, "plan", "--config", w.config, "-o", "table"); got.code != cli.ExitError {
		t.Errorf("got %+v", got)
	}
	if got := run(t, "plan", "--config", writeFile(t, "bad.yaml", "x")); got.code != cli.ExitError || !strings.Contains(got.err, "1 problem found.") {
		t.Errorf("got %+v", got)
	}
}
