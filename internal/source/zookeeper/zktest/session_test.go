package zktest_test

import (
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// cut says whether the error is the end of a connection.
func cut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

func TestTimeoutIsNegotiated(t *testing.T) {
	s := start(t, zktest.Options{})
	for _, tt := range []struct{ wanted, got int32 }{{1, 500}, {700, 700}, {1 << 30, 5000}} {
		c, err := connect(t, s, wire.ConnectRequest{Timeout: tt.wanted})
		if err != nil {
			t.Fatal(err)
		}
		if c.session.Timeout != tt.got {
			t.Errorf("asked for %d ms: got %d, want %d", tt.wanted, c.session.Timeout, tt.got)
		}
		if c.session.HasReadOnly {
			t.Error("an old client was answered in the new form")
		}
	}
}

func TestASilentSessionExpires(t *testing.T) {
	s := start(t, zktest.Options{Tick: 50 * time.Millisecond})
	watcher := dial(t, s)
	watcher.must(wire.OpExists, &wire.ReadRequest{Path: "/"}, nil)
	watcher.must(wire.OpGetChildren, &wire.ReadRequest{Path: "/", Watch: true}, nil)
	silent, err := connect(t, s, wire.ConnectRequest{Timeout: 300})
	if err != nil {
		t.Fatal(err)
	}
	silent.create("/e", wire.ModeEphemeral)
	watcher.expect("NodeChildrenChanged /")
	watcher.must(wire.OpExists, &wire.ReadRequest{Path: "/e", Watch: true}, nil)
	var told []string
	eventually(t, "the ephemeral node goes", func() bool { // The pings keep the watcher's own session.
		told = append(told, watcher.told()...)
		return len(told) > 0
	})
	if want := []string{"NodeDeleted /e"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if err := silent.call(wire.OpPing, nil, nil); !cut(err) {
		t.Errorf("the silent client's connection: %v", err)
	}
	again, err := connect(t, s, wire.ConnectRequest{SessionID: silent.session.SessionID, Password: silent.session.Password})
	if err != nil {
		t.Fatal(err)
	}
	if want := (wire.ConnectResponse{Password: make([]byte, 16)}); !cmp.Equal(again.session, want) {
		t.Errorf("an expired session was answered %+v", again.session)
	}
}

func TestASessionOutlivesItsConnection(t *testing.T) {
	s := start(t, zktest.Options{})
	c := dial(t, s)
	c.create("/e", wire.ModeEphemeral)
	if n := s.DropConnections(); n != 1 {
		t.Errorf("%d connections were cut", n)
	}
	if err := c.call(wire.OpPing, nil, nil); !cut(err) {
		t.Errorf("the connection: %v", err)
	}
	hello := wire.ConnectRequest{Timeout: 60_000, SessionID: c.session.SessionID, Password: c.session.Password, LastZxidSeen: 2}
	again, err := connect(t, s, hello)
	if err != nil {
		t.Fatal(err)
	}
	if again.session.SessionID != c.session.SessionID {
		t.Errorf("got session %d, want %d", again.session.SessionID, c.session.SessionID)
	}
	again.must(wire.OpExists, &wire.ReadRequest{Path: "/e"}, nil)

	// A third connection takes the session from the second.
	third, err := connect(t, s, hello)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.call(wire.OpPing, nil, nil); !cut(err) {
		t.Errorf("the second connection: %v", err)
	}
	third.must(wire.OpPing, nil, nil)

	hello.Password = []byte("wrong")
	wrong, err := connect(t, s, hello)
	if err != nil || wrong.session.Timeout != 0 {
		t.Errorf("a wrong password was answered %+v, %v", wrong.session, err)
	}
}

func TestCloseRemovesEphemerals(t *testing.T) {
	s := start(t, zktest.Options{})
	a, b := dial(t, s), dial(t, s)
	a.create("/e", wire.ModeEphemeral)
	b.must(wire.OpGetData, &wire.ReadRequest{Path: "/e", Watch: true}, nil)
	b.must(wire.OpGetChildren2, &wire.ReadRequest{Path: "/", Watch: true}, nil)
	a.must(wire.OpCloseSession, nil, nil)
	b.expect("NodeDeleted /e", "NodeChildrenChanged /")
	if err := a.call(wire.OpPing, nil, nil); !cut(err) {
		t.Errorf("the closed connection: %v", err)
	}
	if got := s.Sessions(); len(got) != 1 || got[0].ID != b.session.SessionID || !got[0].Connected {
		t.Errorf("sessions %+v", got)
	}
}

func TestExpireSessions(t *testing.T) {
	s := start(t, zktest.Options{})
	a, b := dial(t, s), dial(t, s)
	a.create("/e", wire.ModeEphemeral)
	if got := s.Sessions()[0].Ephemerals; !slices.Equal(got, []string{"/e"}) {
		t.Errorf("ephemerals %q", got)
	}
	b.must(wire.OpExists, &wire.ReadRequest{Path: "/e", Watch: true}, nil)
	if !s.ExpireSession(a.session.SessionID) || s.ExpireSession(a.session.SessionID) {
		t.Error("a session expires once")
	}
	b.expect("NodeDeleted /e")
	if n := s.ExpireSessions(); n != 1 {
		t.Errorf("%d sessions expired", n)
	}
	if err := b.call(wire.OpPing, nil, nil); !cut(err) {
		t.Errorf("the connection: %v", err)
	}
}

func TestOutageKeepsDataAndSessions(t *testing.T) {
	s := start(t, zktest.Options{})
	c := dial(t, s)
	c.create("/e", wire.ModeEphemeral)
	addr := s.Addr()
	s.Stop()
	s.Stop() // It does no harm.
	if err := s.Create("/meanwhile", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err == nil {
		t.Error("a running server was started")
	}
	if s.Addr() != addr {
		t.Errorf("the address changed from %s to %s", addr, s.Addr())
	}
	again, err := connect(t, s, wire.ConnectRequest{SessionID: c.session.SessionID, Password: c.session.Password, Timeout: 60_000})
	if err != nil || again.session.SessionID != c.session.SessionID {
		t.Fatalf("the session is gone: %+v, %v", again.session, err)
	}
	again.must(wire.OpExists, &wire.ReadRequest{Path: "/e"}, nil)
	again.must(wire.OpExists, &wire.ReadRequest{Path: "/meanwhile"}, nil)
}

func TestAWipedServerRefusesWhoHasSeenMore(t *testing.T) {
	s := start(t, zktest.Options{})
	c := dial(t, s)
	c.create("/a", wire.ModePersistent)
	seen := c.header.Zxid
	s.Stop()
	s.Wipe()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := connect(t, s, wire.ConnectRequest{SessionID: c.session.SessionID, Password: c.session.Password, LastZxidSeen: seen})
	if !cut(err) {
		t.Errorf("the handshake: %v", err)
	}
	if got := s.Stats().Refused; got != 1 {
		t.Errorf("%d refusals were counted", got)
	}
	fresh := dial(t, s)
	fresh.fails(wire.OpExists, &wire.ReadRequest{Path: "/a"}, wire.CodeNoNode)
	if fresh.session.SessionID == c.session.SessionID {
		t.Error("a session id was given twice")
	}
}

func TestTheEndOfTheContextStops(t *testing.T) {
	s := zktest.New(zktest.Options{})
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)
	s.Stop()
	if err := c.call(wire.OpPing, nil, nil); !cut(err) {
		t.Errorf("the connection: %v", err)
	}
}
