package kube_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/cli"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
)

// program runs the commands run and plan.
func (s *scene) program() {
	t, p := s.T, s.place
	zk := zktest.New(zktest.Options{})
	if err := zk.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(zk.Stop)
	register := func(iface, address string) {
		t.Helper()
		u := url.QueryEscape(fmt.Sprintf("dubbo://%s/%s?interface=%s", address, iface, iface))
		if err := zk.Create("/dubbo/"+iface+"/providers/"+u, nil); err != nil {
			t.Fatal(err)
		}
	}
	register("com.acme.foo", "10.0.0.1:20880")
	register("com.acme.bar", "10.0.0.1:20880")
	config := filepath.Join(t.TempDir(), "registry.yaml")
	text := fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: shop, namespace: %s}
spec:
  source: {zookeeper: {servers: ["%s"], sessionTimeout: 4s}}
`, namespace, zk.Addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := func(command string, more ...string) []string {
		return append([]string{command, "--config", config, "--kubeconfig", p.cluster.Kubeconfig, "--instance", outputtest.Instance}, more...)
	}
	expectPlan := func(code int, want string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := cli.Main(t.Context(), args("plan"), cli.Streams{Out: &out, Err: &errs}); got != code || !strings.Contains(out.String(), want) {
			t.Errorf("plan ended with %d, want %d: %s%s", got, code, &out, &errs)
		}
	}
	runUntil := func(done func()) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int)
		var log bytes.Buffer
		go func() {
			ended <- cli.Main(ctx, args("run", "--output", "kube", "--listen", ""), cli.Streams{Out: &log, Err: &log})
		}()
		done()
		cancel()
		if code := <-ended; code != cli.ExitOK || t.Failed() {
			t.Errorf("run ended with %d: %s", code, &log)
		}
	}

	expectPlan(cli.ExitDifferences, "2 to create, 0 to update, 0 to delete.")
	if got := p.versions(t); len(got) > 0 {
		t.Errorf("plan wrote %v", got)
	}
	runUntil(func() { p.await(t, []string{"com.acme.bar", "com.acme.foo"}, "10.0.0.1") })
	expectPlan(cli.ExitOK, "0 to create, 0 to update, 0 to delete.")
	before := p.versions(t)
	register("com.acme.new", "10.0.0.1:20880")
	// The new one is written only when everything else has been looked at.
	runUntil(func() { p.await(t, []string{"com.acme.bar", "com.acme.foo", "com.acme.new"}, "10.0.0.1") })
	after := p.versions(t)
	delete(after, "com.acme.new")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a second run wrote what had not changed (-before +after):\n%s", diff)
	}

	p.foreign(t, "com.acme.taken")
	register("com.acme.taken", "10.0.0.1:20880")
	expectPlan(cli.ExitDifferences, `HostConflict: the host "com.acme.taken" belongs to ServiceEntry elsewhere/foreign-com.acme.taken`)

	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), []string{
		"plan", "--config", config, "--timeout", "2s", "--live", "kube", "--instance", "a", "--kubeconfig", unreachable(t),
	}, cli.Streams{Out: &out, Err: &errs})
	if code != cli.ExitError || !strings.Contains(errs.String(), "--timeout") || !strings.Contains(errs.String(), "refused") {
		t.Errorf("plan ended with %d: %s%s", code, &out, &errs)
	}
}

// unreachable returns a kubeconfig for an API server that is not there.
func unreachable(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "https://127.0.0.1:%d"}}]
contexts: [{name: none, context: {cluster: none}}]
current-context: none
`, lab.FreePort(t))
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
