package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// checkMachine finds out whether the kernel has what a cluster needs, and whether another cluster is in the way, and says all that is
// missing at once.
func (h *host) checkMachine(ctx context.Context) error {
	checks := []struct {
		need string
		try  func(context.Context) error
	}{
		{"cgroups with the controllers cpu, memory and pids", checkCgroups},
		{"no other kube-proxy: it would share tables with ours", h.checkProxyTables},
		{"nftables with NAT (CONFIG_NFT_NAT) and connection tracking", h.tryNFT},
		{"bridges and veth pairs (CONFIG_BRIDGE, CONFIG_VETH), and the right to make them", h.tryLinks},
	}
	var missing []error
	for _, check := range checks {
		if err := check.try(ctx); err != nil {
			missing = append(missing, fmt.Errorf("- %s: %w", check.need, err))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("a cluster cannot run on this machine (%s). It needs\n%w", lab.LeaveOut, errors.Join(missing...))
}

func checkCgroups(context.Context) error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	var controllers []string
	for _, root := range roots {
		controllers = append(controllers, strings.Split(filepath.Base(root), ",")...) // Version 1, by convention.
		if list, err := os.ReadFile(filepath.Join(root, "cgroup.controllers")); err == nil {
			controllers = append(controllers, strings.Fields(string(list))...)
		}
	}
	for _, controller := range []string{"cpu", "memory", "pids"} {
		if !slices.Contains(controllers, controller) {
			return fmt.Errorf("%s is not there; there are %q", controller, controllers)
		}
	}
	return nil
}

func (h *host) checkProxyTables(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, h.programs.NFT, "list", "tables").CombinedOutput()
	if err != nil {
		return fmt.Errorf("nft list tables: %w: %s", err, output)
	}
	if strings.Contains(string(output), proxyTable) {
		return errors.New("nftables has a table " + proxyTable)
	}
	return nil
}

// tryNFT makes a table with what kube-proxy's rules are made of, and removes it.
func (h *host) tryNFT(ctx context.Context) error {
	const table = "registry-bridge-try"
	err := run(ctx, h.programs.NFT, "add table ip "+table+
		"; add chain ip "+table+" nat { type nat hook prerouting priority dstnat; }"+
		"; add rule ip "+table+" nat ct state new ip daddr "+apiServiceIP+" tcp dport 1 dnat to "+NodeIP+
		"; add map ip "+table+" services { type ipv4_addr . inet_proto . inet_service : verdict; }")
	if err != nil {
		return err
	}
	return run(ctx, h.programs.NFT, "delete", "table", "ip", table)
}

// tryLinks makes a bridge and a veth pair, and removes them.
func (h *host) tryLinks(ctx context.Context) error {
	const bridge, veth = "rb-try", "rb-try0"
	err := run(ctx, h.programs.IP, "link", "add", bridge, "type", "bridge")
	if err == nil {
		err = run(ctx, h.programs.IP, "link", "delete", bridge)
	}
	if err != nil {
		return err
	}
	if err := run(ctx, h.programs.IP, "link", "add", veth, "type", "veth", "peer", "name", veth+"p"); err != nil {
		return err
	}
	return run(ctx, h.programs.IP, "link", "delete", veth)
}

// snapshotter returns how containerd puts the layers of images together: by overlayfs where that can be mounted in the folder, which it
// cannot where the folder is on an overlayfs itself, and otherwise by copying.
func (h *host) snapshotter(ctx context.Context) (string, error) {
	dir := h.file("overlay")
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return "", err
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	if err := run(ctx, "mount", "-t", "overlay", "overlay", "-o", options, filepath.Join(dir, "merged")); err != nil {
		return "native", nil //nolint:nilerr // That it fails is the answer.
	}
	return "overlayfs", run(ctx, "umount", filepath.Join(dir, "merged"))
}
