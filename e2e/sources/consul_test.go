package sources_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/consul"
	"github.com/registry-bridge/registry-bridge/internal/source/consul/fixture"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

const (
	// consulToken is the token of the source, consulOther one that it is swapped for.
	consulToken = "11111111-7a0e-4a0c-9b0e-3f5c52d1aaaa"
	consulOther = "22222222-7a0e-4a0c-9b0e-3f5c52d1bbbb"
	// readRules is what the documentation asks for.
	readRules = `service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`
	denyRules = `service_prefix "" { policy = "deny" } node_prefix "" { policy = "deny" }`
)

// startConsul starts three servers with ACLs, and gives the source its token.
func startConsul(t *testing.T) *lab.Consul {
	t.Helper()
	c := lab.StartConsul(t, lab.ConsulOptions{Servers: 3, ACL: true})
	c.SetToken(t, consulToken, readRules)
	return c
}

// TestConsulConformance runs the suite against a cluster of three, of which the source asks a follower. Consul has no place of its own
// for each test, so they run one after the other.
func TestConsulConformance(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	sourcetest.Suite{
		Setup: func(t *testing.T, _ bool) *sourcetest.Fixture {
			t.Helper()
			c.EmptyCatalog(t)
			_, followers := c.Leader(t)
			return fixture.New(t, fixture.Options{
				URL: "http://" + followers[0].Addr, Addr: followers[0].Addr,
				Token: consulToken, WriteToken: lab.ConsulManagementToken,
				Settle:  func(t *testing.T) { t.Helper(); c.AwaitReplication(t) },
				Restart: func(t *testing.T) { t.Helper(); c.Restart(t) },
				Wipe: func(t *testing.T) {
					t.Helper()
					c.Wipe(t)
					c.SetToken(t, consulToken, readRules)
				},
				FailListing: func(t *testing.T) func() {
					t.Helper()
					c.SetToken(t, consulToken, denyRules)
					return func() { c.SetToken(t, consulToken, readRules) }
				},
			})
		},
		OptOut:   fixture.OptOutReal(),
		Patience: 40 * time.Second,
	}.Run(t)
}

// consulWatch is a source that is run again whenever it fails, until the end of the test.
type consulWatch struct {
	*sourcetest.Recorder
	t       *testing.T
	token   atomic.Pointer[string]
	upserts atomic.Int64

	mu   sync.Mutex
	errs []error
}

// upsertCounter counts the Upserts of a sink.
type upsertCounter struct {
	source.Sink
	upserts *atomic.Int64
}

// SetHints implements source.HintSink.
func (c upsertCounter) SetHints(hints ...model.Hint) { source.SetHints(c.Sink, hints...) }

// Upsert implements source.Sink.
func (c upsertCounter) Upsert(svc *model.Service) {
	c.upserts.Add(1)
	c.Sink.Upsert(svc)
}

func watchConsul(t *testing.T, server *lab.ConsulServer, token string) *consulWatch {
	t.Helper()
	return watchConsulAt(t, consul.Config{Address: "http://" + server.Addr}, token)
}

func watchConsulAt(t *testing.T, cfg consul.Config, token string) *consulWatch {
	t.Helper()
	w := &consulWatch{Recorder: sourcetest.NewRecorder(t, sourcetest.ID), t: t}
	w.token.Store(&token)
	cfg.SourceID = sourcetest.ID
	cfg.Token = func(context.Context) (string, error) { return *w.token.Load(), nil }
	src := consul.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			sink, end := w.Begin()
			err := src.Run(ctx, upsertCounter{Sink: sink, upserts: &w.upserts})
			end()
			if err != nil {
				w.mu.Lock()
				w.errs = append(w.errs, err)
				w.mu.Unlock()
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		w.Check()
	})
	return w
}

func (w *consulWatch) wait(what string, ok func(sourcetest.State) bool) sourcetest.State {
	w.t.Helper()
	return w.Wait(w.t, what, 40*time.Second, ok)
}

func (w *consulWatch) failures() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]error(nil), w.errs...)
}

// refused waits for a run that failed, which must be because of the credentials, without telling them.
func (w *consulWatch) refused(secrets ...string) {
	w.t.Helper()
	lab.Await(w.t, 40*time.Second, "a run fails", func(context.Context) error {
		if len(w.failures()) == 0 {
			return errors.New("none did")
		}
		return nil
	})
	err := w.failures()[0]
	if !errors.Is(err, source.ErrUnauthorized) {
		w.t.Errorf("error %v, want source.ErrUnauthorized", err)
	}
	for _, secret := range secrets {
		if strings.Contains(err.Error(), secret) {
			w.t.Errorf("the error has the token: %v", err)
		}
	}
}

// during fails the test if the state leaves ok while do runs and for d afterwards.
func (w *consulWatch) during(what string, ok func(sourcetest.State) bool, d time.Duration, do func()) {
	w.t.Helper()
	stop, stopped := make(chan struct{}), make(chan string, 1)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			if s := w.State(); !ok(s) {
				stopped <- s.String()
				return
			}
			select {
			case <-tick.C:
			case <-stop:
				stopped <- ""
				return
			}
		}
	}()
	do()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
	close(stop)
	if state := <-stopped; state != "" {
		w.t.Fatalf("not %s: %s", what, state)
	}
}

// is says that the service has exactly these instances that take traffic.
func is(service string, places ...string) func(sourcetest.State) bool {
	return func(s sourcetest.State) bool {
		svc := s.Service(service)
		if svc == nil {
			return len(places) == 0
		}
		usable := map[string]bool{}
		for _, i := range svc.Instances {
			if i.Health == model.Healthy && i.Problem == "" {
				usable[i.Address+":"+strconv.FormatUint(uint64(i.Ports[0].Number), 10)] = true
			}
		}
		for _, p := range places {
			if !usable[p] {
				return false
			}
		}
		return len(usable) == len(places)
	}
}

func allOf(list ...func(sourcetest.State) bool) func(sourcetest.State) bool {
	return func(s sourcetest.State) bool {
		for _, ok := range list {
			if !ok(s) {
				return false
			}
		}
		return true
	}
}

// placed says of which service an instance is, on which node, and at which address.
type placed struct{ service, node, address string }

// register registers an instance at port 80, with a check of each status.
func register(t *testing.T, at *lab.ConsulServer, p placed, statuses ...string) {
	t.Helper()
	id := p.service + "-1"
	r := &api.CatalogRegistration{
		Node: p.node, Address: "10.255.0.1", Service: &api.AgentService{ID: id, Service: p.service, Address: p.address, Port: 80},
	}
	for i, status := range statuses {
		r.Checks = append(r.Checks, &api.HealthCheck{
			Node: p.node, CheckID: id + "-check-" + strconv.Itoa(i), Name: "check", Status: status, ServiceID: id,
		})
	}
	if _, err := at.Client.Catalog().Register(r, nil); err != nil {
		t.Fatal(err)
	}
}

func deregister(t *testing.T, at *lab.ConsulServer, service, node string) {
	t.Helper()
	_, err := at.Client.Catalog().Deregister(&api.CatalogDeregistration{Node: node, ServiceID: service + "-1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
}
