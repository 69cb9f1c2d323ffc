package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// What the cluster makes on the machine, besides files in its own folder. The names are its own, but for the tables of kube-proxy.
const (
	nodeBridge = "rb-node"
	podBridge  = "rb-pods"
	podCIDR    = "10.244.0.0/24"
	// cgroup is the parent of the cgroups of all pods, in each hierarchy.
	cgroup = "registry-bridge-lab"
	// socketDir has the sockets of the shims, whose paths must be short.
	socketDir = "/run/registry-bridge-lab"
	// proxyTable is the name of the nftables tables of kube-proxy, one for IPv4 and one for IPv6.
	proxyTable = "kube-proxy"
)

// host is what the cluster changes on the machine. It notes what it will undo before it changes anything, so that the next run can
// undo what a dead one did.
type host struct {
	programs *lab.ClusterPrograms
	// state is the folder of the cluster.
	state string
}

// record is what only the machine knew before it was changed. That it is there says that a cluster has not been undone.
type record struct {
	// Sysctls are files below /proc/sys and what they held.
	Sysctls map[string]string `json:"sysctls"`
}

// newHost undoes what an earlier run left, and finds out whether a cluster can run here.
func newHost(ctx context.Context, programs *lab.ClusterPrograms) (*host, error) {
	cache, err := lab.CacheDir()
	if err != nil {
		return nil, err
	}
	h := &host{programs: programs, state: filepath.Join(cache, "cluster")}
	if err := h.restore(ctx); err != nil {
		return nil, fmt.Errorf("undo what an earlier run left in %s: %w", h.state, err)
	}
	if err := h.checkMachine(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// file returns the path of a file or folder of the cluster.
func (h *host) file(name string) string { return filepath.Join(h.state, filepath.FromSlash(name)) }

// sysctlRoot is the folder of the kernel's settings.
const sysctlRoot = "/proc/sys/"

// sysctls returns the settings that kubelet (memory, panics, keys), the network plugins and kube-proxy (forwarding) change.
func sysctls() []string {
	return []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet",
	}
}

// prepare makes the folders, the address of the node and the cgroups.
func (h *host) prepare(ctx context.Context) error {
	if err := os.MkdirAll(h.state, 0o755); err != nil { //nolint:gosec // Processes in pods are other users, and read files of it.
		return err
	}
	if err := h.note(); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"link", "add", nodeBridge, "type", "bridge"},
		{"addr", "add", NodeIP + "/32", "dev", nodeBridge},
		{"link", "set", nodeBridge, "up"},
	} {
		if err := run(ctx, h.programs.IP, args...); err != nil {
			return err
		}
	}
	if err := os.WriteFile(sysctlRoot+"net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("forward packets: %w", err)
	}
	if err := h.letPass(ctx); err != nil {
		return err
	}
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := os.MkdirAll(filepath.Join(root, cgroup), 0o755); err != nil { //nolint:gosec // As all cgroups are.
			return fmt.Errorf("make a cgroup for pods: %w", err)
		}
	}
	return nil
}

// note writes the record.
func (h *host) note() error {
	values, err := readSysctls()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(record{Sysctls: values}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(h.file("record.json"), text, 0o600)
}

// readSysctls returns the settings as they are. Those of features that the kernel does not have are left out.
func readSysctls() (map[string]string, error) {
	values := map[string]string{}
	for _, name := range sysctls() {
		value, err := os.ReadFile(sysctlRoot + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		values[name] = strings.TrimSpace(string(value))
	}
	return values, nil
}

// cgroupRoots returns where the hierarchies of cgroups are mounted: one of version 2, or one for each controller of version 1.
func cgroupRoots() ([]string, error) {
	mounts, err := mounts()
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, m := range mounts {
		if m.kind == "cgroup" || m.kind == "cgroup2" {
			roots = append(roots, m.path)
		}
	}
	return roots, nil
}

// mount is a mounted file system.
type mount struct {
	path, kind string
}

// mounts lists what is mounted, in the order of mounting.
func mounts() ([]mount, error) {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var all []mount
	for line := range strings.Lines(string(text)) {
		// Device, path, type, options; blanks in the path are escaped.
		if fields := strings.Fields(line); len(fields) > 2 {
			all = append(all, mount{path: fields[1], kind: fields[2]})
		}
	}
	return all, nil
}

// run runs a command whose output only matters when it fails.
func run(ctx context.Context, program string, args ...string) error {
	if output, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
