package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/status"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// page is the answer to one request.
type page struct {
	code int
	text string
}

func get(t *testing.T, h http.Handler, method, target string) page {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, target, http.NoBody))
	return page{w.Code, w.Body.String()}
}

// options are those of a bridge where all is well.
func options() status.Options {
	return status.Options{
		State:         func() *engine.State { return &engine.State{Cycle: 1} },
		LastTurn:      time.Now,
		Configuration: func() status.Configuration { return status.Configuration{Loaded: time.Now()} },
		Metrics:       prometheus.NewRegistry(),
		Logger:        slog.New(slog.DiscardHandler),
	}
}

func TestHealth(t *testing.T) {
	opts := options()
	if got := get(t, status.NewHandler(opts), "GET", "/healthz"); got.code != http.StatusOK {
		t.Errorf("got %+v", got)
	}
	opts.LastTurn = func() time.Time { return time.Now().Add(-time.Hour) }
	if got := get(t, status.NewHandler(opts), "GET", "/healthz"); got.code != http.StatusServiceUnavailable || !strings.Contains(got.text, "stuck since 1h0m0s") {
		t.Errorf("got %+v", got)
	}
}

func TestReady(t *testing.T) {
	failing := &engine.State{Cycle: 3, Statuses: map[model.SourceID]model.Status{"a.1": {State: model.Failing, Err: "registry unavailable"}}}
	tests := []struct {
		name   string
		config status.Configuration
		state  *engine.State
		code   int
		text   string
	}{
		{"before the first plan", status.Configuration{Loaded: time.Now()}, &engine.State{}, http.StatusServiceUnavailable, "no plan"},
		{"no configuration", status.Configuration{}, &engine.State{}, http.StatusServiceUnavailable, "no configuration"},
		{
			"bad configuration",
			status.Configuration{Loaded: time.Now(), Problems: []string{"a.yaml: is empty"}},
			&engine.State{Cycle: 1},
			http.StatusServiceUnavailable, "First: a.yaml: is empty",
		},
		{"a registry is down", status.Configuration{Loaded: time.Now()}, failing, http.StatusOK, "ok"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := options()
			opts.Configuration = func() status.Configuration { return tt.config }
			opts.State = func() *engine.State { return tt.state }
			if got := get(t, status.NewHandler(opts), "GET", "/readyz"); got.code != tt.code || !strings.Contains(got.text, tt.text) {
				t.Errorf("got %+v, want %d and %q", got, tt.code, tt.text)
			}
		})
	}
}

func TestReadOnly(t *testing.T) {
	h := status.NewHandler(options())
	for _, target := range []string{"/healthz", "/readyz", "/metrics", "/debug/state", "/"} {
		if got := get(t, h, "GET", target); got.code != http.StatusOK {
			t.Errorf("GET %s: %d", target, got.code)
		}
		if got := get(t, h, "POST", target); got.code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", target, got.code)
		}
	}
	if got := get(t, h, "GET", "/other"); got.code != http.StatusNotFound {
		t.Errorf("GET /other: %d", got.code)
	}
}

// epoch is the time of all states here.
func epoch() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// busy is a state with something of everything: Registry ns/a with a source that fails, and ns/b that is paused.
func busy() *engine.State {
	endpoint := func(address string, id string) translate.Endpoint {
		return translate.Endpoint{Address: address, Labels: []translate.Label{{Key: translate.LabelSource, Value: id}}}
	}
	key := translate.Key{Kind: translate.KindServiceEntry, Namespace: "ns", Name: "foo.dubbo"}
	hold := func(id, endpoint string, source model.SourceID, until time.Time) plan.Hold {
		return plan.Hold{
			ID: id, Key: key, Host: "foo.dubbo", Endpoint: endpoint, Source: source, Guard: reason.Failing, Detail: "The registry fails.",
			Since: epoch(), Until: until,
		}
	}
	return &engine.State{
		Cycle: 7, Time: epoch(),
		Config: &engine.Config{
			Options: &translate.Options{Registries: []*translate.Registry{
				{Namespace: "ns", Name: "a", Sources: []translate.Source{{ID: "a.1", Scope: "dubbo"}}},
			}},
			Policies: []plan.Policy{
				{Namespace: "ns", Name: "a", Mode: plan.Active, Sources: []model.SourceID{"a.1"}},
				{Namespace: "ns", Name: "b", Mode: plan.Pause, Sources: []model.SourceID{"b.1"}},
			},
		},
		Snapshot: model.Snapshot{Sources: []model.SourceServices{
			{ID: "a.1", Services: []*model.Service{{Instances: make([]model.Instance, 3)}, {}}},
		}},
		Statuses: map[model.SourceID]model.Status{
			"a.1": {
				Namespace: "ns", Registry: "a", State: model.Failing, Since: epoch(), Err: "registry unavailable",
				FailingUnits: map[string]model.UnitFailure{"com.acme.Foo": {Err: "not allowed"}},
			},
			"b.1": {
				Namespace: "ns", Registry: "b", State: model.Synced, Since: epoch(),
				Hints: []model.Hint{{Reason: string(reason.ConnectionLimit), Detail: "use https"}},
			},
		},
		Live: []plan.Live{{Object: &translate.Object{ServiceEntry: &translate.ServiceEntry{
			Endpoints: []translate.Endpoint{endpoint("10.0.0.1", "a.1"), endpoint("10.0.0.2", "a.1"), endpoint("10.0.0.3", "b.1")},
		}}}},
		Plan: plan.Plan{Held: []plan.Hold{
			hold("h-1", "10.0.0.1:1", "a.1", epoch().Add(time.Minute)), hold("h-1", "10.0.0.2:1", "a.1", epoch().Add(time.Hour)),
			hold("h-2", "", "b.1", time.Time{}),
		}},
		Result: translate.Result{Diagnostics: []translate.Diagnostic{
			{Reason: reason.MalformedURL, Registry: "ns/a", Ref: model.Ref{Unit: "u", Name: "n"}, Instance: "i", Detail: "No scheme."},
			{Reason: reason.MalformedURL, Registry: "ns/a", Detail: "No host."},
			{Reason: reason.PortDrift, Registry: "ns/b", Detail: "The port moved."},
		}},
		WriteErrors: map[translate.Key]engine.Failure{key: {Err: errors.New("refused"), Since: epoch(), Attempts: 2, Retry: epoch()}},
		Output:      &engine.Failure{Err: errors.New("disk full"), Since: epoch(), Attempts: 1, Retry: epoch()},
	}
}

