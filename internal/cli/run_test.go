package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/cli"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

const (
	foo = "com.acme.Foo"
	bar = "com.acme.Bar"
)

// TestRun is the life of a bridge: services come, one instance leaves, the registry fails and returns, the bridge restarts.
func TestRun(t *testing.T) {
	w := newWorld(t)
	w.register(t, foo, "10.0.0.1:20880")
	w.register(t, foo, "10.0.0.2:20880")
	w.register(t, bar, "10.0.0.3:20880")
	p := w.start(t)
	all := []string{"com.acme.bar 10.0.0.3", "com.acme.foo 10.0.0.1", "com.acme.foo 10.0.0.2"}
	w.expect(t, all...)
	eventually(t, func() string {
		if code, text := p.get(t, "/readyz"); code != http.StatusOK {
			return text
		}
		return ""
	})

	w.deregister(t, foo, "10.0.0.2:20880")
	w.expect(t, all[0], all[1])

	w.zk.Stop()
	eventually(t, func() string {
		if strings.Contains(p.log.String(), "connection to zookeeper lost") {
			return ""
		}
		return "the outage has not been noticed"
	})
	if diff := cmp.Diff(all[:2], w.published(t)); diff != "" {
		t.Errorf("endpoints in an outage (-want +got):\n%s", diff)
	}
	if code, text := p.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("an outage of the registry makes the bridge unready: %s", text)
	}
	w.register(t, foo, "10.0.0.4:20880")
	if err := w.zk.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	w.expect(t, all[0], all[1], "com.acme.foo 10.0.0.4")

	before := w.stat(t)
	if code := p.end(t); code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
	p = w.start(t)
	p.sourceState(t, "Synced")
	if diff := cmp.Diff(before, w.stat(t)); diff != "" {
		t.Errorf("a restart wrote something (-before +after):\n%s", diff)
	}
	if _, metrics := p.get(t, "/metrics"); strings.Contains(metrics, "registry_bridge_writes_total{") {
		t.Errorf("a restart wrote something:\n%s", metrics)
	}
	if code := p.end(t); code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
}

// stat tells the versions of all files apart.
func (w *world) stat(t *testing.T) map[string]time.Time {
	t.Helper()
	times := map[string]time.Time{}
	for name := range w.files(t) {
		info, err := os.Stat(filepath.Join(w.out, name))
		if err != nil {
			t.Fatal(err)
		}
		times[name] = info.ModTime()
	}
	return times
}

func TestRunReloads(t *testing.T) {
	w := newWorld(t)
	w.register(t, foo, "10.0.0.1:20880")
	w.register(t, bar, "10.0.0.3:20880")
	p := w.start(t)
	w.expect(t, "com.acme.bar 10.0.0.3", "com.acme.foo 10.0.0.1")

	// A removal by configuration is not held.
	w.configure(t, "  services: {exclude: [com.acme.Bar]}\n")
	w.expect(t, "com.acme.foo 10.0.0.1")

	// A bad edit changes nothing, and says so.
	w.configure(t, "  services: {exclude: [\"[\"]}\n")
	eventually(t, func() string {
		if code, text := p.get(t, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, "spec.services.exclude[0]") {
			return text
		}
		return ""
	})
	if got := w.published(t); len(got) != 1 {
		t.Errorf("a bad edit changed the output to %v", got)
	}
	if _, metrics := p.get(t, "/metrics"); !strings.Contains(metrics, "\nregistry_bridge_config_problems 1\n") {
		t.Error("the metric does not show the problem")
	}

	w.configure(t, "")
	w.expect(t, "com.acme.bar 10.0.0.3", "com.acme.foo 10.0.0.1")
	if n := w.zk.Stats().Connections; n != 1 {
		t.Errorf("%d connections, want 1: edits that do not change the source must not restart it", n)
	}

	// The Registry is gone, and its policy was to retain what it published.
	if err := os.WriteFile(w.config, []byte("# nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if r := p.report(t); len(r.Registries) > 0 {
			return "the Registry is still there"
		}
		return ""
	})
	w.expect(t, "com.acme.bar 10.0.0.3", "com.acme.foo 10.0.0.1")
	if code := p.end(t); code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestRunReleases: an edit that takes most services away waits until a person names the hold in the Registry's annotation.
