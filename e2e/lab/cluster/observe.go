package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// observation is what a cluster could leave behind on a machine. It is found by other means than restore uses to find it.
type observation struct {
	Processes, Mounts, Links, Tables, Files []string
	// Forward is iptables' chain of that name.
	Forward string
	Sysctls map[string]string
}

// ownLink are the names of links that only clusters have: those of the bridges, and those that the network plugins make up.
var ownLink = regexp.MustCompile(`^(rb-|veth[0-9a-f]{8}$)`)

// observe looks at the machine.
func (h *host) observe(ctx context.Context) (observation, error) {
	var o observation
	var err error
	if o.Sysctls, err = readSysctls(); err != nil {
		return o, err
	}
	if o.Processes, err = h.observeProcesses(); err != nil {
		return o, err
	}
	all, err := mounts()
	if err != nil {
		return o, err
	}
	for _, m := range all {
		if strings.HasPrefix(m.path, filepath.Dir(h.state)) || strings.HasPrefix(m.path, "/run/") || strings.HasPrefix(m.path, "/var/") {
			o.Mounts = append(o.Mounts, m.kind+" "+m.path)
		}
	}
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		return o, err
	}
	for _, link := range links {
		if ownLink.MatchString(link.Name()) {
			o.Links = append(o.Links, link.Name())
		}
	}
	tables, err := exec.CommandContext(ctx, h.programs.NFT, "list", "tables").CombinedOutput()
	if err != nil {
		return o, fmt.Errorf("nft list tables: %w: %s", err, tables)
	}
	o.Tables = strings.Split(strings.TrimSpace(string(tables)), "\n")
	o.Forward = h.forwardChain(ctx)
	for _, pattern := range []string{
		h.state, "/sys/fs/cgroup/" + cgroup, "/sys/fs/cgroup/*/" + cgroup, "/sys/fs/cgroup/kubepods", "/sys/fs/cgroup/*/kubepods",
		"/run/containerd/*", "/run/containerd/s/*", socketDir, "/run/netns/*", "/var/lib/cni/*/*", "/var/lib/kubelet/*/*", "/var/log/containers/*",
		"/var/log/pods/*",
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return o, err
		}
		o.Files = append(o.Files, files...)
	}
	return o, nil
}

// observeProcesses returns the command lines that name the folder or a program that only runs in pods, zombies left out.
func (h *host) observeProcesses() ([]string, error) {
	var lines []string
	_, err := processes(func(dir string) bool {
		text, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		line := strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))
		root, _ := os.Readlink(filepath.Join(dir, "root"))
		if strings.Contains(line, h.state+"/") || strings.HasPrefix(line, "/pause") || strings.HasPrefix(root, h.state) {
			lines = append(lines, line)
		}
		return false
	})
	return lines, err
}
