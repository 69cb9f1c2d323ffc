package lab

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// dubboStartLimit is how long a provider may take until it is registered. It takes 3 s on an idle machine.
	dubboStartLimit = 90 * time.Second
	// dubboCallLimit bounds a consumer, start included.
	dubboCallLimit = 3 * time.Minute
)

// DubboVersion selects a generation of Apache Dubbo.
type DubboVersion string

// The generations of Dubbo in the lab: 3.3.6 and 2.7.23.
const (
	Dubbo33 DubboVersion = "3.3"
	Dubbo27 DubboVersion = "2.7"
)

// DubboRegisterMode says what a Dubbo 3 provider registers.
type DubboRegisterMode string

// The register modes of Dubbo 3: interfaces, as Dubbo 2 did; applications; or both, which is Dubbo's default.
const (
	RegisterInterface DubboRegisterMode = "interface"
	RegisterInstance  DubboRegisterMode = "instance"
	RegisterAll       DubboRegisterMode = "all"
)

// DubboInterface is the Java interface that every provider of the lab offers.
const DubboInterface = "demo.GreetingService"

// DubboOptions configures a provider or a consumer. The zero value is Dubbo 3.3 without a registry.
type DubboOptions struct {
	// Version is Dubbo33 when it is empty.
	Version DubboVersion
	// Registry is host:port of ZooKeeper, empty for none.
	Registry string
	// RegisterMode is RegisterInterface when it is empty.
	RegisterMode DubboRegisterMode
	// Group and ServiceVersion qualify the interface.
	Group, ServiceVersion string
	// Settings are further settings of the Java programs, see Provider.java and Consumer.java: "tag", "weight", "count", ….
	Settings map[string]string
	// Properties are Java system properties.
	Properties map[string]string
	// IP is the address of the machine that it runs on, 127.0.0.1 when it is empty, and Prefix what starts a program there.
	IP     string
	Prefix []string
	// Hosts are names that it resolves, to an address that nobody has: a sidecar takes connections to it.
	Hosts []string
}

// nowhere is an address that nobody has.
const nowhere = "240.0.0.1"

// dubboPort is where providers on machines of their own listen: Dubbo's default.
const dubboPort = 20880

// DubboProvider is a running provider of DubboInterface.
type DubboProvider struct {
	// Process may be stopped (it leaves the registry first) or killed (its node stays until its session has expired).
	*Process
	// Name is what its answers are signed with; Port is where it listens, on the address of its machine.
	Name string
	Port int

	commands io.Writer
}

// StartDubboProvider starts a provider and waits until it is registered. On a machine of its own it listens on Dubbo's default port, or
// that of the setting "port". The setting "name" is its name, which has its port otherwise.
func StartDubboProvider(t testing.TB, options DubboOptions) *DubboProvider {
	t.Helper()
	port := dubboPort
	if options.IP == "" {
		port = FreePort(t)
	} else if setting, err := strconv.Atoi(options.Settings["port"]); err == nil {
		port = setting
	}
	name := cmp.Or(options.Settings["name"], "provider-"+strconv.Itoa(port))
	command := options.java(t, "demo.Provider", "-Dlab.name="+name, "-Dlab.port="+strconv.Itoa(port))
	process, commands := StartConsole(t, "dubbo "+name, command[0], command[1:]...)
	provider := &DubboProvider{Process: process, Name: name, Port: port, commands: commands}
	provider.AwaitOutput(t, dubboStartLimit, "PROVIDER READY")
	return provider
}

// Export has the provider offer one more service on its port. Settings that are not named are those of the first.
func (p *DubboProvider) Export(t testing.TB, settings map[string]string) {
	t.Helper()
	p.obey(t, "export"+words(settings))
}

// Offline has the provider leave the registry, and go on serving.
func (p *DubboProvider) Offline(t testing.TB) {
	t.Helper()
	p.obey(t, "offline")
}

func (p *DubboProvider) obey(t testing.TB, command string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.commands, command); err != nil {
		t.Fatalf("tell %s: %v", p.Name, err)
	}
	p.AwaitOutput(t, dubboStartLimit, "DID "+command+"\n")
}

