package nacos_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos/fixture"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos/nacostest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

const patience = 10 * time.Second

func named(service string) nacostest.Key {
	return nacostest.Key{Namespace: nacos.DefaultNamespace, Group: nacos.DefaultGroup, Name: service}
}

func at(last int) nacostest.Instance { return nacostest.At(fmt.Sprintf("10.0.0.%d", last), 80) }

// watched is a source that runs once, until the end of the test.
type watched struct {
	*sourcetest.Recorder
	t *testing.T
	// ended has what Run returned.
	ended chan error
}

func watch(t *testing.T, cfg nacos.Config, servers ...*nacostest.Server) *watched {
	t.Helper()
	cfg.SourceID = sourcetest.ID
	for _, s := range servers {
		cfg.Servers = append(cfg.Servers, s.Addr())
	}
	if cfg.ListEvery == 0 {
		cfg.ListEvery = 100 * time.Millisecond
	}
	w := &watched{Recorder: sourcetest.NewRecorder(t, sourcetest.ID), t: t, ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		sink, end := w.Begin()
		err := nacos.New(cfg).Run(ctx, sink)
		end()
		w.ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		w.Check()
	})
	return w
}

func (w *watched) until(what string, ok func(sourcetest.State) bool) sourcetest.State {
	w.t.Helper()
	return w.Wait(w.t, what, patience, ok)
}

// become waits until a service has exactly the instances 10.0.0.<last>.
func (w *watched) become(service string, last ...int) {
	w.t.Helper()
	var want []string
	for _, n := range last {
		want = append(want, fmt.Sprintf("10.0.0.%d:80", n))
	}
	w.until(service, func(s sourcetest.State) bool { return slices.Equal(s.Addresses(service), want) && s.Synced > 0 })
}

// reach waits until the server has had so many requests of a type.
func reach(t *testing.T, s *nacostest.Server, kind string, count int) {
	t.Helper()
	deadline := time.After(patience)
	for s.Requests(kind) < count {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%d requests %s, want %d", s.Requests(kind), kind, count)
		}
	}
}

func TestServerSendsElsewhere(t *testing.T) {
	t.Parallel()
	registry := nacostest.NewRegistry()
	registry.Put(named("orders"), at(1))
	s := serve(t, registry, nacostest.Options{Version: 3})
	w := watch(t, nacos.Config{}, s)
	w.become("orders", 1)
	s.Send("ConnectResetRequest", `{"requestId":"7","serverIp":"10.9.9.9","serverPort":"8848"}`)
	reach(t, s, "ConnectResetResponse", 1)
	reach(t, s, "ConnectionSetupRequest", 2)
	registry.Put(named("orders"), at(2))
	w.become("orders", 1, 2)
	if state := w.State(); state.Interruption != nil || state.Synced != 1 {
		t.Errorf("interrupted by %v, synced %d times", state.Interruption, state.Synced)
	}
}

func TestStartingServer(t *testing.T) {
	t.Parallel()
	registry := nacostest.NewRegistry()
	registry.Put(named("orders"), at(1))
	starting, other := serve(t, registry, nacostest.Options{}), serve(t, registry, nacostest.Options{})
	starting.SetStarting(true)
	w := watch(t, nacos.Config{}, starting, other)
	w.become("orders", 1)
	if starting.Connections() != 0 {
		t.Error("it stays at a server that is not ready")
	}
	other.Stop()
	starting.SetStarting(false)
	registry.Put(named("orders"), at(2))
	w.become("orders", 1, 2)
	start(t, other) // So that it can be stopped at the end.
}

func TestListInPages(t *testing.T) {
	t.Parallel()
	registry := nacostest.NewRegistry()
	for i := range 25 {
		registry.Put(named(fmt.Sprint("s", i)), at(1))
	}
	s := serve(t, registry, nacostest.Options{MaxPage: 10})
	w := watch(t, nacos.Config{}, s)
	w.until("all services", func(state sourcetest.State) bool { return state.Synced > 0 && len(state.Services) == 25 })
	heal := s.Intercept("ServiceListRequest", "", nacostest.Answer{
		Type: "ServiceListResponse", Body: `{"resultCode":200,"count":25,"serviceNames":["s1"]}`,
	})
	lists := s.Requests("ServiceListRequest")
	reach(t, s, "ServiceListRequest", lists+2000) // Two whole listings that lack all but one, and say so.
	heal()
	if got := len(w.State().Services); got != 25 {
		t.Errorf("%d services after listings that were not complete", got)
	}
}

func TestServiceGone(t *testing.T) {
	t.Parallel()
	registry := nacostest.NewRegistry()
	registry.Put(named("orders"), at(1))
	registry.Put(named("stock"), at(2))
	s := serve(t, registry, nacostest.Options{})
	w := watch(t, nacos.Config{ListEvery: 300 * time.Millisecond}, s)
	w.become("stock", 2)
	registry.Delete(named("stock"))
	lists := s.Requests("ServiceListRequest")
	reach(t, s, "ServiceListRequest", lists+1)
	if w.State().Service("stock") == nil {
		t.Error("gone after one listing")
	}
	w.until("deletion", func(state sourcetest.State) bool { return state.Service("stock") == nil })
	reach(t, s, "SubscribeServiceRequest", 3) // The last one ends the subscription.
	registry.Put(named("stock"), at(3))
	w.become("stock", 3)
}

