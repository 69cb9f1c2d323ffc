package figures_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

// registry is a real registry with a population. Its methods return when the registry has acknowledged the change, and fail the test when
// it does not. They may be called from several goroutines.
type registry interface {
	// options say where the bridge finds it.
	options() bridge.Options
	register(p providers.Provider)
	deregister(p providers.Provider)
	// object returns the name of the object that has the provider.
	object(p providers.Provider) string
	// counted returns a function that returns how many requests the bridge has made so far. It comes before options.
	counted() func() int
}

// zooKeeper is a registry of Dubbo providers.
type zooKeeper struct {
	tb     testing.TB
	server *lab.ZooKeeper
	fleet  *providers.Fleet
	// changes counts those of the fleet, each of which is a request.
	changes atomic.Int64
}

func newZooKeeper(tb testing.TB, population providers.Population) *zooKeeper {
	tb.Helper()
	z := &zooKeeper{tb: tb, server: lab.StartZooKeeper(tb, lab.ZooKeeperOptions{})}
	var err error
	if z.fleet, err = providers.Connect(tb.Context(), providers.Options{Server: z.server.Addr, Journal: &oracle.Journal{}}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { z.fleet.Close() })
	if err := z.fleet.RegisterAll(population.All()); err != nil {
		tb.Fatal(err)
	}
	return z
}

func (z *zooKeeper) options() bridge.Options { return bridge.Options{Servers: []string{z.server.Addr}} }

func (z *zooKeeper) register(p providers.Provider) {
	z.tb.Helper()
	z.changes.Add(1)
	if err := z.fleet.Register(p); err != nil {
		z.tb.Error(err)
	}
}

func (z *zooKeeper) deregister(p providers.Provider) {
	z.tb.Helper()
	z.changes.Add(1)
	if err := z.fleet.Deregister(p, 0); err != nil {
		z.tb.Error(err)
	}
}

func (*zooKeeper) object(p providers.Provider) string { return p.Endpoint().Host }

// counted implements registry. Pings count too, also those of the fleet.
func (z *zooKeeper) counted() func() int {
	return func() int { return packets(z.tb, z.server) - int(z.changes.Load()) }
}

// packets returns how many packets a ZooKeeper has received so far, from whomever.
func packets(tb testing.TB, server *lab.ZooKeeper) int {
	tb.Helper()
	answer, err := server.Ask(tb.Context(), "mntr")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(answer) {
		if value, ok := strings.CutPrefix(line, "zk_packets_received\t"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), ".0"))
			if err != nil {
				tb.Fatal(err)
			}
			return n
		}
	}
	tb.Fatalf("the server does not count packets:\n%s", answer)
	return 0
}

// consul is a registry of one server that is asked over HTTPS, where queries share connections.
type consul struct {
	tb     testing.TB
	client *api.Client
	// plain is where the server is asked without TLS, address where the bridge asks it.
	plain, address string
	certificates   lab.Certificates
}

// consulRegistrars is how many instances are registered at a time.
const consulRegistrars = 16

func newConsul(tb testing.TB, population providers.Population) *consul {
	tb.Helper()
	certificates := lab.NewCertificates(tb)
	server := lab.StartConsul(tb, lab.ConsulOptions{
		Certificates: &certificates,
		// Whoever stands between, as a proxy that counts, is one client with many connections.
		Settings: map[string]any{"limits": map[string]int{"http_max_conns_per_client": 10_000}},
	}).Servers[0]
	transport := &http.Transport{MaxIdleConnsPerHost: consulRegistrars}
	client, err := api.NewClient(&api.Config{Address: "http://" + server.Addr, HttpClient: &http.Client{Transport: transport}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(transport.CloseIdleConnections)
	c := &consul{tb: tb, client: client, plain: server.Addr, address: server.Secure, certificates: certificates}
	c.registerAll(population.All())
	return c
}

func (c *consul) registerAll(all []providers.Provider) {
	c.tb.Helper()
	todo := make(chan providers.Provider)
	errs := make([]error, consulRegistrars)
	var group sync.WaitGroup
	for n := range consulRegistrars {
		group.Go(func() {
			for p := range todo {
				errs[n] = errors.Join(errs[n], c.put(p))
			}
		})
	}
	for _, p := range all {
		todo <- p
	}
	close(todo)
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		c.tb.Fatal(err)
	}
}

// options implements registry. The certificate authority is where a Registry's references are looked for.
func (c *consul) options() bridge.Options {
	secrets := c.tb.TempDir()
	dir := filepath.Join(secrets, bridge.Namespace, "ca")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		c.tb.Fatal(err)
	}
	if err := os.Symlink(c.certificates.CA, filepath.Join(dir, "ca.crt")); err != nil {
		c.tb.Fatal(err)
	}
	return bridge.Options{
		Source: fmt.Sprintf("{consul: {address: %q, tls: {caRef: {kind: ConfigMap, name: ca, key: ca.crt}}}}", "https://"+c.address),
		Flags:  []string{"--secrets-dir", secrets},
	}
}

func (c *consul) service(p providers.Provider) string {
	return "service-" + p.Interface[len(p.Interface)-4:]
}

func (c *consul) node(p providers.Provider) string {
	return "node-" + p.Address[len(p.Address)-1:]
}

func (c *consul) id(p providers.Provider) string {
	return c.service(p) + "@" + p.Address + ":" + strconv.FormatUint(uint64(p.Port), 10)
}

// put registers an instance with a passing check, as an agent does.
func (c *consul) put(p providers.Provider) error {
	_, err := c.client.Catalog().Register(&api.CatalogRegistration{
		Node: c.node(p), Address: "127.0.0.1",
		Service: &api.AgentService{ID: c.id(p), Service: c.service(p), Address: p.Address, Port: int(p.Port)},
		Check:   &api.AgentCheck{CheckID: "check:" + c.id(p), ServiceID: c.id(p), Name: "check", Status: api.HealthPassing},
	}, nil)
	return err
}

func (c *consul) register(p providers.Provider) {
	c.tb.Helper()
	if err := c.put(p); err != nil {
		c.tb.Error(err)
	}
}

func (c *consul) deregister(p providers.Provider) {
	c.tb.Helper()
	if _, err := c.client.Catalog().Deregister(&api.CatalogDeregistration{Node: c.node(p), ServiceID: c.id(p)}, nil); err != nil {
		c.tb.Error(err)
	}
}

func (c *consul) object(p providers.Provider) string { return c.service(p) + ".service.consul" }

// counted implements registry: it puts a proxy before the server.
func (c *consul) counted() func() int {
	c.tb.Helper()
	certificate, err := tls.LoadX509KeyPair(c.certificates.ServerKeyAndCert, c.certificates.ServerKeyAndCert)
	if err != nil {
		c.tb.Fatal(err)
	}
	var requests atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: c.plain})
	proxy.ErrorLog = log.New(io.Discard, "", 0) // It tells of queries that the bridge ends.
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	c.tb.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	c.address = server.Listener.Addr().String()
	return func() int { return int(requests.Load()) }
}
