package consul_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/consul"
	"github.com/registry-bridge/registry-bridge/internal/source/consul/consultest"
	"github.com/registry-bridge/registry-bridge/internal/source/consul/fixture"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// two registers the services a and b.
func two(s *consultest.Server) {
	s.Register(registration("a", "node-1", "10.0.0.1", 80))
	s.Register(registration("b", "node-2", "10.0.0.2", 80))
}

// both says that a and b are as two has registered them.
func both(s sourcetest.State) bool { return is(s, "a", "10.0.0.1:80") && is(s, "b", "10.0.0.2:80") }

// is says that the service has exactly one instance, at that place.
func is(s sourcetest.State, service, place string) bool {
	got := s.Addresses(service)
	return len(got) == 1 && got[0] == place
}

// notBelieved are answers that say nothing of the registry.
func notBelieved() map[string]struct {
	fault consultest.Fault
	class error
} {
	answer := consultest.Answer
	const jsonType = "application/json"
	passing := func(change func(http.Header)) consultest.Fault {
		return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("X-Consul-Index", "1000000")
			w.Header().Set("X-Consul-Knownleader", "true")
			w.Header().Set("X-Consul-Lastcontact", "0")
			w.Header().Set("Content-Type", jsonType)
			change(w.Header())
			if r.URL.Path == listingPath {
				_, _ = fmt.Fprint(w, `{"other":[]}`)
			} else {
				_, _ = fmt.Fprint(w, `[]`)
			}
		}
	}
	return map[string]struct {
		fault consultest.Fault
		class error
	}{
		"403":          {answer(403, "text/plain", "rpc error: Permission denied"), source.ErrUnauthorized},
		"429":          {answer(429, "text/plain", "Your IP is issuing too many concurrent connections"), source.ErrUnavailable},
		"500":          {answer(500, "text/plain", "No cluster leader"), source.ErrUnavailable},
		"503":          {answer(503, "text/html", "<html>no backend</html>"), source.ErrUnavailable},
		"a page":       {answer(200, "text/html; charset=utf-8", "<html>Please log in</html>"), source.ErrMalformed},
		"JSON as text": {answer(200, "text/plain", "[]"), source.ErrMalformed},
		"null":         {answer(200, jsonType, "null"), source.ErrMalformed},
		"a number":     {answer(200, jsonType, "1"), source.ErrMalformed},
		"nothing":      {answer(200, jsonType, ""), source.ErrUnavailable},
		"cut off":      {answer(200, jsonType, `[{"Node":{"Node":"node-1"`), source.ErrUnavailable},
		"a redirect": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, "/v1/agent/self", http.StatusMovedPermanently)
		}, source.ErrMalformed},
		"no index":      {passing(func(h http.Header) { h.Del("X-Consul-Index") }), source.ErrMalformed},
		"an odd index":  {passing(func(h http.Header) { h.Set("X-Consul-Index", "new") }), source.ErrMalformed},
		"no leader":     {passing(func(h http.Header) { h.Set("X-Consul-Knownleader", "false") }), source.ErrUnavailable},
		"long outdated": {passing(func(h http.Header) { h.Set("X-Consul-Lastcontact", "60000") }), source.ErrUnavailable},
		"filtered":      {passing(func(h http.Header) { h.Set("X-Consul-Results-Filtered-By-Acls", "true") }), source.ErrUnauthorized},
		"a closed connection": {func(http.ResponseWriter, *http.Request, http.Handler) {
			panic(http.ErrAbortHandler)
		}, source.ErrUnavailable},
	}
}

