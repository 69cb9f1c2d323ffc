package eureka_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/eureka"
	"github.com/registry-bridge/registry-bridge/internal/source/eureka/eurekatest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

const (
	// patience is how long what must come may take.
	patience = 30 * time.Second
	// grace is how long a test looks whether something happens that must not.
	grace = 500 * time.Millisecond
)

// watch runs a source against servers until the end of the test.
func watch(t *testing.T, servers ...*eurekatest.Server) *sourcetest.Runs {
	t.Helper()
	cfg := eureka.Config{SourceID: sourcetest.ID, PollInterval: 50 * time.Millisecond}
	for _, s := range servers {
		cfg.Servers = append(cfg.Servers, eureka.Server{URL: s.URL()})
	}
	return sourcetest.Start(t, eureka.New(cfg), patience)
}

// two registers an instance of each of A and B.
func two(s *eurekatest.Server) {
	s.Register(eurekatest.NewInstance("A", "10.0.0.1", 80))
	s.Register(eurekatest.NewInstance("B", "10.0.0.2", 80))
}

// has says that the services have these instances that take traffic, each as "service address", and no others.
func has(want ...string) func(sourcetest.State) bool {
	return func(s sourcetest.State) bool {
		var got []string
		for _, svc := range s.Services {
			for _, i := range svc.Instances {
				if i.Problem == "" && i.Health == model.Healthy {
					got = append(got, svc.Ref.Name+" "+i.Address)
				}
			}
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	}
}

var both = has("A 10.0.0.1", "B 10.0.0.2")

func all(list ...func(sourcetest.State) bool) func(sourcetest.State) bool {
	return func(s sourcetest.State) bool {
		return !slices.ContainsFunc(list, func(ok func(sourcetest.State) bool) bool { return !ok(s) })
	}
}

// unbelievable are answers that say nothing of the registry.
func unbelievable() map[string]eurekatest.Fault {
	const kind = "application/json"
	answer := eurekatest.Answer
	return map[string]eurekatest.Fault{
		"401":           answer(401, "text/plain", ""),
		"429":           answer(429, "text/plain", "slow down"),
		"500":           answer(500, kind, `{"applications":{"apps__hashcode":"","application":[]}}`),
		"503":           answer(503, "text/html", "<html>no backend</html>"),
		"a page":        answer(200, "text/html; charset=utf-8", "<html>Please log in</html>"),
		"XML":           answer(200, "application/xml", "<applications/>"),
		"JSON as text":  answer(200, "text/plain", `{"applications":{"apps__hashcode":"","application":[]}}`),
		"null":          answer(200, kind, "null"),
		"nothing":       answer(200, kind, ""),
		"no content":    answer(204, kind, ""),
		"cut off":       answer(200, kind, `{"applications":{"apps__hashcode":"","application":[`),
		"not all of it": answer(200, kind, `{"applications":{"apps__hashcode":"UP_9_","application":[]}}`),
		"no gzip": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = fmt.Fprint(w, `{"applications":{"apps__hashcode":"","application":[]}}`)
		},
		"another encoding": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Encoding", "br")
			_, _ = fmt.Fprint(w, `{}`)
		},
		"redirects without end": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, "/eureka"+r.URL.Path, http.StatusFound)
		},
		"a closed connection": func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
	}
}

