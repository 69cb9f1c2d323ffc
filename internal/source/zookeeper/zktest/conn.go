package zktest

import (
	"bufio"
	"net"
	"sync"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// conn is one connection of a client: one goroutine reads and serves requests, one writes what is queued.
type conn struct {
	net  net.Conn
	once sync.Once
	// done is closed when the connection is cut.
	done chan struct{}

	// session, ids and deaf are guarded by the server. A deaf connection is about to be closed: its requests are ignored.
	session *session
	ids     []identity
	deaf    bool

	mu    sync.Mutex
	queue []outgoing
	wake  chan struct{}
}

// outgoing is one frame to write.
type outgoing struct {
	frame []byte
	delay time.Duration
	// last closes the connection behind the frame.
	last bool
}

func newConn(nc net.Conn) *conn {
	c := &conn{net: nc, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	if host, _, err := net.SplitHostPort(nc.RemoteAddr().String()); err == nil {
		c.ids = []identity{{schemeIP, host}}
	}
	return c
}

// kill cuts the connection; what is queued is lost.
func (c *conn) kill() {
	c.once.Do(func() {
		close(c.done)
		_ = c.net.Close() // The peer sees the end; there is nobody to tell of an error.
	})
}

// hangUp closes the connection once everything queued is written.
func (c *conn) hangUp() {
	c.deaf = true
	c.push(outgoing{last: true})
}

// push queues a frame. It never blocks: a client that reads slowly costs memory.
func (c *conn) push(o outgoing) {
	c.mu.Lock()
	c.queue = append(c.queue, o)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *conn) take() []outgoing {
	c.mu.Lock()
	defer c.mu.Unlock()
	queue := c.queue
	c.queue = nil
	return queue
}

// serve reads and answers requests until the connection ends.
func (s *Server) serve(c *conn) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.detach(c)
	}()
	// A client that does not introduce itself is not waited for longer than the longest session.
	_ = c.net.SetReadDeadline(time.Now().Add(20 * s.opts.Tick)) // A failure shows at the read.
	in := bufio.NewReader(c.net)
	buf, err := wire.ReadFrame(in, nil, s.opts.MaxRequest)
	if err != nil {
		return
	}
	var hello wire.ConnectRequest
	if _, err = wire.Decode(buf, &hello); err != nil || !s.handshake(c, &hello) {
		return
	}
	_ = c.net.SetReadDeadline(time.Time{}) // From here the session's timeout counts.
	for {
		if buf, err = wire.ReadFrame(in, buf, s.opts.MaxRequest); err != nil {
			return
		}
		var h wire.RequestHeader
		body, err := wire.Decode(buf, &h)
		if err != nil {
			return
		}
		s.handle(c, h, body)
	}
}

// write sends what is queued until the connection ends.
func (s *Server) write(c *conn) {
	defer c.kill()
	w := bufio.NewWriterSize(c.net, 64<<10)
	for {
		for _, o := range c.take() {
			if !s.send(c, w, o) {
				return
			}
		}
		if w.Flush() != nil {
			return
		}
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
	}
}

// send writes one frame, and is false when the connection is at its end.
func (s *Server) send(c *conn, w *bufio.Writer, o outgoing) bool {
	if o.delay > 0 {
		if w.Flush() != nil {
			return false
		}
		timer := time.NewTimer(o.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.done:
			return false
		}
	}
	s.sent.Add(int64(len(o.frame)))
	if _, err := w.Write(o.frame); err != nil {
		return false
	}
	if o.last {
		_ = w.Flush() // The connection ends either way.
		return false
	}
	return true
}
