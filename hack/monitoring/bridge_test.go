package monitoring

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/internal/cli"
	"github.com/registry-bridge/registry-bridge/internal/source/consul/consultest"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// bridge is the program in this process, with a ZooKeeper and a Consul that can be broken.
type bridge struct {
	zk          *zktest.Server
	consul      *consultest.Server
	config, out string
	log         lockedBuffer
}

// start starts the registries, with services, and a bridge that publishes them.
func start(t *testing.T) *bridge {
	t.Helper()
	b := &bridge{
		zk: zktest.New(zktest.Options{}), consul: consultest.New(consultest.Options{}),
		config: filepath.Join(t.TempDir(), "registries.yaml"), out: filepath.Join(t.TempDir(), "out"),
	}
	outlive := context.WithoutCancel(t.Context())
	if err := b.zk.Start(outlive); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.zk.Stop)
	if err := b.consul.Start(outlive); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.consul.Stop)
	b.consul.Register(&api.CatalogRegistration{
		Node: "node-1", Address: "10.255.0.1", Service: &api.AgentService{ID: "web-1", Service: "web", Address: "10.0.0.1", Port: 80},
	})
	for i := range services {
		b.register(t, i, 1)
	}
	b.register(t, hidden, 1)
	secret := wire.ACL{Perms: wire.PermAll, Scheme: "digest", ID: zktest.Digest("somebody:else")}
	if err := b.zk.SetACL("/dubbo/"+name(hidden)+"/providers", secret); err != nil {
		t.Fatal(err)
	}
	b.configure(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		cli.Main(ctx, []string{"run", "--config", b.config, "--output-dir", b.out, "--listen", "127.0.0.1:0"}, cli.Streams{Out: &b.log, Err: &b.log})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			t.Log(b.log.String())
		}
	})
	return b
}

// services is how many services ZooKeeper has, with an instance each; hidden is one more, which may not be read.
const (
	services = 20
	hidden   = 70
)

func name(service int) string { return fmt.Sprintf("com.acme.S%02d", service) }

// node is the path of an instance of a service.
func node(service, instance int) string {
	provider := fmt.Sprintf("dubbo://10.1.%d.%d:20880/%s?application=demo&interface=%s", service, instance, name(service), name(service))
	return "/dubbo/" + name(service) + "/providers/" + url.QueryEscape(provider)
}

func (b *bridge) register(t *testing.T, service, instance int) {
	t.Helper()
	if err := b.zk.Create(node(service, instance), nil); err != nil {
		t.Fatal(err)
	}
}

// configure writes the configuration, with more of the spec of the Registry for ZooKeeper.
func (b *bridge) configure(t *testing.T, spec string) {
	t.Helper()
	text := fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: shop, namespace: dubbo}
spec:
  source: {zookeeper: {servers: ["%s"], sessionTimeout: 4s}}
%s
---
apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: dc1, namespace: consul}
spec: {source: {consul: {address: "http://%s", datacenter: dc1}}}
`, b.zk.Addr(), spec, b.consul.Addr())
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// scrape returns what /metrics says, "" while nobody listens yet.
func (b *bridge) scrape(t *testing.T) string {
	t.Helper()
	address := regexp.MustCompile(`msg=listening address=(\S+)`).FindStringSubmatch(b.log.String())
	if address == nil {
		return ""
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address[1]+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// await waits until a line of the metrics matches.
func (b *bridge) await(t *testing.T, line string) {
	t.Helper()
	want := regexp.MustCompile("(?m)^registry_bridge_" + line + "$")
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		text := b.scrape(t)
		if want.MatchString(text) {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			var ours []string
			for l := range strings.Lines(text) {
				if strings.HasPrefix(l, "registry_bridge_") && !strings.Contains(l, "_bucket") {
					ours = append(ours, l)
				}
			}
			t.Fatalf("no metric is %s:\n%s", line, strings.Join(ours, ""))
		}
	}
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
