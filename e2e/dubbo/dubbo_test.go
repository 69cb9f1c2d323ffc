// Package dubbo_test runs the built program between a real ZooKeeper and real Dubbo applications, and looks at what it writes.
package dubbo_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	gocmp "github.com/google/go-cmp/cmp"

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

func TestMain(m *testing.M) { os.Exit(bridge.Suite{Program: &program}.Run(m)) }

// source is what the Registry of these tests reads: servers, and layouts in YAML, by default the interface level.
type source struct {
	servers []string
	layouts string
}

// registry is the Registry of these tests. The providers of the lab are on 127.0.0.1, which is denied unless configured.
func (s source) registry() string {
	return fmt.Sprintf(`
apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: dubbo, namespace: dubbo-registry}
spec:
  source: {zookeeper: {servers: ["%s"], layouts: %s}}
  endpoints: {denyCIDRs: []}
`, strings.Join(s.servers, `", "`), cmp.Or(s.layouts, "[{}]"))
}

// generations are those of Dubbo that every test runs with.
func generations() []lab.DubboVersion { return []lab.DubboVersion{lab.Dubbo33, lab.Dubbo27} }

// TestPlan is the whole way once: a provider registers, and what the program would write is what Istio accepts.
func TestPlan(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		options  lab.DubboOptions
		protocol translate.Protocol
	}{
		{"dubbo-3.3", lab.DubboOptions{Version: lab.Dubbo33}, translate.TCP},
		{"dubbo-3.3-tri", lab.DubboOptions{Version: lab.Dubbo33, Settings: map[string]string{"protocol": "tri"}}, translate.GRPC},
		{"dubbo-2.7", lab.DubboOptions{Version: lab.Dubbo27}, translate.TCP},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
			test.options.Registry, test.options.Group, test.options.ServiceVersion = server.Addr, "blue", "1.0.0"
			provider := lab.StartDubboProvider(t, test.options)

			objects := plan(t, source{servers: []string{server.Addr}})
			checkValid(t, objects)
			want := []string{"dubbo-registry/v-1.0.0.g-blue.demo.greetingservice: 127.0.0.1:" + strconv.Itoa(provider.Port)}
			if diff := gocmp.Diff(want, summary(objects)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if got := objects[0].ServiceEntry.Ports[0].Protocol; got != test.protocol {
				t.Errorf("protocol = %s, want %s", got, test.protocol)
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
				"--config", configFile(t, source{servers: []string{server.Addr}}), "--output-dir", output, "--listen", "")
			awaitOutput(t, startLimit, output, stays.Port, leaves.Port, dies.Port)
			client := lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: []string{server.Addr}})

			leaves.Stop(t)
			awaitRegistered(t, client, 2)
			awaitOutput(t, removalLimit, output, stays.Port, dies.Port)

			dies.Kill()
			awaitRegistered(t, client, 1) // Its session has to expire first.
			awaitOutput(t, removalLimit, output, stays.Port)
			process.Stop(t)
		})
	}
}

// TestEnsemble kills the leader of an ensemble of three: what changes afterwards is published.
func TestEnsemble(t *testing.T) {
	t.Parallel()
	servers := lab.StartEnsemble(t, 3, lab.ZooKeeperOptions{})
	var all []string
	for _, server := range servers {
		all = append(all, server.Addr)
	}
	client := lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: all})
	register(t, client, 20880)
	output := t.TempDir()
	lab.StartProcess(t, "registry-bridge", program, "run",
		"--config", configFile(t, source{servers: all}), "--output-dir", output, "--listen", "")
	awaitOutput(t, startLimit, output, 20880)

	for _, server := range servers {
		if answer, err := server.Ask(t.Context(), "srvr"); err == nil && strings.Contains(answer, "Mode: leader") {
			server.Kill()
		}
	}
	lab.Await(t, startLimit, "the others have a leader", func(context.Context) error {
		_, _, err := client.Children("/")
		return err
	})
	register(t, client, 20881)
	awaitOutput(t, startLimit, output, 20880, 20881)
}

// register registers a provider by hand.
func register(t *testing.T, client *zk.Conn, port int) {
	t.Helper()
	path := ""
	for _, name := range []string{"dubbo", lab.DubboInterface, "providers", url.QueryEscape(
		fmt.Sprintf("dubbo://127.0.0.1:%d/%s?interface=%[2]s&side=provider", port, lab.DubboInterface))} {
		path += "/" + name
		if _, err := client.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			t.Fatal(err)
		}
	}
}

// configFile writes the Registry of these tests into a file.
func configFile(t *testing.T, s source) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "registry.yaml")
	if err := os.WriteFile(name, []byte(s.registry()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// plan runs "registry-bridge plan -o yaml" with an empty output.
func plan(t *testing.T, s source) []*translate.Object {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "plan", "-o", "yaml", "--config", configFile(t, s))
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

// awaitOutput waits until the folder has the service of the lab with exactly the providers on these ports.
func awaitOutput(t *testing.T, limit time.Duration, output string, ports ...int) {
	t.Helper()
	awaitObjects(t, limit, output, "dubbo-registry/demo.greetingservice: "+strings.Join(addresses(ports), ", "))
}

// awaitObjects waits until the folder has exactly these objects, as summary renders them.
func awaitObjects(t *testing.T, limit time.Duration, output string, want ...string) {
	t.Helper()
	lab.Await(t, limit, fmt.Sprintf("the output has %q", want), func(context.Context) error {
		objects, err := readOutput(output)
		if err != nil {
			return err
		}
		if got := summary(objects); !slices.Equal(got, want) {
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

// awaitRegistered waits until ZooKeeper itself, asked by another client, has this many providers.
func awaitRegistered(t *testing.T, client *zk.Conn, count int) {
	t.Helper()
	lab.Await(t, time.Minute, "the registry has the providers that are left", func(context.Context) error {
		nodes, _, err := client.Children("/dubbo/" + lab.DubboInterface + "/providers")
		if err != nil {
			return err
		}
		if len(nodes) != count {
			return fmt.Errorf("it has %d, want %d", len(nodes), count)
		}
		return nil
	})
}

// addresses returns host:port of providers, sorted as endpoints are.
func addresses(ports []int) []string {
	var result []string
	for _, port := range slices.Sorted(slices.Values(ports)) {
		result = append(result, "127.0.0.1:"+strconv.Itoa(port))
	}
	return result
}
