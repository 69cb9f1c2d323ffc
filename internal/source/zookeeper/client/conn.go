package client

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

const (
	// headerSize is a frame's length and a reply header: what tells whom an answer is for.
	headerSize = 4 + 16
	// keepBuffer is the largest read buffer that is kept for the next frame.
	keepBuffer = 1 << 20
	// closeTimeout bounds the farewell, which is a courtesy.
	closeTimeout = 200 * time.Millisecond
)

// Conn is one connection with a session of its own. Its requests return at once; the functions that they are given are called
// exactly once, from the connection's goroutine and in the server's order, or with the error when the connection fails or has failed.
// They must not block. Methods may be called from any goroutine.
type Conn struct {
	nc     net.Conn
	in     *bufio.Reader
	opts   Options
	watch  func(Event)
	idle   atomic.Int64 // The longest silence that is accepted, a time.Duration.
	zxid   atomic.Int64
	done   chan struct{} // Closed with err when the connection has failed or is closed.
	err    error
	closed atomic.Bool
	wg     sync.WaitGroup

	writing sync.Mutex // Guards out and xid, and keeps pending in the order of what is written. Taken before mu.
	xid     int32
	out     []byte

	mu      sync.Mutex // Guards what follows.
	pending []request
	ended   bool
}

// request is one that waits for its answer. reply gets the body of the answer or why there is none.
type request struct {
	xid   int32
	reply func(body []byte, err error)
}

func newConn(nc net.Conn, opts Options, s settings) *Conn {
	c := &Conn{nc: nc, opts: opts, watch: s.watch, done: make(chan struct{})}
	c.zxid.Store(s.zxid)
	c.idle.Store(int64(opts.ConnectTimeout))
	c.in = bufio.NewReaderSize(timedReader{c}, 64<<10)
	return c
}

// timedReader fails when nothing at all arrives for the accepted silence, so that a large answer may take its time.
type timedReader struct{ c *Conn }

func (r timedReader) Read(p []byte) (int, error) {
	if err := r.c.nc.SetReadDeadline(time.Now().Add(time.Duration(r.c.idle.Load()))); err != nil {
		return 0, err
	}
	return r.c.nc.Read(p)
}

// handshake opens the session and authenticates. It returns the negotiated session timeout.
func (c *Conn) handshake(s settings, want time.Duration) (time.Duration, error) {
	frame := wire.AppendFrame(nil, &wire.ConnectRequest{
		LastZxidSeen: s.zxid, Timeout: int32(min(want.Milliseconds(), 1<<30)), //nolint:gosec // bounded by min
		Password: make([]byte, 16), HasReadOnly: true,
	})
	if err := c.write(frame); err != nil {
		return 0, err
	}
	body, err := wire.ReadFrame(c.in, nil, wire.DefaultMaxFrame)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return 0, ErrHandshakeRefused
	}
	if err != nil {
		return 0, fmt.Errorf("handshake: %w", classed(err))
	}
	var answer wire.ConnectResponse
	if _, err := wire.Decode(body, &answer); err != nil {
		return 0, fmt.Errorf("handshake: %w", classed(err))
	}
	if answer.Timeout <= 0 {
		return 0, ErrHandshakeRefused
	}
	if s.digest != nil {
		if err := c.authenticate(s.digest); err != nil {
			return 0, fmt.Errorf("authenticate: %w", err)
		}
	}
	return time.Duration(answer.Timeout) * time.Millisecond, nil
}

func (c *Conn) authenticate(digest []byte) error {
	frame := wire.AppendFrame(nil, &wire.RequestHeader{Xid: wire.XidAuth, Op: wire.OpAuth}, &wire.AuthRequest{Scheme: "digest", Auth: digest})
	if err := c.write(frame); err != nil {
		return err
	}
	body, err := wire.ReadFrame(c.in, nil, wire.DefaultMaxFrame)
	if err != nil {
		return classed(err)
	}
	var header wire.ReplyHeader
	if _, err := wire.Decode(body, &header); err != nil {
		return classed(err)
	}
	if header.Err != wire.CodeOK {
		return fmt.Errorf("%w: %w", source.ErrUnauthorized, header.Err)
	}
	return nil
}

