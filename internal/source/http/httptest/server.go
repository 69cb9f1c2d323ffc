// Package httptest is a server of documents as somebody would write it around a registry of his own: with ETags, long polling, gzip and a
// token.
package httptest

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/document"
	"github.com/registry-bridge/registry-bridge/internal/source/document/documenttest"
)

// Options say what a Server is like.
type Options struct {
	// Format is document.Native when it is empty.
	Format document.Format
	// Token is what clients have to bring; empty asks for none.
	Token string
	// NoETag leaves ETags out.
	NoETag bool
	// TLS serves HTTPS.
	TLS *tls.Config
}

// Server is the server. All methods may be called at any time and from any goroutine.
type Server struct {
	// Registry is what the documents say.
	documenttest.Registry

	opts Options

	mu       sync.Mutex
	addr     string
	fault    http.HandlerFunc
	requests []http.Header
	waiting  int
	http     *http.Server
	stop     context.CancelFunc
	served   chan struct{}
}

// New returns a server that does not run.
func New(opts Options) *Server { return &Server{opts: opts} }

// Start starts to listen on 127.0.0.1: at the same port as before, at one that is free the first time.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	addr := s.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.addr = listener.Addr().String()
	if s.opts.TLS != nil {
		listener = tls.NewListener(listener, s.opts.TLS)
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.http = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	s.served = make(chan struct{})
	server, served := s.http, s.served
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // Nothing else ends it.
		}
	}()
	return nil
}

// Stop ends all connections, and waits until the server has ended.
func (s *Server) Stop() {
	s.mu.Lock()
	server, served, stop := s.http, s.served, s.stop
	s.mu.Unlock()
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

// Requests returns the headers of all requests so far.
func (s *Server) Requests() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]http.Header(nil), s.requests...)
}

// Waiting is how many requests wait for news now.
func (s *Server) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// Fail lets fault answer every request, until heal is called.
func (s *Server) Fail(fault http.HandlerFunc) (heal func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fault = nil
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	fault := s.fault
	s.requests = append(s.requests, r.Header.Clone())
	s.mu.Unlock()
	switch {
	case fault != nil:
		fault(w, r)
	case s.opts.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.opts.Token:
		http.Error(w, "who are you, "+r.Header.Get("Authorization")+"?", http.StatusUnauthorized)
	default:
		s.answer(w, r)
	}
}

// answer sends the document, once it is another one than the client has, or the client's time is up.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	timeout, cancel := context.WithTimeout(r.Context(), preferredWait(r))
	defer cancel()
	for {
		changed := s.Changed()
		body := s.Document(s.opts.Format)
		sum := sha256.Sum256(body)
		etag := `"` + hex.EncodeToString(sum[:8]) + `"`
		if s.opts.NoETag || r.Header.Get("If-None-Match") != etag {
			if !s.opts.NoETag {
				w.Header().Set("ETag", etag)
			}
			send(w, r, body)
			return
		}
		if !s.wait(timeout, changed) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
}

// wait reports whether there was a change.
func (s *Server) wait(ctx context.Context, changed <-chan struct{}) bool {
	s.mu.Lock()
	s.waiting++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.waiting--
		s.mu.Unlock()
	}()
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}

// preferredWait is how long a client wants to wait.
func preferredWait(r *http.Request) time.Duration {
	seconds, err := strconv.Atoi(strings.TrimPrefix(r.Header.Get("Prefer"), "wait="))
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// send sends a document, compressed where that is welcome.
func send(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		_, _ = w.Write(body)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	zip := gzip.NewWriter(w)
	_, _ = zip.Write(body)
	_ = zip.Close()
}
