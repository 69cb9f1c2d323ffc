package proxy_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/e2e/faults/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// frame is a frame of ZooKeeper's protocol: length, transaction id, content.
func frame(xid int32, content string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(4+len(content)))
	b = binary.BigEndian.AppendUint32(b, uint32(xid))
	return append(b, content...)
}

// server sends the greeting to each client, then answers each request (4 bytes, a transaction id) with a frame of this id.
func server(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

func serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(frame(0, "welcome")); err != nil {
		return
	}
	request := make([]byte, 4)
	for {
		if _, err := io.ReadFull(conn, request); err != nil {
			return
		}
		if _, err := conn.Write(frame(int32(binary.BigEndian.Uint32(request)), "0123456789")); err != nil {
			return
		}
	}
}

// client is a connection through the proxy.
type client struct {
	t    *testing.T
	conn net.Conn
}

func dial(t *testing.T, p *proxy.Proxy) *client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t: t, conn: conn}
	c.want("welcome")
	return c
}

func (c *client) ask(xid int32) {
	c.t.Helper()
	if _, err := c.conn.Write(binary.BigEndian.AppendUint32(nil, uint32(xid))); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the content of the next frame, or what could be read of the frame and why the rest could not.
func (c *client) read(patience time.Duration) ([]byte, error) {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.conn, head); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head))
	n, err := io.ReadFull(c.conn, body)
	return body[min(4, n):n], err
}

func (c *client) want(content string) {
	c.t.Helper()
	got, err := c.read(10 * time.Second)
	if err != nil || string(got) != content {
		c.t.Fatalf("read %q, %v; want %q", got, err, content)
	}
}

func start(t *testing.T, f proxy.Fault) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Start(server(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.Prepare(f); err != nil {
		t.Fatal(err)
	}
	return p
}

func arm(t *testing.T, p *proxy.Proxy, f proxy.Fault) <-chan struct{} {
	t.Helper()
	fired, err := p.Arm(f)
	if err != nil {
		t.Fatal(err)
	}
	return fired
}

func TestHarms(t *testing.T) {
	tests := []struct {
		harm proxy.Harm
		// content is what arrives of the answer, and err how the connection ends behind it; none if it goes on.
		content string
		err     error
	}{
		{harm: proxy.Cut, err: io.EOF},
		{harm: proxy.Truncate, content: "0", err: io.ErrUnexpectedEOF},
		{harm: proxy.Reset, content: "0", err: syscall.ECONNRESET},
		{harm: proxy.Short, content: "012"},
		{harm: proxy.Delay, content: "0123456789"},
	}
	for _, tt := range tests {
		t.Run(string(tt.harm), func(t *testing.T) {
			f := proxy.Fault{Harm: tt.harm, Phase: proxy.Watch, Hold: 200 * time.Millisecond}
			p := start(t, f)
			c := dial(t, p)
			fired := arm(t, p, f)
			c.ask(1)
			c.want("0123456789")
			c.ask(-1)
			begin := time.Now()
			content, err := c.read(10 * time.Second)
			<-fired
			if tt.err != nil && !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Errorf("the answer ends with %v, want %v", err, tt.err)
			}
			if string(content) != tt.content {
				t.Errorf("%q arrived, want %q", content, tt.content)
			}
			if tt.harm == proxy.Delay && time.Since(begin) < f.Hold {
				t.Errorf("the answer came after %s", time.Since(begin))
			}
			again := dial(t, p)
			again.ask(-1)
			again.want("0123456789")
		})
	}
}

func TestHalfOpen(t *testing.T) {
	f := proxy.Fault{Harm: proxy.HalfOpen, Phase: proxy.Watch}
	p := start(t, f)
	c := dial(t, p)
	other := dial(t, p)
	fired := arm(t, p, f)
	c.ask(-1)
	<-fired
	c.ask(1)
	var timeout net.Error
	if content, err := c.read(200 * time.Millisecond); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read %q, %v; want silence", content, err)
	}
	other.ask(1)
	other.want("0123456789")
}

func TestPhases(t *testing.T) {
	t.Run("listing", func(t *testing.T) {
		f := proxy.Fault{Harm: proxy.Cut, Phase: proxy.Listing, Skip: 2}
		p := start(t, f)
		before := dial(t, p)
		fired := arm(t, p, f)
		if _, err := before.read(10 * time.Second); err == nil {
			t.Error("the client need not list again")
		}
		c := dial(t, p)
		for range 2 {
			c.ask(1)
			c.want("0123456789")
			c.ask(-2) // the answer to a ping does not count
			c.want("0123456789")
		}
		c.ask(1)
		if _, err := c.read(10 * time.Second); !errors.Is(err, io.EOF) {
			t.Errorf("the third answer ends with %v", err)
		}
		<-fired
	})
	t.Run("single read", func(t *testing.T) {
		f := proxy.Fault{Harm: proxy.Cut, Phase: proxy.Read}
		p := start(t, f)
		c := dial(t, p)
		fired := arm(t, p, f)
		c.ask(1) // no event was seen yet
		c.want("0123456789")
		c.ask(-1)
		c.want("0123456789")
		c.ask(2)
		if _, err := c.read(10 * time.Second); !errors.Is(err, io.EOF) {
			t.Errorf("the read ends with %v", err)
		}
		<-fired
	})
	t.Run("disarmed", func(t *testing.T) {
		f := proxy.Fault{Harm: proxy.Cut, Phase: proxy.Watch}
		p := start(t, f)
		c := dial(t, p)
		arm(t, p, f)
		p.Disarm()
		c.ask(-1)
		c.want("0123456789")
	})
}
