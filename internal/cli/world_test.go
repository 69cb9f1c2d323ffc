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
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/cli"
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

// address is where the running process shows its pages.
func (p *process) address(t *testing.T) string {
	t.Helper()
	var address []string
	eventually(t, func() string {
		if address = regexp.MustCompile(`msg=listening address=(\S+)`).FindStringSubmatch(p.log.String()); address == nil {
			return "no address in the log"
		}
		return ""
	})
	return address[1]
}

// get reads a page of the running process.
func (p *process) get(t *testing.T, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address(t)+path, http.NoBody)
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
