package dataplane_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
)

const (
	// podNamespace has a Registry whose instances are pods, in namespace apps.
	podNamespace = "meshed"
	podHost      = "cart.pods"
	identityOf   = "spiffe://cluster.local/ns/apps/sa/"
	// podRights is what only the recognition of pods needs.
	podRights = "bridge-pods"
)

// podScene is a bridge whose Registries are objects, with rights that a test gives and takes, beside pods that no node runs.
type podScene struct {
	*scene
	person *lab.Kubectl
	bridge *lab.Process
}

// pods lets addresses be pods with and without a sidecar, and looks at what a proxy is told.
func (s *scene) pods() {
	p := &podScene{scene: s, person: s.kube.Kubectl(s)}
	p.prepare()
	p.start()
	p.want("the first pods", []string{"10.8.0.1 eu/eu-1/ tls", "10.8.0.2 // plain", "10.8.0.3 // plain"}, identityOf+"cart")

	p.person.Run(s, "annotate", "pod", "-n", "apps", "two", "sidecar.istio.io/status={}")
	p.want("a sidecar appears later", []string{"10.8.0.1 eu/eu-1/ tls", "10.8.0.2 eu/eu-1/ tls", "10.8.0.3 // plain"}, identityOf+"cart", identityOf+"other")

	p.person.Run(s, "delete", "pod", "-n", "apps", "two", "--grace-period=0", "--force")
	p.pod(&podObject{"apps", "three", "10.8.0.2", "cart", false})
	p.want("another pod has the address", []string{"10.8.0.1 eu/eu-1/ tls", "10.8.0.2 // plain", "10.8.0.3 // plain"}, identityOf+"cart")

	p.pod(&podObject{podNamespace, "here", "10.8.0.9", "cart", true})
	p.condition("True", "WorkloadsFound")

	before := p.version()
	p.bridge.Stop(s)
	p.person.Run(s, "delete", "clusterrolebinding", podRights)
	p.start()
	p.condition("Unknown", "PodAccessDenied")
	p.want("nobody may see pods", []string{"10.8.0.1 eu/eu-1/ tls", "10.8.0.2 // plain", "10.8.0.3 // plain"}, identityOf+"cart")
	if after := p.version(); after != before {
		s.Errorf("the object was written: version %s, before the restart %s", after, before)
	}
	p.bridge.Stop(s)
}

// prepare makes a registry, its Registry, pods, and rights.
func (p *podScene) prepare() {
	p.Helper()
	p.consul = lab.StartConsul(p, lab.ConsulOptions{}).Servers[0]
	for n := 1; n <= 3; n++ {
		p.registerInConsul(instance{service: "cart", address: fmt.Sprintf("10.8.0.%d", n), port: 8080, protocol: "http"})
	}
	p.person.DefineRegistries(p)
	p.kube.MakeNamespace(p, podNamespace)
	p.kube.MakeNamespace(p, "apps")
	p.person.Feed(p, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bridge-all}
rules:
- {apiGroups: [networking.istio.io, registry-bridge.io, coordination.k8s.io, events.k8s.io], resources: ["*"], verbs: ["*"]}
- {apiGroups: [""], resources: [services, configmaps, secrets, events], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: %[1]s}
rules: [{apiGroups: [""], resources: [pods, nodes], verbs: [list, watch]}]
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-1}}
---
apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: consul, namespace: %[2]s}
spec:
  source: {consul: {address: "http://%[3]s"}}
  services: {include: [cart]}
  hosts: {suffix: pods}
