package lab

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"
)

// springStartLimit bounds the start of a Spring Cloud application.
const springStartLimit = time.Minute

// ProjectSpring is a Spring Cloud application that registers in ZooKeeper.
func ProjectSpring() Project { return Project{Dir: "spring"} }

// SpringOptions configures a Spring Cloud application.
type SpringOptions struct {
	// ZooKeeper is host:port of the registry.
	ZooKeeper string
	// Name is that of the application.
	Name string
	// Properties are Spring's own, on top.
	Properties map[string]string
}

// SpringApplication is a running Spring Cloud application, registered at 127.0.0.1 and Port.
type SpringApplication struct {
	// Process may be stopped (it leaves the registry first) or killed (its node stays until its session has expired).
	*Process
	Port int

	commands io.Writer
}

// StartSpring starts a Spring Cloud application and waits until it is registered.
func StartSpring(t testing.TB, options SpringOptions) *SpringApplication {
	t.Helper()
	port := FreePort(t)
	properties := map[string]string{
		"server.port": strconv.Itoa(port), "server.address": "127.0.0.1",
		"spring.application.name":                           options.Name,
		"spring.cloud.zookeeper.connect-string":             options.ZooKeeper,
		"spring.cloud.zookeeper.discovery.instance-host":    "127.0.0.1",
		"spring.main.banner-mode":                           "off",
		"logging.level.root":                                "WARN",
		"spring.cloud.compatibility-verifier.enabled":       "false",
		"spring.cloud.zookeeper.session-timeout":            "4s",
		"spring.cloud.zookeeper.block-until-connected-wait": "30",
	}
	maps.Copy(properties, options.Properties)
	args := []string{"-XX:TieredStopAtLevel=1", "-cp", Classpath(t, ProjectSpring())}
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		args = append(args, "-D"+key+"="+properties[key])
	}
	process, commands := StartConsole(t, "spring "+options.Name, "java", append(args, "demo.Application")...)
	process.AwaitOutput(t, springStartLimit, "APPLICATION READY")
	return &SpringApplication{Process: process, Port: port, commands: commands}
}

// SetStatus sets the status of its instance, as an operator does by the actuator.
func (a *SpringApplication) SetStatus(t testing.TB, status string) {
	t.Helper()
	command := "status " + status
	if _, err := fmt.Fprintln(a.commands, command); err != nil {
		t.Fatalf("tell the application: %v", err)
	}
	a.AwaitOutput(t, springStartLimit, "DID "+command+"\n")
}
