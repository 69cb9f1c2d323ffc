// Package wire_test calls real Dubbo providers from real Dubbo consumers through a real Envoy, which has its configuration from a real
// istiod, which has its objects from the built program, which has its instances from a real registry. Nothing is played. The consumers
// are what they are today: they ask their registry and dial what it says.
package wire_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
	"github.com/registry-bridge/registry-bridge/e2e/lab/envoy"
	"github.com/registry-bridge/registry-bridge/e2e/lab/network"
)

// patience is how long anything may take that takes seconds on an idle machine.
const patience = 2 * time.Minute

// The namespaces: of the Registry and its entries, of the consumers that it is for, and of others.
const (
	registryNamespace = "dubbo"
	callers           = "shop"
	elsewhere         = "elsewhere"
)

// adminPort is where the Envoys of hosts have their administration.
const adminPort = 15000

// greeting is the host of the service of the lab, without version and group.
const greeting = "demo.greetingservice"

var (
	callCount = flag.Int("calls", 10_000, "how `many` calls are made to see that each is answered by the right provider")
	seed      = flag.Uint64("seed", 1, "seed of the choices that consumers make")
)

// program is the path of the bridge's binary.
var program string

func TestMain(m *testing.M) {
	flag.StringVar(&program, "program", "", "`binary` to run instead of one that is built from the present sources")
	flag.Parse()
	os.Exit(bridge.Suite{Program: &program}.Run(m))
}

// scene is one test with all that the tests share.
type scene struct {
	*testing.T
	network   *network.Network
	kube      *lab.Kube
	kubectl   *lab.Kubectl
	istiod    *lab.Istiod
	zookeeper *lab.ZooKeeper
	bridge    *bridge.Bridge
	// one and two are the hosts of providers that are always there, and providers those, with a few on hosts of their own.
	one, two  *network.Host
	providers map[string]*lab.DubboProvider
	// before is what a proxy in another namespace was told before there was a Registry.
	before *ads.Config
	// caller is the workload whose calls are routed, stranger one in another namespace.
	caller, stranger *workload
	// owner is the test that all of them end with.
	owner *testing.T
}

// workload is a consumer with its sidecar, on a host of its own.
type workload struct {
	*lab.DubboConsumer
	host    *network.Host
	sidecar *envoy.Envoy
}

// TestWire starts everything once. The tests leave the providers as they found them.
func TestWire(t *testing.T) {
	s := start(t)
	for _, test := range []struct {
		name string
		run  func(*scene)
	}{
		{"Versions", (*scene).versions},
		{"Forms", (*scene).forms},
		{"Passes", (*scene).passes},
		{"Splits", (*scene).splits},
		{"ComesAndGoes", (*scene).comesAndGoes},
		{"Outside", (*scene).outside},
		{"Triple", (*scene).triple},
	} {
		t.Run(test.name, func(t *testing.T) {
			sub := *s
			sub.T = t
			test.run(&sub)
		})
	}
	s.caller.sidecar.CheckAccepted(t)
	s.stranger.sidecar.CheckAccepted(t)
}

func start(t *testing.T) *scene {
	t.Helper()
	s := &scene{T: t, owner: t, network: network.Start(t), kube: lab.StartKube(t)}
	s.kubectl = s.kube.Kubectl(t)
	s.istiod = lab.StartIstiod(t, s.kube, lab.IstiodOptions{Envoy: true, Host: network.Gateway})
	for _, name := range []string{registryNamespace, callers, elsewhere} {
		s.kube.MakeNamespace(t, name)
	}
	s.zookeeper = lab.StartZooKeeper(t, lab.ZooKeeperOptions{Settings: map[string]string{"clientPortAddress": "0.0.0.0"}})
	s.before = s.told(elsewhere, "10.9.1.0")
	s.startProviders()
	s.bridge = bridge.New(t, s.options(withConsumers(callers)))
	s.bridge.Start(t)
	s.caller, s.stranger = s.join("caller", callers), s.join("stranger", elsewhere)
	t.Cleanup(func() {
		if t.Failed() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
			defer cancel()
			objects, err := s.kubectl.Try(ctx, "", "get", "serviceentries,envoyfilters,destinationrules", "-A", "-o", "yaml")
			t.Logf("the objects (%v):\n%s", err, objects)
		}
	})
	s.caller.awaitRoutes(t, true, "v-2.0.0."+greeting)
	return s
}

