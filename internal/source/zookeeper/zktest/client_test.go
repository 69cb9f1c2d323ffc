package zktest_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// start runs a server until the end of the test. Its sessions last longer than a busy machine stalls.
func start(t *testing.T, opts zktest.Options) *zktest.Server {
	t.Helper()
	if opts.Tick == 0 {
		opts.Tick = 250 * time.Millisecond
	}
	s := zktest.New(opts)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// raw is a client that sends and sees exactly what is on the wire.
type raw struct {
	t       *testing.T
	net     net.Conn
	in      *bufio.Reader
	xid     int32
	session wire.ConnectResponse
	// events are those that came before the last reply.
	events []wire.WatcherEvent
	header wire.ReplyHeader
}

// dial opens a connection for a new session.
func dial(t *testing.T, s *zktest.Server) *raw {
	t.Helper()
	r, err := connect(t, s, wire.ConnectRequest{Timeout: 60_000, HasReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// connect opens a connection. The error is that of the handshake.
func connect(t *testing.T, s *zktest.Server, hello wire.ConnectRequest) (*raw, error) {
	t.Helper()
	var d net.Dialer
	nc, err := d.DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return shake(t, nc, hello)
}

func shake(t *testing.T, nc net.Conn, hello wire.ConnectRequest) (*raw, error) {
	t.Helper()
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	r := &raw{t: t, net: nc, in: bufio.NewReader(nc)}
	if _, err := nc.Write(wire.AppendFrame(nil, &hello)); err != nil {
		return nil, err
	}
	body, err := wire.ReadFrame(r.in, nil, 1<<20)
	if err != nil {
		return nil, err
	}
	_, err = wire.Decode(body, &r.session)
	return r, err
}

// send writes a request.
func (r *raw) send(op wire.Op, req wire.Record) error {
	r.xid++
	records := []wire.Record{&wire.RequestHeader{Xid: r.xid, Op: op}}
	if req != nil {
		records = append(records, req)
	}
	_, err := r.net.Write(wire.AppendFrame(nil, records...))
	return err
}

// receive reads up to the next reply, and keeps the events before it.
func (r *raw) receive(resp wire.Record) error {
	r.events = nil
	for {
		body, err := wire.ReadFrame(r.in, nil, 64<<20)
		if err != nil {
			return err
		}
		rest, err := wire.Decode(body, &r.header)
		if err != nil {
			return err
		}
		if r.header.Xid == wire.XidNotification {
			var e wire.WatcherEvent
			if _, err = wire.Decode(rest, &e); err != nil {
				return err
			}
			r.events = append(r.events, e)
			continue
		}
		if r.header.Err != wire.CodeOK {
			return r.header.Err
		}
		if resp == nil {
			return nil
		}
		_, err = wire.Decode(rest, resp)
		return err
	}
}

// call is send and receive.
func (r *raw) call(op wire.Op, req, resp wire.Record) error {
	if err := r.send(op, req); err != nil {
		return err
	}
	return r.receive(resp)
}

// must is call without an error.
func (r *raw) must(op wire.Op, req, resp wire.Record) {
	r.t.Helper()
	if err := r.call(op, req, resp); err != nil {
		r.t.Fatalf("%s %v: %v", op, req, err)
	}
}

// fails is call with an error.
func (r *raw) fails(op wire.Op, req wire.Record, want wire.Code) {
	r.t.Helper()
	if err := r.call(op, req, nil); !errors.Is(err, want) {
		r.t.Errorf("%s %v: got %v, want %v", op, req, err, want)
	}
}

// create makes a node that everybody may use.
func (r *raw) create(path string, mode wire.CreateMode) string {
	r.t.Helper()
	var resp wire.PathRecord
	r.must(wire.OpCreate, &wire.CreateRequest{Path: path, ACL: wire.WorldAll(), Mode: mode}, &resp)
	return resp.Path
}

// told are the events that came so far, as "NodeCreated /a". The server answers a ping behind them.
func (r *raw) told() []string {
	r.t.Helper()
	r.must(wire.OpPing, nil, nil)
	var out []string
	for _, e := range r.events {
		out = append(out, e.Type.String()+" "+e.Path)
	}
	return out
}

// expect compares the events that came with those that should have.
func (r *raw) expect(want ...string) {
	r.t.Helper()
	if got := r.told(); !slices.Equal(got, want) {
		r.t.Errorf("told %q, want %q", got, want)
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
