package eureka_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/eureka/eurekatest"
	"github.com/registry-bridge/registry-bridge/internal/source/eureka/fixture"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// serve runs a fake server until the end of the test.
func serve(t *testing.T, opts eurekatest.Options) *eurekatest.Server {
	t.Helper()
	s := eurekatest.New(opts)
	start(t, s)
	t.Cleanup(s.Stop)
	return s
}

func start(t *testing.T, s *eurekatest.Server) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestConformance runs the suite against servers of each kind.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]eurekatest.Options{
		"Spring Cloud": {}, "XStream": {XStream: true}, "no changes": {NoDelta: true}, "no hash": {NoHash: true},
	} {
		opts.User, opts.Password = fixture.User, fixture.Password
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sourcetest.Suite{
				Setup:    func(t *testing.T, _ bool) *sourcetest.Fixture { t.Helper(); return fake(t, serve(t, opts)) },
				OptOut:   fixture.OptOut(),
				Parallel: true,
			}.Run(t)
		})
	}
}

func fake(t *testing.T, s *eurekatest.Server) *sourcetest.Fixture {
	t.Helper()
	return fixture.New(t, fixture.Options{
		Addr: s.Addr(), PollInterval: 100 * time.Millisecond,
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
		CorruptUnit: func(*testing.T) { s.AddRaw(`{"name":"BROKEN","instance":"none"}`) },
		FailListing: func(*testing.T) func() {
			answer := eurekatest.Answer(http.StatusInternalServerError, "text/plain", "no peers")
			all, changes := s.Intercept("/apps", answer), s.Intercept("/apps/delta", answer)
			return func() { all(); changes() }
		},
	})
}

// TestPage keeps the page of the registry honest.
func TestPage(t *testing.T) {
	t.Parallel()
	sourcetest.Page{
		Path: "../../../docs/registries/eureka.md",
		Code: []string{"*_test.go", "../../../e2e/sources/eureka_test.go", "../../../e2e/faults/eureka_test.go"}, Least: 25, OptOut: fixture.OptOutReal(),
	}.Check(t)
}
