package chart_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// TestInstalled runs the program under the ServiceAccount of the chart, on an API server that enforces RBAC, through everything that it
// does; then upgrades and uninstalls.
func TestInstalled(t *testing.T) {
	for _, test := range []struct {
		name   string
		values map[string]any
	}{
		{"Cluster", map[string]any{"rbac": map[string]any{"secretNamespaces": []any{shop}, "pods": true}}},
		{"Namespaces", map[string]any{"watchNamespaces": []any{shop}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			values := test.values
			values["uninstall"] = map[string]any{"patience": "2s"}
			s := install(t, values)
			process := s.start()
			_, account := podArgs(t, s.installed, "Deployment")
			s.everything(account)
			compareRights(t, rightsOf(t, s.installed, account), s.kube.Requests(t, home, account))
			process = s.upgraded(process)
			s.uninstalled(process)
		})
	}
}

// everything makes the bridge use each of its rights.
func (s *scene) everything(account string) {
	s.Helper()
	s.kubectl.Run(s, "-n", shop, "create", "secret", "generic", "zk", "--from-literal=username=u", "--from-literal=password=p")
	s.kubectl.Run(s, "-n", shop, "create", "configmap", "ca", "--from-literal=ca.crt=none")
	s.kubectl.Feed(s, fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: referring, namespace: %s}
spec: {source: {zookeeper: {servers: ["%s"], auth: {digestSecretRef: {name: zk}}, tls: {caRef: {kind: ConfigMap, name: ca, key: ca.crt}}}}}
`, shop, s.zk.Addr()), "apply", "-f", "-")
	s.awaitAsked(account, "get", "configmaps")
	s.kubectl.Feed(s, fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: secretive, namespace: %s}
spec: {source: {zookeeper: {servers: ["%s"], auth: {digestSecretRef: {name: zk}}}}}
`, shop, s.zk.Addr()), "apply", "-f", "-")
	s.awaitAsked(account, "get", "secrets")

	s.register("inline", "10.0.0.1")
	s.registry("inline")
	s.register("each", "10.0.1.1")
	s.register("each", "10.0.1.2")
	s.registry("each", "endpoints: {mode: WorkloadEntry}", "deletionPolicy: Delete")
	s.await("serviceentries", `"com.acme.inline"`, `"10.0.0.1"`, `"com.acme.each"`)
	s.await("workloadentries", `"10.0.1.1"`, `"10.0.1.2"`)
	s.collide(account, "serviceentries", func(turn int) { s.register("inline", fmt.Sprintf("10.0.2.%d", turn)) })
	node := s.register("each", "10.0.1.3")
	s.await("workloadentries", `"10.0.1.3"`)
	s.collide(account, "workloadentries", func(turn int) {
		if err := s.zk.Delete(node); err != nil {
			s.Fatal(err)
		}
		s.registered["each"]--
		// There are hundreds of turns while removals are held after the start.
		node = s.register("each", fmt.Sprintf("10.0.%d.%d", 3+turn/250, 1+turn%250))
	})
	// Two outages, or the Event of the second would not be a repetition.
	for range 2 {
		s.zk.Stop()
		s.kubectl.Run(s, "-n", shop, "wait", "registry/inline", "registry/each", "--for=condition=Connected=False", "--timeout=60s")
		if err := s.zk.Start(context.WithoutCancel(s.Context())); err != nil {
			s.Fatal(err)
		}
		s.kubectl.Run(s, "-n", shop, "wait", "registry/inline", "registry/each", "--for=condition=Connected", "--timeout=60s")
	}
	s.awaitAsked(account, "patch", "events")
	s.kubectl.Run(s, "-n", shop, "delete", "registry/referring", "registry/secretive")
	s.kubectl.Run(s, "-n", shop, "delete", "registry/each", "--timeout=60s")
	s.awaitAsked(account, "delete", "serviceentries")
	s.awaitAsked(account, "delete", "workloadentries")
	s.awaitAsked(account, "update", "leases")
}

// ready waits until the program that was started last does its part.
func (s *scene) ready() {
	s.Helper()
	lab.Await(s, settleLimit, "the bridge is ready", func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listen+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", response.Status)
		}
		return nil
	})
}

