package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/cluster"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

// install is the life of a release: it is installed, upgraded, rolled back, disturbed in every way, uninstalled, and installed again.
func (s *scene) install() {
	i := newInstallation(s)
	if !s.cluster.Owned() {
		// Before its namespaces are deleted, or they would wait for its finalizers.
		s.Cleanup(func() { i.uninstall(context.WithoutCancel(s.Context())) })
	}
	i.first()
	i.cluster.Kubectl(i, "wait", "--namespace="+catalog, "registry/consul", "--timeout="+settleLimit.String(),
		fmt.Sprintf("--for=jsonpath={.status.summary.published}=%d", len(i.inConsul)))
	never, registry := i.resourceVersions(catalog), i.registryVersion("consul")
	i.churned(func() {
		i.upgrade("next", "upgrade", "--reuse-values", "--set=image.tag=next", "--set=log.level=debug", chart)
		i.upgrade("test", "rollback")
		i.deleted()
		i.evicted()
		if now := i.registryVersion("consul"); now != registry {
			i.Errorf("a Registry in which nothing happens was written: its version was %s, and is %s", registry, now)
		}
		if s.cluster.Owned() {
			i.disturbed()
		}
	})
	i.settle()
	if diff := cmp.Diff(never, i.resourceVersions(catalog)); diff != "" {
		s.Errorf("objects of a registry in which nothing happens were written (-before +after):\n%s", diff)
	}
	i.second()
	i.explained()
	i.usage()
	i.again()
	i.judge()
}