// TestOldPush: a push that is older than what is known is not taken, and makes the source ask.
func TestOldPush(t *testing.T) {
	t.Parallel()
	registry := nacostest.NewRegistry()
	registry.Put(named("orders"), at(1))
	s := serve(t, registry, nacostest.Options{})
	w := watch(t, nacos.Config{}, s)
	w.become("orders", 1)
	reach(t, s, "NotifySubscriberResponse", 1)
	s.Send("NotifySubscriberRequest", `{"requestId":"a","serviceInfo":{"name":"orders","groupName":"DEFAULT_GROUP","lastRefTime":5,"hosts":[]}}`)
	reach(t, s, "ServiceQueryRequest", 1)
	s.Send("NotifySubscriberRequest", `{"requestId":"b","serviceInfo":{"name":"orders","groupName":"DEFAULT_GROUP","lastRefTime":9999999999999}}`)
	reach(t, s, "ServiceQueryRequest", 2) // One that holds no instances is none.
	s.Send("NotifySubscriberRequest", `{"requestId":"c","serviceInfo":{"name":"orders","groupName":"other","lastRefTime":9999999999999,"hosts":[]}}`)
	s.Send("NotifySubscriberRequest", `{"requestId":"d","serviceInfo":{"name":"unknown","lastRefTime":9999999999999,"hosts":[]}}`)
	reach(t, s, "NotifySubscriberResponse", 5)
	w.become("orders", 1)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2, 3} {
		registry := nacostest.NewRegistry()
		registry.Put(named("orders"), at(1))
		s := serve(t, registry, nacostest.Options{Version: version, Users: map[string]string{fixture.User: fixture.Password}})
		w := watch(t, nacos.Config{
			Credentials: func(context.Context) (string, string, error) { return fixture.User, fixture.Password, nil },
		}, s)
		w.become("orders", 1)
		if got := s.Requests("login"); got != 1 {
			t.Errorf("version %d: %d logins for one token", version, got)
		}
		s.RevokeTokens()
		registry.Put(named("stock"), at(2))
		w.become("stock", 2)
		if got := s.Requests("login"); got != 2 {
			t.Errorf("version %d: %d logins for two tokens", version, got)
		}
	}
}

func TestAccessKey(t *testing.T) {
	t.Parallel()
	registry := nacostest.NewRegistry()
	registry.Put(named("orders"), at(1))
	s := serve(t, registry, nacostest.Options{AccessKey: "id", SecretKey: "s3cret"})
	key := nacos.AccessKey{ID: "id", Secret: "s3cret"}
	watch(t, nacos.Config{AccessKey: func(context.Context) (nacos.AccessKey, error) { return key, nil }}, s).become("orders", 1)
	wrong := nacos.AccessKey{ID: "id", Secret: "wrong"}
	w := watch(t, nacos.Config{AccessKey: func(context.Context) (nacos.AccessKey, error) { return wrong, nil }}, s)
	if err := <-w.ended; source.Cause(err) != "Unauthorized" || strings.Contains(err.Error(), "wrong") {
		t.Errorf("ended with %v", err)
	}
}

