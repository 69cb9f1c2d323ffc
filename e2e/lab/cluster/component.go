package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// Component is a program of the cluster, for tests that restart it, stop it in its tracks or kill it.
type Component string

// The components. CoreDNS is a Deployment in kube-system.
const (
	Etcd              Component = "etcd"
	APIServer         Component = "kube-apiserver"
	ControllerManager Component = "kube-controller-manager"
	Scheduler         Component = "kube-scheduler"
	Kubelet           Component = "kubelet"
	Proxy             Component = "kube-proxy"
	Containerd        Component = "containerd"
)

// Process returns the process of a component, for signals such as SIGSTOP. Restart makes a new one.
func (c *Cluster) Process(component Component) *lab.Process { return c.processes[component] }

// Restart kills a component as a crash would, starts it again, and waits until it serves. What it manages goes on meanwhile: pods live
// through a restart of kubelet and containerd.
func (c *Cluster) Restart(t testing.TB, component Component) {
	t.Helper()
	c.processes[component].Kill()
	c.start(component)
	c.await(t, component)
}

func (c *Cluster) start(component Component) {
	program, args := c.commandLine(component)
	c.processes[component] = lab.StartProcess(c.owner, string(component), program, args...)
}

// await waits until a component serves.
func (c *Cluster) await(t testing.TB, component Component) {
	t.Helper()
	lab.Await(t, startLimit, string(component)+" serves", func(ctx context.Context) error {
		if err := c.processes[component].Err(); err != nil {
			t.Fatal(err)
		}
		if component == Containerd {
			return c.ctr(ctx, "version")
		}
		return lab.Probe(ctx, map[Component]string{
			Etcd: c.etcdURLs[0] + "/health", APIServer: apiServerURL + "/readyz", ControllerManager: controllerURL + "/healthz",
			Scheduler: schedulerURL + "/healthz", Kubelet: kubeletURL + "/healthz", Proxy: proxyURL + "/healthz",
		}[component], "")
	})
}

// commandLine returns the program of a component and its arguments.
func (c *Cluster) commandLine(component Component) (program string, args []string) {
	file := c.host.file
	// The components that are clients of the API server, and ask it who calls them.
	delegated := func(component Component) []string {
		kubeconfig := file("pki/" + string(component) + ".kubeconfig")
		return []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=" + NodeIP, "--leader-elect=false",
		}
	}
	switch component {
	case Etcd:
		serve, peer := c.etcdURLs[0], c.etcdURLs[1]
		return c.programs.Etcd, []string{
			"--data-dir=" + file("etcd"), "--unsafe-no-fsync", // Nothing here has to survive a crash of the machine.
			"--listen-client-urls=" + serve, "--advertise-client-urls=" + serve,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
		}
	case APIServer:
		return c.programs.APIServer, c.apiServerArgs()
	case ControllerManager:
		return c.programs.ControllerManager, append(delegated(component),
			"--use-service-account-credentials=true", "--service-account-private-key-file="+file("pki/service-accounts.key"),
			"--root-ca-file="+file("pki/ca.crt"), "--cluster-signing-cert-file="+file("pki/ca.crt"),
			"--cluster-signing-key-file="+file("pki/ca.key"), "--node-monitor-grace-period=20s")
	case Scheduler:
		return c.programs.Scheduler, delegated(component)
	case Kubelet:
		return c.programs.Kubelet, []string{
			"--config=" + file("conf/kubelet.yaml"), "--kubeconfig=" + file("pki/kubelet.kubeconfig"), "--root-dir=" + file("kubelet"),
			"--cert-dir=" + file("kubelet/pki"), "--hostname-override=" + NodeName, "--node-ip=" + NodeIP,
		}
	case Proxy:
		return c.programs.Proxy, []string{"--config=" + file("conf/kube-proxy.yaml")}
	case Containerd:
		// After a restart, it looks for the shim of what runs where programs are.
		path := "PATH=" + filepath.Dir(c.programs.Shim) + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
		return "env", []string{path, c.programs.Containerd, "--config=" + file("conf/containerd.toml")}
	}
	panic("no such component: " + string(component))
}

func (c *Cluster) apiServerArgs() []string {
	file := c.host.file
	return []string{
		"--etcd-servers=" + c.etcdURLs[0], "--bind-address=" + NodeIP, "--advertise-address=" + NodeIP, "--secure-port=6443",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--client-ca-file=" + file("pki/ca.crt"),
		"--tls-cert-file=" + file("pki/kube-apiserver.crt"), "--tls-private-key-file=" + file("pki/kube-apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + file("pki/service-accounts.pub"),
		"--service-account-signing-key-file=" + file("pki/service-accounts.key"), "--service-cluster-ip-range=10.96.0.0/16",
		"--kubelet-client-certificate=" + file("pki/kubelet-client.crt"), "--kubelet-client-key=" + file("pki/kubelet-client.key"),
		"--kubelet-certificate-authority=" + file("pki/ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--audit-policy-file=" + file("conf/audit.yaml"), "--audit-log-path=" + c.AuditLog(), "--shutdown-delay-duration=0s",
	}
}

// ctr runs containerd's own client.
func (c *Cluster) ctr(ctx context.Context, args ...string) error {
	args = append([]string{"--address=" + c.host.file("containerd/containerd.sock"), "--namespace=k8s.io"}, args...)
	output, err := exec.CommandContext(ctx, c.programs.Ctr, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr %q: %w\n%s", args, err, output)
	}
	return nil
}
