// Package wire_test calls real Dubbo providers from real Dubbo consumers through a real Envoy, which has its configuration from a real
// istiod, which has its objects from the built program, which has its instances from a real registry. Nothing is played. The consumers
// are what they are today: they ask their registry and dial what it says.
package wire_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
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

// program is the path of the bridge's binary.
var program string

func TestMain(m *testing.M) {
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
		{"Triple", (*scene).triple},
	} {
		if !t.Run(test.name, func(t *testing.T) {
			sub := *s
			sub.T = t
			test.run(&sub)
		}) {
			break
		}
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
	s.bridge = bridge.New(t, s.options(""))
	s.bridge.Start(t)
	s.caller, s.stranger = s.join("caller", callers), s.join("stranger", elsewhere)
	return s
}

// options configures the bridge. The text is spec.dubbo of its Registry, in YAML's flow style.
func (s *scene) options(dubbo string) bridge.Options {
	spec := "endpoints: {copyLabels: [application]}\n"
	if dubbo != "" {
		spec += "  dubbo: " + dubbo
	} else {
		spec += "  output: {exportTo: [\"*\"]}"
	}
	return bridge.Options{
		Program: program, Kubeconfig: s.kube.Kubeconfig, Servers: []string{s.zookeeper.Addr}, Namespace: registryNamespace, Spec: spec,
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

// answered reports whether a provider has answered any of the calls.
func answered(calls []lab.DubboCall, provider string) bool {
	return slices.ContainsFunc(calls, func(c lab.DubboCall) bool { return c.By == provider })
}

// cluster is the name of the cluster of a host.
func cluster(host string, port int) string { return fmt.Sprintf("outbound|%d||%s", port, host) }

// allBy fails the test unless each of the calls was answered by one of these providers.
func allBy(t testing.TB, what string, calls []lab.DubboCall, providers ...string) {
	t.Helper()
	wrong, example := 0, ""
	for _, call := range calls {
		if call.Err != "" || !slices.Contains(providers, call.By) {
			wrong++
			example = fmt.Sprintf("at %s answered by %q: %s", call.At.Format("15:04:05.000"), call.By, call.Err)
		}
	}
	if wrong > 0 || len(calls) == 0 {
		t.Errorf("%s: %d of %d calls were not answered by %s; one %s", what, wrong, len(calls), strings.Join(providers, ", "), example)
	}
}
