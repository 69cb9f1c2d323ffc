package wire_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
)

// outside compares what a proxy in another namespace is told with what it was told before there was a Registry: nothing has changed.
func (s *scene) outside() {
	after := s.told(elsewhere, "10.9.1.1")
	if diff := cmp.Diff(s.before, after, protocmp.Transform()); diff != "" {
		s.Errorf("a proxy that is not in the scope is told something else than before (-before +after):\n%.2000s", diff)
	}
	before := s.stranger.sidecar.Dubbo(s)
	allBy(s, "a consumer that is not in the scope", s.stranger.Call(s, map[string]string{"version": "2.0.0", "count": "50"}), "two")
	if after := s.stranger.sidecar.Dubbo(s); after["request"] != before["request"] {
		s.Errorf("its sidecar has read %d requests", after["request"]-before["request"])
	}
}

// told returns what istiod tells a proxy of a namespace, when it has told everything.
func (s *scene) told(namespace, ip string) *ads.Config {
	s.Helper()
	p := ads.Connect(s, ads.Options{Addr: s.istiod.Addr, Namespace: namespace, IP: ip})
	seen := -1
	p.Await(s, patience, "istiod has told everything", func(c *ads.Config) error {
		count := len(c.Clusters) + len(c.Listeners) + len(c.Routes) + len(c.Endpoints)
		if previous := seen; count == 0 || count != previous {
			seen = count
			return errors.New("more is coming")
		}
		return nil
	})
	return p.Config()
}

// awaitRoutes waits until the tables of the sidecar name a host, or do not.
func (w *workload) awaitRoutes(t testing.TB, want bool, host string) {
	t.Helper()
	lab.Await(t, patience, fmt.Sprintf("the sidecar has routes to %s: %v", host, want), func(ctx context.Context) error {
		clusters, err := w.sidecar.DubboClusters(ctx)
		if err == nil && clusters[cluster(host, 20880)] != want {
			err = fmt.Errorf("it names %d clusters", len(clusters))
		}
		return err
	})
}
