package sources_test

import (
	"cmp"
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source/eureka"
	"github.com/registry-bridge/registry-bridge/internal/source/eureka/eurekatest"
	"github.com/registry-bridge/registry-bridge/internal/source/eureka/fixture"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// TestEureka has two real servers, which copy from each other, for all tests: they take long to start.
func TestEureka(t *testing.T) {
	t.Parallel()
	peers := lab.StartEurekaPeers(t, lab.EurekaOptions{User: fixture.User, Password: fixture.Password})
	t.Run("Conformance", func(t *testing.T) { eurekaConformance(t, peers[0]) })
	t.Run("Statuses", func(t *testing.T) { eurekaStatuses(t, peers[0]) })
	t.Run("Peers", func(t *testing.T) { eurekaPeers(t, peers) })
}

// eurekaConformance runs the suite. Eureka has no place of its own for each test, so they run one after the other.
func eurekaConformance(t *testing.T, server *lab.Eureka) {
	t.Helper()
	wipe := func(t *testing.T) { t.Helper(); server.Restart(t) }
	sourcetest.Suite{
		Setup: func(t *testing.T, _ bool) *sourcetest.Fixture {
			t.Helper()
			emptyEureka(t, clientOf(server))
			return fixture.New(t, fixture.Options{Addr: server.Addr, PollInterval: 500 * time.Millisecond, Wipe: wipe})
		},
		OptOut:   fixture.OptOutReal(),
		Patience: 40 * time.Second,
	}.Run(t)
}

func clientOf(server *lab.Eureka) *eurekatest.Client {
	return &eurekatest.Client{Base: "http://" + server.Addr + "/eureka", User: fixture.User, Password: fixture.Password}
}

// emptyEureka deregisters everything, and waits until the server, whose answers are a little old, says so.
func emptyEureka(t *testing.T, c *eurekatest.Client) {
	t.Helper()
	lab.Await(t, 40*time.Second, "nothing is registered", func(ctx context.Context) error {
		list, err := c.Instances(ctx)
		if err != nil || len(list) == 0 {
			return err
		}
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(8)
		for _, i := range list {
			group.Go(func() error { return c.Deregister(ctx, i.App, i.InstanceID) })
		}
		return cmp.Or(group.Wait(), errors.New("there was something"))
	})
}

func watchEureka(t *testing.T, servers ...*lab.Eureka) *sourcetest.Runs {
	t.Helper()
	cfg := eureka.Config{SourceID: sourcetest.ID, PollInterval: time.Second}
	for _, s := range servers {
		cfg.Servers = append(cfg.Servers, eureka.Server{
			URL:         "http://" + s.Addr + "/eureka",
			Credentials: func(context.Context) (string, string, error) { return fixture.User, fixture.Password, nil },
		})
	}
	return sourcetest.Start(t, eureka.New(cfg), 40*time.Second)
}

func registerAt(t *testing.T, c *eurekatest.Client, i eurekatest.Instance) {
	t.Helper()
	if err := c.Register(t.Context(), i); err != nil {
		t.Fatal(err)
	}
}

// eurekaStatuses: what the real server makes of statuses and of an operator's override is what decides; so do secure ports and zones.
func eurekaStatuses(t *testing.T, server *lab.Eureka) {
	t.Helper()
	c := clientOf(server)
	emptyEureka(t, c)
	healths := map[string]model.Health{
		"UP": model.Healthy, "DOWN": model.Unhealthy, "STARTING": model.Starting, "OUT_OF_SERVICE": model.OutOfService, "UNKNOWN": model.Unhealthy,
	}
	for status := range healths {
		i := eurekatest.NewInstance(status, "10.0.0.1", 80)
		i.Status = status
		registerAt(t, c, i)
	}
	secure := eurekatest.NewInstance("SECURE", "10.0.0.2", 80)
	secure.Port.Enabled, secure.SecurePort = "false", eurekatest.Port{Number: 8443, Enabled: "true"}
	secure.DataCenterInfo = eurekatest.Amazon("us-east-1c")
	registerAt(t, c, secure)
	r := watchEureka(t, server)
	r.Await("all instances as they are", func(s sourcetest.State) bool {
		for status, health := range healths {
			if svc := s.Service(status); svc == nil || svc.Instances[0].Health != health {
				return false
			}
		}
		svc := s.Service("SECURE")
		return svc != nil && svc.Instances[0].Locality == model.Locality{Region: "us-east-1", Zone: "us-east-1c"} &&
			len(svc.Instances[0].Ports) == 1 && svc.Instances[0].Ports[0] == model.Port{Protocol: "https", Number: 8443}
	})
	if err := c.Override(t.Context(), "SECURE", secure.InstanceID, "OUT_OF_SERVICE"); err != nil {
		t.Fatal(err)
	}
	r.Await("override", func(s sourcetest.State) bool { return s.Service("SECURE").Instances[0].Health == model.OutOfService })
}

// eurekaPeers: with the server that is asked killed, nothing is lost, and what is registered at the other one is seen.
func eurekaPeers(t *testing.T, peers [2]*lab.Eureka) {
	t.Helper()
	one, other := clientOf(peers[0]), clientOf(peers[1])
	emptyEureka(t, one)
	emptyEureka(t, other)
	for _, app := range []string{"ORDERS", "STOCK"} {
		registerAt(t, one, eurekatest.NewInstance(app, "10.0.0.1", 80))
	}
	both := allOf(is("ORDERS", "10.0.0.1:80"), is("STOCK", "10.0.0.1:80"))
	r := watchEureka(t, peers[0], peers[1])
	r.Await("what is registered", both)
	lab.Await(t, 40*time.Second, "the other server has it, too", func(ctx context.Context) error {
		list, err := other.Instances(ctx)
		if err == nil && len(list) != 2 {
			err = errors.New("not yet")
		}
		return err
	})
	peers[0].Kill()
	r.Steady(4*time.Second, "as before", both)
	registerAt(t, other, eurekatest.NewInstance("BILLING", "10.0.0.3", 80))
	r.Await("what is registered at the other server", allOf(both, is("BILLING", "10.0.0.3:80")))
	if errs := r.Errors(); len(errs) > 0 {
		t.Errorf("runs failed: %v", errs)
	}
}
