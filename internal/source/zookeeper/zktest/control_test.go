package zktest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

func TestTheServersOwnChanges(t *testing.T) {
	s := start(t, zktest.Options{})
	c := dial(t, s)
	c.must(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/", Mode: wire.WatchPersistentRecursive}, nil)
	for _, err := range []error{
		s.Create("/a/b/c", []byte("1")), s.Create("/a/b/d", nil), s.SetData("/a/b/c", []byte("2")), s.Delete("/a"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c.expect("NodeCreated /a", "NodeCreated /a/b", "NodeCreated /a/b/c", "NodeCreated /a/b/d", "NodeDataChanged /a/b/c",
		"NodeDeleted /a/b/d", "NodeDeleted /a/b/c", "NodeDeleted /a/b", "NodeDeleted /a")
	if err := s.Create("/x", []byte("1")); err != nil {
		t.Fatal(err)
	}
	data, err := s.Data("/x")
	if err != nil || string(data) != "1" {
		t.Errorf("data %q, %v", data, err)
	}
	names, err := s.Children("/")
	if want := []string{"x", "zookeeper"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("children %q, %v", names, err)
	}
	_, noData := s.Data("/y")
	_, noChildren := s.Children("/y")
	for _, err := range []error{s.Delete("/y"), s.SetData("/y", nil), s.SetACL("/y", wire.WorldAll()...), noData, noChildren} {
		if !errors.Is(err, wire.CodeNoNode) {
			t.Errorf("got %v", err)
		}
	}
	if err := s.Create("/x", nil); !errors.Is(err, wire.CodeNodeExists) {
		t.Errorf("got %v", err)
	}
	if err := s.Create("", nil); err == nil {
		t.Error("no path was created")
	}
}

// certificate is a self-signed one for the loopback address.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLS(t *testing.T) {
	cert, pool := certificate(t)
	s := start(t, zktest.Options{TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}})
	d := tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	nc, err := d.DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c, err := shake(t, nc, wire.ConnectRequest{Timeout: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	c.create("/n", wire.ModePersistent)
}

// quiet throws the log of the client away.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// goClient is a client of github.com/go-zookeeper/zk.
func goClient(t *testing.T, s *zktest.Server) (*zk.Conn, <-chan zk.Event) {
	t.Helper()
	c, events, err := zk.Connect([]string{s.Addr()}, 5*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, events
}

// await reads events until one has the state.
func await(t *testing.T, events <-chan zk.Event, state zk.State) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case e := <-events:
			if e.State == state {
				return
			}
		case <-timer.C:
			t.Fatalf("the client did not come to %v", state)
		}
	}
}

// next is the next event of a watch.
func next(t *testing.T, watch <-chan zk.Event) zk.Event {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case e := <-watch:
		return e
	case <-timer.C:
		t.Fatal("the watch did not fire")
		return zk.Event{}
	}
}

func TestGoZookeeper(t *testing.T) {
	s := start(t, zktest.Options{})
	c, _ := goClient(t, s)
	if _, err := c.Create("/n", []byte("1"), 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create("/n", nil, 0, zk.WorldACL(zk.PermAll)); !errors.Is(err, zk.ErrNodeExists) {
		t.Errorf("got %v", err)
	}
	path, err := c.CreateProtectedEphemeralSequential("/n/s-", nil, zk.WorldACL(zk.PermAll))
	if err != nil {
		t.Fatal(err)
	}
	names, stat, children, err := c.ChildrenW("/n")
	if err != nil || len(names) != 1 || "/n/"+names[0] != path || stat.NumChildren != 1 {
		t.Fatalf("children %q, %+v, %v", names, stat, err)
	}
	if err := c.Delete(path, -1); err != nil {
		t.Fatal(err)
	}
	if e := next(t, children); e.Type != zk.EventNodeChildrenChanged || e.Path != "/n" {
		t.Errorf("event %+v", e)
	}
	if _, err := c.Set("/n", []byte("2"), 3); !errors.Is(err, zk.ErrBadVersion) {
		t.Errorf("got %v", err)
	}
	results, err := c.Multi(&zk.SetDataRequest{Path: "/n", Data: []byte("2"), Version: 0}, &zk.CheckVersionRequest{Path: "/n", Version: 1})
	if err != nil || len(results) != 2 {
		t.Errorf("multi %+v, %v", results, err)
	}
	if err := c.AddAuth("digest", []byte("u:p")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetACL("/n", zk.DigestACL(zk.PermAll, "u", "p"), -1); err != nil {
		t.Fatal(err)
	}
	if data, _, err := c.Get("/n"); err != nil || string(data) != "2" {
		t.Errorf("data %q, %v", data, err)
	}
}

func TestGoZookeeperComesBackAfterAnOutage(t *testing.T) {
	s := start(t, zktest.Options{})
	if err := s.Create("/n/c", nil); err != nil {
		t.Fatal(err)
	}
	c, events := goClient(t, s)
	await(t, events, zk.StateHasSession)
	_, _, children, err := c.ChildrenW("/n")
	if err != nil {
		t.Fatal(err)
	}
	id := c.SessionID()
	s.Stop()
	await(t, events, zk.StateDisconnected)
	if err := s.Delete("/n/c"); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := next(t, children); e.Type != zk.EventNodeChildrenChanged || c.SessionID() != id {
		t.Errorf("event %+v in session %d, was %d", e, c.SessionID(), id)
	}
	s.ExpireSessions()
	await(t, events, zk.StateExpired)
	await(t, events, zk.StateHasSession)
}
