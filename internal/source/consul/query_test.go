package consul_test

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source/consul"
	"github.com/registry-bridge/registry-bridge/internal/source/consul/consultest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// TestKindsOfChange: whatever changes of an instance is told, and what goes is gone.
func TestKindsOfChange(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	service := &api.AgentService{ID: "a-1", Service: "a", Port: 80}
	check := &api.HealthCheck{CheckID: "service:a-1", ServiceID: "a-1", Status: api.HealthPassing}
	nodeCheck := &api.HealthCheck{CheckID: "serfHealth", Status: api.HealthPassing}
	node := &api.CatalogRegistration{Node: "node-1", Address: "10.0.0.1"}
	register := func() {
		r, svc, c, n := *node, *service, *check, *nodeCheck
		r.Service, r.Checks = &svc, api.HealthChecks{&c, &n}
		s.Register(&r)
	}
	register()
	r := watch(t, s, nil)
	r.settled(s, 2)
	want := model.Instance{ID: "node-1/a-1", Address: "10.0.0.1", Ports: []model.Port{{Number: 80}}, Weight: 1}
	for _, change := range []struct {
		what string
		do   func()
	}{
		{"address of the node", func() { node.Address, want.Address = "10.0.0.2", "10.0.0.2" }},
		{"address of the service", func() { service.Address, want.Address = "10.0.0.3", "10.0.0.3" }},
		{"port", func() { service.Port, want.Ports = 81, []model.Port{{Number: 81}} }},
		{"metadata", func() { service.Meta, want.Metadata = map[string]string{"v": "1"}, map[string]string{"v": "1"} }},
		{"tags", func() { service.Tags, want.Metadata = []string{"zone=b"}, map[string]string{"v": "1", "zone": "b"} }},
		{"metadata is gone", func() { service.Meta, service.Tags, want.Metadata = nil, nil, nil }},
		{"weights", func() { service.Weights, want.Weight = api.AgentWeights{Passing: 10, Warning: 2}, 10 }},
		{"warning", func() { check.Status, want.Health, want.Weight = api.HealthWarning, model.Warning, 2 }},
		{"critical", func() { check.Status, want.Health, want.Weight = api.HealthCritical, model.Unhealthy, 10 }},
		{"passing", func() { check.Status, want.Health = api.HealthPassing, model.Healthy }},
		{"node critical", func() { nodeCheck.Status, want.Health = api.HealthCritical, model.Unhealthy }},
		{"node passing", func() { nodeCheck.Status, want.Health = api.HealthPassing, model.Healthy }},
	} {
		change.do()
		register()
		r.Await(change.what, func(s sourcetest.State) bool {
			return s.Service("a") != nil && cmp.Equal(s.Service("a").Instances, []model.Instance{want})
		})
	}
	service.Service = "b"
	register()
	r.Await("move to another service", func(s sourcetest.State) bool { return s.Service("a") == nil && is(s, "b", "10.0.0.3:81") })
	s.Deregister(&api.CatalogDeregistration{Node: "node-1"})
	r.Await("node is gone", func(s sourcetest.State) bool { return len(s.Services) == 0 })
}

// queries keeps what was asked.
type queries struct {
	mu   sync.Mutex
	list []url.Values
}

func (q *queries) keep(w http.ResponseWriter, r *http.Request, next http.Handler) {
	q.mu.Lock()
	q.list = append(q.list, r.URL.Query())
	q.mu.Unlock()
	next.ServeHTTP(w, r)
}

func (q *queries) all() []url.Values {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.list)
}

