package lab

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"
)

// eurekaStartLimit is how long a server may take until it serves. It takes 8 s on an idle machine.
const eurekaStartLimit = 2 * time.Minute

// EurekaOptions configures servers of Eureka. The zero value is one without a password.
type EurekaOptions struct {
	// User and Password are what every request needs, when there are any.
	User, Password string
	// Settings are further ones of Spring, by name. By default there is no cache that is older than a second, changes are told for
	// ten seconds, and instances are evicted each second.
	Settings map[string]string
}

// Eureka is a server of Spring Cloud Netflix Eureka. It keeps its address, and nothing else, through Stop and Start.
type Eureka struct {
	// Addr is host:port.
	Addr string

	classpath, host string
	port            int
	peer            string
	options         EurekaOptions
	process         *Process
	// owner is the test that started the server: it outlives a subtest that starts it again.
	owner testing.TB
}

// ProjectEureka is a server of Spring Cloud Netflix Eureka.
func ProjectEureka() Project { return Project{Dir: "eureka"} }

// StartEureka starts a server and waits until it serves.
func StartEureka(t testing.TB, options EurekaOptions) *Eureka {
	t.Helper()
	e := newEureka(t, "127.0.0.1", options)
	e.Start(t)
	return e
}

// StartEurekaPeers starts two servers that copy what is registered from each other, and waits until both serve.
func StartEurekaPeers(t testing.TB, options EurekaOptions) [2]*Eureka {
	t.Helper()
	// Peers are told apart by their host names.
	peers := [2]*Eureka{newEureka(t, "127.0.0.1", options), newEureka(t, "127.0.0.2", options)}
	peers[0].peer, peers[1].peer = peers[1].base(), peers[0].base()
	for _, e := range peers {
		e.launch(t)
	}
	for _, e := range peers {
		e.awaitServing(t)
	}
	return peers
}

func newEureka(t testing.TB, host string, options EurekaOptions) *Eureka {
	t.Helper()
	port := FreePort(t)
	e := &Eureka{
		Addr: net.JoinHostPort(host, strconv.Itoa(port)), classpath: Classpath(t, ProjectEureka()),
		host: host, port: port, options: options, owner: t,
	}
	e.peer = e.base()
	return e
}

// base is the URL by which servers know each other, with credentials.
func (e *Eureka) base() string {
	u := url.URL{Scheme: "http", Host: e.Addr, Path: "/eureka/"}
	if e.options.User != "" {
		u.User = url.UserPassword(e.options.User, e.options.Password)
	}
	return u.String()
}

// Start starts the server, which begins with nothing, and waits until it serves.
func (e *Eureka) Start(t testing.TB) {
	t.Helper()
	e.launch(t)
	e.awaitServing(t)
}

// Kill ends the server as a crash would.
func (e *Eureka) Kill() { e.process.Kill() }

// Restart kills the server and starts it with nothing.
func (e *Eureka) Restart(t testing.TB) {
	t.Helper()
	e.Kill()
	e.Start(t)
}

func (e *Eureka) launch(t testing.TB) {
	t.Helper()
	settings := map[string]string{
		"server.address":                                          e.host,
		"server.port":                                             strconv.Itoa(e.port),
		"spring.jmx.enabled":                                      "false",
		"logging.level.root":                                      "warn",
		"spring.main.banner-mode":                                 "off",
		"eureka.instance.hostname":                                e.host,
		"eureka.client.register-with-eureka":                      "false",
		"eureka.client.fetch-registry":                            "false",
		"eureka.client.service-url.defaultZone":                   e.peer,
		"eureka.server.enable-self-preservation":                  "false",
		"eureka.server.eviction-interval-timer-in-ms":             "1000",
		"eureka.server.use-read-only-response-cache":              "false",
		"eureka.server.response-cache-auto-expiration-in-seconds": "1",
		"eureka.server.retention-time-in-m-s-in-delta-queue":      "10000",
		"eureka.server.delta-retention-timer-interval-in-ms":      "1000",
		"eureka.server.wait-time-in-ms-when-sync-empty":           "0",
		"eureka.server.max-threads-for-peer-replication":          "2",
	}
	if e.options.User != "" {
		settings["spring.security.user.name"], settings["spring.security.user.password"] = e.options.User, e.options.Password
	} else {
		settings["lab.open"] = "true"
	}
	maps.Copy(settings, e.options.Settings)
	args := []string{"-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", e.classpath, "lab.EurekaServer"}
	for name, value := range settings {
		args = append(args, "--"+name+"="+value)
	}
	slices.Sort(args[5:])
	e.process = StartProcess(e.owner, "eureka "+e.Addr, "java", args...)
}

func (e *Eureka) awaitServing(t testing.TB) {
	t.Helper()
	Await(t, eurekaStartLimit, "eureka "+e.Addr+" serves", func(ctx context.Context) error {
		e.process.failIfExited(t)
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base()+"apps", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}