// start begins to read and to ping.
func (c *Conn) start(timeout time.Duration) {
	c.idle.Store(int64(timeout * 2 / 3))
	c.wg.Go(c.readLoop)
	c.wg.Go(func() { c.pingLoop(timeout / 3) })
}

// Done is closed when the connection has ended; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection ended, nil while it lives. It wraps source.ErrUnavailable or source.ErrMalformed, or is ErrClosed.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Zxid is the newest transaction that the server has shown.
func (c *Conn) Zxid() int64 { return c.zxid.Load() }

// Close ends the session and waits for the connection's goroutines. Requests that are still open are answered with ErrClosed.
func (c *Conn) Close() {
	c.closed.Store(true)
	c.writing.Lock()
	if c.Err() == nil {
		c.out = wire.AppendFrame(c.out[:0], &wire.RequestHeader{Xid: c.xid + 1, Op: wire.OpCloseSession})
		_ = c.nc.SetWriteDeadline(time.Now().Add(closeTimeout))
		_, _ = c.nc.Write(c.out) // Without it the session ends by its timeout.
	}
	c.writing.Unlock()
	_ = c.nc.Close()
	c.wg.Wait()
}

// Children reads the names below path, in no order. With watch, a one-shot watch stays behind that reports the next change of the
// list, or the deletion of the node. The names share the memory of the whole answer: clone those that are kept.
func (c *Conn) Children(path string, watch bool, reply func(names []string, err error)) {
	c.send(wire.OpGetChildren, &wire.ReadRequest{Path: c.full(path), Watch: watch}, func(body []byte, err error) {
		var answer wire.ChildrenResponse
		if err == nil {
			_, err = wire.Decode(body, &answer)
		}
		reply(answer.Children, err)
	})
}

// Data reads the data of a node. With watch, a one-shot watch stays behind that reports the next change of the data, or the deletion of
// the node.
func (c *Conn) Data(path string, watch bool, reply func(data []byte, err error)) {
	c.send(wire.OpGetData, &wire.ReadRequest{Path: c.full(path), Watch: watch}, func(body []byte, err error) {
		var answer wire.GetDataResponse
		if err == nil {
			_, err = wire.Decode(body, &answer)
		}
		reply(answer.Data, err)
	})
}

// WatchExists leaves a one-shot watch that reports when path is created, deleted or changed; err is wire.CodeNoNode while it does
// not exist, which is no reason to send it again.
func (c *Conn) WatchExists(path string, reply func(err error)) {
	c.send(wire.OpExists, &wire.ReadRequest{Path: c.full(path), Watch: true}, func(_ []byte, err error) { reply(err) })
}

// WatchTree leaves a persistent recursive watch on path, which need not exist. Servers before 3.6 do not know it; CannotWatchTree
// recognises their answers.
func (c *Conn) WatchTree(path string, reply func(err error)) {
	r := &wire.AddWatchRequest{Path: c.full(path), Mode: wire.WatchPersistentRecursive}
	c.send(wire.OpAddWatch, r, func(_ []byte, err error) { reply(err) })
}

// CannotWatchTree says whether err is how a server refuses a persistent recursive watch that it does not support. A server before
// 3.6 closes the connection after that answer.
func CannotWatchTree(err error) bool {
	var code wire.Code
	if !errors.As(err, &code) {
		return false
	}
	// The last one is the answer of a server whose watch manager is WatchManagerOptimized.
	return code == wire.CodeUnimplemented || code == wire.CodeBadArguments || code == wire.CodeMarshallingError
}

func (c *Conn) full(path string) string {
	if c.opts.Chroot == "" {
		return path
	}
	return c.opts.Chroot + strings.TrimSuffix(path, "/")
}

// relative is the inverse of full.
func (c *Conn) relative(path string) string {
	if rest := strings.TrimPrefix(path, c.opts.Chroot); rest != "" {
		return rest
	}
	return "/"
}

