package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Signal sends a signal to all processes in the containers of a pod, behind the back of kubelet: SIGKILL is a crash, SIGSTOP a pod that
// neither works nor ends. Kubelet restarts a container whose process was killed, and so it does with a stopped one whose liveness probe
// fails.
func (c *Cluster) Signal(t testing.TB, namespace, pod string, signal syscall.Signal) {
	t.Helper()
	pids, err := c.podProcesses(t.Context(), namespace, pod)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatalf("send %v to process %d of pod %s: %v", signal, pid, pod, err)
		}
	}
}

// podProcesses returns the ids that the processes in a pod's running containers have on the machine.
func (c *Cluster) podProcesses(ctx context.Context, namespace, name string) ([]int, error) {
	pod, err := c.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, container := range pod.Status.ContainerStatuses {
		_, id, found := strings.Cut(container.ContainerID, "://")
		if !found {
			continue // It was never started.
		}
		// The container's cgroup ends in its id.
		running, err := processes(func(dir string) bool {
			groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
			return strings.Contains(string(groups), "/"+id+"\n")
		})
		if err != nil {
			return nil, err
		}
		pids = append(pids, running...)
	}
	if len(pids) == 0 {
		return nil, fmt.Errorf("no process runs in pod %s/%s", namespace, name)
	}
	return pids, nil
}
