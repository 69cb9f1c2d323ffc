package http_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
	"github.com/registry-bridge/registry-bridge/internal/source/document/documenttest"
	httpsource "github.com/registry-bridge/registry-bridge/internal/source/http"
	"github.com/registry-bridge/registry-bridge/internal/source/http/httptest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// token is what the server asks for.
const token = "conformance-s3cret"

// serve runs a server until the end of the test.
func serve(t *testing.T, opts httptest.Options) *httptest.Server {
	t.Helper()
	s := httptest.New(opts)
	start(t, s)
	t.Cleanup(s.Stop)
	return s
}

func start(t *testing.T, s *httptest.Server) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// bearer sends a token.
func bearer(token string) func(context.Context) (http.Header, error) {
	return func(context.Context) (http.Header, error) {
		return http.Header{"Authorization": {"Bearer " + token}}, nil
	}
}

func fixture(t *testing.T, s *httptest.Server, cfg httpsource.Config) *sourcetest.Fixture {
	t.Helper()
	return &sourcetest.Fixture{
		Addr: s.Addr(),
		New: func(o sourcetest.SourceOptions) source.Source {
			c := cfg
			c.SourceID, c.URL, c.Header = sourcetest.ID, "http://"+o.Addr+"/services", bearer(token)
			if o.BadCredentials {
				c.Header = bearer("wrong-" + token)
			}
			return httpsource.New(c)
		},
		Put:             func(_ *testing.T, service string, inst model.Instance) { s.Put(service, inst) },
		Remove:          func(_ *testing.T, service string, inst model.Instance) { s.Remove(service, inst) },
		RemoveService:   func(_ *testing.T, service string) { s.RemoveService(service) },
		CorruptInstance: func(_ *testing.T, service string) { s.CorruptInstance(service) },
		CorruptUnit:     func(*testing.T) { s.Break("com.acme.Broken") },
		FailListing: func(*testing.T) func() {
			return s.Fail(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "no database", http.StatusInternalServerError)
			})
		},
		FailUnit: func(_ *testing.T, service string) func() { return s.Break(service) },
		Restart: func(t *testing.T) {
			t.Helper()
			s.Stop()
			start(t, s)
		},
		Wipe: func(t *testing.T) {
			t.Helper()
			s.Stop()
			s.Wipe()
			start(t, s)
		},
		Secret: token,
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		server httptest.Options
		source httpsource.Config
	}{
		"native":               {httptest.Options{}, httpsource.Config{}},
		"native without ETags": {httptest.Options{NoETag: true}, httpsource.Config{}},
		"native, long polling": {httptest.Options{}, httpsource.Config{LongPoll: time.Minute}},
		"Prometheus":           {httptest.Options{Format: document.PrometheusSD}, httpsource.Config{Format: document.PrometheusSD}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.server.Token, tt.source.PollInterval = token, 50*time.Millisecond
			sourcetest.Suite{
				Setup: func(t *testing.T, _ bool) *sourcetest.Fixture {
					t.Helper()
					return fixture(t, serve(t, tt.server), tt.source)
				},
				OptOut:   documenttest.OptOut(tt.server.Format),
				Parallel: true,
			}.Run(t)
		})
	}
}

// TestPage keeps the page of the source honest.
func TestPage(t *testing.T) {
	t.Parallel()
	sourcetest.Page{
		Path: "../../../docs/registries/http.md", Code: []string{"*_test.go", "../document/*_test.go", "../../../e2e/sources/documents_test.go"},
		Least: 10, OptOut: documenttest.OptOut(document.PrometheusSD),
	}.Check(t)
}