// TestOddNames: what Nacos takes for a name arrives as it is.
func TestOddNames(t *testing.T) {
	t.Parallel()
	names := []string{"订单 服务", "a@@b", "a:b:c", "a/b", "A", "a", "with space", "provider s:x", "group@@x", "public", "DEFAULT_GROUP", "."}
	registry := nacostest.NewRegistry()
	for _, name := range names {
		registry.Put(named(name), at(1))
	}
	w := watch(t, nacos.Config{}, serve(t, registry, nacostest.Options{}))
	state := w.until("all names", func(s sourcetest.State) bool { return s.Synced > 0 })
	var got []string
	for _, svc := range state.Services {
		got = append(got, svc.Ref.Name)
	}
	slices.Sort(names)
	slices.Sort(got)
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestNothingForEachService: an idle source asks for the list, and for nothing of any service; and for those that nobody wants, never.
func TestNothingForEachService(t *testing.T) {
	t.Parallel()
	registry := nacostest.NewRegistry()
	for i := range 200 {
		registry.Put(named(fmt.Sprint("s", i)), at(1))
	}
	s := serve(t, registry, nacostest.Options{})
	w := watch(t, nacos.Config{Layout: nacos.Plain, Selects: func(name string) bool { return name != "s7" }}, s)
	state := w.until("Synced", func(state sourcetest.State) bool { return state.Synced > 0 })
	if svc := state.Service("s7"); svc == nil || len(svc.Instances) > 0 {
		t.Errorf("what is not selected is %v", svc)
	}
	reach(t, s, "NotifySubscriberResponse", 199)
	lists := s.Requests("ServiceListRequest")
	reach(t, s, "ServiceListRequest", lists+5)
	if subscribed, queried := s.Requests("SubscribeServiceRequest"), s.Requests("ServiceQueryRequest"); subscribed != 199 || queried != 0 {
		t.Errorf("%d subscriptions and %d queries, want 199 and none", subscribed, queried)
	}
	if most := s.MostAtOnce(); most > 66 {
		t.Errorf("%d requests at the same time", most)
	}
}

// TestProtection: the server calls all healthy when too few are, and says so.
func TestProtection(t *testing.T) {
	t.Parallel()
	registry := nacostest.NewRegistry()
	sick := at(1)
	sick.Healthy = false
	registry.Put(named("orders"), sick)
	registry.Put(named("orders"), at(2))
	w := watch(t, nacos.Config{}, serve(t, registry, nacostest.Options{}))
	w.until("an unhealthy instance", func(s sourcetest.State) bool {
		svc := s.Service("orders")
		return svc != nil && len(svc.Instances) == 2 && svc.Instances[0].Health == model.Unhealthy && !svc.HealthUnknown
	})
	registry.SetThreshold(named("orders"), 0.6)
	w.until("health that is not known", func(s sourcetest.State) bool { return s.Service("orders").HealthUnknown })
}

// TestRefusals: each way to say no has its class, and what was known stays.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer nacostest.Answer
		cause  string
	}{
		"no right":    {nacostest.Refuse(http.StatusForbidden, "user not found!"), "Unauthorized"},
		"failure":     {nacostest.Refuse(http.StatusInternalServerError, "oops"), "Unreachable"},
		"no JSON":     {nacostest.Answer{Type: "ServiceListResponse", Body: "<html>"}, "MalformedAnswer"},
		"null":        {nacostest.Answer{Type: "ServiceListResponse", Body: "null"}, "MalformedAnswer"},
		"nothing":     {nacostest.Answer{Type: "ServiceListResponse", Body: "{}"}, "MalformedAnswer"},
		"a number":    {nacostest.Answer{Type: "ServiceListResponse", Body: `{"resultCode":200,"count":1,"serviceNames":7}`}, "MalformedAnswer"},
		"no names":    {nacostest.Answer{Type: "ServiceListResponse", Body: `{"resultCode":200,"count":1}`}, "MalformedAnswer"},
		"other error": {nacostest.Answer{Err: context.DeadlineExceeded}, "Unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, nacostest.NewRegistry(), nacostest.Options{})
			s.Intercept("ServiceListRequest", "", tt.answer)
			w := watch(t, nacos.Config{}, s)
			if err := <-w.ended; string(source.Cause(err)) != tt.cause || w.State().Synced > 0 {
				t.Errorf("ended with %v, which is %s", err, source.Cause(err))
			}
		})
	}
}

// TestNobodyListens: the first run fails at once, and not before each server was asked.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	registry := nacostest.NewRegistry()
	s := serve(t, registry, nacostest.Options{})
	w := watch(t, nacos.Config{Servers: []string{"127.0.0.1:1", "127.0.0.1:2"}}, s)
	w.until("Synced", func(state sourcetest.State) bool { return state.Synced == 1 })
	none := watch(t, nacos.Config{Servers: []string{"127.0.0.1:1", "127.0.0.1:2"}})
	if err := <-none.ended; source.Cause(err) != "Unreachable" {
		t.Errorf("ended with %v", err)
	}
}

// TestTLSRefused: a server that speaks no TLS is told as that it cannot be reached, and its configuration is asked for at each connection.
func TestTLSRefused(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := serve(t, nacostest.NewRegistry(), nacostest.Options{})
	w := watch(t, nacos.Config{TLS: func(context.Context) (*tls.Config, error) {
		asked.Add(1)
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}}, s)
	if err := <-w.ended; source.Cause(err) != "Unreachable" || asked.Load() == 0 {
		t.Errorf("ended with %v", err)
	}
}

// TestDocumentation keeps the page of the registry honest: the tests that it names are there, and so are the reasons to opt out.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/registries/nacos.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, file := range []string{"hazard_test.go", "conformance_test.go", "convert_test.go", "../../../e2e/nacos/trap_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	names := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1)
	if len(names) < 12 {
		t.Errorf("%d tests are named", len(names))
	}
	for _, name := range names {
		if !strings.Contains(code.String(), "func "+name[1]+"(") {
			t.Errorf("there is no %s", name[1])
		}
	}
	for _, layout := range []nacos.Layout{nacos.Plain, nacos.DubboInterface} {
		for feature, reason := range fixture.OptOutReal(layout) {
			if row := "| " + string(feature) + " | " + reason + " |"; !strings.Contains(string(page), row) {
				t.Errorf("docs/registries/nacos.md lacks the row %q", row)
			}
		}
	}
}
