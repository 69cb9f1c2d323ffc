package chart_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// settleLimit is how long anything may take that takes a second on an idle machine.
const settleLimit = time.Minute

// Where the tests install, and where their Registries are.
const (
	home = "mesh"
	shop = "shop"
)

// scene is an API server on which the chart is installed, as far as there can be without nodes: the objects are there, and the program runs
// beside it with the arguments of the Deployment and a token of the chart's ServiceAccount.
type scene struct {
	*testing.T
	release *release
	program string
	kube    *lab.Kube
	kubectl *lab.Kubectl
	client  dynamic.Interface
	zk      *zktest.Server
	listen  string
	// registered counts the providers below the root of each Registry.
	registered map[string]int
	// installed and hooks are the objects of the chart.
	installed, hooks []*unstructured.Unstructured
}

// install starts the servers and applies the objects of the chart.
func install(t *testing.T, values map[string]any) *scene {
	t.Helper()
	program, err := bridge.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	zk := zktest.New(zktest.Options{})
	if err := zk.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(zk.Stop)
	kube := lab.StartKube(t)
	s := &scene{
		T: t, release: &release{Name: "registry-bridge", Namespace: home, Values: values}, program: program,
		kube: kube, kubectl: kube.Kubectl(t), client: kube.Client(t), zk: zk, registered: map[string]int{},
	}
	for _, namespace := range []string{home, shop} {
		s.kubectl.Run(s, "create", "namespace", namespace)
	}
	s.installed, s.hooks = s.release.objects(t)
	s.apply(s.installed)
	s.kubectl.Run(s, "wait", "--for=condition=Established", "--timeout=60s", "crd/registries.registry-bridge.io")
	return s
}

// apply applies objects as an installation does.
func (s *scene) apply(objects []*unstructured.Unstructured) {
	s.Helper()
	s.kubectl.Feed(s, manifest(s.T, objects), "apply", "--server-side", "--force-conflicts", "-f", "-")
}

// manifest renders objects as a list.
func manifest(t *testing.T, objects []*unstructured.Unstructured) string {
	t.Helper()
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
	for _, o := range objects {
		list.Items = append(list.Items, *o)
	}
	text, err := list.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// podArgs returns the arguments of a container and the ServiceAccount of its pod.
func podArgs(t *testing.T, objects []*unstructured.Unstructured, kind string) (args []string, account string) {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() != kind {
			continue
		}
		containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		if err != nil {
			t.Fatal(err)
		}
		container, _ := containers[0].(map[string]any)
		args, _, err = unstructured.NestedStringSlice(container, "args")
		if err != nil {
			t.Fatal(err)
		}
		account, _, err = unstructured.NestedString(o.Object, "spec", "template", "spec", "serviceAccountName")
		if err != nil {
			t.Fatal(err)
		}
	}
	if account == "" {
		t.Fatalf("there is no %s", kind)
	}
	return args, account
}

// start runs the program as the Deployment does.
func (s *scene) start() *lab.Process {
	s.Helper()
	args, account := podArgs(s.T, s.installed, "Deployment")
	s.listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(lab.FreePort(s)))
	args = append(args, "--listen="+s.listen, "--kubeconfig="+s.kube.AccountKubeconfig(s, home, account))
	return lab.StartProcess(s, "registry-bridge", s.program, args...)
}

// leave runs the program as the hook does.
func (s *scene) leave() {
	s.Helper()
	args, account := podArgs(s.T, s.hooks, "Job")
	process := lab.StartProcess(s, "registry-bridge leave", s.program, append(args, "--kubeconfig="+s.kube.AccountKubeconfig(s, home, account))...)
	if code := process.Wait(s, settleLimit); code != 0 {
		s.Fatalf("leave ends with %d:\n%s", code, process.Output())
	}
}

