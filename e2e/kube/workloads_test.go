package kube_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/registry-bridge/registry-bridge/internal/cli"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// workloads runs the program with a WorkloadEntry for each endpoint.
func (s *scene) workloads() {
	t, p := s.T, s.place
	zk := zktest.New(zktest.Options{})
	if err := zk.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(zk.Stop)
	node := func(address string) string {
		return "/dubbo/com.acme.foo/providers/" + url.QueryEscape(fmt.Sprintf("dubbo://%s:20880/com.acme.foo?interface=com.acme.foo&application=shop", address))
	}
	register := func(address string) {
		t.Helper()
		if err := zk.Create(node(address), nil); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(t.TempDir(), "registry.yaml")
	text := fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: shop, namespace: %s}
spec:
  source: {zookeeper: {servers: ["%s"], sessionTimeout: 4s}}
  endpoints: {mode: WorkloadEntry, copyLabels: [application]}
`, namespace, zk.Addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := func(command string, more ...string) []string {
		return append([]string{command, "--config", config, "--kubeconfig", p.cluster.Kubeconfig, "--instance", outputtest.Instance}, more...)
	}
	register("10.0.0.1")
	register("10.0.0.2")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	var log bytes.Buffer
	go func() {
		ended <- cli.Main(ctx, args("run", "--output", "kube", "--listen", ""), cli.Streams{Out: &log, Err: &log})
	}()
	p.awaitWorkloads(t, "shop", "10.0.0.1", "10.0.0.2")
	before, entry := p.workloadVersions(t), p.versions(t)
	register("10.0.0.3")
	p.awaitWorkloads(t, "shop", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	after := p.workloadVersions(t)
	for name, version := range before {
		if after[name] != version {
			t.Errorf("%s was written when another instance came", name)
		}
	}
	if !maps.Equal(entry, p.versions(t)) {
		t.Error("the ServiceEntry was written when an instance came")
	}

	var out, errs bytes.Buffer
	if code := cli.Main(t.Context(), args("plan"), cli.Streams{Out: &out, Err: &errs}); code != cli.ExitOK {
		t.Errorf("plan ended with %d: %s%s", code, &out, &errs)
	}
	if err := zk.Delete(node("10.0.0.2")); err != nil {
		t.Fatal(err)
	}
	p.awaitWorkloads(t, "shop", "10.0.0.1", "10.0.0.3")
	cancel()
	if code := <-ended; code != cli.ExitOK || t.Failed() {
		t.Errorf("run ended with %d: %s", code, &log)
	}
}

func (p *place) listWorkloads(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	list, err := p.objects(translate.Key{Kind: translate.KindWorkloadEntry, Namespace: namespace}).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// workloadVersions returns the resource version of every WorkloadEntry in the namespace.
func (p *place) workloadVersions(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, u := range p.listWorkloads(t) {
		versions[u.GetName()] = u.GetResourceVersion()
	}
	return versions
}

// awaitWorkloads waits until the WorkloadEntries have these addresses, each with this label of the application.
func (p *place) awaitWorkloads(t *testing.T, application string, addresses ...string) {
	t.Helper()
	want := map[string]string{}
	for _, address := range addresses {
		want[address] = application
	}
	ctx, cancel := context.WithTimeout(t.Context(), settleLimit)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		got := map[string]string{}
		for _, u := range p.listWorkloads(t) {
			address, _, _ := unstructured.NestedString(u.Object, "spec", "address")
			got[address], _, _ = unstructured.NestedString(u.Object, "spec", "labels", "label.registry-bridge.io/application")
		}
		if maps.Equal(got, want) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("WorkloadEntries are %v, want %v", got, want)
		case <-ticker.C:
		}
	}
}
