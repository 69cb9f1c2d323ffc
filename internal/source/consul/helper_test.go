package consul_test

import (
	"context"
	"log/slog"
	"sync"
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
	*sourcetest.Recorder
	t    *testing.T
	stop context.CancelFunc
	done chan struct{}

	mu   sync.Mutex
	errs []error
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
	ctx, cancel := context.WithCancel(t.Context())
	r := &runs{Recorder: sourcetest.NewRecorder(t, sourcetest.ID), t: t, stop: cancel, done: make(chan struct{})}
	src := consul.New(cfg)
	go func() {
		defer close(r.done)
		for ctx.Err() == nil {
			sink, end := r.Begin()
			err := src.Run(ctx, sink)
			end()
			r.note(err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(r.halt)
	return r
}

func (r *runs) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

// failures are the errors of the runs so far.
func (r *runs) failures() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]error(nil), r.errs...)
}

// halt ends the source, which has a second for it.
func (r *runs) halt() {
	r.stop()
	select {
	case <-r.done:
	case <-time.After(time.Second):
		r.t.Error("Run did not return within a second")
		<-r.done
	}
	r.Check()
}

// wait waits for a state.
func (r *runs) wait(what string, ok func(sourcetest.State) bool) sourcetest.State {
	r.t.Helper()
	return r.Wait(r.t, what, patience, ok)
}

// synced waits for the first Synced.
func (r *runs) synced() sourcetest.State {
	r.t.Helper()
	return r.wait("Synced", func(s sourcetest.State) bool { return s.Synced > 0 })
}

// failure waits until a run has ended with an error, and returns the first one.
func (r *runs) failure() error {
	r.t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(r.failures()) == 0 {
		select {
		case <-tick.C:
		case <-end:
			r.t.Fatalf("no run failed within %s; %s", patience, r.State())
		}
	}
	return r.failures()[0]
}

// settled waits for the first Synced, and until as many queries wait for news.
func (r *runs) settled(s *consultest.Server, queries int) sourcetest.State {
	r.t.Helper()
	state := r.synced()
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

// steady fails the test if the state leaves ok within d.
func (r *runs) steady(d time.Duration, what string, ok func(sourcetest.State) bool) {
	r.t.Helper()
	end := time.After(d)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if state := r.State(); !ok(state) {
			r.t.Fatalf("not %s: %s", what, state)
		}
		select {
		case <-tick.C:
		case <-end:
			return
		}
	}
}
