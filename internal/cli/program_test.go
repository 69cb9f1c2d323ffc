package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/cli"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
	"github.com/registry-bridge/registry-bridge/internal/status"
)

// world is a ZooKeeper in this process, and the folders of a bridge.
type world struct {
	zk          *zktest.Server
	config, out string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		zk:     zktest.New(zktest.Options{}),
		config: filepath.Join(t.TempDir(), "registry.yaml"),
		out:    filepath.Join(t.TempDir(), "out"),
	}
	if err := w.zk.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.zk.Stop)
	w.configure(t, "")
	return w
}

// configure writes the configuration, with more lines of the spec.
func (w *world) configure(t *testing.T, spec string) {
	t.Helper()
	text := fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: shop, namespace: dubbo}
spec:
  source: {zookeeper: {servers: ["%s"], sessionTimeout: 4s}}
%s`, w.zk.Addr(), spec)
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// node is the path of a provider.
func node(iface, address string) string {
	u := fmt.Sprintf("dubbo://%s/%s?application=demo&interface=%s&timestamp=1", address, iface, iface)
	return "/dubbo/" + iface + "/providers/" + url.QueryEscape(u)
}

func (w *world) register(t *testing.T, iface, address string) {
	t.Helper()
	if err := w.zk.Create(node(iface, address), nil); err != nil {
		t.Fatal(err)
	}
}

func (w *world) deregister(t *testing.T, iface, address string) {
	t.Helper()
	if err := w.zk.Delete(node(iface, address)); err != nil {
		t.Fatal(err)
	}
}

// files returns the content of the output, by file name.
func (w *world) files(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(w.out, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = string(data)
	}
	return files
}

// published lists the endpoints in the output as "host address".
func (w *world) published(t *testing.T) []string {
	t.Helper()
	host, address := regexp.MustCompile(`(?m)^ {2}hosts:\n {2}- (\S+)$`), regexp.MustCompile(`(?m)^ {2}- address: (\S+)$`)
	var list []string
	for _, text := range w.files(t) {
		h := host.FindStringSubmatch(text)
		for _, a := range address.FindAllStringSubmatch(text, -1) {
			list = append(list, h[1]+" "+a[1])
		}
	}
	slices.Sort(list)
	return list
}

// process is the command run, in this process.
type process struct {
	stop func()
	code chan int
	log  *lockedBuffer
}

// lockedBuffer is a buffer that may be written and read at the same time.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (w *world) start(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &process{stop: cancel, code: make(chan int, 1), log: &lockedBuffer{}}
	args = append([]string{"run", "--config", w.config, "--output-dir", w.out, "--listen", "127.0.0.1:0"}, args...)
	go func() { p.code <- cli.Main(ctx, args, cli.Streams{Out: p.log, Err: p.log}) }()
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Log(p.log)
		}
	})
	return p
}

// end stops the process and returns its exit code.
func (p *process) end(t *testing.T) int {
	t.Helper()
	p.stop()
	select {
	case code := <-p.code:
		return code
	case <-time.After(20 * time.Second):
		t.Fatal("it does not stop")
		return -1
	}
}

// get reads a page of the running process.
func (p *process) get(t *testing.T, path string) (int, string) {
	t.Helper()
	var address []string
	eventually(t, func() string {
		if address = regexp.MustCompile(`msg=listening address=(\S+)`).FindStringSubmatch(p.log.String()); address == nil {
			return "no address in the log"
		}
		return ""
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address[1]+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// report reads /debug/state.
func (p *process) report(t *testing.T) status.Report {
	t.Helper()
	var r status.Report
	_, body := p.get(t, "/debug/state")
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// eventually waits until check has nothing to say any more.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		complaint := check()
		if complaint == "" {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatal(complaint)
		}
	}
}

// expect waits until exactly these endpoints are published.
func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, func() string {
		if diff := cmp.Diff(want, w.published(t)); diff != "" {
			return "endpoints (-want +got):\n" + diff
		}
		return ""
	})
}

// sourceState waits until the only source is in a state.
func (p *process) sourceState(t *testing.T, want string) {
	t.Helper()
	eventually(t, func() string {
		r := p.report(t)
		if len(r.Registries) == 1 && len(r.Registries[0].Sources) == 1 && r.Registries[0].Sources[0].State == want {
			return ""
		}
		return fmt.Sprintf("want a source that is %s, got %+v", want, r.Registries)
	})
}

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
	if got := run(t, "plan", "--config", w.config, "-o", "table"); got.code != cli.ExitError {
		t.Errorf("got %+v", got)
	}
	if got := run(t, "plan", "--config", writeFile(t, "bad.yaml", "x")); got.code != cli.ExitError || !strings.Contains(got.err, "1 problem found.") {
		t.Errorf("got %+v", got)
	}
}
