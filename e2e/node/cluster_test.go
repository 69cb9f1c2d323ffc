package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/cluster"
)

// version runs the bridge from its image.
func (s *scene) version(program string) {
	want, err := exec.CommandContext(s.Context(), program, "version").Output()
	if err != nil {
		s.Fatal(err)
	}
	if diff := cmp.Diff(string(want), s.runOnce("version", bridgeImage, "version")); diff != "" {
		s.Errorf("version in a pod (-want +got):\n%s", diff)
	}
}

// services reaches every pod of a Service by its name, from a pod and through kubectl, and a server of the machine from a pod.
func (s *scene) services() {
	const replicas = 2
	s.serve("web", replicas)
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "outside") }))
	defer outside.Close()
	address := s.cluster.Expose(s, outside.Listener.Addr().String())

	// 40 times: that a random choice between two always takes the same is not to be expected.
	log := s.runOnce("probe", probeImage, "get", "40", "http://web."+s.namespace+".svc.cluster.local/", "http://"+address+"/")
	got := slices.Compact(slices.Sorted(strings.SplitSeq(strings.TrimSpace(log), "\n")))
	pods, err := s.pods(s.Context(), "web")
	if err != nil {
		s.Fatal(err)
	}
	want := []string{"outside"}
	for _, pod := range pods {
		want = append(want, pod.Name)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("answers (-want +got):\n%s", diff)
	}

	forwarded := s.cluster.PortForward(s, s.namespace, "service/web", "80")
	lab.Await(s, settleLimit, "a pod answers through the forwarded port", func(ctx context.Context) error { return get(ctx, forwarded) })
}

// get gets the root of an address and wants any answer.
func get(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", http.NoBody)
	if err != nil {
		return err
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// restarts restarts what pods have to live through.
func (s *scene) restarts() {
	s.serve("web", 1)
	containers := func() (ids []string) {
		pods, err := s.pods(s.Context(), "web")
		if err != nil {
			s.Fatal(err)
		}
		for _, pod := range pods {
			for _, container := range pod.Status.ContainerStatuses {
				ids = append(ids, container.ContainerID)
			}
		}
		return ids
	}
	before := containers()
	for _, component := range []cluster.Component{cluster.Containerd, cluster.Kubelet, cluster.APIServer} {
		s.cluster.Restart(s, component)
	}
	// What is created now needs all three.
	s.serve("after", 1)
	if diff := cmp.Diff(before, containers()); diff != "" {
		s.Errorf("the containers did not live on (-before +after):\n%s", diff)
	}
}

// signals stops, continues and kills a pod.
func (s *scene) signals() {
	s.serve("web", 1)
	pods, err := s.pods(s.Context(), "web")
	if err != nil {
		s.Fatal(err)
	}
	pod := pods[0]
	await := func(what string, check func(corev1.ContainerStatus) bool) {
		s.Helper()
		lab.Await(s, settleLimit, what, func(ctx context.Context) error {
			pods, err := s.pods(ctx, "web")
			if err != nil {
				return err
			}
			if status := pods[0].Status.ContainerStatuses[0]; !check(status) {
				return fmt.Errorf("its status is %v", status)
			}
			return nil
		})
	}
	s.cluster.Signal(s, s.namespace, pod.Name, syscall.SIGSTOP)
	await("the stopped pod is not ready", func(c corev1.ContainerStatus) bool { return !c.Ready && c.RestartCount == 0 })
	s.cluster.Signal(s, s.namespace, pod.Name, syscall.SIGCONT)
	await("the pod goes on", func(c corev1.ContainerStatus) bool { return c.Ready && c.RestartCount == 0 })
	s.cluster.Signal(s, s.namespace, pod.Name, syscall.SIGKILL)
	await("the killed container is started again", func(c corev1.ContainerStatus) bool { return c.Ready && c.RestartCount == 1 })
	if err := get(s.Context(), net.JoinHostPort(pod.Status.PodIP, "8080")); err != nil {
		s.Error(errors.Join(errors.New("the restarted pod"), err))
	}
}

// tools talks to the cluster with helm.
func (s *scene) tools() {
	if got, want := s.cluster.Helm(s, "version", "--template={{.Version}}"), "v4.3.1"; got != want {
		s.Errorf("helm is %s, want %s", got, want)
	}
	if got := strings.TrimSpace(s.cluster.Helm(s, "list", "--namespace="+s.namespace, "--output=json")); got != "[]" {
		s.Errorf("helm lists %s, want no release", got)
	}
}
