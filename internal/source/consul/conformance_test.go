package consul_test

import (
	"net/http"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/source/consul/consultest"
	"github.com/registry-bridge/registry-bridge/internal/source/consul/fixture"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

const (
	listingPath = "/v1/catalog/services"
	healthPath  = "/v1/health/service/"
)

// serve runs a fake agent until the end of the test.
func serve(t *testing.T, opts consultest.Options) *consultest.Server {
	t.Helper()
	s := consultest.New(opts)
	s.SetToken(fixture.Token, consultest.Policy{Services: []string{""}})
	start(t, s)
	t.Cleanup(s.Stop)
	return s
}

func start(t *testing.T, s *consultest.Server) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sourcetest.Suite{
		Setup: func(t *testing.T, _ bool) *sourcetest.Fixture {
			t.Helper()
			return fake(t, serve(t, consultest.Options{DefaultDeny: true, Connections: 200}))
		},
		OptOut:   fixture.OptOut(),
		Parallel: true,
	}.Run(t)
}

func fake(t *testing.T, s *consultest.Server) *sourcetest.Fixture {
	t.Helper()
	return fixture.New(t, fixture.Options{
		URL: "http://" + s.Addr(), Addr: s.Addr(),
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
		CorruptUnit: func(t *testing.T) {
			t.Helper()
			s.Register(registration("com.acme.Broken", "node-1", "10.0.0.7", 80))
			s.Intercept(healthPath+"com.acme.Broken", consultest.Answer(http.StatusOK, "application/json", `null`))
		},
		FailListing: func(*testing.T) func() {
			return s.Intercept(listingPath, consultest.Answer(http.StatusInternalServerError, "text/plain", "rpc error: No cluster leader"))
		},
		FailUnit: func(_ *testing.T, service string) func() {
			return s.Intercept(healthPath+service, consultest.Answer(http.StatusInternalServerError, "text/plain", "rpc error: i/o deadline reached"))
		},
	})
}

// TestPage keeps the page of the registry honest.
func TestPage(t *testing.T) {
	t.Parallel()
	sourcetest.Page{
		Path: "../../../docs/registries/consul.md", Code: []string{"*_test.go", "../../../e2e/sources/consul*_test.go", "../../cli/*_test.go"},
		Least: 30, OptOut: fixture.OptOutReal(),
	}.Check(t)
}