// TestUnitNotBelieved: a service whose answer says nothing is skipped, keeps what it had, and touches no other. After a restart into it,
// all others are named.
func TestUnitNotBelieved(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	for name := range notBelieved() {
		s.Register(registration(name, "node-1", "10.0.0.7", 80))
	}
	r := watch(t, s, nil)
	r.settled(s, 3+len(notBelieved()))
	var heal []func()
	for name, tt := range notBelieved() {
		heal = append(heal, s.Intercept(healthPath+strings.ReplaceAll(name, " ", "%20"), tt.fault))
	}
	s.Rewind() // Every query that waits ends, and is made again.
	all := func(s sourcetest.State) bool { return len(s.Skipped) == len(notBelieved()) }
	state := r.Await("Skip of all", all)
	restarted := watch(t, s, nil)
	again := restarted.AwaitSynced()
	for name, tt := range notBelieved() {
		if !errors.Is(state.Skipped[name], tt.class) || !is(state, name, "10.0.0.7:80") {
			t.Errorf("%s: skipped with %v, want %q; instances %v", name, state.Skipped[name], tt.class, state.Addresses(name))
		}
		if again.Skipped[name] == nil || again.Service(name) != nil {
			t.Errorf("%s: after a restart: skipped with %v, service %v", name, again.Skipped[name], again.Service(name))
		}
	}
	if !both(state) || !both(again) {
		t.Errorf("others were touched: %s", state)
	}
	for _, f := range heal {
		f()
	}
	for _, r := range []*runs{r, restarted} {
		r.Await("recovery", func(s sourcetest.State) bool { return len(s.Skipped) == 0 && len(s.Services) == 2+len(notBelieved()) })
		if len(r.Errors()) > 0 {
			t.Errorf("runs ended with %v", r.Errors())
		}
	}
}

// TestFirstListingNotBelieved: it ends Run with the class, and names nothing.
func TestFirstListingNotBelieved(t *testing.T) {
	t.Parallel()
	for name, tt := range notBelieved() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, consultest.Options{})
			two(s)
			heal := s.Intercept(listingPath, tt.fault)
			r := watch(t, s, nil)
			if err := r.failure(); !errors.Is(err, tt.class) {
				t.Errorf("error %v, want %q", err, tt.class)
			}
			if state := r.State(); state.Synced > 0 || len(state.Services) > 0 {
				t.Errorf("something was named: %s", state)
			}
			heal()
			r.Await("the services", both)
		})
	}
}

// TestLaterListingNotBelieved: it changes nothing.
func TestLaterListingNotBelieved(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"500", "null", "filtered", "no leader"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, consultest.Options{})
			two(s)
			r := watch(t, s, nil)
			r.settled(s, 3)
			heal := s.Intercept(listingPath, notBelieved()[name].fault)
			s.Rewind()
			r.Await("word of the interruption", func(s sourcetest.State) bool { return errors.Is(s.Interruption, notBelieved()[name].class) })
			r.Steady(grace, "as before", both)
			heal()
			s.Register(registration("c", "node-1", "10.0.0.3", 80))
			r.Await("what happened meanwhile", func(s sourcetest.State) bool {
				return both(s) && is(s, "c", "10.0.0.3:80") && s.Interruption == nil
			})
		})
	}
}

// TestFilteredToken: a token that may see nothing any more is no empty registry, whether Consul says that it has filtered or not.
func TestFilteredToken(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]consultest.Policy{"nothing": {}, "no nodes": {Services: []string{""}, NoNodes: true}} {
		for _, silent := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, silently %t", name, silent), func(t *testing.T) {
				t.Parallel()
				s := serve(t, consultest.Options{DefaultDeny: true, NoFilterHeader: silent})
				two(s)
				r := watch(t, s, nil)
				r.settled(s, 3)
				s.SetToken(fixture.Token, policy)
				s.Register(registration("c", "node-1", "10.0.0.3", 80))
				s.Rewind()
				r.Steady(2*time.Second, "as before", both)
				restarted := watch(t, s, nil)
				restarted.Steady(3*time.Second, "without services", func(s sourcetest.State) bool { return len(s.Services) == 0 })
				if state := restarted.State(); state.Synced > 0 && len(state.Skipped) != 3 {
					t.Errorf("synced with what a filtered token sees: %s", state)
				}
				s.SetToken(fixture.Token, consultest.Policy{Services: []string{""}})
				all := func(s sourcetest.State) bool { return both(s) && is(s, "c", "10.0.0.3:80") && len(s.Skipped) == 0 }
				r.Await("recovery", all)
				restarted.Await("recovery", all)
			})
		}
	}
}

