package transcript_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// TestProtocol sends the same frames to both servers, among them those that no library sends, and compares every answer.
func TestProtocol(t *testing.T) {
	t.Parallel()
	want := strings.Split(bareTranscript(t, startActual(t).addr()), "\n")
	got := strings.Split(bareTranscript(t, startFake(t).addr()), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the answers differ (-real +fake):\n%s", diff)
	}
}

// bare is a client without a library.
type bare struct {
	t    *testing.T
	addr string
	out  strings.Builder
	// first is the transaction of the first answer; others are counted from it.
	first    int64
	sessions []int64
}

func bareTranscript(t *testing.T, addr string) string {
	t.Helper()
	b := &bare{t: t, addr: addr}
	for _, part := range []struct {
		name string
		do   func()
	}{
		{"handshakes", b.handshakes},
		{"nodes", b.nodes},
		{"paths", b.paths},
		{"reads", b.reads},
		{"watches", b.watches},
		{"identities", b.identities},
		{"unknown and malformed requests", b.malformed},
	} {
		fmt.Fprintf(&b.out, "# %s\n", part.name)
		part.do()
	}
	return b.out.String()
}

// session is one connection.
type session struct {
	*bare

	conn net.Conn
	in   *bufio.Reader
	xid  int32
	resp wire.ConnectResponse
}

// open connects, and writes down the answer to the handshake.
func (b *bare) open(hello wire.ConnectRequest) *session {
	b.t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(b.t.Context(), "tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		b.t.Fatal(err)
	}
	s := &session{bare: b, conn: conn, in: bufio.NewReader(conn)}
	s.write(&hello)
	body, err := wire.ReadFrame(s.in, nil, 1<<20)
	if err != nil {
		b.note("handshake: %s", end(err))
		return s
	}
	if _, err := wire.Decode(body, &s.resp); err != nil {
		b.t.Fatal(err)
	}
	b.note("handshake: timeout %d, %s, password of %d bytes, all zero %v, read-only %v (sent %v)", s.resp.Timeout, b.session(s.resp.SessionID),
		len(s.resp.Password), !slices.ContainsFunc(s.resp.Password, func(c byte) bool { return c != 0 }), s.resp.ReadOnly, s.resp.HasReadOnly)
	return s
}

// fresh opens a new session.
func (b *bare) fresh() *session {
	b.t.Helper()
	return b.open(wire.ConnectRequest{Timeout: 10_000, HasReadOnly: true})
}

func (b *bare) note(format string, args ...any) { fmt.Fprintf(&b.out, format+"\n", args...) }

// session names the id of a session.
func (b *bare) session(id int64) string {
	if id == 0 {
		return "no session"
	}
	if !slices.Contains(b.sessions, id) {
		b.sessions = append(b.sessions, id)
	}
	return fmt.Sprintf("session %d", slices.Index(b.sessions, id))
}

// zxid counts a transaction from the first.
func (b *bare) zxid(id int64) int64 {
	if id <= 0 {
		return id
	}
	if b.first == 0 {
		b.first = id - 1000
	}
	return id - b.first
}

// end says that the connection ended, however it did.
func end(err error) string {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "nothing"
	}
	return "the end of the connection"
}

func (s *session) write(records ...wire.Record) {
	_, _ = s.conn.Write(wire.AppendFrame(nil, records...)) // That the connection has ended shows at the next read.
}

// call sends a request and writes down everything up to its answer.
func (s *session) call(op wire.Op, req, resp wire.Record) {
	s.t.Helper()
	s.xid++
	records := []wire.Record{&wire.RequestHeader{Xid: s.xid, Op: op}}
	if req != nil {
		records = append(records, req)
	}
	s.note("> %v %s", op, asked(req))
	s.write(records...)
	s.receive(resp)
}

// asked prints a request.
func asked(req wire.Record) string {
	multi, ok := req.(*wire.MultiRequest)
	if !ok {
		return fmt.Sprintf("%+v", req)
	}
	parts := make([]string, 0, len(multi.Ops))
	for _, op := range multi.Ops {
		parts = append(parts, fmt.Sprintf("%v %+v", op.Op, op.Request))
	}
	return strings.Join(parts, "; ")
}

// receive writes down everything up to the next answer.
func (s *session) receive(resp wire.Record) {
	s.t.Helper()
	for {
		body, err := wire.ReadFrame(s.in, nil, 1<<24)
		if err != nil {
			s.note("  %s", end(err))
			return
		}
		var h wire.ReplyHeader
		rest, err := wire.Decode(body, &h)
		if err != nil {
			s.t.Fatal(err)
		}
		if h.Xid == wire.XidNotification {
			var e wire.WatcherEvent
			rest, err = wire.Decode(rest, &e)
			s.note("  event %v %s, state %d, zxid %d, %d bytes left, %v", e.Type, e.Path, e.State, s.zxid(h.Zxid), len(rest), err)
			continue
		}
		s.note("  xid %d, zxid %d, %v", h.Xid, s.zxid(h.Zxid), h.Err.Err())
		if resp != nil && h.Err == wire.CodeOK {
			rest, err = wire.Decode(rest, resp)
			s.note("  %s", s.show(resp))
		}
		s.note("  %d bytes left, %v", len(rest), err)
		return
	}
}

// show prints a response without what differs from run to run.
func (s *session) show(r wire.Record) string {
	switch r := r.(type) {
	case *wire.Stat:
		return s.stat(r)
	case *wire.Create2Response:
		return r.Path + " " + s.stat(&r.Stat)
	case *wire.GetDataResponse:
		return fmt.Sprintf("%#v %s", r.Data, s.stat(&r.Stat))
	case *wire.ChildrenResponse:
		slices.Sort(r.Children)
		return fmt.Sprintf("%q", r.Children)
	case *wire.Children2Response:
		slices.Sort(r.Children)
		return fmt.Sprintf("%q %s", r.Children, s.stat(&r.Stat))
	case *wire.GetACLResponse:
		return fmt.Sprintf("%+v %s", r.ACL, s.stat(&r.Stat))
	case *wire.WhoAmIResponse:
		slices.SortFunc(r.Identities, func(a, b wire.ClientInfo) int { return strings.Compare(a.Scheme+a.User, b.Scheme+b.User) })
		return fmt.Sprintf("%+v", r.Identities)
	case *wire.MultiResponse:
		var parts []string
		for _, result := range r.Results {
			part := result.Op.String()
			if result.Response != nil {
				part += " " + s.show(result.Response)
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, "; ")
	default:
		return fmt.Sprintf("%+v", r)
	}
}

func (s *session) stat(st *wire.Stat) string {
	return fmt.Sprintf("{czxid %d, mzxid %d, pzxid %d, times %v, versions %d %d %d, %s, length %d, children %d}",
		s.zxid(st.Czxid), s.zxid(st.Mzxid), s.zxid(st.Pzxid), st.Ctime > 0 && st.Mtime >= st.Ctime,
		st.Version, st.Cversion, st.Aversion, s.session(st.EphemeralOwner), st.DataLength, st.NumChildren)
}