`, podRights, podNamespace, p.consul.Addr), "apply", "-f", "-")
	p.person.Run(p, "create", "clusterrolebinding", "bridge-all", "--clusterrole=bridge-all", "--group=bridges")
	p.person.Run(p, "create", "clusterrolebinding", podRights, "--clusterrole="+podRights, "--group=bridges")
	p.pod(&podObject{"apps", "one", "10.8.0.1", "cart", true})
	p.pod(&podObject{"apps", "two", "10.8.0.2", "other", false})
	host := &podObject{"apps", "host", "10.8.0.3", "cart", true}
	p.person.Feed(p, strings.Replace(host.manifest(), "nodeName", "hostNetwork: true, nodeName", 1), "apply", "-f", "-")
	p.address(host)
}

// podObject is a pod of the test; it runs on node n1.
type podObject struct {
	namespace, name, address, account string
	sidecar                           bool
}

func (o *podObject) manifest() string {
	annotations := ""
	if o.sidecar {
		annotations = `sidecar.istio.io/status: '{"containers":["istio-proxy"]}'`
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s, annotations: {%s}}
spec: {nodeName: n1, serviceAccountName: %s, containers: [{name: app, image: app}]}
`, o.name, o.namespace, annotations, o.account)
}

// pod makes a pod as a kubelet would show it.
func (p *podScene) pod(o *podObject) {
	p.Helper()
	p.person.Feed(p, o.manifest(), "apply", "-f", "-")
	p.address(o)
}

func (p *podScene) address(o *podObject) {
	p.Helper()
	p.person.Run(p, "patch", "pod", "-n", o.namespace, o.name, "--subresource=status", "--type=merge",
		"-p", fmt.Sprintf(`{"status":{"phase":"Running","podIP":%[1]q,"podIPs":[{"ip":%[1]q}]}}`, o.address))
}

func (p *podScene) start() {
	p.Helper()
	p.bridge = lab.StartProcess(p, "bridge of pods", program, "run", "--output", "kube", "--kubeconfig", p.kube.Replicas(p)["replica-0"],
		"--instance", podNamespace, "--namespace", podNamespace, "--listen", "")
}

// version returns the resource version of the ServiceEntry.
func (p *podScene) version() string {
	p.Helper()
	entry, err := p.entries(podNamespace).Get(p.Context(), podHost, metav1.GetOptions{})
	if err != nil {
		p.Fatal(err)
	}
	return entry.GetResourceVersion()
}

// want waits until the proxy has these endpoints ("address locality tls|plain"), and accepts these identities with mutual TLS.
func (p *podScene) want(what string, endpoints []string, identities ...string) {
	p.Helper()
	cluster := "outbound|8080||" + podHost
	p.proxy.Await(p, patience, what, func(c *ads.Config) error {
		var got []string
		for _, group := range c.Endpoints[cluster].GetEndpoints() {
			for _, e := range group.GetLbEndpoints() {
				at := placeOf(group.GetLocality(), e)
				got = append(got, fmt.Sprintf("%s %s %s", at.address, at.locality, map[bool]string{true: "tls", false: "plain"}[at.sidecar]))
			}
		}
		slices.Sort(got)
		return errors.Join(differ("endpoints", endpoints, got), differ("identities", identities, accepted(c.Clusters[cluster])))
	})
}

// accepted returns which of the tests' identities a cluster accepts with mutual TLS.
func accepted(c *clusterv3.Cluster) []string {
	var found []string
	for _, match := range c.GetTransportSocketMatches() {
		body := string(match.GetTransportSocket().GetTypedConfig().GetValue())
		for _, account := range []string{"cart", "other"} {
			if strings.Contains(body, identityOf+account) {
				found = append(found, identityOf+account)
			}
		}
	}
	return found
}

// condition waits for the status and the reason of the Registry's condition.
func (p *podScene) condition(status, reason string) {
	p.Helper()
	lab.Await(p, time.Minute, "the condition is "+reason, func(ctx context.Context) error {
		text, err := p.person.Try(ctx, "", "get", "registry", "-n", podNamespace, "consul", "-o",
			`jsonpath={range .status.conditions[?(@.type=="WorkloadsInOutputNamespace")]}{.status} {.reason}{end}`)
		if err != nil {
			return err
		}
		if got := strings.TrimSpace(text); got != status+" "+reason {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}
