package zookeeper_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// shop is an application of Dubbo that says nothing about its interfaces itself.
type shop struct {
	*testing.T
	server *zktest.Server
}

func (s *shop) create(path, data string) {
	s.Helper()
	if err := s.server.Create(path, []byte(data)); err != nil {
		s.Fatal(err)
	}
}

func (s *shop) set(path, data string) {
	s.Helper()
	if err := s.server.SetData(path, []byte(data)); err != nil {
		s.Fatal(err)
	}
}

func (s *shop) register(app, address string) {
	s.Helper()
	s.create("/services/"+app+"/"+address+":20880", fmt.Sprintf(
		`{"address":%q,"port":20880,"payload":{"metadata":{"dubbo.endpoints":"[{\"port\":20880,\"protocol\":\"dubbo\"}]","dubbo.metadata.revision":"1"}}}`, address))
}

// watchApplications runs a source of the application level until the end of the test.
func watchApplications(t *testing.T, s *zktest.Server) *sourcetest.Recorder {
	t.Helper()
	rec := sourcetest.NewRecorder(t, sourcetest.ID)
	stop := begin(t, zookeeper.New(zookeeper.Config{
		SourceID: sourcetest.ID, Servers: []string{s.Addr()}, Layout: zookeeper.DubboApplication, SessionTimeout: 2 * time.Second,
	}), rec)
	t.Cleanup(stop)
	rec.Wait(t, "Synced", patience, func(st sourcetest.State) bool { return st.Synced == 1 })
	return rec
}

// named says that exactly these services, with one instance at each address, are known.
func named(want map[string][]string) func(sourcetest.State) bool {
	return func(st sourcetest.State) bool {
		got := map[string]bool{}
		for _, svc := range st.Services {
			got[svc.Ref.Name] = true
		}
		for name, addresses := range want {
			if fmt.Sprint(st.Addresses(name)) != fmt.Sprint(addresses) {
				return false
			}
			delete(got, name)
		}
		return len(got) == 0
	}
}

// TestMapping follows an application whose interfaces only the mapping knows, on every generation of servers: interfaces come and go, get
// a version, and a second application offers one of them.
func TestMapping(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]zktest.Version{"3.5": zktest.Before36, "3.9": zktest.V39} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shop{T: t, server: serve(t, version)}
			rec := watchApplications(t, s.server)
			const one, two = "10.0.0.1:20880", "10.0.0.2:20880"
			s.register("shop", "10.0.0.1")
			rec.Wait(t, "an application without interfaces", patience, func(st sourcetest.State) bool {
				svc := st.Service("shop")
				return svc != nil && len(svc.Instances) == 1 && svc.Instances[0].Problem != ""
			})
			s.create("/dubbo/mapping/com.acme.Orders", "shop")
			rec.Wait(t, "its first interface", patience, named(map[string][]string{"com.acme.Orders": {one}}))
			s.create("/dubbo/metadata/com.acme.Orders/1.0.0/provider/shop", `{"parameters":{"version":"1.0.0"}}`)
			rec.Wait(t, "its version", patience, named(map[string][]string{"com.acme.Orders:1.0.0": {one}}))
			s.create("/dubbo/mapping/com.acme.Stock", "other")
			s.register("other", "10.0.0.2")
			rec.Wait(t, "another application", patience, named(map[string][]string{"com.acme.Orders:1.0.0": {one}, "com.acme.Stock": {two}}))
			s.set("/dubbo/mapping/com.acme.Stock", "other,shop")
			rec.Wait(t, "an interface of both", patience, named(map[string][]string{"com.acme.Orders:1.0.0": {one}, "com.acme.Stock": {one, two}}))
			if err := s.server.Delete("/services/other"); err != nil {
				t.Fatal(err)
			}
			if err := s.server.Delete("/dubbo/mapping/com.acme.Orders"); err != nil {
				t.Fatal(err)
			}
			rec.Wait(t, "what is left", patience, named(map[string][]string{"com.acme.Stock": {one}}))
		})
	}
}

// TestUnreadableMapping: what cannot be read concerns only what depends on it, and removes nothing.
func TestUnreadableMapping(t *testing.T) {
	t.Parallel()
	s := &shop{T: t, server: serve(t, zktest.V39)}
	s.create("/dubbo/mapping/com.acme.Orders", "shop")
	s.create("/dubbo/mapping/com.acme.Stock", "shop")
	s.register("shop", "10.0.0.1")
	hidden := wire.ACL{Perms: wire.PermAll, Scheme: "digest", ID: zktest.Digest("a:b")}
	if err := s.server.SetACL("/dubbo/mapping/com.acme.Stock", hidden); err != nil {
		t.Fatal(err)
	}
	rec := watchApplications(t, s.server)
	rec.Wait(t, "one skipped, one read", patience, func(st sourcetest.State) bool {
		return len(st.Skipped) == 1 && len(st.Addresses("com.acme.Orders")) == 1
	})
	if err := s.server.SetACL("/dubbo/mapping/com.acme.Stock", wire.WorldAll()...); err != nil {
		t.Fatal(err)
	}
	rec.Wait(t, "both read", patience, func(st sourcetest.State) bool {
		return len(st.Skipped) == 0 && len(st.Addresses("com.acme.Orders")) == 1 && len(st.Addresses("com.acme.Stock")) == 1
	})
}
