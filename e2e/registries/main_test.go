// Package registries_test runs the built program with Registries of a real API server, and looks at it as people do: with kubectl.
package registries_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/jsonpath"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// settleLimit is how long anything may take that takes a second on an idle machine.
const settleLimit = time.Minute

// program is the path of the bridge's binary.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(bridge.Suite{Program: &program, Parallel: 8}.Run(m))
}

// TestRegistries shares one API server among tests that have a namespace each.
func TestRegistries(t *testing.T) {
	t.Parallel()
	k := lab.StartKube(t)
	c, client := k.Kubectl(t), k.Client(t)
	c.DefineRegistries(t)
	// What rights it needs is the business of other tests.
	c.Run(t, "create", "clusterrolebinding", "bridge", "--clusterrole=cluster-admin", "--user=bridge")
	for _, test := range []struct {
		name string
		run  func(*scene)
	}{
		{"Published", (*scene).published},
		{"Outage", (*scene).outage},
		{"BadEdit", (*scene).badEdit},
		{"Retained", (*scene).retained},
		{"Deleted", (*scene).deleted},
		{"DeletedWhileStopped", (*scene).deletedWhileStopped},
		{"Forgotten", (*scene).forgotten},
		{"Observed", (*scene).observed},
		{"Held", (*scene).held},
		{"Confirmed", (*scene).confirmed},
		{"Conflicting", (*scene).conflicting},
		{"Frozen", (*scene).frozen},
		{"FrozenByCommand", (*scene).frozenByCommand},
		{"Released", (*scene).released},
		{"Paused", (*scene).paused},
		{"Purged", (*scene).purged},
		{"Rotation", (*scene).rotation},
		{"Idle", (*scene).idle},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			namespace := strings.ToLower(test.name)
			c.Run(t, "create", "namespace", namespace)
			zk := zktest.New(zktest.Options{})
			if err := zk.Start(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(zk.Stop)
			test.run(&scene{T: t, kube: k, kubectl: c, client: client, namespace: namespace, zk: zk})
		})
	}
}

// scene is one test: a namespace, a registry with nothing in it, and no bridge yet.
type scene struct {
	*testing.T
	kube      *lab.Kube
	kubectl   *lab.Kubectl
	client    dynamic.Interface
	namespace string
	zk        *zktest.Server
	// listen is where the bridge that was started last shows its state.
	listen string
}

// bridge starts one replica of the bridge.
func (s *scene) bridge(more ...string) *lab.Process {
	s.Helper()
	s.listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(lab.FreePort(s)))
	args := append([]string{
		"run", "--output", "kube", "--kubeconfig", s.kube.BridgeKubeconfig, "--instance", s.namespace, "--namespace", s.namespace,
		"--watch-namespaces", s.namespace, "--listen", s.listen,
	}, more...)
	return lab.StartProcess(s, "registry-bridge", program, args...)
}

// registry applies a Registry of the fake ZooKeeper with more lines of its spec.
func (s *scene) registry(name string, more ...string) {
	s.Helper()
	s.kubectl.Feed(s, fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: %s, namespace: %s}
spec:
  source: {zookeeper: {servers: ["%s"], sessionTimeout: 4s}}
  %s
`, name, s.namespace, s.zk.Addr(), strings.Join(more, "\n  ")), "apply", "-f", "-")
}

// register registers a provider of an interface.
func (s *scene) register(iface, address string) (node string) {
	s.Helper()
	node = "/dubbo/" + iface + "/providers/" + url.QueryEscape(fmt.Sprintf("dubbo://%s/%s?interface=%s", address, iface, iface))
	if err := s.zk.Create(node, nil); err != nil {
		s.Fatal(err)
	}
	return node
}

// get returns what a person with kubectl would see of objects of the namespace in a JSONPath.
func (s *scene) get(kind, path string) string {
	s.Helper()
	text, err := s.look(s.Context(), kind, path)
	if err != nil {
		s.Fatal(err)
	}
	return text
}

// look reads "kind" or "kind/name" as kubectl get does, which would cost a process for each look.
func (s *scene) look(ctx context.Context, kind, path string) (string, error) {
	kind, name, one := strings.Cut(kind, "/")
	resource := s.client.Resource(resources()[kind]).Namespace(s.namespace)
	var content map[string]any
	if one {
		o, err := resource.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		content = o.Object
	} else {
		list, err := resource.List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		content = list.UnstructuredContent()
	}
	p := jsonpath.New("look").AllowMissingKeys(true)
	p.EnableJSONOutput(false)
	if err := p.Parse(path); err != nil {
		return "", err
	}
	var text strings.Builder
	err := p.Execute(&text, content)
	return text.String(), err
}

// resources are the kinds that tests look at.
func resources() map[string]schema.GroupVersionResource {
	core := func(name string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Version: "v1", Resource: name}
	}
	registries := v1alpha1.GroupVersion().WithResource("registries")
	return map[string]schema.GroupVersionResource{
		"registry": registries, "registries": registries,
		"serviceentries": {Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"},
		"events":         {Group: "events.k8s.io", Version: "v1", Resource: "events"},
		"configmaps":     core("configmaps"),
	}
}

var errNotYet = errors.New("not yet")

// await waits until kubectl prints a text that has all of these.
func (s *scene) await(kind, path string, want ...string) {
	s.Helper()
	lab.Await(s, settleLimit, kind+" "+path+" has "+strings.Join(want, ", "), func(ctx context.Context) error {
		got, err := s.look(ctx, kind, path)
		if err != nil {
			return err
		}
		for _, text := range want {
			if !strings.Contains(got, text) {
				return fmt.Errorf("%w: %s", errNotYet, got)
			}
		}
		return nil
	})
}

// awaitGone waits until there is no such object.
func (s *scene) awaitGone(kind string) {
	s.Helper()
	lab.Await(s, settleLimit, kind+" is gone", func(ctx context.Context) error {
		got, err := s.look(ctx, kind, "{.metadata.name}"+hosts)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil && got != "" {
			err = fmt.Errorf("%w: %s", errNotYet, got)
		}
		return err
	})
}

// Paths of what tests wait for.
const (
	hosts     = "{.items[*].spec.hosts[0]}"
	addresses = "{.items[*].spec.endpoints[*].address}"
	versions  = "{range .items[*]}{.metadata.name}={.metadata.resourceVersion} {end}"
)

// state is the condition of a Registry as "True InUse".
func state(condition string) string {
	filter := `{.status.conditions[?(@.type=="` + condition + `")]`
	return filter + ".status} " + filter + ".reason}"
}

// wait waits until a Registry has a condition.
func (s *scene) wait(name, condition, want string) {
	s.Helper()
	s.await("registry/"+name, state(condition), want)
}

// patch changes a Registry with a merge patch.
func (s *scene) patch(kind string, fields map[string]any) {
	s.Helper()
	body, err := json.Marshal(fields)
	if err != nil {
		s.Fatal(err)
	}
	s.kubectl.Run(s, "-n", s.namespace, "patch", kind, "--type=merge", "-p", string(body))
}
