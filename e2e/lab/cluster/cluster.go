// Package cluster is a real Kubernetes of one node, without Docker and without downloads of images: etcd, API server with RBAC,
// controller manager, scheduler, kubelet, containerd with runc and CNI plugins, kube-proxy and CoreDNS. Root is needed.
//
//	registry (127.0.0.1) ◀── Expose ──┐
//	                                  │            10.96.0.0/16 Services (kube-proxy, nftables)
//	API server, kubelet, … ── rb-node, 10.231.0.1 ── rb-pods, 10.244.0.0/24 ── pods
//	        │                                                                    ▲
//	       etcd                          kubelet ──▶ containerd ──▶ shim ──▶ runc ─┘
//
// A machine has one cluster at a time; other processes that want one wait. What it changes of the machine is noted first and undone at
// the end of the test, or, when the test binary died, at the next start.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// The node and its networks. They are the same in every run, so that a run finds what a dead one left.
const (
	// NodeName is the name of the only node.
	NodeName = "node1"
	// NodeIP is its address, on a bridge of its own. Pods reach the machine by it.
	NodeIP = "10.231.0.1"

	apiServiceIP  = "10.96.0.1"
	apiServerURL  = "https://" + NodeIP + ":6443"
	kubeletURL    = "http://" + NodeIP + ":10248"
	proxyURL      = "http://" + NodeIP + ":10256"
	controllerURL = "https://" + NodeIP + ":10257"
	schedulerURL  = "https://" + NodeIP + ":10259"
)

// startLimit is how long each step of the start may take. All of them take 15 s on an idle machine.
const startLimit = 2 * time.Minute

// Cluster is a running cluster.
type Cluster struct {
	// Kubeconfig is a file for the cluster's administrator.
	Kubeconfig string

	// home is the folder of the tools, address that of this machine for pods.
	home, address string
	// owner is the test that started the cluster. Processes that its subtests start again are its own.
	owner    testing.TB
	programs *lab.ClusterPrograms
	host     *host
	client   kubernetes.Interface
	config   *rest.Config
	// etcdURLs are for clients and for peers, of which there are none.
	etcdURLs  [2]string
	processes map[Component]*lab.Process
}

// Start starts a cluster and waits until its node is ready, Services are reachable and names are resolved. It ends with the test, which
// fails when anything is left behind. A test starts one and shares it with its subtests.
func Start(t testing.TB) *Cluster {
	t.Helper()
	if err := lab.CheckRoot("a cluster"); err != nil {
		t.Fatal(err)
	}
	programs, err := lab.PrepareCluster(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	lab.Lock(t, "cluster")
	began := time.Now()
	h, err := newHost(t.Context(), programs)
	if err != nil {
		t.Fatal(err)
	}
	before, err := h.observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Registered before any process is started, so it runs when all of them have ended.
	t.Cleanup(func() { h.close(context.WithoutCancel(t.Context()), t, before) })
	if err := h.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{
		Kubeconfig: h.file("pki/admin.kubeconfig"), home: h.file("home"), address: NodeIP, owner: t, programs: programs, host: h,
		processes: map[Component]*lab.Process{},
	}
	for i := range c.etcdURLs {
		c.etcdURLs[i] = fmt.Sprintf("http://127.0.0.1:%d", lab.FreePort(t))
	}
	c.configure(t)
	c.startAll(t)
	t.Logf("the cluster was ready after %v", time.Since(began).Round(time.Millisecond))
	return c
}

// close undoes everything, and fails the test when the machine is not what it was.
func (h *host) close(ctx context.Context, t testing.TB, before observation) {
	t.Helper()
	began := time.Now()
	if err := h.restore(ctx); err != nil {
		t.Errorf("undo what the cluster did to the machine: %v", err)
	}
	t.Logf("the cluster was gone after %v", time.Since(began).Round(time.Millisecond))
	after, err := h.observe(ctx)
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the cluster leaves the machine changed (-before +after):\n%s", diff)
	}
}

// configure writes all files, and makes the client.
func (c *Cluster) configure(t testing.TB) {
	t.Helper()
	if err := writePKI(c.host.file("pki")); err != nil {
		t.Fatal(err)
	}
	snapshotter, err := c.host.snapshotter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.writeConfiguration(snapshotter); err != nil {
		t.Fatal(err)
	}
	c.connect(t)
}

// connect makes the client.
func (c *Cluster) connect(t testing.TB) {
	t.Helper()
	var err error
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	c.config.QPS = -1
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		t.Fatal(err)
	}
}

// startAll starts every component, in the order in which they need each other.
func (c *Cluster) startAll(t testing.TB) {
	t.Helper()
	// Slow starters first; each is waited for where it is needed.
	for _, component := range []Component{Etcd, Containerd, APIServer} {
		c.start(component)
	}
	c.await(t, Containerd)
	c.importOwnImages(t)
	c.await(t, APIServer)
	for _, component := range []Component{ControllerManager, Scheduler, Kubelet, Proxy} {
		c.start(component)
	}
	lab.Await(t, startLimit, "the node is ready", c.nodeReady)
	lab.Await(t, startLimit, "the default service account is there", func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	c.Kubectl(t, "apply", "-f", c.host.file("conf/coredns.yaml"))
	for _, component := range []Component{ControllerManager, Scheduler, Proxy} {
		c.await(t, component)
	}
	lab.Await(t, startLimit, "Services are reachable", func(ctx context.Context) error {
		return lab.Probe(ctx, "https://"+apiServiceIP+"/readyz", "")
	})
	c.Kubectl(t, "rollout", "status", "--namespace=kube-system", "deployment/coredns", "--timeout="+startLimit.String())
}

func (c *Cluster) nodeReady(ctx context.Context) error {
	node, err := c.client.CoreV1().Nodes().Get(ctx, NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return fmt.Errorf("%s: %s", condition.Reason, condition.Message)
		}
		if condition.Type == corev1.NodeReady {
			return nil
		}
	}
	return errors.New("it has not said so")
}

// Client returns a client of the cluster's administrator, without a limit on its rate.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// Config returns how other clients reach the API server as the administrator.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Etcd returns the URL of the etcd behind the API server.
func (c *Cluster) Etcd() string { return c.etcdURLs[0] }

// AuditLog is the API server's audit log: a JSON object of audit.k8s.io/v1 in each line, at level Metadata, for all requests.
func (c *Cluster) AuditLog() string { return c.host.file("audit.log") }