// TestTokenRotation: the token is asked for again.
func TestTokenRotation(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{DefaultDeny: true})
	two(s)
	var token atomic.Pointer[string]
	token.Store(new(fixture.Token))
	r := watch(t, s, func(c *consul.Config) { c.Token = func(context.Context) (string, error) { return *token.Load(), nil } })
	r.settled(s, 3)
	s.SetToken("rotated", consultest.Policy{Services: []string{""}})
	token.Store(new("rotated"))
	s.DeleteToken(fixture.Token)
	s.Register(registration("a", "node-1", "10.0.0.3", 80))
	r.Await("change", func(s sourcetest.State) bool {
		return is(s, "a", "10.0.0.3:80") && is(s, "b", "10.0.0.2:80") && len(s.Skipped) == 0
	})
	if len(r.Errors()) > 0 {
		t.Errorf("runs ended with %v", r.Errors())
	}
}

// TestNoLeader: servers without a leader answer from memory. Nothing is lost, and what changes afterwards is seen.
func TestNoLeader(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	r := watch(t, s, nil)
	r.settled(s, 3)
	s.SetLeader(false, time.Minute)
	s.Deregister(&api.CatalogDeregistration{Node: "node-1", ServiceID: "a-1"})
	r.Steady(3*time.Second, "as before", both)
	s.SetLeader(true, 0)
	r.Await("what happened meanwhile", func(s sourcetest.State) bool { return s.Service("a") == nil && is(s, "b", "10.0.0.2:80") })
}

// TestServiceReturns: it is deleted when the catalogue says so, not asked for afterwards, and found again.
func TestServiceReturns(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	r := watch(t, s, nil)
	r.settled(s, 3)
	s.Deregister(&api.CatalogDeregistration{Node: "node-1", ServiceID: "a-1"})
	r.Await("deletion", func(s sourcetest.State) bool { return s.Service("a") == nil })
	asked := s.Stats().Requests[healthPath+"a"]
	for i := range 5 { // Each would wake a query about a service without instances.
		s.Register(registration(fmt.Sprint("gone", i), "node-1", "10.0.0.9", 80))
		s.Deregister(&api.CatalogDeregistration{Node: "node-1", ServiceID: fmt.Sprintf("gone%d-1", i)})
	}
	r.Steady(grace, "quiet", func(sourcetest.State) bool { return s.Stats().Requests[healthPath+"a"] == asked })
	two(s)
	r.Await("return", both)
}

// TestOutputIsNoChange: the text of checks changes all the time, and is nobody's business.
func TestOutputIsNoChange(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	r := watch(t, s, nil)
	before := r.settled(s, 3).Service("a")
	asked := s.Stats().Requests[healthPath+"a"]
	for i := range 5 {
		s.Register(&api.CatalogRegistration{
			Node: "node-1", Address: "10.0.0.1",
			Checks: api.HealthChecks{{CheckID: "service:a-1", Status: api.HealthPassing, ServiceID: "a-1", Output: fmt.Sprint("took ", i, " ms")}},
		})
		r.Await("query", func(sourcetest.State) bool { return true })
	}
	r.Steady(2*time.Second, "the same service", func(s sourcetest.State) bool { return s.Service("a") == before })
	if again := s.Stats().Requests[healthPath+"a"]; again == asked {
		t.Error("the change was not read at all, so the test shows nothing")
	}
}

// TestFlappingChecks: five checks of a node flap as fast as they can; the service is not read as fast.
func TestFlappingChecks(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	r := watch(t, s, nil)
	r.settled(s, 3)
	asked := s.Stats().Requests[healthPath+"a"]
	end := time.After(3 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			status := []string{api.HealthPassing, api.HealthCritical}[i/5%2]
			s.Register(&api.CatalogRegistration{
				Node: "node-1", Address: "10.0.0.1", Checks: api.HealthChecks{{CheckID: fmt.Sprint("flap-", i%5), Status: status}},
			})
			continue
		case <-end:
		}
		break
	}
	if n := s.Stats().Requests[healthPath+"a"] - asked; n > 10 {
		t.Errorf("read %d times within 3 s", n)
	}
	for i := range 5 {
		s.Deregister(&api.CatalogDeregistration{Node: "node-1", CheckID: fmt.Sprint("flap-", i)})
	}
	r.Await("rest", func(s sourcetest.State) bool { return both(s) && s.Service("a").Instances[0].Health == 0 })
}

