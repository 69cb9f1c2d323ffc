// Package eurekatest is a server that speaks the HTTP API of Eureka as Spring Cloud's and Netflix's servers do, in memory, for tests: at
// /eureka and at /eureka/v2, JSON only for who asks for it, compressed for who takes it, with changes, their hash, and overrides.
package eurekatest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options are what a Server may be told. The zero value is a server as Spring Cloud's, without caches.
type Options struct {
	// User and Password are asked for, when there are any.
	User, Password string
	// NoDelta refuses to tell changes, NoHash leaves out what they amount to.
	NoDelta, NoHash bool
	// XStream writes JSON as old servers do: one element instead of a list of one, numbers as texts, a class in metadata that is empty.
	XStream bool
	// Retention is how long a change is told, 3 minutes when 0.
	Retention time.Duration
}

// Server is the server. All methods may be called at any time and from any goroutine.
type Server struct {
	opts  Options
	store *store

	mu     sync.Mutex
	addr   string
	extra  []string
	faults map[string]Fault
	stats  map[string]int
	http   *http.Server
	wg     sync.WaitGroup
}

// Fault answers a request in place of the server, or calls next.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Answer is a Fault that always gives the same answer.
func Answer(status int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

// New returns a server that does not run yet.
func New(opts Options) *Server {
	return &Server{opts: opts, store: newStore(opts.Retention), faults: map[string]Fault{}, stats: map[string]int{}}
}

// Peer returns another server that has the same registry at any time.
func (s *Server) Peer() *Server {
	p := New(s.opts)
	p.store = s.store
	return p
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
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	s.http = server
	s.wg.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // Only this package calls it.
		}
	})
	return nil
}

// Stop ends all connections. The data stays.
func (s *Server) Stop() {
	s.mu.Lock()
	server := s.http
	s.http = nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
		s.wg.Wait()
	}
}

// Addr is "host:port", once the server has been started.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// URL is what stands before /apps, once the server has been started.
func (s *Server) URL() string { return "http://" + s.Addr() + "/eureka" }

// Wipe takes all data away, as every restart of a server does that has no peer.
func (s *Server) Wipe() {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	clear(s.store.leases)
	s.store.apps, s.store.queue = nil, nil
}

// Register registers directly.
func (s *Server) Register(i Instance) { s.store.register(i) }

// Deregister deregisters directly.
func (s *Server) Deregister(app, id string) bool { return s.store.deregister(app, id) }

// Override lets the server say another status than the instance does.
func (s *Server) Override(app, id, status string) bool { return s.store.override(app, id, status, "") }

// Forget takes an instance away without telling of a change, as if that had been told for long enough.
func (s *Server) Forget(app, id string) {
	s.store.deregister(app, id)
	s.DropChanges()
}

// DropChanges forgets the changes that are still told.
func (s *Server) DropChanges() {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.queue = nil
}

// SetClock lets the server's clock be wrong by so much.
func (s *Server) SetClock(skew time.Duration) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.skew = skew
}

// AddRaw adds the text of an application to every answer with everything.
func (s *Server) AddRaw(application string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extra = append(s.extra, application)
}

// Intercept gives all requests for the path behind the base URL, such as "/apps/delta", to f, until heal is called.
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

// Requests counts the requests so far by method and path behind the base URL, such as "GET /apps".
func (s *Server) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.stats)
}
