package cluster

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"text/template"
)

// networkName is the name of the pods' network for the network plugins.
const networkName = "registry-bridge-lab"

// dnsServiceIP is the address of CoreDNS.
const dnsServiceIP = "10.96.0.10"

// The images that a node needs itself.
const (
	pauseImage = "registry-bridge.lab/pause:1"
	dnsImage   = "registry-bridge.lab/coredns:1"
)

// configurations are the files of the components and the manifest of CoreDNS, as templates.
//
//go:embed conf
var configurations embed.FS

// writeConfiguration writes the files of the components.
func (c *Cluster) writeConfiguration(snapshotter string) error {
	values := map[string]string{
		"State": c.host.state, "Sockets": socketDir, "CNI": c.programs.CNI, "Shim": c.programs.Shim, "Runc": c.programs.Runc, "Snapshotter": snapshotter,
		"Cgroup": cgroup, "Network": networkName, "NodeName": NodeName, "NodeIP": NodeIP, "PodBridge": podBridge, "PodCIDR": podCIDR,
		"DNSServiceIP": dnsServiceIP, "PauseImage": pauseImage, "DNSImage": dnsImage,
	}
	for _, name := range []string{"audit.yaml", "containerd.toml", "coredns.yaml", "kubelet.yaml", "kube-proxy.yaml", "cni/pods.conflist"} {
		text, err := template.New(path.Base(name)).Option("missingkey=error").ParseFS(configurations, path.Join("conf", name))
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := text.Execute(&b, values); err != nil {
			return fmt.Errorf("fill in %s: %w", name, err)
		}
		file := c.host.file(path.Join("conf", name))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}
