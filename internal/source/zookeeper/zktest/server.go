// Package zktest is a ZooKeeper server inside the process, for tests and demonstrations. It speaks the real client protocol over
// TCP or TLS, so that any client meets it as it would meet ZooKeeper: sessions that expire, watches of every kind with the order
// of events that ZooKeeper promises, versions, ACLs, and the same error codes. It keeps everything in memory and is alone: there is
// no quorum, SASL, quota or reconfiguration.
//
// What real servers do to their clients can be done on purpose: an outage (Stop, Start), a loss of all data (Wipe), the expiry of
// sessions, cut connections, and answers that come late, cut or wrong (Inject).
package zktest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// Version is the release of ZooKeeper that the server behaves like. Later releases compare greater.
type Version int

// The releases that differ for clients.
const (
	// Before36 knows no watches that stay: addWatch and setWatches2 are answered with CodeUnimplemented, and then the connection is
	// closed, as for every operation that a server does not know.
	Before36 Version = iota - 2
	// V36 knows them; a recursive watch also reports changed lists of children (ZOOKEEPER-4475, here in its harshest form), and
	// events carry no zxid (ZOOKEEPER-4655).
	V36
	// V39 is the default.
	V39
)

// Options are the properties of a Server. The zero value is a server of the newest known release on a free port of the loopback
// interface.
type Options struct {
	// Addr is the address to listen on, by default 127.0.0.1:0. A free port is chosen once and kept for later starts.
	Addr string
	// TLS makes every connection a TLS connection.
	TLS *tls.Config
	// Version is the behaviour, by default V39.
	Version Version
	// Tick is ZooKeeper's tickTime, by default 500 ms: sessions last 2 to 20 ticks and are looked at once in a tick.
	Tick time.Duration
	// MaxRequest is jute.maxbuffer, by default wire.DefaultMaxFrame: a client that sends a longer request is disconnected.
	MaxRequest int
	// ExtendedTypes allows nodes with a time to live, which ZooKeeper allows only with zookeeper.extendedTypesEnabled.
	ExtendedTypes bool
}

// Server is the server. All methods may be called from any goroutine.
//
//	New ─▶ stopped ──Start──▶ running ──Stop, or the end of Start's context──▶ stopped ──Start──▶ …
//	          └─Wipe─▶ stopped, without data
type Server struct {
	opts     Options
	handlers map[wire.Op]handler

	// life is held while the server starts or stops.
	life sync.Mutex
	run  *run

	// mu guards everything below. Requests are served one after the other, as ZooKeeper does.
	mu           sync.Mutex
	addr         string
	tree         *tree
	zxid         int64
	dataWatches  *watchTable
	childWatches *watchTable
	sessions     map[int64]*session
	lastSession  int64
	conns        map[*conn]struct{}
	open         bool
	faults       []*Fault
	stats        Stats

	sent atomic.Int64
}

// run is one life of the server, from Start to Stop.
type run struct {
	ctx    context.Context //nolint:containedctx // It is the lifetime of the goroutines below, and ends them.
	cancel context.CancelFunc
	listen net.Listener
	wg     sync.WaitGroup
}

// New makes a server that is stopped and empty. It does no I/O.
func New(opts Options) *Server {
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.Tick <= 0 {
		opts.Tick = 500 * time.Millisecond
	}
	if opts.MaxRequest <= 0 {
		opts.MaxRequest = wire.DefaultMaxFrame
	}
	s := &Server{
		opts: opts, handlers: handlers(), addr: opts.Addr, conns: map[*conn]struct{}{},
		lastSession: time.Now().UnixMilli() << 16,
		stats:       Stats{Requests: map[wire.Op]int64{}},
	}
	s.clear()
	return s
}

// clear makes the server one that has never been used.
func (s *Server) clear() {
	s.tree, s.zxid = newTree(), 0
	s.dataWatches, s.childWatches = newWatchTable(), newWatchTable()
	s.sessions = map[int64]*session{}
}

