// Package client is a small ZooKeeper client for a reader: one connection, pipelined requests, watches.
//
// It differs from the general ones in what a registry bridge needs (docs/design/0002-zookeeper-client.md):
//
//   - Answers and events reach the caller in the order in which the server sent them. ZooKeeper orders both in one stream; as long
//     as nobody reorders them, an answer is the truth at its place in the stream and the events behind it are what happened since.
//   - A Conn is one connection and never reconnects. Persistent watches replay nothing that was missed, so a reader has to list
//     again after each connect in any case, and only the reader knows how.
//   - A session is as old as its connection. Sessions hold ephemeral nodes, which a reader has none of; what protects from reading
//     an older state than before is the last transaction id, which Connect offers to the server.
//
// Paths are relative to the chroot, in requests and in events.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// Defaults of Options.
const (
	DefaultSessionTimeout = 10 * time.Second
	DefaultConnectTimeout = 5 * time.Second
	DefaultMaxReply       = 64 << 20
)

// Errors of this package beside wire.Code, which is what the server says about one request.
var (
	// ErrHandshakeRefused: a server closed the connection instead of answering the handshake. It does so while it starts, and
	// for ever when the client has seen a newer transaction than the server, as after its data was wiped.
	ErrHandshakeRefused = fmt.Errorf("%w: the server closed the connection during the handshake", source.ErrUnavailable)
	// ErrReplyTooLarge: an answer was above Options.MaxReply. It was dropped; the connection goes on.
	ErrReplyTooLarge = errors.New("answer is larger than the limit")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("connection is closed")

	errNoServers = errors.New("no server is configured")
)

// Options say where and how to connect. Servers must be set, everything else has a default.
type Options struct {
	// Servers are "host:port". Names are resolved anew at each Connect, and all addresses are tried in random order.
	Servers []string
	// Chroot is put before every path; "" or "/" is none.
	Chroot string
	// SessionTimeout is what is asked for; the server decides. A silent connection is given up after two thirds of it.
	SessionTimeout time.Duration
	// ConnectTimeout bounds the connect and the handshake with one address.
	ConnectTimeout time.Duration
	// MaxReply is the largest answer that is accepted, in bytes.
	MaxReply int
	// Credentials returns user and password for the scheme digest; it is asked at each Connect, so that a rotated secret
	// works. Nil means no authentication.
	Credentials func(ctx context.Context) (user, password string, err error)
	// TLS returns the configuration of the next connection; nil means plain TCP. An empty ServerName is set to the server's host.
	TLS func(ctx context.Context) (*tls.Config, error)
	// DialContext replaces the net package's dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Event is a change that a watch reports.
type Event struct {
	Type wire.EventType
	Path string
}

// Connect opens a session with the first server that accepts it. It offers zxid, the last transaction that the caller has seen (0
// for none): a server that is behind refuses. watch is called for each event from the connection's own goroutine, in order with the
// answers to requests, and must not block. ctx bounds the connecting only; the caller must Close what it got.
//
// An error wraps source.ErrUnavailable or source.ErrUnauthorized, and ErrHandshakeRefused when a server was reached and refused.
func Connect(ctx context.Context, opts Options, zxid int64, watch func(Event)) (*Conn, error) {
	opts = opts.withDefaults()
	if len(opts.Servers) == 0 {
		return nil, fmt.Errorf("%w: %w", source.ErrUnavailable, errNoServers)
	}
	s := settings{zxid: zxid, watch: watch}
	var err error
	if opts.Credentials != nil {
		user, password, err := opts.Credentials(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w: read credentials: %w", source.ErrUnauthorized, err)
		}
		s.digest = []byte(user + ":" + password)
	}
	if opts.TLS != nil {
		if s.tls, err = opts.TLS(ctx); err != nil {
			return nil, fmt.Errorf("%w: read TLS configuration: %w", source.ErrUnauthorized, err)
		}
	}
	addresses, failure := resolve(ctx, opts)
	for _, a := range addresses {
		c, err := connectTo(ctx, opts, s, a)
		if err == nil {
			return c, nil
		}
		failure = errors.Join(failure, fmt.Errorf("connect to %s: %w", a.address, err))
		if ctx.Err() != nil || errors.Is(err, source.ErrUnauthorized) {
			break
		}
	}
	if errors.Is(failure, source.ErrUnauthorized) {
		return nil, failure
	}
	return nil, fmt.Errorf("%w: %w", source.ErrUnavailable, failure)
}

func (o Options) withDefaults() Options {
	if o.SessionTimeout <= 0 {
		o.SessionTimeout = DefaultSessionTimeout
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = DefaultConnectTimeout
	}
	if o.MaxReply <= 0 {
		o.MaxReply = DefaultMaxReply
	}
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{}).DialContext
	}
	o.Chroot = strings.TrimRight(o.Chroot, "/")
	return o
}

// settings are what one Connect read from its Options for all addresses.
type settings struct {
	zxid   int64
	watch  func(Event)
	digest []byte
	tls    *tls.Config
}

// target is one address of a server; host is the configured name, which certificates are checked against.
type target struct{ host, address string }

// resolve looks all servers up and shuffles what it found. A name that does not resolve costs that server only; its error is
// returned beside the others' addresses.
func resolve(ctx context.Context, opts Options) ([]target, error) {
	ctx, cancel := context.WithTimeout(ctx, opts.ConnectTimeout)
	defer cancel()
	var targets []target
	var failure error
	for _, server := range opts.Servers {
		host, port, err := net.SplitHostPort(server)
		if err != nil {
			failure = errors.Join(failure, err)
			continue
		}
		addresses, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			failure = errors.Join(failure, err)
			continue
		}
		for _, a := range addresses {
			targets = append(targets, target{host: host, address: net.JoinHostPort(a, port)})
		}
	}
	swap := func(i, j int) { targets[i], targets[j] = targets[j], targets[i] }
	rand.Shuffle(len(targets), swap) //nolint:gosec // spreads load, guards nothing
	return targets, failure
}

// connectTo connects to one address and does the handshake.
func connectTo(ctx context.Context, opts Options, s settings, to target) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, opts.ConnectTimeout)
	defer cancel()
	nc, err := opts.DialContext(ctx, "tcp", to.address)
	if err != nil {
		return nil, err
	}
	if s.tls != nil {
		cfg := s.tls.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = to.host
		}
		secure := tls.Client(nc, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, nc.Close())
		}
		nc = secure
	}
	c := newConn(nc, opts, s)
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() }) // Ends the reads below; their error is the one that is returned.
	timeout, err := c.handshake(s, opts.SessionTimeout)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	c.start(timeout)
	return c, nil
}
