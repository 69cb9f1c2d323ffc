// Package network makes hosts: network namespaces of this machine, each with an address of its own, so that providers listen on the same
// port and a sidecar takes what its workload sends, as in pods. Root is needed.
//
//	127.0.0.1, Gateway ── lab-mesh ──┬── 10.232.0.2   provider
//	 istiod, registry,      bridge   ├── 10.232.0.3   provider
//	 the test                        └── 10.232.0.4   consumer ──redirected──▶ Envoy (user 1337) ──▶ where it says
//
// A namespace is held by a process, not by a name, so it goes with the test that made it, however that ends. The machine has one network
// of this kind at a time; other processes that want one wait.
package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

const (
	// Gateway is the address of this machine for its hosts.
	Gateway = "10.232.0.1"

	bridge = "lab-mesh"
	subnet = "10.232.0."
	bits   = "/24"
	// sidecarUser is the user whose connections are not redirected, as istio-proxy's.
	sidecarUser = "1337"
	// sidecarPort is where istiod has sidecars accept what is redirected.
	sidecarPort = "15001"
	// startLimit is how long the kernel may take to make a namespace.
	startLimit = 20 * time.Second
)

// Network connects hosts with each other and with this machine.
type Network struct {
	programs *lab.NetworkPrograms
	hosts    int
}

// Host is a machine of its own, as far as its network goes.
type Host struct {
	// Name is for the log, IP the only address besides 127.0.0.1.
	Name, IP string

	enter []string
}

// Start makes a network without hosts. It ends with the test.
func Start(t testing.TB) *Network {
	t.Helper()
	if err := lab.CheckRoot("a network of its own"); err != nil {
		t.Fatal(err)
	}
	programs, err := lab.PrepareNetwork(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	lab.Lock(t, "network")
	n := &Network{programs: programs, hosts: 1}
	remove := func(ctx context.Context) { _ = exec.CommandContext(ctx, programs.IP, "link", "delete", bridge).Run() }
	remove(t.Context()) // One that died may have left it.
	t.Cleanup(func() { remove(context.WithoutCancel(t.Context())) })
	n.run(t, programs.IP, "link", "add", bridge, "type", "bridge")
	n.run(t, programs.IP, "addr", "add", Gateway+bits, "dev", bridge)
	n.run(t, programs.IP, "link", "set", bridge, "up")
	return n
}

// Join makes a host. It ends with the test, and so does what runs in it.
func (n *Network) Join(t testing.TB, name string) *Host {
	t.Helper()
	holder := lab.StartProcess(t, "host "+name, "unshare", "--net", "sleep", "infinity")
	n.hosts++
	number := strconv.Itoa(n.hosts)
	pid := strconv.Itoa(holder.Pid())
	namespace := "/proc/" + pid + "/ns/net"
	lab.Await(t, startLimit, "the host "+name+" has a namespace", func(context.Context) error {
		own, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			return err
		}
		other, err := os.Readlink(namespace)
		if err == nil && own == other {
			err = errors.New("not yet")
		}
		return err
	})
	h := &Host{Name: name, IP: subnet + number, enter: []string{"nsenter", "--net=" + namespace, "--"}}
	// The kernel takes its time to remove that of a namespace that has ended, so no two share a name.
	link := "lab-" + pid
	n.run(t, n.programs.IP, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid)
	n.run(t, n.programs.IP, "link", "set", link, "master", bridge, "up")
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", h.IP + bits, "dev", "eth0"},
		{"link", "set", "eth0", "up"},
		{"route", "add", "default", "via", Gateway},
	} {
		n.run(t, h.Command(n.programs.IP, args...)...)
	}
	return h
}

// Redirect has the kernel hand all connections that the host makes to its sidecar, as Istio's rules do: but for those of the sidecar
// itself, and those to 127.0.0.1.
func (n *Network) Redirect(t testing.TB, h *Host) {
	t.Helper()
	n.run(t, h.Command(n.programs.NFT, "add table ip sidecar"+
		"; add chain ip sidecar output { type nat hook output priority -100; }"+
		"; add rule ip sidecar output meta skuid "+sidecarUser+" return"+
		"; add rule ip sidecar output ip daddr 127.0.0.1 return"+
		"; add rule ip sidecar output meta l4proto tcp redirect to :"+sidecarPort)...)
}

// Command returns how a program is run on the host.
func (h *Host) Command(program string, args ...string) []string {
	return slices.Concat(h.enter, []string{program}, args)
}

// Prefix returns what is put before a program and its arguments to run it on the host.
func (h *Host) Prefix() []string { return slices.Clone(h.enter) }

// SidecarPrefix is Prefix for the sidecar. Its user may read its program, wherever the cache is, and it ends with the test.
func (h *Host) SidecarPrefix() []string {
	return h.Command("setpriv", "--reuid="+sidecarUser, "--regid="+sidecarUser, "--clear-groups", "--inh-caps=+dac_read_search",
		"--ambient-caps=+dac_read_search", "--pdeathsig=KILL", "--")
}

// run runs a command whose output only matters when it fails.
func (n *Network) run(t testing.TB, command ...string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, output))
	}
}