// TestSameIDOnTwoNodes: service IDs are unique on their node only.
func TestSameIDOnTwoNodes(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	s.Register(registration("a", "node-1", "10.0.0.1", 80))
	s.Register(registration("a", "node-2", "10.0.0.2", 80))
	r := watch(t, s, nil)
	if state := r.AwaitSynced(); len(state.Addresses("a")) != 2 {
		t.Errorf("want both: %s", state)
	}
	s.Deregister(&api.CatalogDeregistration{Node: "node-1", ServiceID: "a-1"})
	r.Await("the other", func(s sourcetest.State) bool { return is(s, "a", "10.0.0.2:80") })
}

// TestOddNames: whatever a name holds, it is asked for by that name, and names that differ in case only are kept apart.
func TestOddNames(t *testing.T) {
	t.Parallel()
	names := []string{"Upper-Case", "upper-case", "with_underscore", "ends-", "with space", "a/b", "100%", "a%2Fb", "q?x=1&y#z", "ü", "..", "../agent/self"}
	s := serve(t, consultest.Options{})
	for i, name := range names {
		s.Register(registration(name, "node-1", "10.0.0.1", 1000+i))
	}
	state := watch(t, s, nil).AwaitSynced()
	for i, name := range names {
		if !is(state, name, fmt.Sprint("10.0.0.1:", 1000+i)) {
			t.Errorf("%q: %v, %v", name, state.Addresses(name), state.Skipped[name])
		}
	}
}

// TestSelects: what is not selected is named, and not read.
func TestSelects(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	state := watch(t, s, func(c *consul.Config) { c.Selects = func(name string) bool { return name == "b" } }).AwaitSynced()
	if svc := state.Service("a"); svc == nil || len(svc.Instances) != 0 || !is(state, "b", "10.0.0.2:80") {
		t.Errorf("want a without instances, and b: %s", state)
	}
	if n := s.Stats().Requests[healthPath+"a"]; n != 0 {
		t.Errorf("asked %d times for what is not selected", n)
	}
}

// TestFilter: a filter that Consul does not understand is the failure of the source, and one that leaves nothing of a service is none.
func TestFilter(t *testing.T) {
	t.Parallel()
	s := serve(t, consultest.Options{})
	two(s)
	var filters atomic.Int32
	for _, path := range []string{"consul", "a", "b"} {
		s.Intercept(healthPath+path, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			switch r.URL.Query().Get("filter") {
			case "Service.Meta.x == 1":
				filters.Add(1)
				if path == "a" {
					consultest.Answer(http.StatusOK, "application/json", "[]")(w, r, next)
					return
				}
				next.ServeHTTP(w, r)
			default:
				http.Error(w, "Failed to create boolean expression evaluator", http.StatusBadRequest)
			}
		})
	}
	state := watch(t, s, func(c *consul.Config) { c.Filter = "Service.Meta.x == 1" }).AwaitSynced()
	if svc := state.Service("a"); svc == nil || len(svc.Instances) != 0 || !is(state, "b", "10.0.0.2:80") {
		t.Errorf("want a without instances, and b: %s", state)
	}
	r := watch(t, s, func(c *consul.Config) { c.Filter = "Service.Meta.x = 1" })
	if err := r.failure(); !strings.Contains(err.Error(), "filter: ") || !strings.Contains(err.Error(), "expression evaluator") {
		t.Errorf("the error does not say what is wrong: %v", err)
	}
}

// TestNothingFromTheEnvironment: the client library reads variables; a bridge for several registries must not.
func TestNothingFromTheEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		api.HTTPTokenEnvName: "from-the-environment", api.HTTPNamespaceEnvName: "wrong", api.HTTPPartitionEnvName: "wrong",
		api.HTTPSSLEnvName: "true", api.HTTPAuthEnvName: "user:password", api.HTTPAddrEnvName: "192.0.2.1:1",
	} {
		t.Setenv(name, value)
	}
	s := serve(t, consultest.Options{})
	two(s)
	wrong := make(chan string, 1)
	s.Intercept(listingPath, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Query().Has("ns") || r.URL.Query().Has("partition") || r.Header.Get("X-Consul-Token") != "" || r.Header.Get("Authorization") != "" {
			select {
			case wrong <- fmt.Sprint(r.URL.RawQuery, r.Header):
			default:
			}
		}
		next.ServeHTTP(w, r)
	})
	watch(t, s, func(c *consul.Config) { c.Token = nil }).AwaitSynced()
	select {
	case text := <-wrong:
		t.Error(text)
	default:
	}
}