// TestNotBelieved: an answer that says nothing of the registry removes nothing, whether it is the first one or a later one, and is over when
// it is over.
func TestNotBelieved(t *testing.T) {
	t.Parallel()
	for name, fault := range unbelievable() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, eurekatest.Options{})
			two(s)
			r := watch(t, s)
			r.Await("what is registered", both)
			heal := []func(){s.Intercept("/apps", fault), s.Intercept("/apps/delta", fault)}
			r.Await("word of the interruption", func(s sourcetest.State) bool { return s.Interruption != nil })
			r.Steady(grace, "as before", both)
			restarted := watch(t, s)
			state, err := restarted.AwaitError()
			if len(state.Services) > 0 || state.Synced > 0 {
				t.Errorf("something was named: %s", state)
			}
			if !errors.Is(err, source.ErrMalformed) && !errors.Is(err, source.ErrUnavailable) && !errors.Is(err, source.ErrUnauthorized) {
				t.Errorf("error without a class: %v", err)
			}
			for _, f := range heal {
				f()
			}
			s.Register(eurekatest.NewInstance("C", "10.0.0.3", 80))
			now := has("A 10.0.0.1", "B 10.0.0.2", "C 10.0.0.3")
			r.Await("what happened meanwhile", all(now, func(s sourcetest.State) bool { return s.Interruption == nil }))
			restarted.Await("what is registered", now)
		})
	}
}

// TestForbidden: a server that does not tell changes, or is not ready yet, answers with 403. Without changes everything is read; when that
// is forbidden, too, nothing is removed.
func TestForbidden(t *testing.T) {
	t.Parallel()
	s := serve(t, eurekatest.Options{})
	two(s)
	r := watch(t, s)
	r.Await("what is registered", both)
	forbidden := eurekatest.Answer(http.StatusForbidden, "text/plain", "")
	heal := s.Intercept("/apps/delta", forbidden)
	s.Register(eurekatest.NewInstance("C", "10.0.0.3", 80))
	r.Await("a change, and the hint", func(s sourcetest.State) bool {
		return has("A 10.0.0.1", "B 10.0.0.2", "C 10.0.0.3")(s) && len(s.Hints) == 1 && s.Hints[0].Reason == string(reason.NoChangeFeed)
	})
	defer s.Intercept("/apps", forbidden)()
	r.Await("word of the interruption", func(s sourcetest.State) bool { return errors.Is(s.Interruption, source.ErrUnauthorized) })
	r.Steady(grace, "as before", has("A 10.0.0.1", "B 10.0.0.2", "C 10.0.0.3"))
	heal()
}

// TestKindsOfChange: each is told by changes alone.
func TestKindsOfChange(t *testing.T) {
	t.Parallel()
	s := serve(t, eurekatest.Options{})
	two(s)
	r := watch(t, s)
	r.Await("what is registered", both)
	whole := s.Requests()["GET /apps"]
	i := eurekatest.NewInstance("A", "10.0.0.1", 80)
	first := func(ok func(model.Instance) bool) func(sourcetest.State) bool {
		return func(s sourcetest.State) bool {
			svc := s.Service("A")
			return svc != nil && ok(svc.Instances[0])
		}
	}
	for _, step := range []struct {
		what string
		do   func()
		want func(model.Instance) bool
	}{
		{"address", func() { i.IPAddr = "10.0.0.9"; s.Register(i) }, func(i model.Instance) bool { return i.Address == "10.0.0.9" }},
		{"port", func() { i.Port.Number = 81; s.Register(i) }, func(i model.Instance) bool { return i.Ports[0].Number == 81 }},
		{"secure port", func() { i.SecurePort.Enabled = "true"; s.Register(i) }, func(i model.Instance) bool { return len(i.Ports) == 2 }},
		{"metadata", func() { i.Metadata["version"] = "v2"; s.Register(i) }, func(i model.Instance) bool { return i.Metadata["version"] == "v2" }},
		{"zone", func() { i.DataCenterInfo = eurekatest.Amazon("us-east-1c"); s.Register(i) }, func(i model.Instance) bool {
			return i.Locality.Zone == "us-east-1c"
		}},
		{"override", func() { s.Override("A", i.InstanceID, "OUT_OF_SERVICE") }, func(i model.Instance) bool { return i.Health == model.OutOfService }},
		{"status", func() { i.Status = "DOWN"; s.Register(i) }, func(i model.Instance) bool { return i.Health == model.Unhealthy }},
	} {
		step.do()
		r.Await("change of "+step.what, first(step.want))
	}
	s.Deregister("A", i.InstanceID)
	r.Await("removal", has("B 10.0.0.2"))
	if more := s.Requests()["GET /apps"] - whole; more > 0 {
		t.Errorf("everything was read %d more times", more)
	}
}

