package consultest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Options are what a Server may be told. The zero value is an agent without TLS, ACLs and limits.
type Options struct {
	// TLS serves HTTPS with HTTP/2.
	TLS *tls.Config
	// Connections is the most that a client address may have at a time, 0 for no limit. Consul's default is 200.
	Connections int
	// DefaultDeny makes what no token allows invisible.
	DefaultDeny bool
	// NoFilterHeader leaves out the header that says that ACLs have hidden something, as Consul before 1.11 does.
	NoFilterHeader bool
}

// Policy is what a token may see.
type Policy struct {
	// Services are the beginnings of the names of services that it may read; "" is the beginning of all.
	Services []string
	// NoNodes hides nodes, and with them all instances.
	NoNodes bool
}

func (p Policy) reads(service string) bool {
	for _, prefix := range p.Services {
		if strings.HasPrefix(service, prefix) {
			return true
		}
	}
	return false
}

// Server is the agent. All methods may be called at any time and from any goroutine.
type Server struct {
	opts Options
	addr string

	mu        sync.Mutex
	catalog   *catalog
	tokens    map[string]Policy
	faults    map[string]Fault
	leaderOff time.Duration // How long ago the leader was heard of.
	leaderNo  bool
	http      *http.Server
	stop      context.CancelFunc
	served    chan struct{}
	conns     map[net.Conn]bool
	stats     Stats
}

// Stats counts what clients did.
type Stats struct {
	// Requests counts by path.
	Requests map[string]int
	// Peak is the most connections at a time, Dialed all of them, and Refused those above the limit.
	Peak, Dialed, Refused int
	// Waiting is how many queries wait for news now.
	Waiting int
}

// Fault answers a request in place of the agent, or calls next.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Answer is a Fault that always gives the same answer, with the headers of a good one.
func Answer(status int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("X-Consul-Index", "1000000")
		h.Set("X-Consul-Knownleader", "true")
		h.Set("X-Consul-Lastcontact", "0")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

// New returns a server that does not run yet, with the data of an empty datacenter.
func New(opts Options) *Server {
	return &Server{
		opts: opts, catalog: newCatalog(firstIndex), tokens: map[string]Policy{}, faults: map[string]Fault{},
		stats: Stats{Requests: map[string]int{}},
	}
}

// Start serves, at the address of the last time when there was one. It returns once connections are accepted.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	addr := s.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var cfg net.ListenConfig
	listener, err := cfg.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	s.addr = listener.Addr().String()
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.conns = map[net.Conn]bool{}
	server := &http.Server{
		Handler: s.handler(), ConnState: s.connState, BaseContext: func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: s.opts.TLS.Clone(),
	}
	s.http, s.served = server, make(chan struct{})
	go func(served chan struct{}) {
		defer close(served)
		var err error
		if s.opts.TLS != nil {
			err = server.ServeTLS(listener, "", "")
		} else {
			err = server.Serve(listener)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			panic(err) // Only this package calls it.
		}
	}(s.served)
	return nil
}

// Stop ends all connections. The data stays.
func (s *Server) Stop() {
	s.mu.Lock()
	server, stop, served := s.http, s.stop, s.served
	s.http = nil
	s.mu.Unlock()
	if server == nil {
		return
	}
	stop()
	_ = server.Close()
	<-served
}

// Addr is "host:port", once the server has been started.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Wipe takes all data away, as a restart with an empty disk does: indexes begin again.
func (s *Server) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catalog.wakeAll()
	s.catalog = newCatalog(firstIndex)
}

// Rewind lets the indexes go back, as the restoration of a snapshot does, with the data as it is.
func (s *Server) Rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catalog.rewind()
}

// Snapshot is a copy of all data.
type Snapshot struct{ catalog *catalog }

// Snapshot returns a copy of all data.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Snapshot{catalog: s.catalog.clone()}
}

// Restore replaces all data by that of a snapshot, with its indexes. Changes that follow get indexes above all that there were, as the
// log of a cluster goes on.
func (s *Server) Restore(snapshot Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.catalog
	s.catalog = snapshot.catalog.clone()
	s.catalog.index = old.index
	old.wakeAll()
}

// Register registers directly.
func (s *Server) Register(r *api.CatalogRegistration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catalog.register(r)
}

// Deregister deregisters directly.
func (s *Server) Deregister(d *api.CatalogDeregistration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catalog.deregister(d)
}

// SetToken lets a token see what the policy says. The token "" is for requests without one.
func (s *Server) SetToken(token string, p Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = p
}

// DeleteToken makes the token unknown. Queries that are under way are not disturbed.
func (s *Server) DeleteToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

// SetLeader says whether there is a leader, and how long ago this server has heard of it.
func (s *Server) SetLeader(known bool, contact time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaderNo, s.leaderOff = !known, contact
}

// Intercept gives all requests for the path to f, until heal is called. The path is the decoded one.
func (s *Server) Intercept(path string, f Fault) (heal func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[path] = f
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.faults, path)
	}
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Requests = maps.Clone(s.stats.Requests)
	return out
}

// connState counts connections, and ends those above the limit as an agent does: with a 429 where the client can read it.
func (s *Server) connState(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.stats.Dialed++
		if s.opts.Connections > 0 && len(s.conns) >= s.opts.Connections {
			s.stats.Refused++
			if s.opts.TLS == nil {
				_ = conn.SetDeadline(time.Now().Add(10 * time.Millisecond))
				_, _ = fmt.Fprint(conn, "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 34\r\n"+
					"Connection: close\r\n\r\nYour IP is issuing too many conns.")
			}
			_ = conn.Close()
			return
		}
		s.conns[conn] = true
		s.stats.Peak = max(s.stats.Peak, len(s.conns))
	case http.StateClosed, http.StateHijacked:
		delete(s.conns, conn)
	case http.StateActive, http.StateIdle:
	}
}
