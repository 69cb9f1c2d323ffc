package nacos_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos/nacostest"
)

// traps are what the library's client does wrong. Each returns what went wrong, or nil.
func traps() map[string]func(*testing.T, maker) error {
	return map[string]func(*testing.T, maker) error{
		"the last instance goes":                               lastInstance,
		"a start after changes that nobody saw":                staleCache,
		"fail-over to a server whose clock is behind":          slowerClock,
		"the clock of the server goes back":                    clockGoesBack,
		"after a reconnect services are subscribed one by one": sequentialSubscribe,
		"files are written":                                    writesFiles,
	}
}

// TestTraps: the library fails each, and the source none. What the library does no more is no reason any more not to use it.
func TestTraps(t *testing.T) {
	for name, trap := range traps() {
		t.Run(name, func(t *testing.T) {
			t.Run("library", func(t *testing.T) {
				if err := trap(t, newLibrary); err == nil {
					t.Error("the library does this right now")
				} else {
					t.Log(err)
				}
			})
			t.Run("source", func(t *testing.T) {
				if err := trap(t, newSource); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func serve(t *testing.T, registry *nacostest.Registry) *nacostest.Server {
	t.Helper()
	s := nacostest.New(registry, nacostest.Options{})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func named(service string) nacostest.Key {
	return nacostest.Key{Namespace: nacos.DefaultNamespace, Group: nacos.DefaultGroup, Name: service}
}

func at(last int) nacostest.Instance { return nacostest.At(fmt.Sprintf("10.0.0.%d", last), 80) }

// lastInstance: the library takes a push without instances for a mistake.
func lastInstance(t *testing.T, watch maker) error {
	t.Helper()
	registry := nacostest.NewRegistry()
	registry.Put(named("orders"), at(1))
	w := watch(t, t.TempDir(), serve(t, registry))
	w.follow(t, "orders")
	if err := become(t, w, "orders", "10.0.0.1:80"); err != nil {
		t.Fatal(err)
	}
	registry.Remove(named("orders"), at(1))
	return become(t, w, "orders")
}

// staleCache: the library keeps what it saw in files, begins with that, and does not even ask for those services.
func staleCache(t *testing.T, watch maker) error {
	t.Helper()
	registry := nacostest.NewRegistry()
	registry.Put(named("orders"), at(1))
	server, folder := serve(t, registry), t.TempDir()
	w := watch(t, folder, server)
	w.follow(t, "orders")
	if err := become(t, w, "orders", "10.0.0.1:80"); err != nil {
		t.Fatal(err)
	}
	w.stop()
	registry.Set(named("orders"), at(2))
	return become(t, watch(t, folder, server), "orders", "10.0.0.2:80")
}

// slowerClock: the library takes for old what is older by the clock of another server.
func slowerClock(t *testing.T, watch maker) error {
	t.Helper()
	registry := nacostest.NewRegistry()
	registry.Put(named("orders"), at(1))
	first, second := serve(t, registry), serve(t, registry)
	second.SetClock(-time.Hour)
	second.SetStarting(true) // So that the first is asked first.
	w := watch(t, t.TempDir(), first, second)
	w.follow(t, "orders")
	if err := become(t, w, "orders", "10.0.0.1:80"); err != nil {
		t.Fatal(err)
	}
	first.SetStarting(true)
	second.SetStarting(false)
	first.Drop()
	lab.Await(t, 20*time.Second, "the client is at the second server", func(context.Context) error {
		if second.Connections() == 0 || second.Requests("SubscribeServiceRequest") == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	registry.Put(named("orders"), at(2))
	return become(t, w, "orders", "10.0.0.1:80", "10.0.0.2:80")
}

// clockGoesBack: the same, with one server.
func clockGoesBack(t *testing.T, watch maker) error {
	t.Helper()
	registry := nacostest.NewRegistry()
	registry.Put(named("orders"), at(1))
	server := serve(t, registry)
	w := watch(t, t.TempDir(), server)
	w.follow(t, "orders")
	if err := become(t, w, "orders", "10.0.0.1:80"); err != nil {
		t.Fatal(err)
	}
	server.SetClock(-time.Hour)
	registry.Put(named("orders"), at(2))
	return become(t, w, "orders", "10.0.0.1:80", "10.0.0.2:80")
}

// sequentialSubscribe: after each reconnect the library asks for one service after the other, a round trip each.
func sequentialSubscribe(t *testing.T, watch maker) error {
	t.Helper()
	const services, least = 64, 16
	registry := nacostest.NewRegistry()
	for i := range services {
		registry.Put(named(fmt.Sprint("s", i)), at(1))
	}
	server := serve(t, registry)
	w := watch(t, t.TempDir(), server)
	for i := range services {
		w.follow(t, fmt.Sprint("s", i))
	}
	server.ResetMostAtOnce()
	server.SetLatency(20 * time.Millisecond)
	before := server.Requests("SubscribeServiceRequest")
	server.Drop()
	lab.Await(t, 20*time.Second, "all services are subscribed to again", func(context.Context) error {
		if got := server.Requests("SubscribeServiceRequest") - before; got < services {
			return fmt.Errorf("%d are", got)
		}
		return nil
	})
	if most := server.MostAtOnce(); most < least {
		return fmt.Errorf("at most %d requests at the same time", most)
	}
	return nil
}

// writesFiles: the library writes its cache and its log, and cannot be told not to.
func writesFiles(t *testing.T, watch maker) error {
	t.Helper()
	folder := t.TempDir()
	t.Chdir(folder)
	registry := nacostest.NewRegistry()
	registry.Put(named("orders"), at(1))
	w := watch(t, folder, serve(t, registry))
	w.follow(t, "orders")
	if err := become(t, w, "orders", "10.0.0.1:80"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		return fmt.Errorf("it wrote %s", e.Name())
	}
	return nil
}