func TestRunReleases(t *testing.T) {
	w := newWorld(t)
	for i := range 12 {
		w.register(t, fmt.Sprintf("com.acme.S%d", i), "10.0.0.1:20880")
	}
	w.register(t, foo, "10.0.0.1:20880")
	p := w.start(t)
	all := func() int { return len(w.published(t)) }
	eventually(t, func() string {
		if n := all(); n != 13 {
			return fmt.Sprintf("%d endpoints, want 13", n)
		}
		return ""
	})

	const edit = "  services: {include: [com.acme.Foo]}\n"
	w.configure(t, edit)
	var id string
	eventually(t, func() string {
		for _, h := range p.report(t).Holds {
			if h.Guard == reason.ConfirmRemoval {
				id = h.ID
			}
		}
		if id == "" {
			return "nothing is held"
		}
		return ""
	})
	if n := all(); n != 13 {
		t.Errorf("%d endpoints while the removal waits, want 13", n)
	}

	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	release := fmt.Sprintf("namespace: dubbo, annotations: {registry-bridge.io/release: %s}", id)
	if err := os.WriteFile(w.config, bytes.Replace(text, []byte("namespace: dubbo"), []byte(release), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "com.acme.foo 10.0.0.1")
	p.end(t)
}

func TestRunDeletes(t *testing.T) {
	w := newWorld(t)
	w.configure(t, "  deletionPolicy: Delete\n")
	w.register(t, foo, "10.0.0.1:20880")
	p := w.start(t)
	w.expect(t, "com.acme.foo 10.0.0.1")
	if err := os.WriteFile(w.config, []byte("# nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if files := w.files(t); len(files) > 0 {
			return fmt.Sprintf("still there: %v", files)
		}
		return ""
	})
	p.end(t)
}

// TestRunWithSecrets: a secret that is wrong is reported without its content, and one that is corrected is used at the next connection.
func TestRunWithSecrets(t *testing.T) {
	w := newWorld(t)
	w.register(t, foo, "10.0.0.1:20880")
	only := wire.ACL{Perms: wire.PermAll, Scheme: "digest", ID: zktest.Digest("bridge:right-pass")}
	for _, path := range []string{"/dubbo", "/dubbo/" + foo, "/dubbo/" + foo + "/providers"} {
		if err := w.zk.SetACL(path, only); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("sessionTimeout"), []byte("auth: {digestSecretRef: {name: zk}}, sessionTimeout"), 1)
	if err := os.WriteFile(w.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	secrets := t.TempDir()
	folder := filepath.Join(secrets, "dubbo", "zk")
	p := w.start(t, "--secrets-dir", secrets)
	failure := func(want string) {
		eventually(t, func() string {
			if _, body := p.get(t, "/debug/state"); !strings.Contains(body, want) {
				return "want " + want + " in " + body
			}
			return ""
		})
	}
	failure(filepath.Join(folder, "password"))

	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	secret := func(name, value string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secret("password", "wrong-pass")
	secret("username", "bridge")
	failure("registry refused the credentials")

	secret("password", "right-pass\n")
	w.expect(t, "com.acme.foo 10.0.0.1")
	_, state := p.get(t, "/debug/state")
	_, metrics := p.get(t, "/metrics")
	if strings.Contains(p.log.String()+state+metrics, "-pass") {
		t.Error("a secret is in the log, the state or the metrics")
	}
	p.end(t)
}

func TestRunRefuses(t *testing.T) {
	w := newWorld(t)
	bad := writeFile(t, "bad.yaml", "kind: Secret\n")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no configuration", []string{"--output-dir", w.out}, "--config is needed"},
		{"no output", []string{"--config", w.config}, "--output-dir is needed"},
		{"instance", []string{"--config", w.config, "--output-dir", w.out, "--instance", "a b"}, `--instance "a b" needs`},
		{"cluster without instance", []string{"--config", w.config, "--output", "kube"}, "needs --instance"},
		{"context without instance", []string{"--config", w.config, "--context", "prod"}, "needs --instance"},
		{"cluster and folder", []string{"--config", w.config, "--output", "kube", "--output-dir", w.out, "--instance", "a"}, "exclude each other"},
		{"no requests", []string{"--config", w.config, "--output", "kube", "--instance", "a", "--kube-api-qps", "0"}, "--kube-api-qps"},
		{"log level", []string{"--config", w.config, "--output-dir", w.out, "--log-level", "loud"}, "use debug, info, warn or error"},
		{"log format", []string{"--config", w.config, "--output-dir", w.out, "--log-format", "xml"}, "use text or json"},
		{"nothing valid", []string{"--config", bad, "--output-dir", w.out}, "needs to be Registry"},
		{"address", []string{"--config", w.config, "--output-dir", w.out, "--listen", "nowhere"}, "change it with --listen"},
		{"argument", []string{"now"}, "unknown command"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, append([]string{"run"}, tt.args...)...)
			if got.code != cli.ExitError || !strings.Contains(got.err, tt.want) {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
		})
	}
}

func TestTwoBridgesOneFolder(t *testing.T) {
	w := newWorld(t)
	w.register(t, foo, "10.0.0.1:20880")
	p := w.start(t)
	w.expect(t, "com.acme.foo 10.0.0.1")
	if got := run(t, "run", "--config", w.config, "--output-dir", w.out, "--listen", ""); got.code != cli.ExitError {
		t.Errorf("got %+v", got)
	}
	p.end(t)
}
