package sources_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos/fixture"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos/nacostest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// TestNacos runs the suite, and what the suite does not have, against one server of each version. Each test has a namespace of its own.
func TestNacos(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		version lab.NacosVersion
		layout  nacos.Layout
	}{{lab.Nacos2, nacos.Plain}, {lab.Nacos3, nacos.DubboInterface}} {
		t.Run(string(tt.version), func(t *testing.T) {
			t.Parallel()
			server := lab.StartNacos(t, tt.version)
			t.Run("Conformance", func(t *testing.T) {
				sourcetest.Suite{
					Setup: func(t *testing.T, _ bool) *sourcetest.Fixture {
						t.Helper()
						return realNacos(t, server, tt.layout)
					},
					OptOut:   fixture.OptOutReal(tt.layout),
					Patience: 40 * time.Second,
					Parallel: true,
				}.Run(t)
			})
		})
	}
}

// realNacos makes the fixture of a real server, in which an application registers.
func realNacos(t *testing.T, server *lab.Nacos, layout nacos.Layout) *sourcetest.Fixture {
	t.Helper()
	client := nacostest.Dial(context.WithoutCancel(t.Context()), server.GRPCAddr)
	t.Cleanup(client.Close)
	publish := func(t *testing.T, key nacostest.Key, list ...nacostest.Instance) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := client.Register(ctx, key, list...); err != nil {
			t.Fatal(err)
		}
	}
	return fixture.New(t, fixture.Options{
		Addr: server.Addr, GRPCAddr: server.GRPCAddr, Layout: layout, Anonymous: true,
		Namespace: fmt.Sprintf("test-%d", time.Now().UnixNano()),
		Publish:   publish,
		Corrupt: func(t *testing.T, key nacostest.Key, list []nacostest.Instance) {
			t.Helper()
			publish(t, key, append(list, nacostest.At("10.0.0.66", 0))...)
		},
	})
}
