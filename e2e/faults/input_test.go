package faults_test

import (
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
)

// TestMalformedProviders puts nodes that are no providers among good ones. They are counted, and nothing else happens.
func TestMalformedProviders(t *testing.T) {
	t.Parallel()
	s := newScene(t, setting{population: usual()})
	s.start()
	parent := "/dubbo/" + usual().Instance(0, 0).Interface + "/providers/"
	for _, name := range []string{
		"no url at all",
		"%zz%",
		url.QueryEscape("dubbo://10.99.0.1:0/a?interface=a"),
		url.QueryEscape("dubbo://10.99.0.2:70000/a?interface=a"),
		url.QueryEscape("dubbo://:20880/a?interface=a"),
		url.QueryEscape("://?&&&===;;"),
		"dubbo\u00e9\u4e2d",
	} {
		if _, err := s.fleet.Conn().Create(parent+name, []byte{0, 1, 0xff}, 0, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
	}
	s.bridge.Await(t, settleLimit, "the malformed providers are counted", func(m bridge.Metrics) bool {
		return m.Sum("dropped") >= 5
	})
	// Good ones next to them come and go as always.
	s.register(usual().Instance(0, 9))
	s.settle(settleLimit)
	s.deregister(usual().Instance(0, 1))
	s.settle(settleLimit)
	// And the bridge lists them again after a restart.
	s.bridge.Kill()
	s.bridge.Start(t)
	s.register(usual().Instance(0, 10))
	s.settle(settleLimit)
}

// TestHiddenInterface takes away the right to read one interface. The registry then says nothing about it, which must not be taken for
// "there is nothing".
func TestHiddenInterface(t *testing.T) {
	t.Parallel()
	s := newScene(t, setting{population: usual(), proxied: true})
	s.start()
	hidden := usual().Instance(1, 0)
	conn := s.fleet.Conn()
	if err := conn.AddAuth("digest", []byte("owner:secret")); err != nil {
		t.Fatal(err)
	}
	acl := func(acl []zk.ACL) {
		t.Helper()
		for _, path := range []string{"/dubbo/" + hidden.Interface, "/dubbo/" + hidden.Interface + "/providers"} {
			if _, err := conn.SetACL(path, acl, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	acl(zk.DigestACL(zk.PermAll, "owner", "secret"))
	// Who watches already goes on to be told; the next listing is refused.
	if err := s.proxy.CutAll(); err != nil {
		t.Fatal(err)
	}
	s.bridge.Await(t, settleLimit, "the bridge cannot read the interface", func(m bridge.Metrics) bool {
		return m.Sum("source_failing_units") == 1
	})
	// Others go on.
	s.deregister(usual().Instance(2, 0))
	s.register(usual().Instance(2, 9))
	s.settle(settleLimit)
	// The hidden one changes unseen, and is right again when it can be read.
	if err := s.fleet.Deregister(hidden, 0); err != nil {
		t.Fatal(err)
	}
	acl(zk.WorldACL(zk.PermAll))
	s.settle(settleLimit)
}

// TestSecondPort registers an instance at a second port of a host that is published already. Both are endpoints, and none is lost.
func TestSecondPort(t *testing.T) {
	t.Parallel()
	population := providers.Population{Interfaces: 5, Instances: 3}
	s := newScene(t, setting{population: population})
	s.start()
	for port := range uint32(3) {
		second := population.Instance(0, int(port))
		second.Port = 20890 - 10*port
		s.register(second)
		s.settle(settleLimit)
	}
	s.deregister(population.Instance(0, 0))
	s.settle(settleLimit)
}

// TestRegistryRefuses gives the bridge a registry that hangs up on everybody. It must go on trying, and not as fast as it can.
func TestRegistryRefuses(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var attempts atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			attempts.Add(1)
			_ = conn.Close()
		}
	}()
	b := bridge.New(t, bridge.Options{Program: program, Servers: []string{listener.Addr().String()}})
	b.Start(t)
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	<-timer.C
	if n := attempts.Load(); n < 2 || n > 40 {
		t.Errorf("%d attempts in 20 s, want a few", n)
	}
	b.Stop(t)
}