// send queues the request and writes it. A failure to write ends the connection, and the reader answers all requests.
func (c *Conn) send(op wire.Op, r wire.Record, reply func(body []byte, err error)) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.xid = max(c.xid+1, 1)
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		reply(nil, c.err)
		return
	}
	c.pending = append(c.pending, request{c.xid, reply})
	c.mu.Unlock()
	c.out = wire.AppendFrame(c.out[:0], &wire.RequestHeader{Xid: c.xid, Op: op}, r)
	if err := c.write(c.out); err != nil {
		_ = c.nc.Close()
	}
}

func (c *Conn) write(frame []byte) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(time.Duration(c.idle.Load()))); err != nil {
		return err
	}
	_, err := c.nc.Write(frame)
	return err
}

// pingLoop keeps the session alive and makes a dead connection notice itself.
func (c *Conn) pingLoop(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	frame := wire.AppendFrame(nil, &wire.RequestHeader{Xid: wire.XidPing, Op: wire.OpPing})
	for {
		select {
		case <-c.done:
			return
		case <-ticker.C:
		}
		c.writing.Lock()
		err := c.write(frame)
		c.writing.Unlock()
		if err != nil {
			_ = c.nc.Close() // The reader notices and reports.
			return
		}
	}
}

// readLoop hands every frame to whom it is for until the connection fails, then answers what is left with the reason.
func (c *Conn) readLoop() {
	var buf []byte
	var err error
	for err == nil {
		buf, err = c.readFrame(buf)
	}
	_ = c.nc.Close()
	if c.closed.Load() {
		err = ErrClosed
	}
	c.mu.Lock()
	c.err, c.ended = classed(err), true
	pending := c.pending
	c.pending = nil
	c.mu.Unlock()
	for _, r := range pending {
		r.reply(nil, c.err)
	}
	close(c.done)
}

// readFrame reads and dispatches one frame; buf is memory to use, and what it returns is for the next call.
func (c *Conn) readFrame(buf []byte) ([]byte, error) {
	head, err := c.in.Peek(4)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head))
	if size < headerSize-4 || size > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %d", wire.ErrFrameSize, size)
	}
	if head, err = c.in.Peek(headerSize); err != nil {
		return nil, err
	}
	var header wire.ReplyHeader
	if _, err := wire.Decode(head[4:], &header); err != nil {
		return nil, err
	}
	if size > c.opts.MaxReply {
		if _, err := c.in.Discard(4 + size); err != nil {
			return nil, err
		}
		return buf, c.dispatch(header, nil, fmt.Errorf("%w: %d bytes, limit %d", ErrReplyTooLarge, size, c.opts.MaxReply))
	}
	body, err := wire.ReadFrame(c.in, buf, c.opts.MaxReply)
	if err != nil {
		return nil, err
	}
	if err := c.dispatch(header, body[headerSize-4:], header.Err.Err()); err != nil {
		return nil, err
	}
	if cap(body) > keepBuffer {
		return nil, nil
	}
	return body, nil
}

// dispatch hands an answer to its request or an event to the watcher. Its error is that of the connection.
func (c *Conn) dispatch(header wire.ReplyHeader, body []byte, err error) error {
	if header.Zxid > c.zxid.Load() {
		c.zxid.Store(header.Zxid)
	}
	switch header.Xid {
	case wire.XidPing:
		return nil
	case wire.XidNotification:
		var event wire.WatcherEvent
		if _, err := wire.Decode(body, &event); err != nil {
			return err
		}
		c.watch(Event{Type: event.Type, Path: c.relative(event.Path)})
		return nil
	}
	c.mu.Lock()
	if len(c.pending) == 0 || c.pending[0].xid != header.Xid {
		c.mu.Unlock()
		return fmt.Errorf("%w: answer to request %d out of turn", source.ErrMalformed, header.Xid)
	}
	next := c.pending[0]
	c.pending = c.pending[1:]
	c.mu.Unlock()
	if err != nil {
		body = nil
	}
	next.reply(body, err)
	return nil
}

// classed puts a failure of the connection into one of the classes of package source.
func classed(err error) error {
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, source.ErrMalformed), errors.Is(err, source.ErrUnavailable):
		return err
	case errors.Is(err, wire.ErrMalformed), errors.Is(err, wire.ErrFrameSize):
		return fmt.Errorf("%w: %w", source.ErrMalformed, err)
	default:
		return fmt.Errorf("%w: %w", source.ErrUnavailable, err)
	}
}
