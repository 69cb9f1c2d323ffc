package zookeeper_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/fixture"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// serve runs a fake server with short sessions until the end of the test.
func serve(t *testing.T, version zktest.Version) *zktest.Server {
	t.Helper()
	s := zktest.New(zktest.Options{Version: version, Tick: 200 * time.Millisecond})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// layouts are those that the suite runs with.
func layouts() map[string]zookeeper.Layout {
	return map[string]zookeeper.Layout{
		"DubboInterface": zookeeper.DubboInterface, "DubboApplication": zookeeper.DubboApplication, "SpringCloud": zookeeper.SpringCloud,
	}
}

// TestConformance runs the suite with every layout against every generation of servers.
func TestConformance(t *testing.T) {
	t.Parallel()
	for layoutName, layout := range layouts() {
		for name, version := range map[string]zktest.Version{"3.5": zktest.Before36, "3.6": zktest.V36, "3.9": zktest.V39} {
			t.Run(layoutName+"/"+name, func(t *testing.T) {
				t.Parallel()
				sourcetest.Suite{
					Setup:    func(t *testing.T, _ bool) *sourcetest.Fixture { t.Helper(); return fake(t, version, layout) },
					OptOut:   fixture.OptOut(layout),
					Parallel: true,
				}.Run(t)
			})
		}
	}
}

func fake(t *testing.T, version zktest.Version, layout zookeeper.Layout) *sourcetest.Fixture {
	t.Helper()
	s := serve(t, version)
	start := func(t *testing.T) {
		t.Helper()
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return fixture.New(t, s, fixture.Options{
		Addr:   s.Addr(),
		Layout: layout,
		Restart: func(t *testing.T) {
			t.Helper()
			s.Stop()
			start(t)
		},
		Wipe: func(t *testing.T) {
			t.Helper()
			s.Stop()
			s.Wipe()
			start(t)
		},
		Configure: func(cfg *zookeeper.Config) { cfg.SessionTimeout = 2 * time.Second },
	})
}

// TestOptOutsAreDocumented keeps the page of the registry honest.
func TestOptOutsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/registries/zookeeper.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, layout := range layouts() {
		for feature, reason := range fixture.OptOut(layout) {
			if row := "| " + name + " | " + string(feature) + " | " + reason + " |"; !strings.Contains(string(page), row) {
				t.Errorf("docs/registries/zookeeper.md lacks the row %q", row)
			}
		}
	}
}