// TestHash: changes that do not add up to what the server has are not the whole truth. One that is not told shows by the hash, at once; and
// a server whose hash never is right is not asked for everything at each poll.
func TestHash(t *testing.T) {
	t.Parallel()
	s := serve(t, eurekatest.Options{})
	two(s)
	r := watch(t, s)
	r.Await("what is registered", both)
	s.Forget("A", "10.0.0.1:A:80")
	r.Await("removal", has("B 10.0.0.2"))
	wrong := eurekatest.Answer(http.StatusOK, "application/json", `{"applications":{"apps__hashcode":"UP_7_","application":[]}}`)
	defer s.Intercept("/apps/delta", wrong)()
	before := s.Requests()["GET /apps"]
	r.Steady(2*time.Second, "as before", has("B 10.0.0.2"))
	if more := s.Requests()["GET /apps"] - before; more > 1 {
		t.Errorf("everything was read %d times in 2 s", more)
	}
}

// TestClockGoesBack: a server whose clock goes back tells changes that seem older than what is known.
func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	s := serve(t, eurekatest.Options{})
	two(s)
	r := watch(t, s)
	r.Await("what is registered", both)
	s.SetClock(-time.Hour)
	i := eurekatest.NewInstance("A", "10.0.0.1", 80)
	i.IPAddr = "10.0.0.9"
	s.Register(i)
	r.Await("change", has("A 10.0.0.9", "B 10.0.0.2"))
	s.Deregister("A", i.InstanceID)
	r.Await("removal", has("B 10.0.0.2"))
}

// TestOneServerFails: the next one is asked, and then stays. What only one of them has is never mixed with what the other has.
func TestOneServerFails(t *testing.T) {
	t.Parallel()
	one := serve(t, eurekatest.Options{})
	other := serve(t, eurekatest.Options{})
	two(one)
	two(other)
	other.Register(eurekatest.NewInstance("C", "10.0.0.3", 80))
	r := watch(t, one, other)
	r.Await("what the first has", both)
	if n := len(other.Requests()); n > 0 {
		t.Errorf("the second was asked although the first answers: %v", other.Requests())
	}
	one.Stop()
	r.Await("what the second has", has("A 10.0.0.1", "B 10.0.0.2", "C 10.0.0.3"))
	start(t, one)
	asked := one.Requests()["GET /apps/delta"]
	other.Register(eurekatest.NewInstance("D", "10.0.0.4", 80))
	r.Await("a change", has("A 10.0.0.1", "B 10.0.0.2", "C 10.0.0.3", "D 10.0.0.4"))
	if now := one.Requests()["GET /apps/delta"]; now != asked || len(r.Errors()) > 0 {
		t.Errorf("the first was asked again; errors %v", r.Errors())
	}
	other.Stop()
	r.Await("what the first has", both)
}

// TestRedirect: answers may come from another server. Credentials go to those that are configured, each its own, and to no other.
func TestRedirect(t *testing.T) {
	t.Parallel()
	behind := serve(t, eurekatest.Options{User: "b", Password: "behind"})
	two(behind)
	var leaked atomic.Bool
	front := serve(t, eurekatest.Options{User: "f", Password: "front"})
	redirect := func(to string) {
		for _, path := range []string{"/apps", "/apps/delta"} {
			front.Intercept(path, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				http.Redirect(w, r, to+r.URL.Path, http.StatusFound)
			})
		}
	}
	redirect(behind.URL())
	credentials := func(user, password string) func(context.Context) (string, string, error) {
		return func(context.Context) (string, string, error) { return user, password, nil }
	}
	cfg := eureka.Config{
		SourceID: sourcetest.ID, PollInterval: 50 * time.Millisecond,
		Servers: []eureka.Server{{URL: front.URL(), Credentials: credentials("f", "front")}, {URL: behind.URL(), Credentials: credentials("b", "behind")}},
	}
	r := sourcetest.Start(t, eureka.New(cfg), patience)
	r.Await("what is registered", both)
	if n := behind.Requests()["GET /apps/delta"] + front.Requests()["GET /apps"]; n == 0 {
		t.Error("nobody was redirected")
	}
	stranger := serve(t, eurekatest.Options{})
	stranger.Intercept("/apps", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Authorization") != "" {
			leaked.Store(true)
		}
		next.ServeHTTP(w, r)
	})
	redirect(stranger.URL())
	cfg.Servers = cfg.Servers[:1]
	sourcetest.Start(t, eureka.New(cfg), patience).AwaitSynced()
	if leaked.Load() {
		t.Error("a server that is not configured was given credentials")
	}
}