func TestState(t *testing.T) {
	opts := options()
	opts.State = busy
	opts.Configuration = func() status.Configuration {
		return status.Configuration{Loaded: epoch(), Problems: []string{"a.yaml: is empty"}}
	}
	got := get(t, status.NewHandler(opts), "GET", "/debug/state")
	var report status.Report
	if err := json.Unmarshal([]byte(got.text), &report); err != nil {
		t.Fatal(err)
	}
	until, loaded := epoch().Add(time.Hour), epoch()
	want := status.Report{
		Cycle: 7, Time: epoch(),
		Configuration: status.ConfigurationReport{Loaded: &loaded, Problems: []string{"a.yaml: is empty"}},
		Output:        &status.Trouble{Error: "disk full", Since: epoch(), Attempts: 1, Retry: epoch()},
		Registries: []status.Registry{
			{
				Namespace: "ns", Name: "a", Mode: plan.Active, Published: 2, Held: 2, Dropped: map[reason.Reason]int{reason.MalformedURL: 2},
				Sources: []status.Source{{
					ID: "a.1", Scope: "dubbo", State: "Failing", Since: epoch(), Error: "registry unavailable", Services: 2, Instances: 3,
					FailingUnits: map[string]string{"com.acme.Foo": "not allowed"}, Failing: 1,
				}},
			},
			{
				Namespace: "ns", Name: "b", Mode: plan.Pause, Published: 1, Dropped: map[reason.Reason]int{},
				Sources: []status.Source{{
					ID: "b.1", State: "Synced", Since: epoch(), Hints: []status.Hint{{Reason: reason.ConnectionLimit, Detail: "use https"}},
				}},
			},
		},
		Holds: []status.Hold{
			{
				ID: "h-1", Guard: reason.Failing, Registry: "ns/a", Source: "a.1", Endpoints: 2, Detail: "The registry fails.",
				Examples: []string{"foo.dubbo 10.0.0.1:1", "foo.dubbo 10.0.0.2:1"}, Since: epoch(), Until: &until,
			},
			{
				ID: "h-2", Guard: reason.Failing, Registry: "ns/b", Source: "b.1", Objects: 1, Detail: "The registry fails.",
				Examples: []string{"foo.dubbo"}, Since: epoch(),
			},
		},
		Diagnostics: []status.Diagnostic{
			{Reason: reason.MalformedURL, Registry: "ns/a", Unit: "u", Service: "n", Instance: "i", Detail: "No scheme."},
			{Reason: reason.MalformedURL, Registry: "ns/a", Detail: "No host."},
			{Reason: reason.PortDrift, Registry: "ns/b", Detail: "The port moved."},
		},
		WriteErrors: []status.WriteError{{
			Object:  "ServiceEntry ns/foo.dubbo",
			Trouble: status.Trouble{Error: "refused", Since: epoch(), Attempts: 2, Retry: epoch()},
		}},
	}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestStateIsBounded(t *testing.T) {
	h := status.NewHandler(func() status.Options {
		opts := options()
		opts.State = busy
		return opts
	}())
	report := func(query string) status.Report {
		var r status.Report
		if err := json.Unmarshal([]byte(get(t, h, "GET", "/debug/state?"+query).text), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if got := report("limit=1"); len(got.Holds) != 1 || len(got.Diagnostics) != 1 ||
		!cmp.Equal(got.Left, map[string]int{"holds": 1, "diagnostics": 2}) {
		t.Errorf("limit=1: got %+v", got)
	}
	for _, query := range []string{"registry=b", "registry=ns/b"} {
		got := report(query)
		if len(got.Registries) != 1 || got.Registries[0].Name != "b" || len(got.Holds) != 1 || len(got.Diagnostics) != 1 {
			t.Errorf("%s: got %+v", query, got)
		}
	}
	if got := get(t, h, "GET", "/debug/state?limit=x"); got.code != http.StatusBadRequest {
		t.Errorf("limit=x: got %d", got.code)
	}
}

// TestStateBeforeTheFirstCycle: everything is empty, and nothing is null.
func TestStateBeforeTheFirstCycle(t *testing.T) {
	opts := options()
	opts.State = func() *engine.State { return &engine.State{} }
	got := get(t, status.NewHandler(opts), "GET", "/debug/state")
	if got.code != http.StatusOK || strings.Contains(got.text, "null") {
		t.Errorf("got %+v", got)
	}
}

func TestServe(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	opts := options()
	go func() { done <- status.Serve(ctx, l, status.NewHandler(opts), opts.Logger) }()

	client := &http.Client{Transport: &http.Transport{}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/healthz", l.Addr()), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "ok\n" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	resp.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	client.CloseIdleConnections()
}
