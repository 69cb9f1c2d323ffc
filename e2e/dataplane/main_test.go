// Package dataplane_test runs the built program between real registries and a real API server that a real istiod reads, and looks at
// what istiod tells the proxies: it has to be what is registered.
package dataplane_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

// patience is how long anything may take that takes a second on an idle machine.
const patience = time.Minute

// emptyGrace is how long the last instance of a service stays. Short, for the test that waits for it.
const emptyGrace = 3 * time.Second

// The namespaces: of the objects, of the workloads that call, and of somebody else.
const (
	consulNamespace = "consul-registry"
	dubboNamespace  = "dubbo-registry"
	churnNamespace  = "churn-registry"
	callers         = "shop"
	elsewhere       = "elsewhere"
)

// owner is the bridge's own id.
const owner = "dataplane"

// program is the path of the bridge's binary.
var program string

func TestMain(m *testing.M) { os.Exit(bridge.Suite{Program: &program}.Run(m)) }

// scene is one test with all the servers that the tests share.
type scene struct {
	*testing.T
	kube   *lab.Kube
	istiod *lab.Istiod
	consul *lab.ConsulServer
	fleet  *providers.Fleet
	// hidden registers under a root of its own, of which a Registry publishes to its own namespace only, as is the default for Dubbo.
	hidden *providers.Fleet
	// churn registers under another one, whose Registry makes WorkloadEntries of instances.
	churn  *providers.Fleet
	config string
	// proxy is a sidecar of a workload in the namespace callers, capturing is one that answers DNS queries, too.
	proxy, capturing *ads.Proxy
}

// TestDataPlane starts everything once. The tests build on each other's registrations only in so far as each leaves what is published
// equal to what is registered.
func TestDataPlane(t *testing.T) {
	s := &scene{T: t, kube: lab.StartKube(t)}
	s.istiod = lab.StartIstiod(t, s.kube, lab.IstiodOptions{})
	for _, name := range []string{consulNamespace, dubboNamespace, churnNamespace, callers, elsewhere} {
		s.kube.MakeNamespace(t, name)
	}
	s.startRegistries()
	s.register()
	s.startBridge()
	s.proxy = ads.Connect(t, ads.Options{Addr: s.istiod.Addr, Namespace: callers, IP: "10.9.0.1"})
	s.capturing = ads.Connect(t, ads.Options{Addr: s.istiod.Addr, Namespace: callers, IP: "10.9.0.2", DNSCapture: true})
	for _, test := range []struct {
		name string
		run  func(*scene)
	}{
		{"Equal", (*scene).equal},
		{"Shards", (*scene).shards},
		{"Scope", (*scene).scope},
		{"Capture", (*scene).capture},
		{"Pushes", (*scene).pushes},
		{"Emptied", (*scene).emptied},
		{"Workloads", (*scene).workloads},
		{"Quiet", (*scene).quiet},
		{"Goldens", (*scene).goldens},
		{"Pods", (*scene).pods},
	} {
		if !t.Run(test.name, func(t *testing.T) {
			sub := *s
			sub.T = t
			test.run(&sub)
		}) {
			return
		}
	}
}