// upgraded installs the next version. Nothing that is published changes, and no Registry, not even its status.
func (s *scene) upgraded(process *lab.Process) *lab.Process {
	s.Helper()
	s.registry("each", "endpoints: {mode: WorkloadEntry}", "deletionPolicy: Delete")
	s.await("workloadentries", `"10.0.1.1"`, `"10.0.1.2"`)
	s.kubectl.Run(s, "-n", shop, "wait", "registry/inline", "registry/each", "--for=condition=Synced", "--timeout=60s")
	// A source that never comes ("referring") keeps removals of the others for a minute after the start: it may have the endpoint, too.
	for registry, instances := range s.registered {
		s.kubectl.Run(s, "-n", shop, "wait", "registry/"+registry, "--timeout=120s", fmt.Sprintf("--for=jsonpath={.status.summary.published}=%d", instances))
	}
	before := s.versions("registries", "serviceentries", "workloadentries")
	s.release.version = "99.0.0"
	s.installed, s.hooks = s.release.objects(s.T)
	s.apply(s.installed)
	process.Stop(s)
	process = s.start()
	s.ready()
	s.kubectl.Run(s, "-n", shop, "wait", "registry/inline", "registry/each", "--for=condition=Synced", "--timeout=60s")
	timer := time.NewTimer(quietTime)
	defer timer.Stop()
	<-timer.C
	if diff := cmp.Diff(before, s.versions("registries", "serviceentries", "workloadentries")); diff != "" {
		s.Errorf("the upgrade has changed objects (-before +after):\n%s", diff)
	}
	return process
}

// quietTime is how long nothing may be written after an upgrade.
const quietTime = 5 * time.Second

// uninstalled goes through what helm uninstall does: the hook, then the objects. The finalizers go, and what is published stays.
func (s *scene) uninstalled(process *lab.Process) {
	s.Helper()
	_, account := podArgs(s.T, s.hooks, "Job")
	rights := rightsOf(s.T, s.hooks, account)
	isJob := func(o *unstructured.Unstructured) bool { return o.GetKind() == "Job" }
	s.apply(slices.DeleteFunc(slices.Clone(s.hooks), isJob))
	before := s.versions("serviceentries", "workloadentries")
	process.Stop(s) // What a bridge that is alive does is tested in e2e/registries; here, the hook does it.
	s.leave()
	compareRights(s.T, rights, s.kube.Requests(s, home, account))
	s.await("registries", `"each"`, `"inline"`)
	list, err := s.objects("registries").List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	for i := range list.Items {
		if f := list.Items[i].GetFinalizers(); len(f) > 0 {
			s.Errorf("Registry %s has finalizers %v after the hook", list.Items[i].GetName(), f)
		}
	}
	s.owned()
	gone := slices.DeleteFunc(slices.Clone(s.installed), func(o *unstructured.Unstructured) bool {
		return o.GetAnnotations()["helm.sh/resource-policy"] == "keep"
	})
	s.kubectl.Feed(s, manifest(s.T, gone), "delete", "-f", "-", "--timeout=60s")
	if diff := cmp.Diff(before, s.versions("serviceentries", "workloadentries")); diff != "" {
		s.Errorf("the uninstallation has changed what is published (-before +after):\n%s", diff)
	}
	s.kubectl.Run(s, "-n", shop, "delete", "registries", "--all", "--timeout=30s")
	if diff := cmp.Diff(before, s.versions("serviceentries", "workloadentries")); diff != "" {
		s.Errorf("deleting Registries without a bridge has changed what is published (-before +after):\n%s", diff)
	}
}

// owned wants the ConfigMap that stops the bridge to go with the ServiceAccount, so that it does not stop the next installation.
func (s *scene) owned() {
	s.Helper()
	core := func(resource string) *unstructured.Unstructured {
		name := map[string]string{"configmaps": "registry-bridge-freeze", "serviceaccounts": "registry-bridge"}[resource]
		o, err := s.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource}).Namespace(home).Get(s.Context(), name, metav1.GetOptions{})
		if err != nil {
			s.Fatal(err)
		}
		return o
	}
	want := []metav1.OwnerReference{{APIVersion: "v1", Kind: "ServiceAccount", Name: "registry-bridge", UID: core("serviceaccounts").GetUID()}}
	if diff := cmp.Diff(want, core("configmaps").GetOwnerReferences()); diff != "" {
		s.Errorf("owner of the ConfigMap (-want +got):\n%s", diff)
	}
}
