package lab

import (
	"context"
	_ "embed"
	"io"
	"path/filepath"
)

// The modules that pin what a node needs besides Kubernetes. To move to another version, change it in a copy and in what is told to the
// linker below, add a Go file that imports the packages which the lab builds, and run go mod tidy.
var (
	//go:embed containerd/containerd.mod
	containerdMod []byte
	//go:embed containerd/containerd.sum
	containerdSum []byte
	//go:embed coredns/coredns.mod
	coreDNSMod []byte
	//go:embed coredns/coredns.sum
	coreDNSSum []byte
	//go:embed coredns/main.go
	coreDNSMain []byte
	//go:embed helm/helm.mod
	helmMod []byte
	//go:embed helm/helm.sum
	helmSum []byte
	//go:embed pause/main.go
	pauseMain []byte
)

// cniDir is where Debian's containernetworking-plugins are.
const cniDir = "/usr/lib/cni"

// ClusterPrograms are the paths of the programs that make up a cluster of one node.
type ClusterPrograms struct {
	Etcd, APIServer, ControllerManager, Scheduler, Kubelet, Proxy string
	Containerd, Shim, Ctr, Runc, NFT, IP                          string
	// CNI is the folder of the network plugins.
	CNI string
	// CoreDNS and Pause run inside pods, Kubectl and Helm are what people use.
	CoreDNS, Pause, Kubectl, Helm string
}

// PrepareCluster builds the programs of a cluster into the cache folder, and installs from Debian what comes from there, unless they
// are there. It writes its progress to progress. Several processes may prepare at once: one works, the others wait.
func PrepareCluster(ctx context.Context, progress io.Writer) (*ClusterPrograms, error) {
	programs := &ClusterPrograms{CNI: cniDir}
	if err := programs.fromDebian(ctx, progress); err != nil {
		return nil, err
	}
	containerd := func(name string, minutes int) goProgram {
		return goProgram{
			folder: "containerd", name: name, pkg: "github.com/containerd/containerd/v2/cmd/" + name, minutes: minutes,
			mod: containerdMod, sum: containerdSum, variables: []string{"github.com/containerd/containerd/v2/version.Version=2.4.2"},
		}
	}
	// The shim is in memory once for each pod; static, it is a third smaller.
	shim := containerd("containerd-shim-runc-v2", 1)
	shim.static = true
	for _, build := range []struct {
		path    *string
		program goProgram
	}{
		{&programs.APIServer, kubernetesProgram("kube-apiserver", 8)},
		{&programs.Kubelet, kubernetesProgram("kubelet", 2)},
		{&programs.ControllerManager, kubernetesProgram("kube-controller-manager", 1)},
		{&programs.Scheduler, kubernetesProgram("kube-scheduler", 1)},
		{&programs.Proxy, kubernetesProgram("kube-proxy", 1)},
		{&programs.Kubectl, kubernetesProgram("kubectl", 1)},
		{&programs.Containerd, containerd("containerd", 2)},
		{&programs.Ctr, containerd("ctr", 1)},
		{&programs.Shim, shim},
		{&programs.CoreDNS, goProgram{
			folder: "coredns", name: "coredns", pkg: "main.go", mod: coreDNSMod, sum: coreDNSSum, source: coreDNSMain, static: true, minutes: 2,
		}},
		{&programs.Pause, goProgram{
			folder: "pause", name: "pause", pkg: "main.go", mod: []byte("module lab-pause\n\ngo 1.26.0\n"), source: pauseMain, static: true, minutes: 1,
		}},
		{&programs.Helm, goProgram{
			folder: "helm", name: "helm", pkg: "helm.sh/helm/v4/cmd/helm", mod: helmMod, sum: helmSum, static: true, minutes: 3,
			variables: []string{"helm.sh/helm/v4/internal/version.version=v4.3.1"},
		}},
	} {
		path, err := build.program.prepare(ctx, progress)
		if err != nil {
			return nil, err
		}
		*build.path = path
	}
	return programs, nil
}

// fromDebian finds the programs that the distribution has. On a Debian machine and as root it installs what is missing.
func (p *ClusterPrograms) fromDebian(ctx context.Context, progress io.Writer) error {
	var plugin string
	return requirePrograms(ctx, progress, "what runs and connects containers", []packagedProgram{
		{&p.Etcd, "etcd", "etcd-server"},
		{&p.Runc, "runc", "runc"},
		{&p.NFT, "nft", "nftables"},
		{&p.IP, "ip", "iproute2"},
		{&plugin, filepath.Join(cniDir, "bridge"), "containernetworking-plugins"},
	})
}
