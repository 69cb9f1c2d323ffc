package nacostest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	grpcapi "github.com/nacos-group/nacos-sdk-go/v2/api/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// portOffset is how far the gRPC port is above the HTTP port.
const portOffset = 1000

// Options say what a server is like.
type Options struct {
	// Version is 2 or 3; 2 when 0. A server of version 3 acknowledges the setup of a connection, and has another path to log in.
	Version int
	// Users are the passwords of the users; nil means that authentication is off.
	Users map[string]string
	// AccessKey and SecretKey are a key with which requests have to be signed; none when empty.
	AccessKey, SecretKey string
	// TokenTTL is how long a token is good, in seconds; 18,000 when 0.
	TokenTTL int64
	// TLS is spoken on both ports when it is not nil.
	TLS *tls.Config
	// PushDelay is how long changes are gathered before a push, a real server's 500 ms; none when 0.
	PushDelay time.Duration
	// MaxPage is the most names that a page of the list has; 0 means no limit, as with real servers.
	MaxPage int
}

// Server is one server of a cluster. Its methods may be called by several goroutines; Start, Stop and Restart by one.
type Server struct {
	registry *Registry
	opts     Options
	addr     string

	grpc *grpc.Server
	http *http.Server
	wg   sync.WaitGroup

	mu          sync.Mutex
	conns       map[string]*connection
	tokens      map[string]time.Time
	issued      int
	clock       time.Duration
	counts      map[string]int
	intercepts  map[*intercept]bool
	latency     time.Duration
	most, asked int
	starting    bool
}

// New returns a server that does not run yet.
func New(registry *Registry, opts Options) *Server {
	if opts.Version == 0 {
		opts.Version = 2
	}
	if opts.TokenTTL == 0 {
		opts.TokenTTL = 18_000
	}
	return &Server{
		registry: registry, opts: opts, conns: map[string]*connection{}, tokens: map[string]time.Time{}, counts: map[string]int{},
		intercepts: map[*intercept]bool{},
	}
}

// Addr is the host:port of the HTTP API; gRPC is 1000 ports above.
func (s *Server) Addr() string { return s.addr }

// GRPCAddr is the host:port of gRPC.
func (s *Server) GRPCAddr() string {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return ""
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(number+portOffset))
}

// Start begins to listen; after a Stop at the same address.
func (s *Server) Start(ctx context.Context) error {
	web, rpc, err := s.listen(ctx)
	if err != nil {
		return err
	}
	var options []grpc.ServerOption
	if s.opts.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(s.opts.TLS.Clone())))
		web = tls.NewListener(web, s.opts.TLS.Clone())
	}
	s.grpc = grpc.NewServer(options...)
	grpcapi.RegisterRequestServer(s.grpc, service{server: s})
	grpcapi.RegisterBiRequestStreamServer(s.grpc, service{server: s})
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: time.Minute}
	s.registry.mu.Lock()
	s.registry.changed[s] = s.push
	s.registry.mu.Unlock()
	server, pages := s.grpc, s.http
	s.wg.Go(func() { _ = server.Serve(rpc) })
	s.wg.Go(func() { _ = pages.Serve(web) })
	return nil
}

// listen finds two ports that belong together.
func (s *Server) listen(ctx context.Context) (web, rpc net.Listener, err error) {
	var cfg net.ListenConfig
	for range 50 {
		at := s.addr
		if at == "" {
			at = "127.0.0.1:0"
		}
		if web, err = cfg.Listen(ctx, "tcp", at); err != nil {
			return nil, nil, err
		}
		known := s.addr
		s.addr = web.Addr().String()
		if rpc, err = cfg.Listen(ctx, "tcp", s.GRPCAddr()); err == nil {
			return web, rpc, nil
		}
		s.addr = known
		_ = web.Close()
	}
	return nil, nil, fmt.Errorf("no two free ports: %w", err)
}

// Stop ends the server and its connections. What clients had registered by them is gone; what the registry was given stays.
func (s *Server) Stop() {
	s.registry.mu.Lock()
	delete(s.registry.changed, s)
	s.registry.mu.Unlock()
	s.grpc.Stop()
	_ = s.http.Close()
	s.wg.Wait()
}

// SetStarting lets the server refuse everything as one does that is not ready yet.
func (s *Server) SetStarting(starting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting = starting
}

// SetClock lets the server's clock go before or after the real one.
func (s *Server) SetClock(offset time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = offset
}

// SetLatency lets each answer to a request take that long.
func (s *Server) SetLatency(latency time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = latency
}

// Requests says how often there was a request of a type.
func (s *Server) Requests(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[kind]
}

// MostAtOnce says how many requests were answered at the same time at most.
func (s *Server) MostAtOnce() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// ResetMostAtOnce begins to count those anew.
func (s *Server) ResetMostAtOnce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = 0
}

// Connections says how many clients are connected.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// RevokeTokens makes all tokens invalid.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Answer is what an intercepted request is answered with: a type and a body, or an error of gRPC.
type Answer struct {
	Type, Body string
	Err        error
}

// Refuse is the answer that says no.
func Refuse(code int, message string) Answer {
	return Answer{Type: "ErrorResponse", Body: fmt.Sprintf(`{"resultCode":500,"errorCode":%d,"message":%q,"success":false}`, code, message)}
}

type intercept struct {
	kind, service string
	answer        Answer
}

// Intercept answers requests of a type, about a service or about all when it is empty, until it is called off.
func (s *Server) Intercept(kind, service string, answer Answer) (heal func()) {
	i := &intercept{kind, service, answer}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercepts[i] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.intercepts, i)
	}
}

func (s *Server) intercepted(kind, service string) (Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.intercepts {
		if i.kind == kind && (i.service == "" || i.service == service) {
			return i.answer, true
		}
	}
	return Answer{}, false
}

// begin counts a request, and returns what ends it.
func (s *Server) begin(kind string) (latency time.Duration, end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[kind]++
	s.asked++
	s.most = max(s.most, s.asked)
	return s.latency, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked--
	}
}

// now is the time by the server's clock, in milliseconds.
func (s *Server) now() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.clock).UnixMilli()
}

// errStopped is why a stream ends.
var errStopped = errors.New("the server ends the connection")