// Start listens and serves until Stop or the end of ctx. The sessions from before an outage get their full timeout again.
func (s *Server) Start(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.run != nil {
		return errors.New("start zookeeper: it is running")
	}
	var lc net.ListenConfig
	listen, err := lc.Listen(ctx, "tcp", s.Addr())
	if err != nil {
		return fmt.Errorf("start zookeeper: %w", err)
	}
	r := &run{listen: listen}
	r.ctx, r.cancel = context.WithCancel(ctx)
	s.mu.Lock()
	s.addr, s.open = listen.Addr().String(), true
	for _, sess := range s.sessions {
		sess.touch()
	}
	s.mu.Unlock()
	s.run = r
	r.wg.Go(func() { s.accept(r) })
	r.wg.Go(func() { s.watchTime(r) })
	r.wg.Go(func() { // Whatever ends the run closes what the other goroutines wait for.
		<-r.ctx.Done()
		s.shut(r)
	})
	return nil
}

// Stop ends all connections and waits for every goroutine. Data and sessions are kept. A stopped server stays as it is.
func (s *Server) Stop() {
	s.life.Lock()
	defer s.life.Unlock()
	if s.run == nil {
		return
	}
	s.run.cancel()
	s.run.wg.Wait()
	s.run = nil
}

// Restart is Stop and Start.
func (s *Server) Restart(ctx context.Context) error {
	s.Stop()
	return s.Start(ctx)
}

// Wipe loses all nodes, sessions and transaction ids, as a server does whose volume was lost. Clients that are connected are cut;
// the usual place of Wipe is between Stop and Start.
func (s *Server) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropAll()
	s.clear()
}

// Addr is host:port. Before the first Start it is the address of the Options.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// shut refuses new connections and ends those that are open.
func (s *Server) shut(r *run) {
	_ = r.listen.Close() // The error says only that it was closed before.
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = false
	s.dropAll()
}

// dropAll cuts every connection and returns their number.
func (s *Server) dropAll() int {
	n := len(s.conns)
	for c := range s.conns {
		s.detach(c)
	}
	return n
}

// accept serves every connection until the listener is closed.
func (s *Server) accept(r *run) {
	for {
		nc, err := r.listen.Accept()
		if err != nil {
			r.cancel()
			return
		}
		if s.opts.TLS != nil {
			nc = tls.Server(nc, s.opts.TLS)
		}
		c := newConn(nc)
		if !s.attach(c) {
			c.kill()
			return
		}
		r.wg.Go(func() { s.serve(c) })
		r.wg.Go(func() { s.write(c) })
	}
}

// attach makes a connection known, unless the server stops.
func (s *Server) attach(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		s.conns[c] = struct{}{}
		s.stats.Connections++
	}
	return s.open
}

// detach cuts a connection and forgets its watches. Its session stays.
func (s *Server) detach(c *conn) {
	c.kill()
	delete(s.conns, c)
	s.dataWatches.drop(c)
	s.childWatches.drop(c)
	if c.session != nil && c.session.conn == c {
		c.session.conn = nil
	}
}

// watchTime expires sessions and removes faded nodes.
func (s *Server) watchTime(r *run) {
	tick := time.NewTicker(s.opts.Tick)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case now := <-tick.C:
			s.mu.Lock()
			for _, sess := range s.sessions {
				if now.After(sess.deadline) {
					s.endSession(sess)
				}
			}
			for _, path := range s.tree.faded(time.Now().UnixMilli()) {
				_ = s.apply(nil, func(c *change) wire.Code { return s.tree.remove(c, path, -1) }) // It is there and has no children.
			}
			s.mu.Unlock()
		}
	}
}

// apply runs one transaction: it counts, is taken back when it fails, and is told to the watchers when it does not. Without a
// connection it is the server's own.
func (s *Server) apply(c *conn, do func(*change) wire.Code) wire.Code {
	s.zxid++
	ch := &change{zxid: s.zxid, now: time.Now().UnixMilli(), internal: c == nil}
	if c != nil {
		ch.session, ch.ids = c.session.id, c.ids
	}
	code := do(ch)
	if code != wire.CodeOK {
		ch.rollback()
		return code
	}
	s.notify(ch)
	return code
}