// TestParameters: what is configured is asked for, of any server, with waits once the state is known.
func TestParameters(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	var q queries
	for _, path := range []string{listingPath, healthPath + "a"} {
		s.Intercept(path, q.keep)
	}
	r := watch(t, s, func(c *consul.Config) {
		c.Datacenter, c.Namespace, c.Partition, c.Filter = "dc2", "team", "part", "Service.Meta.x == 1"
	})
	r.settled(s, 3)
	blocking := 0
	for _, got := range q.all() {
		want := url.Values{"dc": {"dc2"}, "ns": {"team"}, "partition": {"part"}, "stale": {""}}
		for _, key := range []string{"filter", "index", "wait", "near"} {
			if got.Has(key) {
				want[key] = got[key]
			}
		}
		if got.Has("index") {
			blocking++
		}
		if diff := cmp.Diff(want, got); diff != "" || got.Has("index") != got.Has("wait") || got.Get("near") == "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	var filters []string
	for _, got := range q.all() {
		filters = append(filters, got.Get("filter"))
	}
	slices.Sort(filters)
	if diff := cmp.Diff([]string{"", "Service.Meta.x == 1"}, slices.Compact(filters)); diff != "" || blocking < 2 {
		t.Errorf("%d queries that wait, filters (-want +got)\n%s", blocking, diff)
	}
}

// TestWaitIsNotCutShort: Consul adds up to a sixteenth to a wait, and a client that does not wait as long sees failures where there are none.
func TestWaitIsNotCutShort(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	const wait = 320 * time.Millisecond
	ended := make(chan error, 100)
	s.Intercept(healthPath+"a", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Query().Has("index") {
			timer := time.NewTimer(wait + wait/16)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done():
			}
			ended <- r.Context().Err()
		}
		next.ServeHTTP(w, r)
	})
	r := watch(t, s, func(c *consul.Config) { c.Wait = wait })
	r.AwaitSynced()
	for range 4 {
		if err := <-ended; err != nil {
			t.Fatalf("the client did not wait: %v", err)
		}
	}
}

// TestNoBusyLoop: an index of 0, and a unit that fails, are asked for at a measured pace.
func TestNoBusyLoop(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	s.Intercept(healthPath+"a", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if index := r.URL.Query().Get("index"); index == "0" {
			t.Error("index=0 was asked for")
		}
		consultest.Answer(http.StatusOK, "application/json",
			`[{"Node":{"Node":"node-1"},"Service":{"ID":"a-1","Service":"a","Address":"10.0.0.1","Port":80}}]`)(zeroIndex{w}, r, nil)
	})
	s.Intercept(healthPath+"b", consultest.Answer(http.StatusInternalServerError, "text/plain", "rpc error: i/o deadline reached"))
	r := watch(t, s, nil)
	r.AwaitSynced()
	before := s.Stats().Requests
	r.Steady(3*time.Second, "a and not b", func(s sourcetest.State) bool { return is(s, "a", "10.0.0.1:80") && s.Skipped["b"] != nil })
	after := s.Stats().Requests
	// The bucket of a service has two tokens, and gets two a second.
	if n := after[healthPath+"a"] - before[healthPath+"a"]; n > 9 {
		t.Errorf("%d requests within 3 s for a service whose index is 0", n)
	}
	if n := after[healthPath+"b"] - before[healthPath+"b"]; n > 3 {
		t.Errorf("%d requests within 3 s for a service that fails", n)
	}
}

// zeroIndex answers with an index of 0.
type zeroIndex struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (z zeroIndex) WriteHeader(status int) {
	z.Header().Set("X-Consul-Index", "0")
	z.ResponseWriter.WriteHeader(status)
}

// TestStreamedAnswersLackHeaders shows why queries ask for an order: what an agent answers from its stream hides that it hides something.
func TestStreamedAnswersLackHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{DefaultDeny: true})
	two(s)
	s.SetToken("blind", consultest.Policy{})
	for query, want := range map[string][3]string{
		"index=1&wait=10ms":              {"streaming", "", "false"},
		"index=1&wait=10ms&near=no-node": {"blocking-query", "true", "true"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr()+healthPath+"a?"+query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Consul-Token", "blind")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		h := resp.Header
		got := [3]string{h.Get("X-Consul-Query-Backend"), h.Get("X-Consul-Results-Filtered-By-Acls"), h.Get("X-Consul-Knownleader")}
		if got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}
