package nacos_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/source/nacos"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos/fixture"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos/nacostest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// serve runs a fake server until the end of the test.
func serve(t *testing.T, registry *nacostest.Registry, opts nacostest.Options) *nacostest.Server {
	t.Helper()
	s := nacostest.New(registry, opts)
	start(t, s)
	t.Cleanup(s.Stop)
	return s
}

func start(t *testing.T, s *nacostest.Server) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestConformance runs the suite for both ways in which services are named, and for both versions of the protocol.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		layout  nacos.Layout
		version int
	}{{"plain, version 2", nacos.Plain, 2}, {"Dubbo interfaces, version 3", nacos.DubboInterface, 3}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sourcetest.Suite{
				Setup: func(t *testing.T, _ bool) *sourcetest.Fixture {
					t.Helper()
					registry := nacostest.NewRegistry()
					s := serve(t, registry, nacostest.Options{Version: tt.version, Users: map[string]string{fixture.User: fixture.Password}})
					return fake(t, s, registry, tt.layout)
				},
				OptOut:   fixture.OptOut(tt.layout),
				Parallel: true,
			}.Run(t)
		})
	}
}

func fake(t *testing.T, s *nacostest.Server, registry *nacostest.Registry, layout nacos.Layout) *sourcetest.Fixture {
	t.Helper()
	return fixture.New(t, fixture.Options{
		Addr: s.Addr(), GRPCAddr: s.GRPCAddr(), Layout: layout,
		Publish: func(_ *testing.T, key nacostest.Key, list ...nacostest.Instance) {
			registry.Set(key, anys(list)...)
		},
		Corrupt: func(_ *testing.T, key nacostest.Key, list []nacostest.Instance) {
			registry.Set(key, append(anys(list), json.RawMessage(`{"ip":5,"port":"x"}`))...)
		},
		CorruptUnit: func(*testing.T) {
			key := nacostest.Key{Namespace: nacos.DefaultNamespace, Group: nacos.DefaultGroup, Name: "providers:com.acme.Broken::"}
			registry.Set(key, nacostest.At("10.0.0.7", 80))
			s.Intercept("SubscribeServiceRequest", key.Name, nacostest.Answer{Type: "SubscribeServiceResponse", Body: `{"resultCode":200,"serviceInfo":null}`})
		},
		FailListing: func(*testing.T) func() {
			return s.Intercept("ServiceListRequest", "", nacostest.Refuse(http.StatusInternalServerError, "java.lang.NullPointerException"))
		},
		FailUnit: func(_ *testing.T, name string) func() {
			return s.Intercept("SubscribeServiceRequest", name, nacostest.Refuse(http.StatusInternalServerError, "java.lang.NullPointerException"))
		},
		Restart: func(t *testing.T) {
			t.Helper()
			s.Stop()
			start(t, s)
		},
		Wipe: func(t *testing.T) {
			t.Helper()
			s.Stop()
			registry.Wipe()
			start(t, s)
		},
	})
}

func anys(list []nacostest.Instance) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = list[i]
	}
	return out
}
