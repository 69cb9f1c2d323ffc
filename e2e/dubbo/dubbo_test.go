// Package dubbo_test runs the built program between a real ZooKeeper and real Dubbo applications, and looks at what it writes.
package dubbo_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/translate"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest/crd"
)

// Limits of the promises. A real removal is fast; everything else only has to happen.
const (
	removalLimit = time.Second
	startLimit   = 30 * time.Second
)

// program is the path of the built program.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "registry-bridge")
	if err == nil {
		defer os.RemoveAll(dir)
		program, err = bridge.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// registry is the Registry of these tests. The providers of the lab are on 127.0.0.1, which is denied unless configured.
func registry(zookeeper string) string {
	return fmt.Sprintf(`
apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: dubbo, namespace: dubbo-registry}
spec:
  source: {zookeeper: {servers: [%q]}}
  endpoints: {denyCIDRs: []}
`, zookeeper)
}

// generations are those of Dubbo that every test runs with.
func generations() []lab.DubboVersion { return []lab.DubboVersion{lab.Dubbo33, lab.Dubbo27} }

// TestPlan is the whole way once: a provider registers, and what the program would write is what Istio accepts.
func TestPlan(t *testing.T) {
	t.Parallel()
	for _, version := range generations() {
		t.Run("dubbo-"+string(version), func(t *testing.T) {
			t.Parallel()
			server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
			provider := lab.StartDubboProvider(t, lab.DubboOptions{
				Version: version, Registry: server.Addr, Group: "blue", ServiceVersion: "1.0.0",
			})

			objects := plan(t, server.Addr)
			checkValid(t, objects)
			want := []string{"dubbo-registry/v-1.0.0.g-blue.demo.greetingservice: 127.0.0.1:" + strconv.Itoa(provider.Port)}
			if diff := cmp.Diff(want, summary(objects)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// checkValid asks the API server's rules, istiod's and our own.
func checkValid(t *testing.T, objects []*translate.Object) {
	t.Helper()
	definition, err := crd.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		fields, err := manifest.Map(object)
		if err != nil {
			t.Fatal(err)
		}
		if err := definition.Check(t.Context(), fields); err != nil {
			t.Errorf("%s is refused by the CRD: %v", object.Key, err)
		}
	}
	if err := translatetest.Check(objects); err != nil {
		t.Error(err)
	}
}

// TestRemoval has two providers of one service: one leaves, the other is killed.
func TestRemoval(t *testing.T) {
	t.Parallel()
	for _, version := range generations() {
		t.Run("dubbo-"+string(version), func(t *testing.T) {
			t.Parallel()
			server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
			options := lab.DubboOptions{Version: version, Registry: server.Addr}
			stays := lab.StartDubboProvider(t, options)
			leaves := lab.StartDubboProvider(t, options)
			dies := lab.StartDubboProvider(t, options)
			output := t.TempDir()
			process := lab.StartProcess(t, "registry-bridge", program, "run",
				"--config", configFile(t, server.Addr), "--output-dir", output, "--listen", "")
			awaitOutput(t, startLimit, output, stays, leaves, dies)
			client := lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: []string{server.Addr}})

			leaves.Stop(t)
			awaitRegistered(t, client, stays, dies)
			awaitOutput(t, removalLimit, output, stays, dies)

			dies.Kill()
			awaitRegistered(t, client, stays) // Its session has to expire first.
			awaitOutput(t, removalLimit, output, stays)
			process.Stop(t)
		})
	}
}

// configFile writes the Registry of these tests into a file.
func configFile(t *testing.T, zookeeper string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "registry.yaml")
	if err := os.WriteFile(name, []byte(registry(zookeeper)), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// plan runs "registry-bridge plan -o yaml" with an empty output.
func plan(t *testing.T, zookeeper string) []*translate.Object {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "plan", "-o", "yaml", "--config", configFile(t, zookeeper))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("plan: %v\n%s", err, stderr.String())
	}
	var objects []*translate.Object
	for document := range strings.SplitSeq(stdout.String(), "\n---\n") {
		object, err := manifest.ParseYAML([]byte(document))
		if err != nil {
			t.Fatalf("plan wrote an object that cannot be read: %v\n%s", err, document)
		}
		objects = append(objects, object)
	}
	return objects
}

// summary renders "namespace/host: address:port, …" for each object.
func summary(objects []*translate.Object) []string {
	var result []string
	for _, object := range objects {
		var endpoints []string
		for i := range object.ServiceEntry.Endpoints {
			endpoint := &object.ServiceEntry.Endpoints[i]
			endpoints = append(endpoints, fmt.Sprintf("%s:%d", endpoint.Address, endpoint.Port()))
		}
		result = append(result, object.Key.Namespace+"/"+object.ServiceEntry.Host+": "+strings.Join(endpoints, ", "))
	}
	slices.Sort(result)
	return result
}

// awaitOutput waits until the folder has the service of the lab with exactly these providers.
func awaitOutput(t *testing.T, limit time.Duration, output string, providers ...*lab.DubboProvider) {
	t.Helper()
	want := "dubbo-registry/demo.greetingservice: " + strings.Join(addresses(providers), ", ")
	lab.Await(t, limit, "the output has "+want, func(context.Context) error {
		objects, err := readOutput(output)
		if err != nil {
			return err
		}
		if got := summary(objects); !slices.Equal(got, []string{want}) {
			return fmt.Errorf("it has %q", got)
		}
		return nil
	})
}

func readOutput(folder string) ([]*translate.Object, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var objects []*translate.Object
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		object, err := manifest.ParseYAML(text)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// awaitRegistered waits until ZooKeeper itself, asked by another client, has exactly these providers.
func awaitRegistered(t *testing.T, client *zk.Conn, providers ...*lab.DubboProvider) {
	t.Helper()
	lab.Await(t, time.Minute, "the registry has the providers that are left", func(context.Context) error {
		nodes, _, err := client.Children("/dubbo/" + lab.DubboInterface + "/providers")
		if err != nil {
			return err
		}
		if len(nodes) != len(providers) {
			return fmt.Errorf("it has %d, want %d", len(nodes), len(providers))
		}
		return nil
	})
}

// addresses returns host:port of the providers, sorted as endpoints are.
func addresses(providers []*lab.DubboProvider) []string {
	var result []string
	for _, provider := range slices.SortedFunc(slices.Values(providers), func(a, b *lab.DubboProvider) int { return a.Port - b.Port }) {
		result = append(result, "127.0.0.1:"+strconv.Itoa(provider.Port))
	}
	return result
}