func (s *scene) startRegistries() {
	s.Helper()
	s.consul = lab.StartConsul(s, lab.ConsulOptions{}).Servers[0]
	zookeeper := lab.StartZooKeeper(s, lab.ZooKeeperOptions{})
	s.fleet, s.hidden, s.churn = s.connect(zookeeper, "/dubbo"), s.connect(zookeeper, "/hidden"), s.connect(zookeeper, "/churn")
	s.config = s.TempDir()
	for name, text := range map[string]string{
		"consul": fmt.Sprintf(`metadata: {name: consul, namespace: %s}
spec:
  source: {consul: {address: "http://%s"}}
  rules: [{name: sidecars, match: {services: [search]}, tlsMode: istio}]
  guards: {emptyGrace: %s}
`, consulNamespace, s.consul.Addr, emptyGrace),
		"dubbo": fmt.Sprintf(`metadata: {name: dubbo, namespace: %s}
spec:
  source: {zookeeper: {servers: ["%s"]}}
  output: {exportTo: ["*"]}
`, dubboNamespace, zookeeper.Addr),
		"hidden": fmt.Sprintf(`metadata: {name: hidden, namespace: %s}
spec:
  source: {zookeeper: {servers: ["%s"], layouts: [{type: DubboInterface, root: /hidden}]}}
`, dubboNamespace, zookeeper.Addr),
		"churn": fmt.Sprintf(`metadata: {name: churn, namespace: %s}
spec:
  source: {zookeeper: {servers: ["%s"], layouts: [{type: DubboInterface, root: /churn}]}}
  endpoints: {mode: WorkloadEntry, copyLabels: [application]}
  output: {exportTo: ["*"]}
`, churnNamespace, zookeeper.Addr),
	} {
		text = "apiVersion: registry-bridge.io/v1alpha1\nkind: Registry\n" + text
		if err := os.WriteFile(filepath.Join(s.config, name+".yaml"), []byte(text), 0o600); err != nil {
			s.Fatal(err)
		}
	}
}

// connect plays providers under a root until the end of the test.
func (s *scene) connect(zookeeper *lab.ZooKeeper, root string) *providers.Fleet {
	s.Helper()
	fleet, err := providers.Connect(s.Context(), providers.Options{Server: zookeeper.Addr, Root: root, Journal: &oracle.Journal{}})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(fleet.Close)
	return fleet
}

func (s *scene) startBridge() {
	s.Helper()
	lab.StartProcess(s, "registry-bridge", program, "run",
		"--config", s.config, "--instance", owner, "--output", "kube", "--kubeconfig", s.kube.Kubeconfig, "--listen", "")
}

// quiet asks the program whether anything is left to write, now that istiod has written into the same objects' status.
func (s *scene) quiet() {
	s.settle()
	before := s.versions()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	plan := exec.CommandContext(ctx, program, "plan", "--config", s.config, "--instance", owner, "--kubeconfig", s.kube.Kubeconfig)
	output, err := plan.CombinedOutput()
	if err != nil {
		s.Errorf("plan: %v\n%s", err, output)
	}
	for name, version := range s.versions() {
		if before[name] != version {
			s.Errorf("%s was written", name)
		}
	}
}

func serviceEntries() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
}

func (s *scene) entries(namespace string) dynamic.ResourceInterface {
	return s.kube.Client(s).Resource(serviceEntries()).Namespace(namespace)
}

// published returns the objects of the bridge by their name, which is the host, with a number behind it where a host has several.
func (s *scene) published(ctx context.Context) map[string]*unstructured.Unstructured {
	s.Helper()
	all := map[string]*unstructured.Unstructured{}
	for _, namespace := range []string{consulNamespace, dubboNamespace, churnNamespace} {
		list, err := s.entries(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			s.Fatal(err)
		}
		for i := range list.Items {
			all[list.Items[i].GetName()] = &list.Items[i]
		}
	}
	return all
}

func (s *scene) versions() map[string]string {
	s.Helper()
	versions := map[string]string{}
	for name, object := range s.published(s.Context()) {
		versions[name] = object.GetResourceVersion()
	}
	return versions
}

// vip returns the virtual address of a host, "" when it has none.
func (s *scene) vip(host string) string {
	s.Helper()
	object := s.published(s.Context())[host]
	if object == nil {
		s.Fatalf("there is no object of %s", host)
	}
	addresses, _, err := unstructured.NestedStringSlice(object.Object, "spec", "addresses")
	if err := errors.Join(err, oneAtMost(addresses)); err != nil {
		s.Fatalf("%s: %v", host, err)
	}
	if len(addresses) == 0 {
		return ""
	}
	return addresses[0]
}

func oneAtMost(addresses []string) error {
	if len(addresses) > 1 {
		return fmt.Errorf("%d addresses", len(addresses))
	}
	return nil
}