// DubboCalls is what a consumer saw.
type DubboCalls struct {
	OK, Bad int
	// By counts the answers of each provider by its name.
	By map[string]int
}

// CallDubbo runs a consumer until it has made its calls (the setting "count", 1 by default).
func CallDubbo(t testing.TB, options DubboOptions) DubboCalls {
	t.Helper()
	command := options.java(t, "demo.Consumer")
	consumer := StartProcess(t, "dubbo consumer", command[0], command[1:]...)
	code := consumer.Wait(t, dubboCallLimit)
	calls, err := parseDubboCalls(consumer.Output())
	if err != nil {
		t.Fatalf("dubbo consumer ended with %d: %v", code, err)
	}
	return calls
}

// doneLine is the last line of Calls.java.
var doneLine = regexp.MustCompile(`(?m)^DONE \S+ ok=(\d+) bad=(\d+) .*by=\{(.*)\}$`)

func parseDubboCalls(output string) (DubboCalls, error) {
	match := doneLine.FindStringSubmatch(output)
	if match == nil {
		return DubboCalls{}, fmt.Errorf("no line DONE in its output")
	}
	calls := DubboCalls{By: map[string]int{}}
	// The pattern admits digits only.
	calls.OK, _ = strconv.Atoi(match[1])
	calls.Bad, _ = strconv.Atoi(match[2])
	for entry := range strings.SplitSeq(match[3], ", ") {
		if name, count, ok := strings.Cut(entry, "="); ok {
			calls.By[name], _ = strconv.Atoi(count)
		}
	}
	return calls, nil
}

// java returns how a class is run, with further arguments for the machine.
func (o DubboOptions) java(t testing.TB, class string, more ...string) []string {
	t.Helper()
	return slices.Concat(o.Prefix, []string{"java"}, o.jvm(t), more, []string{class})
}

// jvm returns the arguments of java, but for the main class.
func (o DubboOptions) jvm(t testing.TB) []string {
	t.Helper()
	version, args := o.Version, []string(nil)
	if version == "" {
		version = Dubbo33
	}
	if version == Dubbo27 {
		// Dubbo 2.7 was made for Java 8.
		for _, name := range []string{"lang", "math", "util"} {
			args = append(args, "--add-opens", "java.base/java."+name+"=ALL-UNNAMED")
		}
	}
	mode := o.RegisterMode
	if mode == "" {
		mode = RegisterInterface
	}
	args = append(args,
		"-Xmx256m",
		"-Dfile.encoding=UTF-8",
		"-Duser.home="+t.TempDir(), // Dubbo keeps a cache of registries in ~/.dubbo.
		"-Ddubbo.application.register-mode="+string(mode),
		// Providers register the address of a network card, and consumers replace 127.0.0.1 by it, unless there is none and
		// the machine's own name is 127.0.0.1.
		"-Ddubbo.network.interface.ignored=.*",
		"-Djdk.net.hosts.file="+o.hostsFile(t),
	)
	for _, setting := range [][2]string{{"registry", o.Registry}, {"group", o.Group}, {"version", o.ServiceVersion}, {"host", o.IP}} {
		if setting[1] != "" {
			args = append(args, "-Dlab."+setting[0]+"="+setting[1])
		}
	}
	for key, value := range o.Settings {
		args = append(args, "-Dlab."+key+"="+value)
	}
	for key, value := range o.Properties {
		args = append(args, "-D"+key+"="+value)
	}
	slices.Sort(args[len(args)-len(o.Settings)-len(o.Properties):])
	return append(args, "-cp", Classpath(t, ProjectDubbo(version)))
}

// hostsFile writes a hosts file for one JVM, in which the machine's own name has its address.
func (o DubboOptions) hostsFile(t testing.TB) string {
	t.Helper()
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{"127.0.0.1 localhost", cmp.Or(o.IP, "127.0.0.1") + " " + hostname}
	for _, host := range o.Hosts {
		lines = append(lines, nowhere+" "+host)
	}
	name := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