// TestSecretOfOneServerIsMissing: the others are asked.
func TestSecretOfOneServerIsMissing(t *testing.T) {
	t.Parallel()
	s := serve(t, eurekatest.Options{})
	two(s)
	cfg := eureka.Config{SourceID: sourcetest.ID, PollInterval: 50 * time.Millisecond, Servers: []eureka.Server{
		{URL: "http://127.0.0.1:1/eureka", Credentials: func(context.Context) (string, string, error) {
			return "", "", fmt.Errorf("%w: there is none", source.ErrSecret)
		}},
		{URL: s.URL()},
	}}
	sourcetest.Start(t, eureka.New(cfg), patience).Await("what is registered", both)
}

// TestNobodyListens: the error says where to look, and what was asked.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	s := serve(t, eurekatest.Options{})
	s.Stop()
	_, err := watch(t, s).AwaitError()
	if !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), s.URL()+": ") || !strings.Contains(err.Error(), "see source.eureka.servers") {
		t.Errorf("error: %v", err)
	}
}

// TestNetflixPath: Netflix's own server has another base, and a wrong one is told.
func TestNetflixPath(t *testing.T) {
	t.Parallel()
	s := serve(t, eurekatest.Options{XStream: true})
	two(s)
	at := func(path string) *sourcetest.Runs {
		return sourcetest.Start(t, eureka.New(eureka.Config{
			SourceID: sourcetest.ID, PollInterval: 50 * time.Millisecond, Servers: []eureka.Server{{URL: "http://" + s.Addr() + path}},
		}), patience)
	}
	at("/eureka/v2/").Await("what is registered", both)
	if _, err := at("/registry").AwaitError(); !errors.Is(err, source.ErrMalformed) || !strings.Contains(err.Error(), "usually ends in /eureka") {
		t.Errorf("error: %v", err)
	}
}

// TestOddNames: names are what the registry has, whatever is in them.
func TestOddNames(t *testing.T) {
	t.Parallel()
	s := serve(t, eurekatest.Options{})
	var want []string
	for _, name := range []string{"G@@S", "A:B", "A/B", "WITH SPACE", "中文", "UNDER_SCORE", "-", `"<&>`} {
		s.Register(eurekatest.NewInstance(name, "10.0.0.1", 80))
		want = append(want, name+" 10.0.0.1")
	}
	slices.Sort(want)
	watch(t, s).Await("all", has(want...))
}

// TestBomb: a small answer that becomes a large one is given up on.
func TestBomb(t *testing.T) {
	t.Parallel()
	s := serve(t, eurekatest.Options{})
	s.Intercept("/apps", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 1 << 10 {
			if _, err := z.Write(bytes.Repeat([]byte(" "), 1<<10)); err != nil {
				return
			}
		}
		_ = z.Close()
	})
	cfg := eureka.Config{SourceID: sourcetest.ID, Servers: []eureka.Server{{URL: s.URL()}}, MaxAnswer: 512 << 10}
	if _, err := sourcetest.Start(t, eureka.New(cfg), patience).AwaitError(); !errors.Is(err, source.ErrMalformed) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("error: %v", err)
	}
}