// first installs the release, adds Registries, and looks at what they bring as a person would.
func (i *installation) first() {
	i.Helper()
	i.helm("install", chart, "--values="+i.values)
	i.cluster.Apply(i, fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: dubbo, namespace: %s}
spec: {deletionPolicy: Delete, source: {zookeeper: {servers: [%q]}}}
`, shop, i.cluster.Expose(i, i.zookeeper.Addr)))
	i.helm("upgrade", "--reuse-values", "--values="+i.registries, chart)
	i.settle()
	for namespace, name := range map[string]string{shop: "dubbo", catalog: "consul"} {
		i.cluster.Kubectl(i, "wait", "--namespace="+namespace, "--for=condition=Ready", "registry/"+name, "--timeout="+settleLimit.String())
	}
	inZooKeeper, err := i.fleet.Registered()
	if err != nil {
		i.Fatal(err)
	}
	for namespace, registered := range map[string]oracle.Endpoints{shop: inZooKeeper, catalog: i.inConsul} {
		for _, finding := range oracle.Diff(i.seen(namespace), registered, metav1.Now().Time) {
			i.Error("kubectl: ", finding)
		}
	}
}

// seen returns the endpoints in the ServiceEntries that kubectl shows.
func (i *installation) seen(namespace string) oracle.Endpoints {
	i.Helper()
	var list struct{ Items []json.RawMessage }
	if err := json.Unmarshal([]byte(i.cluster.Kubectl(i, "get", "serviceentries", "--namespace="+namespace, "--output=json")), &list); err != nil {
		i.Fatal(err)
	}
	all := oracle.Endpoints{}
	for _, item := range list.Items {
		_, endpoints, err := oracle.Parse(item)
		if err != nil {
			i.Fatal(err)
		}
		maps.Copy(all, endpoints)
	}
	return all
}

// upgrade runs a command of helm, after which all pods run the image with the tag.
func (i *installation) upgrade(tag, command string, args ...string) {
	i.Helper()
	i.helm(command, args...)
	for _, pod := range i.bridges() {
		if image := pod.Spec.Containers[0].Image; !strings.HasSuffix(image, ":"+tag) {
			i.Errorf("after helm %s, %s runs %s, want tag %s", command, pod.Name, image, tag)
		}
	}
}

// bridges returns the pods of the release that are to stay.
func (i *installation) bridges() []corev1.Pod {
	i.Helper()
	pods, err := i.cluster.Client().CoreV1().Pods(i.namespace).List(i.Context(), metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/component=bridge",
	})
	if err != nil {
		i.Fatal(err)
	}
	return slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
}

// lease waits until the Lease is as wanted.
func (i *installation) lease(what string, want func(holder string) bool) (holder string) {
	i.Helper()
	lab.Await(i, settleLimit, what, func(ctx context.Context) error {
		var lease *coordinationv1.Lease
		lease, err := i.cluster.Client().CoordinationV1().Leases(i.namespace).Get(ctx, release, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if holder = ptr.Deref(lease.Spec.HolderIdentity, ""); holder == "" || !want(holder) {
			return fmt.Errorf("its holder is %q", holder)
		}
		return nil
	})
	return holder
}

// led does something to the pod of the leader, and waits until another process leads.
func (i *installation) led(do func(pod string)) {
	i.Helper()
	leader := i.lease("a replica leads", func(string) bool { return true })
	pod, _, _ := strings.Cut(leader, "_")
	do(pod)
	i.lease("another replica leads than "+leader, func(holder string) bool { return holder != leader })
}

// ready waits until all replicas are.
func (i *installation) ready() {
	i.Helper()
	i.cluster.Kubectl(i, "rollout", "status", "--namespace="+i.namespace, "deployment/"+release, "--timeout="+settleLimit.String())
}

// deleted deletes the leader's pod.
func (i *installation) deleted() {
	i.Helper()
	i.led(func(pod string) {
		i.cluster.Kubectl(i, "delete", "pod", pod, "--namespace="+i.namespace, "--wait=false")
	})
	i.ready()
}

// evicted evicts the leader, as a drain of its node does, and then another replica: that has to wait until there are three again.
func (i *installation) evicted() {
	i.Helper()
	evict := func(ctx context.Context, pod string) error {
		return i.cluster.Client().PolicyV1().Evictions(i.namespace).Evict(ctx, &policyv1.Eviction{
			ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: i.namespace},
		})
	}
	i.led(func(leader string) {
		// Who counts the pods may not have seen the last one become ready.
		lab.Await(i, settleLimit, "the leader may be evicted", func(ctx context.Context) error { return evict(ctx, leader) })
		pods := i.bridges()
		other := pods[slices.IndexFunc(pods, func(pod corev1.Pod) bool { return pod.Name != leader && ready(&pod) })].Name
		if err := evict(i.Context(), other); !apierrors.IsTooManyRequests(err) {
			i.Errorf("the eviction of a second pod: %v, want that it has to wait", err)
		}
		lab.Await(i, settleLimit, "the second pod may be evicted", func(ctx context.Context) error { return evict(ctx, other) })
	})
	i.ready()
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// disturbed does what only the owner of the machine can do.
func (i *installation) disturbed() {
	i.Helper()
	i.cluster.Restart(i, cluster.Kubelet)
	// Stopped for longer than its lease, the leader ends as soon as it goes on, and is started again.
	var stopped string
	i.led(func(pod string) {
		stopped = pod
		i.cluster.Signal(i, i.namespace, pod, syscall.SIGSTOP)
	})
	i.restarted(stopped, syscall.SIGCONT)
	i.led(func(pod string) { i.restarted(pod, syscall.SIGKILL) })
	i.ready()
	i.cluster.Restart(i, cluster.APIServer)
	i.lease("a replica leads", func(string) bool { return true })
	i.ready()
}

// restarted sends a signal to a pod, and waits until its container has been started again.
func (i *installation) restarted(name string, signal syscall.Signal) {
	i.Helper()
	pods := i.cluster.Client().CoreV1().Pods(i.namespace)
	count := func(ctx context.Context) (int32, error) {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return 0, err
		}
		if len(pod.Status.ContainerStatuses) != 1 {
			return 0, errors.New("it has no status")
		}
		return pod.Status.ContainerStatuses[0].RestartCount, nil
	}
	before, err := count(i.Context())
	if err != nil {
		i.Fatal(err)
	}
	i.cluster.Signal(i, i.namespace, name, signal)
	lab.Await(i, settleLimit, fmt.Sprintf("%s is started again after %v", name, signal), func(ctx context.Context) error {
		now, err := count(ctx)
		if err == nil && now == before {
			err = fmt.Errorf("it was started again %d times, as before", now)
		}
		return err
	})
}

// second tries to install a second release with the instance id of the first one.
func (i *installation) second() {
	i.Helper()
	output, err := i.cluster.Command(i.Context(), cluster.Helm, "install", "second", chart, "--namespace="+shop, "--values="+i.values,
		"--set=crds.enabled=false", "--set=instance="+i.namespace+"."+release).CombinedOutput()
	if err == nil || !strings.Contains(string(output), "cannot be imported") {
		i.Errorf("a second release with the same instance id: %v, want that Helm refuses it\n%s", err, output)
	}
}

// explained asks the leader, with the plugin of kubectl and through a port-forward, where an address comes from.
func (i *installation) explained() {
	i.Helper()
	plugins := i.TempDir()
	if err := os.Symlink(build(i.T, "../..", "./cmd/registry-bridge"), filepath.Join(plugins, "kubectl-registry_bridge")); err != nil {
		i.Fatal(err)
	}
	command := i.cluster.Command(i.Context(), cluster.Kubectl, "registry-bridge", "explain", "10.200.0.1:8080", "--namespace="+i.namespace)
	command.Env = append(command.Env, "PATH="+plugins)
	output, err := command.CombinedOutput()
	if err != nil {
		i.Fatalf("kubectl registry-bridge explain: %v\n%s", err, output)
	}
	for _, want := range []string{"service-0.service.consul", catalog + "/consul"} {
		if !strings.Contains(string(output), want) {
			i.Errorf("kubectl registry-bridge explain does not name %s:\n%s", want, output)
		}
	}
}

// usage says what each pod uses, as it says itself.
func (i *installation) usage() {
	i.Helper()
	for _, pod := range i.bridges() {
		metrics := i.cluster.Kubectl(i, "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:8080/proxy/metrics", i.namespace, pod.Name))
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, "process_resident_memory_bytes ") || strings.HasPrefix(line, "process_cpu_seconds_total ") {
				i.Logf("%s: %s", pod.Name, strings.TrimSpace(line))
			}
		}
	}
}

// again uninstalls the release, which leaves all that is published, and installs it again, which takes it up as it is.
func (i *installation) again() {
	i.Helper()
	before := map[string]map[string]string{shop: i.resourceVersions(shop), catalog: i.resourceVersions(catalog)}
	compare := func(when string) {
		i.Helper()
		for namespace, versions := range before {
			if diff := cmp.Diff(versions, i.resourceVersions(namespace)); diff != "" {
				i.Errorf("%s, objects are not as they were (-before +after):\n%s", when, diff)
			}
		}
	}
	registries := func(when, want string) {
		i.Helper()
		const columns = `{range .items[*]}{.metadata.namespace}/{.metadata.name}{.metadata.deletionTimestamp}{.metadata.finalizers}{"\n"}{end}`
		if got := i.cluster.Kubectl(i, "get", "registries", "--all-namespaces", "--output=jsonpath="+columns); got != want {
			i.Errorf("%s the uninstallation there are Registries %q, want %q", when, got, want)
		}
	}
	const finalizers = `["registry-bridge.io/cleanup"]`
	registries("before", catalog+"/consul"+finalizers+"\n"+shop+"/dubbo"+finalizers+"\n")
	i.helm("uninstall")
	compare("after the uninstallation")
	// That of a person stays. It is not being deleted, and nothing would keep it from that.
	registries("after", shop+"/dubbo\n")
	i.helm("install", chart, "--values="+i.values, "--values="+i.registries)
	i.lease("a replica leads", func(string) bool { return true })
	i.cluster.Kubectl(i, "wait", "--namespace="+catalog, "--for=condition=Ready", "registry/consul", "--timeout="+settleLimit.String())
	// What is registered now comes behind all that there was.
	one := providers.Provider{Interface: "com.example.Late", Address: "10.201.0.1", Port: 20880}
	if err := i.fleet.Register(one); err != nil {
		i.Fatal(err)
	}
	i.settle()
	for name, version := range i.resourceVersions(shop) {
		if _, known := before[shop][name]; !known {
			before[shop][name] = version
		}
	}
	compare("after the second installation")
}

// uninstall uninstalls the release from a cluster that goes on.
func (i *installation) uninstall(ctx context.Context) {
	command := i.cluster.Command(ctx, cluster.Helm, "uninstall", release, "--namespace="+i.namespace, "--ignore-not-found", "--wait")
	if output, err := command.CombinedOutput(); err != nil {
		i.Errorf("helm uninstall: %v\n%s", err, output)
	}
}