// registry applies a Registry of the fake ZooKeeper, below a root of its own, with more lines of its spec.
func (s *scene) registry(name string, more ...string) {
	s.Helper()
	s.kubectl.Feed(s, fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: %s, namespace: %s}
spec:
  source: {zookeeper: {servers: ["%s"], sessionTimeout: 4s, layouts: [{name: iface, type: DubboInterface, root: /%s}]}}
  %s
`, name, shop, s.zk.Addr(), name, strings.Join(more, "\n  ")), "apply", "-f", "-")
}

// register registers a provider below the root of a Registry.
func (s *scene) register(registry, address string) (node string) {
	s.Helper()
	iface := "com.acme." + registry
	node = "/" + registry + "/" + iface + "/providers/" + url.QueryEscape(fmt.Sprintf("dubbo://%s:20880/%s?interface=%s", address, iface, iface))
	if err := s.zk.Create(node, nil); err != nil {
		s.Fatal(err)
	}
	s.registered[registry]++
	return node
}

// objects returns a client for a resource of the namespace of the Registries.
func (s *scene) objects(resource string) dynamic.ResourceInterface {
	group := schema.GroupVersion{Group: "networking.istio.io", Version: "v1"}
	if resource == "registries" {
		group = schema.GroupVersion{Group: "registry-bridge.io", Version: "v1alpha1"}
	}
	return s.client.Resource(group.WithResource(resource)).Namespace(shop)
}

// await waits until the objects of a resource, as JSON, have all of these texts.
func (s *scene) await(resource string, want ...string) {
	s.Helper()
	lab.Await(s, settleLimit, resource+" have "+strings.Join(want, ", "), func(ctx context.Context) error {
		list, err := s.objects(resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			list.Items[i].SetManagedFields(nil)
		}
		text, err := json.Marshal(list)
		for _, w := range want {
			if err == nil && !strings.Contains(string(text), w) {
				err = fmt.Errorf("%s is missing in %s", w, text)
			}
		}
		return err
	})
}

// asked reports whether the bridge has asked the API server for something.
func (s *scene) asked(account, verb, resource string) bool {
	s.Helper()
	for _, r := range s.kube.Requests(s, home, account) {
		if r.Verb == verb && r.Resource == resource {
			return true
		}
	}
	return false
}

// awaitAsked waits until the bridge has asked for something.
func (s *scene) awaitAsked(account, verb, resource string) {
	s.Helper()
	lab.Await(s, settleLimit, account+" asks to "+verb+" "+resource, func(context.Context) error {
		if !s.asked(account, verb, resource) {
			return fmt.Errorf("it has not")
		}
		return nil
	})
}

// collide changes all objects of a resource all the time while change is called, until the bridge has met a version that it did not know
// and looked at it.
func (s *scene) collide(account, resource string, change func(turn int)) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	var hands sync.WaitGroup
	defer hands.Wait()
	defer cancel()
	for range 4 {
		hands.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				list, err := s.objects(resource).List(ctx, metav1.ListOptions{})
				if err != nil {
					continue
				}
				for i := range list.Items {
					body := fmt.Appendf(nil, `{"metadata":{"annotations":{"hand":"%d"}}}`, n)
					_, _ = s.objects(resource).Patch(ctx, list.Items[i].GetName(), types.MergePatchType, body, metav1.PatchOptions{}) // It may be gone.
				}
			}
		})
	}
	turn := 0
	lab.Await(s, settleLimit, "a write of the bridge meets another one of "+resource, func(context.Context) error {
		if s.asked(account, "get", resource) {
			return nil
		}
		turn++
		change(turn)
		return fmt.Errorf("none of %d has", turn)
	})
}

// versions returns the resource versions of all objects of some resources, in the namespace of the Registries.
func (s *scene) versions(resources ...string) map[string]string {
	s.Helper()
	versions := map[string]string{}
	for _, resource := range resources {
		list, err := s.objects(resource).List(s.Context(), metav1.ListOptions{})
		if err != nil {
			s.Fatal(err)
		}
		for i := range list.Items {
			versions[resource+"/"+list.Items[i].GetName()] = list.Items[i].GetResourceVersion()
		}
	}
	return versions
}