// startProviders starts the providers that are always there. Most of their services differ in group and version only, and each has a name
// of its own.
func (s *scene) startProviders() {
	s.Helper()
	s.providers = map[string]*lab.DubboProvider{}
	s.one, s.providers["one"] = s.provide("one", lab.DubboOptions{ServiceVersion: "1.0.0"})
	s.two, s.providers["two"] = s.provide("two", lab.DubboOptions{ServiceVersion: "2.0.0"})
	for _, more := range []struct {
		provider string
		settings map[string]string
	}{
		{"one", map[string]string{"name": "one-blue", "group": "blue"}},
		{"two", map[string]string{"name": "two-green", "group": "green", "version": "1.0.0"}},
		{"one", map[string]string{"name": "one-unlisted", "interface": "demo.UnlistedService", "version": ""}},
		{"two", map[string]string{"name": "two-unlisted", "interface": "demo.UnlistedService", "version": ""}},
		{"one", map[string]string{"name": "one-heavy", "version": "3.0.0", "weight": "300"}},
		{"two", map[string]string{"name": "two-heavy", "version": "3.0.0", "weight": "100"}},
		{"one", map[string]string{"name": "one-plain", "version": "4.0.0"}},
		{"two", map[string]string{"name": "two-gray", "version": "4.0.0", "tag": "gray"}},
		// What version 6.0.0 is called for is answered by 6.1.0 and 6.2.0, which have to offer it, too.
		{"one", map[string]string{"name": "one-stable", "version": "6.1.0"}},
		{"one", map[string]string{"name": "one-stable", "version": "6.0.0"}},
		{"two", map[string]string{"name": "two-canary", "version": "6.2.0"}},
		{"two", map[string]string{"name": "two-canary", "version": "6.0.0"}},
	} {
		s.providers[more.provider].Export(s, more.settings)
	}
	_, s.providers["old"] = s.provide("old", lab.DubboOptions{Version: lab.Dubbo27, ServiceVersion: "0.9.0"})
	// On 20880 it would keep all of that port from being routed.
	_, s.providers["fast"] = s.provide("fast", lab.DubboOptions{
		ServiceVersion: "8.0.0", Settings: map[string]string{"serialization": "fastjson2", "port": "20881"},
	})
}

// withConsumers returns spec.dubbo of the Registry for consumers in these namespaces.
func withConsumers(namespaces ...string) string {
	return `{dataPlanes: [Envoy], consumers: {namespaces: [` + strings.Join(namespaces, ", ") + `]}, rollout: {stage: All}, tagRouting: Enabled,
    routes: [{name: canary, interface: demo.GreetingService, version: 6.0.0, method: {prefix: gre},
      split: [{version: 6.1.0, weight: 90}, {version: 6.2.0, weight: 10}]}]}`
}

// options configures the bridge. The text is spec.dubbo of its Registry.
func (s *scene) options(dubbo string) bridge.Options {
	return bridge.Options{
		Program: program, Kubeconfig: s.kube.Kubeconfig, Servers: []string{s.zookeeper.Addr}, Namespace: registryNamespace,
		Flags: []string{"--envoy-filters"},
		Spec:  "endpoints: {copyLabels: [application]}\n  services: {exclude: [\"*UnlistedService*\"]}\n  dubbo: " + dubbo,
	}
}

// join starts a workload whose connections are redirected to its sidecar.
func (s *scene) join(name, namespace string) *workload {
	s.Helper()
	host := s.network.Join(s.owner, name)
	s.network.Redirect(s.owner, host)
	return &workload{
		host: host,
		sidecar: envoy.Start(s.owner, envoy.Options{
			Options:   ads.Options{Addr: s.istiod.Addr, Namespace: namespace, IP: host.IP},
			AdminPort: adminPort, Command: host.SidecarPrefix(),
		}),
		DubboConsumer: lab.StartDubboConsumer(s.owner, lab.DubboOptions{
			Registry: s.registry(), IP: host.IP, Prefix: host.Prefix(), Hosts: []string{tripleHost},
			Settings: map[string]string{"timeout": "10000"},
			// What docs/dubbo.md asks of consumers of Dubbo 3.
			Properties: map[string]string{"dubbo.reconnect.reconnectTaskPeriod": "50"},
		}),
	}
}

// registry returns the address of ZooKeeper for hosts.
func (s *scene) registry() string {
	s.Helper()
	_, port, err := net.SplitHostPort(s.zookeeper.Addr)
	if err != nil {
		s.Fatal(err)
	}
	return net.JoinHostPort(network.Gateway, port)
}

// provide starts a provider of this name on a host of its own, until the end of the test.
func (s *scene) provide(name string, options lab.DubboOptions) (*network.Host, *lab.DubboProvider) {
	s.Helper()
	host := s.network.Join(s, name)
	settings := map[string]string{"name": name}
	maps.Copy(settings, options.Settings)
	options.Registry, options.IP, options.Prefix, options.Settings = s.registry(), host.IP, host.Prefix(), settings
	return host, lab.StartDubboProvider(s, options)
}

// awaitCount waits until the sidecar has a cluster with so many endpoints.
func (w *workload) awaitCount(t testing.TB, cluster string, want int) {
	t.Helper()
	lab.Await(t, patience, "the sidecar has the endpoints of "+cluster, func(ctx context.Context) error {
		got, err := w.sidecar.Endpoints(ctx, cluster)
		if err == nil && len(got) != want {
			err = fmt.Errorf("it has %q, want %d", got, want)
		}
		return err
	})
}

// cluster is the name of the cluster of a host.
func cluster(host string, port int) string { return fmt.Sprintf("outbound|%d||%s", port, host) }
