package cluster_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// planned is what the command plan has said.
type planned struct {
	code     int
	out, err string
}

// plan runs the command plan over the configuration of the bridge.
func (s *scene) plan(more ...string) planned {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), program, s.bridge.Command("plan", more...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return planned{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// expectPlan runs plan and wants an exit code and a text in what it says.
func (s *scene) expectPlan(code int, text string, more ...string) planned {
	s.t.Helper()
	p := s.plan(more...)
	if p.code != code || !strings.Contains(p.out+p.err, text) {
		s.t.Errorf("plan %v ended with %d, want %d and %q:\n%s%s", more, p.code, code, text, p.out, p.err)
	}
	return p
}

// expectWrites wants the API server to have been asked to write that often by the bridge and by plan.
func (s *scene) expectWrites(n int) {
	s.t.Helper()
	writes := s.kube.Writes(s.t, s.namespace, "bridge")
	for range 40 { // The API server notes a request after it has answered, and after etcd has told of the object.
		if len(writes) >= n {
			break
		}
		s.pass(50 * time.Millisecond)
		writes = s.kube.Writes(s.t, s.namespace, "bridge")
	}
	if len(writes) != n {
		s.t.Errorf("the API server was asked to write %d times, want %d: %v", len(writes), n, writes)
	}
}

// objects parses manifests, by name.
func objects(t *testing.T, manifests string) map[string]*unstructured.Unstructured {
	t.Helper()
	all := map[string]*unstructured.Unstructured{}
	for document := range strings.SplitSeq(manifests, "---\n") {
		u := &unstructured.Unstructured{}
		text, err := yaml.YAMLToJSON([]byte(document))
		if err == nil {
			err = u.UnmarshalJSON(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		all[u.GetName()] = u
	}
	return all
}

// plan runs plan beside no bridge and beside one that runs.
func (a act) plan() {
	t, shared := a.t, a.servers
	s := newScene(t, shared, shared.kube.BridgeKubeconfig)
	all := usual().Interfaces
	p := s.expectPlan(2, fmt.Sprintf("%d to create, 0 to update, 0 to delete.", all))
	if strings.Contains(p.out, "\x1b") {
		t.Errorf("there are colours, and no terminal:\n%s", p.out)
	}
	var shown struct {
		Changes []struct{ Op, Object, Host string }
		Holds   []any
	}
	if err := json.Unmarshal([]byte(s.expectPlan(2, "", "-o", "json").out), &shown); err != nil || len(shown.Changes) != all || shown.Changes[0].Op != "create" {
		t.Errorf("as JSON: %+v, %v", shown, err)
	}
	manifests := objects(t, s.expectPlan(0, "", "-o", "yaml").out)
	for name, u := range manifests {
		if _, err := s.entries().Apply(t.Context(), name, u, metav1.ApplyOptions{FieldManager: "person", DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Errorf("the API server refuses what is planned: %v", err)
		}
	}
	if len(manifests) != all {
		t.Errorf("%d manifests, want %d", len(manifests), all)
	}
	coloured := s.onTerminal()
	if !strings.Contains(coloured, "\x1b[32m+ ServiceEntry") {
		t.Errorf("there is a terminal, and no colour:\n%.1000s", coloured)
	}
	if plain := s.onTerminal("NO_COLOR=1"); strings.Contains(plain, "\x1b") {
		t.Errorf("there are colours, and nobody wants them:\n%.1000s", plain)
	}
	s.expectWrites(0)

	s.start()
	s.expectPlan(0, "0 to create, 0 to update, 0 to delete.")
	s.expectPlan(0, `"changes": []`, "-o", "json")
	s.bridge.Stop(t)
	gone := usual().Instance(2, 1)
	if err := s.fleet.Deregister(gone, 0); err != nil {
		t.Fatal(err)
	}
	s.register(usual().Instance(40, 0))
	p = s.expectPlan(2, "1 to create, 1 to update, 0 to delete.")
	if line := fmt.Sprintf("- %s:%d\n", gone.Address, gone.Port); !strings.Contains(p.out, line) {
		t.Errorf("plan does not show %q:\n%s", line, p.out)
	}
	s.expectWrites(all)
	s.expectPlan(1, "refused", "--timeout", "2s", "--kubeconfig", kubeconfig(t, fmt.Sprintf("https://127.0.0.1:%d", lab.FreePort(t))))
}

// modes observes, writes, and pauses: what is shown before is what is written then.
func (a act) modes() {
	t, shared := a.t, a.servers
	s := newScene(t, shared, shared.kube.BridgeKubeconfig)
	s.loose = true // A pause gathers changes.
	all := usual().Interfaces
	mode := func(mode string) {
		s.options.Mode = mode
		s.bridge.Configure(t, s.options)
	}
	mode("Observe")
	s.bridge.Start(t)
	s.bridge.Await(t, settleLimit, "the bridge has read everything", func(m bridge.Metrics) bool {
		return m.Sum("source_synced") == 1 && m.Sum("cycles_total") > 0
	})
	s.churned(func() { s.pass(3 * time.Second) })
	s.expectPlan(2, fmt.Sprintf("%d planned but not written", all))
	before := objects(t, s.expectPlan(0, "", "-o", "yaml").out)
	s.expectWrites(0)

	mode("Active")
	s.settle(settleLimit)
	s.expectPlan(0, "0 to create, 0 to update, 0 to delete.")
	s.expectWrites(all)
	list, err := s.entries().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]*unstructured.Unstructured{}
	for i := range list.Items {
		u := &list.Items[i]
		for _, field := range []string{"managedFields", "generation", "creationTimestamp", "uid", "resourceVersion"} {
			unstructured.RemoveNestedField(u.Object, "metadata", field)
		}
		written[u.GetName()] = u
	}
	if diff := cmp.Diff(before, written); diff != "" {
		t.Errorf("what was planned is not what was written (-planned +written):\n%.2000s", diff)
	}

	mode("Paused")
	s.bridge.Await(t, settleLimit, "the bridge is paused", func(m bridge.Metrics) bool { return m.Sum("config_loaded_timestamp_seconds") > 0 })
	s.logPaused()
	if err := s.fleet.Deregister(usual().Instance(2, 1), 0); err != nil {
		t.Fatal(err)
	}
	s.pass(3 * time.Second)
	s.expectPlan(2, "1 planned but not written")
	s.expectWrites(all)
	mode("Active")
	s.settle(settleLimit)
	s.expectWrites(all + 1)
}

// logPaused waits until the third configuration has been loaded.
func (s *scene) logPaused() {
	s.t.Helper()
	for strings.Count(s.bridge.Process().Output(), "configuration loaded") < 3 {
		s.pass(20 * time.Millisecond)
		if s.t.Context().Err() != nil {
			return
		}
	}
}
