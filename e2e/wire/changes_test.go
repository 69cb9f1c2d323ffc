package wire_test

import (
	"context"
	"fmt"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
)

// drained is how long a provider goes on serving after it has left the registry.
const drained = 5 * time.Second

// comesAndGoes has a provider join another one under load and leave in order.
func (s *scene) comesAndGoes() {
	of := map[string]string{"version": "1.0.0"}
	watch := s.watch()
	l := s.begin(s.caller, of)
	_, second := s.provide("second", lab.DubboOptions{ServiceVersion: "1.0.0"})
	s.caller.awaitCount(s, cluster("v-1.0.0."+greeting, 20880), 2)
	lab.Await(s, patience, "the newcomer answers", func(context.Context) error {
		if !answered(l.Calls(s), "second") {
			return fmt.Errorf("none of %d calls", len(l.Calls(s)))
		}
		return nil
	})
	second.Offline(s)
	lab.Pass(s, drained)
	second.Stop(s)
	s.caller.awaitCount(s, cluster("v-1.0.0."+greeting, 20880), 1)
	l.unharmed(s, "one", "second")
	watch.onlyEndpoints()
}

// watch is what istiod tells the sidecars of the callers' namespace from some moment on, as one of them sees it.
type watch struct {
	*ads.Proxy
	s    *scene
	from int
}

func (s *scene) watch() *watch {
	s.Helper()
	p := ads.Connect(s, ads.Options{Addr: s.istiod.Addr, Namespace: callers, IP: "10.9.0.1"})
	p.Await(s, patience, "istiod has told everything", func(c *ads.Config) error {
		if len(c.Endpoints) == 0 || len(c.Listeners) == 0 {
			return fmt.Errorf("%d clusters with endpoints, %d listeners", len(c.Endpoints), len(c.Listeners))
		}
		return nil
	})
	return &watch{Proxy: p, s: s, from: len(p.Pushes(0))}
}

// onlyEndpoints fails the test when istiod has told anything but endpoints.
func (w *watch) onlyEndpoints() {
	w.s.Helper()
	pushes := w.Pushes(w.from)
	for _, push := range pushes {
		if push.Type != ads.Endpoint {
			w.s.Errorf("istiod has pushed %s %q %q", push.Type, push.Names, push.Removed)
		}
	}
	if len(pushes) == 0 {
		w.s.Error("istiod has pushed nothing")
	}
}
