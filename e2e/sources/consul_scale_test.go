package sources_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/consul"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// manyServices is more than the agent allows connections to one client by default (200), several times over.
const manyServices = 1000

// TestConsulManyServices asks one server with the limits that are Consul's defaults.
func TestConsulManyServices(t *testing.T) {
	t.Parallel()
	certificates := lab.NewCertificates(t)
	c := lab.StartConsul(t, lab.ConsulOptions{Certificates: &certificates, MutualTLS: true})
	server := c.Servers[0]
	fillConsul(t, server, manyServices)
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		var conns connections
		begin := time.Now()
		w := watchConsulAt(t, consul.Config{Address: "http://" + server.Addr, DialContext: conns.dial}, "")
		state := w.Wait(t, "all services", time.Minute, manyAreRead)
		t.Logf("all services after %s", time.Since(begin).Round(time.Millisecond))
		if len(state.Hints) != 1 {
			t.Errorf("no hint that HTTPS is better: %v", state.Hints)
		}
		changeSome(t, server, w, "10.1.0.1")
		peak, all := conns.count()
		t.Logf("%d connections at a time, %d in all", peak, all)
		if peak > consul.DefaultConnections+1 || all > peak+5 { // What is refused is dialled again.
			t.Error("too many")
		}
	})
	t.Run("HTTPS", func(t *testing.T) {
		t.Parallel()
		var conns connections
		begin := time.Now()
		w := watchConsulAt(t, consul.Config{
			Address: "https://" + server.Secure, DialContext: conns.dial, TLS: secure(t, certificates, false),
		}, "")
		state := w.Wait(t, "all services", time.Minute, manyAreRead)
		t.Logf("all services after %s", time.Since(begin).Round(time.Millisecond))
		if len(state.Hints) != 0 {
			t.Errorf("hints: %v", state.Hints)
		}
		changeSome(t, server, w, "10.2.0.1")
		peak, all := conns.count()
		t.Logf("%d connections at a time, %d in all", peak, all)
		if peak > 50 {
			t.Error("too many")
		}
	})
	for name, tt := range map[string]struct {
		config  consul.Config
		explain string
	}{
		"HTTPS without a certificate of the client": {
			consul.Config{Address: "https://" + server.Secure, TLS: secure(t, certificates, true)}, "tls.clientSecretRef",
		},
		"HTTPS with an unknown authority": {consul.Config{Address: "https://" + server.Secure}, "tls.caRef"},
		"HTTP instead of HTTPS":           {consul.Config{Address: "http://" + server.Secure}, "HTTP request to an HTTPS server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchConsulAt(t, tt.config, "")
			lab.Await(t, 20*time.Second, "a run fails", func(context.Context) error {
				if len(w.failures()) == 0 {
					return errors.New("none did")
				}
				return nil
			})
			if err := w.failures()[0]; !strings.Contains(err.Error(), tt.explain) {
				t.Errorf("%q is not in the error %v", tt.explain, err)
			}
			if state := w.State(); state.Synced > 0 || len(state.Services) > 0 {
				t.Errorf("something was named: %s", state)
			}
		})
	}
}

// TestConsulHTTPS asks a server that wants no certificate of the client.
func TestConsulHTTPS(t *testing.T) {
	t.Parallel()
	certificates := lab.NewCertificates(t)
	server := lab.StartConsul(t, lab.ConsulOptions{Certificates: &certificates}).Servers[0]
	register(t, server, placed{"a", "node-1", "10.0.0.1"}, api.HealthPassing)
	w := watchConsulAt(t, consul.Config{Address: "https://" + server.Secure, TLS: secure(t, certificates, true)}, "")
	w.wait("first state", is("a", "10.0.0.1:80"))
	register(t, server, placed{"a", "node-1", "10.0.0.2"}, api.HealthPassing)
	w.wait("change", is("a", "10.0.0.2:80"))
}

// secure trusts the authority, and has a certificate of its own unless it is to be without.
func secure(t testing.TB, certificates lab.Certificates, without bool) func(context.Context) (*tls.Config, error) {
	t.Helper()
	config, err := clientTLS(certificates)
	if err != nil {
		t.Fatal(err)
	}
	if without {
		config.Certificates = nil
	}
	return func(context.Context) (*tls.Config, error) { return config, nil }
}

func manyName(i int) string { return fmt.Sprintf("service-%04d", i) }

// fillConsul registers services with one instance each, in few transactions.
func fillConsul(t testing.TB, server *lab.ConsulServer, services int) {
	t.Helper()
	const node = "node-many"
	ops := api.TxnOps{{Node: &api.NodeTxnOp{Verb: api.NodeSet, Node: api.Node{Node: node, Address: "10.255.0.1"}}}}
	send := func() {
		ok, answer, _, err := server.Client.Txn().Txn(ops, nil)
		if err != nil || !ok {
			t.Fatal(err, answer)
		}
		ops = nil
	}
	for i := range services {
		ops = append(ops, &api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceSet, Node: node, Service: api.AgentService{
			ID: manyName(i), Service: manyName(i), Address: "10.0.0.1", Port: 80,
		}}})
		if len(ops) == 100 {
			send()
		}
	}
	if len(ops) > 0 {
		send()
	}
}

func manyAreRead(s sourcetest.State) bool {
	if s.Synced == 0 || len(s.Skipped) > 0 {
		return false
	}
	read := 0
	for _, svc := range s.Services {
		if strings.HasPrefix(svc.Ref.Name, "service-") && len(svc.Instances) > 0 {
			read++
		}
	}
	return read == manyServices
}

// changeSome adds an instance to some services at once, and waits until all were seen.
func changeSome(t *testing.T, server *lab.ConsulServer, w *consulWatch, address string) {
	t.Helper()
	const changes = 20
	for i := range changes {
		name := manyName(i * manyServices / changes)
		_, err := server.Client.Catalog().Register(&api.CatalogRegistration{
			Node: "node-many", Address: "10.255.0.1", SkipNodeUpdate: true,
			Service: &api.AgentService{ID: name + "-" + address, Service: name, Address: address, Port: 80},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	w.Wait(t, "changes", 30*time.Second, func(s sourcetest.State) bool {
		for i := range changes {
			if !slices.Contains(s.Addresses(manyName(i*manyServices/changes)), address+":80") {
				return false
			}
		}
		return true
	})
	t.Logf("%d changes seen after %s", changes, time.Since(begin).Round(time.Millisecond))
}

// connections counts connections.
type connections struct {
	mu              sync.Mutex
	open, peak, all int
}

func (c *connections) count() (peak, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peak, c.all
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	c.all++
	c.peak = max(c.peak, c.open)
	return &openConn{Conn: conn, of: c}, nil
}

// openConn is a connection that is counted as open until it is closed.
type openConn struct {
	net.Conn
	of   *connections
	once sync.Once
}

// Close implements net.Conn.
func (c *openConn) Close() error {
	c.once.Do(func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.of.open--
	})
	return c.Conn.Close()
}

// now is how many are open.
func (c *connections) now() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}
