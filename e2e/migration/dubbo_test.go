package migration_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// TestProviderInTwoRegistries has real Dubbo providers that register in two ensembles each: every one is one endpoint, also while it is
// registered in one of them only, and none when it has left both.
func TestProviderInTwoRegistries(t *testing.T) {
	t.Parallel()
	one, two := newZooKeeper(t, "one", false), newZooKeeper(t, "two", false)
	s := newScene(t, func(int) string { return "demo.greetingservice" }, one, two)
	options := lab.DubboOptions{Registry: one.server.Addr + ";zookeeper://" + two.server.Addr}
	var places []place
	for range 3 {
		p := place{"127.0.0.1", lab.StartDubboProvider(t, options).Port}
		places = append(places, p)
		s.in[s.endpoint(0, p)] = []registry{one, two}
		if err := s.journal.Register(s.endpoint(0, p), func() error { return nil }); err != nil { // It is.
			t.Fatal(err)
		}
	}
	s.bridge.Start(s)
	s.await()
	one.leave(t, places[0])
	two.leave(t, places[1])
	s.awaitInstances(one, 2)
	s.awaitInstances(two, 2)
	s.await()
	e := s.endpoint(0, places[0])
	delete(s.in, e)
	if err := s.journal.Deregister(e, removalLimit, func() error { two.leave(t, places[0]); return nil }); err != nil {
		t.Fatal(err)
	}
	s.await()
}

// leave takes the registration of a provider away, as the end of its session would.
func (r *zooKeeper) leave(t *testing.T, p place) {
	t.Helper()
	parent := "/dubbo/" + lab.DubboInterface + "/providers"
	names, _, err := r.conn.Children(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.Contains(name, "%3A"+strconv.Itoa(p.port)+"%2F") {
			if err := r.conn.Delete(parent+"/"+name, -1); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no provider on port %d among %q", p.port, names)
}
