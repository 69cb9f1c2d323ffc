package consul_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/internal/source/consul"
	"github.com/registry-bridge/registry-bridge/internal/source/consul/consultest"
	"github.com/registry-bridge/registry-bridge/internal/source/consul/fixture"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// patience is how long what must come may take.
const patience = 30 * time.Second

// grace is how long a test looks whether something happens that must not.
const grace = 500 * time.Millisecond

// registration is one instance of a service on a node, with a passing check of its own.
func registration(service, node, address string, port int) *api.CatalogRegistration {
	id := service + "-1"
	return &api.CatalogRegistration{
		Node: node, Address: "10.255.0.1",
		Service: &api.AgentService{ID: id, Service: service, Address: address, Port: port},
		Checks:  api.HealthChecks{{CheckID: "service:" + id, Status: api.HealthPassing, ServiceID: id}},
	}
}

// runs is a source that is run again whenever Run returns an error.
type runs struct {
	*sourcetest.Runs
	t *testing.T
}

// watch runs a source against s until the end of the test.
func watch(t *testing.T, s *consultest.Server, configure func(*consul.Config)) *runs {
	t.Helper()
	cfg := consul.Config{
		SourceID: sourcetest.ID, Address: "http://" + s.Addr(), Logger: slog.New(slog.DiscardHandler),
		Token: func(context.Context) (string, error) { return fixture.Token, nil },
	}
	if configure != nil {
		configure(&cfg)
	}
	return &runs{Runs: sourcetest.Start(t, consul.New(cfg), patience), t: t}
}

// failure waits until a run has ended with an error, and returns the first one.
func (r *runs) failure() error {
	r.t.Helper()
	_, err := r.AwaitError()
	return err
}

// settled waits for the first Synced, and until as many queries wait for news.
func (r *runs) settled(s *consultest.Server, queries int) sourcetest.State {
	r.t.Helper()
	state := r.AwaitSynced()
	r.waiting(s, queries, patience)
	return state
}

// waiting waits until as many queries wait for news. With many services that costs less than to look at the state after each call.
func (r *runs) waiting(s *consultest.Server, queries int, patience time.Duration) {
	r.t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.Stats().Waiting < queries {
		select {
		case <-tick.C:
		case <-end:
			r.t.Fatalf("%d queries wait after %s, want %d", s.Stats().Waiting, patience, queries)
		}
	}
}
