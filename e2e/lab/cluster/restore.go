package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endLimit is how long processes may take to be gone after SIGKILL.
const endLimit = 20 * time.Second

// restore ends what still runs of the cluster, undoes what it changed on the machine and removes its folder. It does nothing when there
// was no cluster, and can be done again when it failed.
func (h *host) restore(ctx context.Context) error {
	text, err := os.ReadFile(h.file("record.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(h.state) // Nothing was changed yet.
	}
	if err != nil {
		return err
	}
	var before record
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	if err := h.endProcesses(ctx); err != nil {
		return err
	}
	err = errors.Join(os.RemoveAll(socketDir), h.unmount(ctx), h.removeLinks(ctx), h.dropAgain(ctx), removeCgroups(), h.removeStrayFiles())
	for name, value := range before.Sysctls {
		err = errors.Join(err, os.WriteFile(sysctlRoot+name, []byte(value), 0))
	}
	if err != nil {
		return err
	}
	// The record goes with the folder, but last: without it nothing would be undone.
	entries, err := os.ReadDir(h.state)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != "record.json" {
			err = errors.Join(err, os.RemoveAll(h.file(entry.Name())))
		}
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(h.state)
}

// endProcesses ends everything in the cgroups of pods, the shims beside them, and components of a run that died. It looks again until
// nothing is left, because what is about to be ended may start something.
func (h *host) endProcesses(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		pids, err := h.ownProcesses()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // The one way to fail is that it has just ended.
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %d do not end", pids)
		case <-ticker.C:
		}
	}
}

// ownProcesses returns the processes of the cluster: those in its cgroups, and those that were started with a path in its folder. The
// latter are the components and the shims; no other program is told about the folder.
func (h *host) ownProcesses() ([]int, error) {
	longRunning := []string{
		string(Etcd), string(APIServer), string(ControllerManager), string(Scheduler), string(Kubelet), string(Proxy), string(Containerd),
		filepath.Base(h.programs.Shim),
	}
	return processes(func(dir string) bool {
		if stat, err := os.ReadFile(filepath.Join(dir, "stat")); err != nil || zombie(string(stat)) {
			return false // It has ended.
		}
		groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if strings.Contains(string(groups), ":/"+cgroup+"/") {
			return true
		}
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		arguments := strings.Split(string(line), "\x00")
		return slices.Contains(longRunning, filepath.Base(arguments[0])) && strings.Contains(string(line), h.state+"/")
	})
}

// zombie says whether a line of /proc/PID/stat is that of a process that has ended and is not reaped yet.
func zombie(stat string) bool {
	_, state, _ := strings.Cut(stat[strings.LastIndexByte(stat, ')')+1:], " ")
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// processes returns the processes for which choose says so. It is given their folders in /proc, which may vanish at any time.
func processes(choose func(dir string) bool) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && choose("/proc/"+entry.Name()) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// unmount unmounts what is mounted in the folder: roots of containers, network namespaces, volumes.
func (h *host) unmount(ctx context.Context) error {
	all, err := mounts()
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(all) {
		if strings.HasPrefix(m.path, h.state+"/") {
			if err := run(ctx, "umount", "--lazy", m.path); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeLinks removes the bridges and the rules of kube-proxy. The veth pairs have gone with the network namespaces.
func (h *host) removeLinks(ctx context.Context) error {
	for _, bridge := range []string{nodeBridge, podBridge} {
		if _, err := os.Stat("/sys/class/net/" + bridge); err == nil {
			if err := run(ctx, h.programs.IP, "link", "delete", bridge); err != nil {
				return err
			}
		}
	}
	for _, family := range []string{"ip", "ip6"} {
		// Adding a table that is there does nothing, and so removing it cannot fail for want of it.
		rules := fmt.Sprintf("add table %[1]s %[2]s; delete table %[1]s %[2]s", family, proxyTable)
		if err := run(ctx, h.programs.NFT, rules); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups removes the cgroups of the pods, from the leaves to the root.
func removeCgroups() error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		var groups []string
		err := filepath.WalkDir(filepath.Join(root, cgroup), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, group := range slices.Backward(groups) {
			if err := remove(group); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeStrayFiles removes what kubelet and the network plugins put into folders that nobody can choose.
func (h *host) removeStrayFiles() error {
	links, err := filepath.Glob("/var/log/containers/*")
	if err != nil {
		return err
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, h.state+"/") {
			if err := remove(link); err != nil {
				return err
			}
		}
	}
	results, err := filepath.Glob("/var/lib/cni/results/" + networkName + "-*")
	if err != nil {
		return err
	}
	for _, file := range append(results, "/var/lib/kubelet/device-plugins/kubelet.sock") {
		if err := remove(file); err != nil {
			return err
		}
	}
	return removeEmpty("/var/log/containers", "/var/lib/kubelet/device-plugins", "/var/lib/kubelet", "/var/lib/cni/results", "/var/lib/cni")
}

// remove removes a file or an empty folder, if it is there.
func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeEmpty removes folders that are empty. Others have files in the same places.
func removeEmpty(names ...string) error {
	for _, name := range names {
		if err := remove(name); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return nil
}
