package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// nacosStartLimit is how long a server may take until it takes registrations. It takes 12 to 17 s on an idle machine.
const nacosStartLimit = 180 * time.Second

// NacosVersion selects a generation of Nacos.
type NacosVersion string

// The generations of Nacos in the lab: 2.2.4 and 3.1.0.
const (
	Nacos2 NacosVersion = "2.2.4"
	Nacos3 NacosVersion = "3.1.0"
)

// Nacos is a running server, alone. It keeps its address through Stop and Start.
type Nacos struct {
	// Addr is host:port of the HTTP API, GRPCAddr that of gRPC, 1000 ports above.
	Addr, GRPCAddr string
	Version        NacosVersion

	args    []string
	process *Process
}

// StartNacos starts a server without users and waits until it takes registrations.
func StartNacos(t testing.TB, version NacosVersion) *Nacos {
	t.Helper()
	port := nacosPort(t)
	n := &Nacos{
		Version: version,
		Addr:    net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), GRPCAddr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1000)),
	}
	home := t.TempDir()
	n.args = []string{"-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dderby.system.durability=test", "-Dnacos.standalone=true", "-Dnacos.home=" + home, "-Dnacos.logs.path=" + filepath.Join(home, "logs")}
	if version == Nacos2 {
		n.args = append(n.args, "-cp", nacosClasspath(t, ProjectNacos2()), "lab.Nacos",
			"--server.port="+strconv.Itoa(port), "--server.servlet.contextPath=/nacos", "--logging.config=classpath:META-INF/logback/nacos.xml",
			"--nacos.core.auth.enabled=false", "--nacos.security.ignore.urls=/**",
			"--spring.autoconfigure.exclude="+strings.Join([]string{
				"org.springframework.boot.autoconfigure.security.servlet.SecurityAutoConfiguration",
				"org.springframework.boot.autoconfigure.security.servlet.UserDetailsServiceAutoConfiguration",
				"org.springframework.boot.actuate.autoconfigure.security.servlet.ManagementWebSecurityAutoConfiguration",
			}, ","))
	} else {
		n.args = append(n.args, "-Dnacos.deployment.type=server", "-Dnacos.server.main.port="+strconv.Itoa(port),
			"-cp", nacosClasspath(t, ProjectNacos3()), "lab.Nacos",
			"--nacos.core.auth.enabled=false", "--nacos.core.auth.admin.enabled=false", "--nacos.core.auth.console.enabled=false")
	}
	// A busy machine needs more than the default of 10 s to create the database of the configurations.
	n.args = append(n.args, "--nacos.core.auth.system.type=nacos", "--db.pool.config.connectionTimeout=120000",
		"--management.metrics.export.elastic.enabled=false", "--management.metrics.export.influx.enabled=false")
	n.Start(t)
	return n
}

// nacosClasspath is the class path of a server. Two of its jars have classes of the same names, and both are needed: Caucho's has to be first.
func nacosClasspath(t testing.TB, p Project) string {
	t.Helper()
	path := Classpath(t, p)
	_, all, _ := strings.Cut(path, ":")
	first, err := filepath.Glob(filepath.Join(filepath.Dir(all), "hessian-4.*.jar"))
	if err != nil || len(first) != 1 {
		t.Fatalf("the jar of Caucho's hessian: %v, %v", first, err)
	}
	return first[0] + ":" + path
}

// nacosPort finds a port that is free together with those 1000 and 1001 above it, which Nacos takes too.
func nacosPort(t testing.TB) int {
	t.Helper()
	for range 50 {
		port := FreePort(t)
		var listen net.ListenConfig
		free := true
		for _, p := range []int{port + 1000, port + 1001} {
			l, err := listen.Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
			if err != nil {
				free = false
				continue
			}
			_ = l.Close()
		}
		if free {
			return port
		}
	}
	t.Fatal("no three free ports that belong together")
	return 0
}

// Start starts the server again after Stop or Kill, and waits until it takes registrations. What was registered by connections is gone.
func (n *Nacos) Start(t testing.TB) {
	t.Helper()
	n.process = StartProcess(t, "nacos "+string(n.Version)+" "+n.Addr, "java", n.args...)
	Await(t, nacosStartLimit, "nacos "+n.Addr+" takes registrations", func(ctx context.Context) error {
		n.process.failIfExited(t)
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		return n.Call(ctx, http.MethodPost, "/v1/ns/instance", url.Values{
			"serviceName": {"lab-ready"}, "groupName": {"LAB"}, "ip": {"10.0.0.1"}, "port": {"1"}, "namespaceId": {"lab"},
		})
	})
}

// Stop ends the server in order, Kill as a crash would.
func (n *Nacos) Stop(t testing.TB) {
	t.Helper()
	n.process.Stop(t)
}

// Kill ends the server as a crash would.
func (n *Nacos) Kill() { n.process.Kill() }

// Process returns the running server process, for signals such as SIGSTOP.
func (n *Nacos) Process() *Process { return n.process }

// Call calls the HTTP API with a path behind the context path.
func (n *Nacos) Call(ctx context.Context, method, path string, query url.Values) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.Addr+"/nacos"+path+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %.200s", method, path, resp.Status, body)
	}
	return nil
}
