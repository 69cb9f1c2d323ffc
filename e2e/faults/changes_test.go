package faults_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest"
)

// TestKindsOfChange makes changes of which one kind or another is easily missed: a second protocol, and rules that an operator sets for
// providers.
func TestKindsOfChange(t *testing.T) {
	t.Parallel()
	population := providers.Population{Interfaces: 3, Instances: 3}
	s := newScene(t, setting{population: population, loose: true})
	s.start()
	triple := providers.Provider{Interface: "com.example.Triple", Protocol: "tri", Address: "10.9.0.1", Port: 50051}
	s.register(triple)
	s.settle(settleLimit)

	one := population.Instance(0, 0)
	rule := func(text string) string {
		return "/dubbo/" + one.Interface + "/configurators/" + url.QueryEscape(fmt.Sprintf(
			"override://%s:%d/%s?category=configurators&dynamic=false&enabled=true&%s", one.Address, one.Port, one.Interface, text))
	}
	conn := s.fleet.Conn()
	create := func(path string) error {
		_, err := conn.Create(path, nil, 0, zk.WorldACL(zk.PermAll))
		return err
	}
	remove := func(path string) error { return conn.Delete(path, -1) }
	if err := create("/dubbo/" + one.Interface + "/configurators"); err != nil {
		t.Fatal(err)
	}
	registered, err := s.fleet.Registered()
	if err != nil {
		t.Fatal(err)
	}

	disabled := rule("disabled=true")
	if err := s.journal.Deregister(one.Endpoint(), removalLimit, func() error { return create(disabled) }); err != nil {
		t.Fatal(err)
	}
	without := maps.Clone(registered)
	delete(without, one.Endpoint())
	s.await(settleLimit, without)
	if err := s.journal.Register(one.Endpoint(), func() error { return remove(disabled) }); err != nil {
		t.Fatal(err)
	}
	s.await(settleLimit, registered)

	weighted := maps.Clone(registered)
	for k := range population.Instances {
		weighted[population.Instance(0, k).Endpoint()] = 10
	}
	weighted[one.Endpoint()] = 3
	if err := create(rule("weight=30")); err != nil {
		t.Fatal(err)
	}
	s.await(settleLimit, weighted)
	if err := remove(rule("weight=30")); err != nil {
		t.Fatal(err)
	}
	s.await(settleLimit, registered)
}

// TestOddNames registers services whose names are no host names. Each is published under some host, as objects that Istio accepts.
func TestOddNames(t *testing.T) {
	t.Parallel()
	zookeeper := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
	fleet, err := providers.Connect(t.Context(), providers.Options{Server: zookeeper.Addr, Journal: &oracle.Journal{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fleet.Close)
	odd := []providers.Provider{
		{Interface: "com.example.Outer$Inner"},
		{Interface: "com.example.with_underscore"},
		{Interface: "Upper-Case"},
		{Interface: "com.example.ends-"},
		{Interface: "com.example.Grouped", Group: "gray_1/a"},
		{Interface: "com.example.Versioned", Version: "1.0_beta"},
		{Interface: "com.example." + strings.Repeat("VeryLong", 36)},
	}
	for i := range odd {
		odd[i].Address, odd[i].Port = fmt.Sprintf("10.8.0.%d", i+1), 20880
		if err := fleet.Register(odd[i]); err != nil {
			t.Fatal(err)
		}
	}
	b := bridge.New(t, bridge.Options{Program: program, Servers: []string{zookeeper.Addr}})
	recorder, err := oracle.Record(b.Out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = recorder.Close() })
	b.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), settleLimit)
	defer cancel()
	err = recorder.Await(ctx, func(published oracle.Endpoints) bool {
		addresses := map[string]bool{}
		for e := range published {
			addresses[e.Address] = true
		}
		return len(addresses) == len(odd)
	})
	if err != nil {
		published, _ := recorder.Published()
		t.Fatalf("%v: published is %v", err, published)
	}
	versions, _ := recorder.Versions()
	for _, v := range versions {
		if err := translatetest.CheckManifest(v.File, v.Data); err != nil {
			t.Errorf("%s: %v", v.File, err)
		}
	}
}

// TestForeignFile puts a file of somebody else where the object of a service belongs. It is not touched, and nothing but this service
// waits for it.
func TestForeignFile(t *testing.T) {
	t.Parallel()
	s := newScene(t, setting{population: usual()})
	s.start()
	fresh := usual().Instance(usual().Interfaces, 0)
	path := filepath.Join(s.bridge.Out, "serviceentry_dubbo_"+fresh.Endpoint().Host+".yaml")
	s.foreign = []byte("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: mine}\nspec: {hosts: [mine.example]}\n")
	if err := os.WriteFile(path+".new", s.foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	s.register(fresh)
	others, err := s.fleet.Registered()
	if err != nil {
		t.Fatal(err)
	}
	delete(others, fresh.Endpoint())
	for k := range 3 {
		added := usual().Instance(k, 9)
		s.register(added)
		others[added.Endpoint()] = 0
	}
	s.await(settleLimit, others)
	s.logged("a file that is not ours has a name of ours")
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, s.foreign) {
		t.Errorf("the file of somebody else is %q, %v", now, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.settle(settleLimit)
}

// TestEnsemble kills the leader of an ensemble, twice, while providers come and go.
func TestEnsemble(t *testing.T) {
	t.Parallel()
	ensemble := lab.StartEnsemble(t, 3, lab.ZooKeeperOptions{})
	var addresses []string
	for _, z := range ensemble {
		addresses = append(addresses, z.Addr)
	}
	leader, follower := roles(t, ensemble)
	s := newScene(t, setting{zookeeper: follower, servers: addresses, population: usual()})
	s.start()
	for k := range 2 {
		leader.Kill()
		s.restore()
		s.register(usual().Instance(k, 9))
		s.settle(settleLimit)
		s.deregister(usual().Instance(k, 1))
		s.settle(settleLimit)
		leader.Start(t)
		if leader, _ = roles(t, ensemble); leader == follower {
			return // the providers' own server is not for this test to kill
		}
	}
}

// roles returns the leader of an ensemble and one of the others.
func roles(t *testing.T, ensemble []*lab.ZooKeeper) (leader, follower *lab.ZooKeeper) {
	t.Helper()
	for _, z := range ensemble {
		answer, err := z.Ask(t.Context(), "srvr")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(answer, "Mode: leader") {
			leader = z
		} else {
			follower = z
		}
	}
	return leader, follower
}
