package consul_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source/consul"
	"github.com/registry-bridge/registry-bridge/internal/source/consul/consultest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// fill registers services with one instance each.
func fill(s *consultest.Server, services int) {
	for i := range services {
		s.Register(registration(fmt.Sprintf("service-%04d", i), fmt.Sprint("node-", i%50), "10.0.0.1", 80))
	}
}

func has(services int) func(sourcetest.State) bool {
	return func(s sourcetest.State) bool { return len(s.Services) == services && len(s.Skipped) == 0 }
}

// TestMoreServicesThanConnections: over plain HTTP at an agent's default limit a thousand services take turns, and never exceed it.
func TestMoreServicesThanConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{Connections: 200})
	fill(s, 1000)
	r := watch(t, s, nil)
	r.Wait(t, "all services", time.Minute, func(s sourcetest.State) bool { return s.Synced == 1 && has(1000)(s) })
	if hints := r.State().Hints; len(hints) != 1 || hints[0].Reason != string(reason.ConnectionLimit) || !strings.Contains(hints[0].Detail, "use https") {
		t.Errorf("hints: %v", hints)
	}
	s.Register(registration("service-0500", "node-0", "10.0.0.2", 80))
	s.Register(registration("new", "node-0", "10.0.0.3", 80))
	r.Wait(t, "changes", 30*time.Second, func(s sourcetest.State) bool {
		return is(s, "service-0500", "10.0.0.2:80") && is(s, "new", "10.0.0.3:80")
	})
	if stats := s.Stats(); stats.Refused > 0 || stats.Peak > consul.DefaultConnections+1 {
		t.Errorf("%d connections at a time, %d refused", stats.Peak, stats.Refused)
	}
}

// TestHintIsTakenBack: it is gone with what it was about.
func TestHintIsTakenBack(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	fill(s, 30)
	r := watch(t, s, func(c *consul.Config) { c.Connections = 30 })
	r.Await("hint", func(s sourcetest.State) bool { return has(30)(s) && len(s.Hints) == 1 })
	for node := range 30 {
		s.Deregister(&api.CatalogDeregistration{Node: fmt.Sprint("node-", node), ServiceID: fmt.Sprintf("service-%04d-1", node)})
	}
	r.Await("no hint", func(s sourcetest.State) bool { return has(0)(s) && len(s.Hints) == 0 })
}

// TestLowerLimit: an agent that allows less than is used refuses a few connections, and then no more.
func TestLowerLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{Connections: 30})
	fill(s, 100)
	r := watch(t, s, nil)
	r.Wait(t, "all services", time.Minute, has(100))
	refused := s.Stats().Refused
	r.Steady(5*time.Second, "in peace", has(100))
	if more := s.Stats().Refused - refused; more > 10 {
		t.Errorf("%d more connections refused within 5 s, after %d", more, refused)
	}
}

// TestHTTPS: with HTTP/2 each service has a query that waits, and they share a few connections. Certificates go both ways.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	server, client, err := sourcetest.NewTLS()
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, consultest.Options{TLS: server, Connections: 200})
	fill(s, 1000)
	r := watch(t, s, func(c *consul.Config) {
		c.Address = "https://" + s.Addr()
		c.TLS = func(context.Context) (*tls.Config, error) { return client, nil }
	})
	r.waiting(s, 1001, time.Minute)
	if state := r.State(); !has(1000)(state) {
		t.Errorf("not all services: %s", state)
	}
	if hints := r.State().Hints; len(hints) > 0 {
		t.Errorf("hints: %v", hints)
	}
	stats := s.Stats()
	t.Logf("%d connections for %d queries that wait", stats.Peak, stats.Waiting)
	if stats.Peak > 80 { // Some are made at once, when those that there are fill up.
		t.Errorf("%d connections at a time", stats.Peak)
	}
	s.Register(registration("service-0500", "node-0", "10.0.0.2", 80))
	r.Await("change", func(s sourcetest.State) bool { return is(s, "service-0500", "10.0.0.2:80") })
}
