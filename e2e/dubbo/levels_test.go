package dubbo_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// everything reads all that Dubbo and Spring Cloud register.
const everything = "[{name: interfaces}, {name: applications, type: DubboApplication}, {name: spring, type: SpringCloud}]"

// TestRegisterModes has Dubbo register in each of its modes: whichever of the levels are read, the provider is one endpoint of its service.
func TestRegisterModes(t *testing.T) {
	t.Parallel()
	const applications = "[{name: applications, type: DubboApplication}]"
	for _, test := range []struct {
		mode     lab.DubboRegisterMode
		metadata string
		layouts  []string
	}{
		{lab.RegisterInterface, "local", []string{everything}},
		{lab.RegisterInstance, "local", []string{everything, applications}},
		{lab.RegisterInstance, "remote", []string{everything, applications}},
		{lab.RegisterAll, "local", []string{everything, applications, "[{}]"}},
		{lab.RegisterAll, "remote", []string{everything, applications}},
	} {
		t.Run(string(test.mode)+"-"+test.metadata, func(t *testing.T) {
			t.Parallel()
			server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
			provider := lab.StartDubboProvider(t, lab.DubboOptions{
				Registry: server.Addr, RegisterMode: test.mode, Group: "blue", ServiceVersion: "1.0.0",
				Properties: map[string]string{"dubbo.application.metadata-type": test.metadata},
			})
			want := []string{"dubbo-registry/v-1.0.0.g-blue.demo.greetingservice: 127.0.0.1:" + strconv.Itoa(provider.Port)}
			for _, layouts := range test.layouts {
				objects := plan(t, source{servers: []string{server.Addr}, layouts: layouts})
				checkValid(t, objects)
				if diff := cmp.Diff(want, summary(objects)); diff != "" {
					t.Errorf("layouts %s (-want +got):\n%s", layouts, diff)
				}
			}
		})
	}
}

// levels is a ZooKeeper with providers that are registered at both levels, and a program that reads both.
type levels struct {
	*testing.T
	client *zk.Conn
	output string
}

// TestEitherLevelGoesFirst takes a provider's registration away at one level and then at the other: it is published until the second.
func TestEitherLevelGoesFirst(t *testing.T) {
	t.Parallel()
	server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
	options := lab.DubboOptions{Registry: server.Addr, RegisterMode: lab.RegisterAll}
	var ports []int
	for range 3 {
		ports = append(ports, lab.StartDubboProvider(t, options).Port)
	}
	s := &levels{T: t, client: lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: []string{server.Addr}}), output: t.TempDir()}
	lab.StartProcess(t, "registry-bridge", program, "run", "--config",
		configFile(t, source{servers: []string{server.Addr}, layouts: everything}), "--output-dir", s.output, "--listen", "")
	awaitOutput(t, startLimit, s.output, ports...)

	s.remove(s.interfaceNode(ports[0]))
	s.awaitSource(ports[0], ports[1], true)
	awaitOutput(t, 0, s.output, ports...)
	s.remove(s.applicationNode(ports[0]))
	awaitOutput(t, removalLimit, s.output, ports[1:]...)

	application := s.applicationNode(ports[1])
	s.remove(application)
	s.remove(s.interfaceNode(ports[1]))
	awaitOutput(t, removalLimit, s.output, ports[2])
}

func (s *levels) remove(path string) {
	s.Helper()
	if err := s.client.Delete(path, -1); err != nil {
		s.Fatalf("delete %s: %v", path, err)
	}
}

func (s *levels) interfaceNode(port int) string {
	s.Helper()
	parent := "/dubbo/" + lab.DubboInterface + "/providers"
	return parent + "/" + s.child(parent, "%3A"+strconv.Itoa(port)+"%2F")
}

func (s *levels) applicationNode(port int) string {
	s.Helper()
	const parent = "/services/greeting-provider"
	return parent + "/" + s.child(parent, ":"+strconv.Itoa(port))
}

// child returns the name of the child that contains text.
func (s *levels) child(parent, text string) string {
	s.Helper()
	names, _, err := s.client.Children(parent)
	if err != nil {
		s.Fatalf("list %s: %v", parent, err)
	}
	at := slices.IndexFunc(names, func(name string) bool { return strings.Contains(name, text) })
	if at < 0 {
		s.Fatalf("%s has no child with %q: %q", parent, text, names)
	}
	return names[at]
}

// awaitSource waits until two endpoints come from different sources, or from the same.
func (s *levels) awaitSource(port, other int, differ bool) {
	s.Helper()
	lab.Await(s, removalLimit, "the endpoints have the sources that they should have", func(context.Context) error {
		objects, err := readOutput(s.output)
		if err != nil || len(objects) != 1 {
			return fmt.Errorf("%d objects, %w", len(objects), err)
		}
		sources := map[int]string{}
		for _, e := range objects[0].ServiceEntry.Endpoints {
			sources[int(e.Port())] = string(e.Source())
		}
		if (sources[port] != sources[other]) != differ {
			return fmt.Errorf("they are %v", sources)
		}
		return nil
	})
}

// TestSpringCloud has two Spring Cloud applications of one name below the root where Dubbo is registered, too: one is taken out of
// service and put back, the other leaves.
func TestSpringCloud(t *testing.T) {
	t.Parallel()
	server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
	provider := lab.StartDubboProvider(t, lab.DubboOptions{
		Registry: server.Addr, RegisterMode: lab.RegisterInstance, Settings: map[string]string{"application": "orders"},
	})
	options := lab.SpringOptions{ZooKeeper: server.Addr, Name: "orders"}
	first, second := lab.StartSpring(t, options), lab.StartSpring(t, options)
	output := t.TempDir()
	lab.StartProcess(t, "registry-bridge", program, "run", "--config",
		configFile(t, source{servers: []string{server.Addr}, layouts: everything}), "--output-dir", output, "--listen", "")
	await := func(limit time.Duration, ports ...int) {
		t.Helper()
		awaitObjects(t, limit, output,
			"dubbo-registry/demo.greetingservice: "+strings.Join(addresses([]int{provider.Port}), ", "),
			"dubbo-registry/orders.zookeeper: "+strings.Join(addresses(ports), ", "))
	}
	await(startLimit, first.Port, second.Port)
	objects, err := readOutput(output)
	if err != nil {
		t.Fatal(err)
	}
	checkValid(t, objects)
	for _, o := range objects {
		if o.ServiceEntry.Host == "orders.zookeeper" && o.ServiceEntry.Ports[0].Protocol != translate.HTTP {
			t.Errorf("Spring's port is %v", o.ServiceEntry.Ports)
		}
	}

	first.SetStatus(t, "OUT_OF_SERVICE")
	await(removalLimit, second.Port)
	first.SetStatus(t, "UP")
	await(removalLimit, first.Port, second.Port)
	second.Stop(t)
	await(removalLimit, first.Port)
}
