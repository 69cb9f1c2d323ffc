package zookeeper

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/client"
)

// Defaults of Config.
const (
	DefaultRoot     = "/dubbo"
	DefaultServices = "/services"
	DefaultRelist   = 20 * time.Minute
)

// Layout is a way to register.
type Layout uint8

// The layouts.
const (
	// DubboInterface is the interface level of Dubbo 2 and 3.
	DubboInterface Layout = iota
	// DubboApplication is the application level of Dubbo 3.
	DubboApplication
	// SpringCloud is Spring Cloud ZooKeeper, and what else registers with Curator's service discovery.
	SpringCloud
)

const (
	// reconnectFor is how long Run tries by itself to get a lost connection back, counted from when it last knew everything.
	// Restarts of a server and elections are shorter; what is longer is an outage, which status should show.
	reconnectFor = 30 * time.Second
	// minReconnect and maxReconnect bound the wait between two attempts. Every attempt tries all servers.
	minReconnect = 100 * time.Millisecond
	maxReconnect = time.Second
	// refusals is how many attempts in a row must end with a refused handshake before the last transaction id is forgotten. A
	// server that is starting refuses too, so one is not enough; a server whose data was wiped refuses for ever.
	refusals = 3
)

// Config says what to watch. Servers and SourceID must be set.
type Config struct {
	// SourceID is the Source of every Ref.
	SourceID model.SourceID
	// Servers are "host:port"; one of them may end in a chroot, "host:port/chroot", when Chroot is empty.
	Servers []string
	// Chroot is put before Root.
	Chroot string
	// Layout is how services are registered.
	Layout Layout
	// Root is where the interface nodes or those of the applications are, DefaultRoot or DefaultServices when empty.
	Root string
	// MetadataRoot is where Dubbo keeps the mapping and the metadata of applications, DefaultRoot when empty. For DubboApplication.
	MetadataRoot string
	// Credentials returns user and password for the scheme digest. It is asked at every connect. Nil means none.
	Credentials func(ctx context.Context) (user, password string, err error)
	// TLS returns the TLS configuration of the next connection. Nil means plain TCP.
	TLS func(ctx context.Context) (*tls.Config, error)
	// SessionTimeout is what the server is asked for; a silent connection is given up after two thirds of what it grants.
	SessionTimeout time.Duration
	// MaxReply is the largest answer that is accepted, in bytes. An interface above it is skipped.
	MaxReply int
	// Relist is the mean time between two full listings beside the watches; each wait is half to one and a half of it.
	Relist time.Duration
	// Logger gets what an operator should know. Nil logs nothing.
	Logger *slog.Logger
	// Selects says whether the interface is wanted; others are not read. Nil wants all. It must be pure.
	Selects func(unit string) bool
	// Drift is told how many nodes a full listing found that the watches had missed, when it is not 0. May be nil.
	Drift func(nodes int)
	// DialContext replaces the dialer of package net. May be nil.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// New returns a source that watches one layout. It does no I/O.
//
// A lost connection is no failure at once: Run reconnects for half a minute, lists again and reports the differences, and nothing is
// removed meanwhile. Then Run returns the error. It also returns when the first listing fails, when the root may not be read
// (source.ErrUnauthorized), and when an answer is not ZooKeeper's (source.ErrMalformed). A root that does not exist is an empty
// registry. An interface or an application that may not be read, or whose name is no name, is skipped and tried again with backoff.
//
// Nodes that the identity may not read are neither listed nor reported by ZooKeeper; the identity needs READ on everything below the
// roots.
func New(cfg Config) source.Source {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Relist <= 0 {
		cfg.Relist = DefaultRelist
	}
	if cfg.Root == "" && cfg.Layout == DubboInterface {
		cfg.Root = DefaultRoot
	}
	cfg.Root = "/" + strings.Trim(cmp.Or(cfg.Root, DefaultServices), "/")
	cfg.MetadataRoot = "/" + strings.Trim(cmp.Or(cfg.MetadataRoot, DefaultRoot), "/")
	servers := make([]string, 0, len(cfg.Servers))
	for _, server := range cfg.Servers {
		server, chroot, ok := strings.Cut(server, "/")
		if ok && cfg.Chroot == "" {
			cfg.Chroot = "/" + chroot
		}
		servers = append(servers, server)
	}
	cfg.Servers = servers
	return &zkSource{cfg: cfg}
}

type zkSource struct {
	cfg Config
	// told is what the last Run has told, by unit: whoever takes it keeps it beyond the Run, so the next one must be able to take back a
	// service of a unit that could not be read when that Run began.
	told map[string][]*model.Service
}

// Run implements source.Source.
func (s *zkSource) Run(ctx context.Context, sink source.Sink) error {
	r := &runner{cfg: s.cfg, sink: sink, layout: newLayout(s.cfg, sink, s.told)}
	err := r.run(ctx)
	s.told = r.layout.told()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // ended on request; what else went wrong meanwhile is of no interest
	}
	return fmt.Errorf("zookeeper: %w", err)
}

// runner is one Run: it connects, watches, and connects again.
type runner struct {
	cfg    Config
	sink   source.Sink
	layout layout
	// current is when everything was last known to be as the registry has it; zero before Synced.
	current time.Time
	// zxid is the newest transaction that any server has shown in this run.
	zxid int64
	// plain says that the servers do not know recursive watches.
	plain bool
}

func (r *runner) run(ctx context.Context) error {
	for {
		conn, box, err := r.connect(ctx)
		if err != nil {
			return err
		}
		s := r.layout.watch(conn, box, r.plain)
		err = s.run(ctx)
		conn.Close()
		plain, caughtUp := s.progress()
		// A server before 3.6 closes the connection because it was asked for a recursive watch. That is no failure.
		downgraded := plain && !r.plain
		r.zxid, r.plain = max(r.zxid, conn.Zxid()), plain
		if caughtUp {
			r.current = time.Now()
		}
		if ctx.Err() != nil || !errors.Is(err, source.ErrUnavailable) || r.overdue() && !downgraded {
			return err
		}
		if !downgraded {
			source.SetInterruption(r.sink, fmt.Errorf("zookeeper: %w", err))
		}
		r.cfg.Logger.InfoContext(ctx, "connection to zookeeper lost, connecting again", "error", err)
	}
}

// overdue says whether reconnecting has lasted long enough. It is not tried at all before everything was read once.
func (r *runner) overdue() bool { return time.Since(r.current) > reconnectFor }

// connect tries until it has a connection or the time is up.
func (r *runner) connect(ctx context.Context) (*client.Conn, *inbox, error) {
	opts := client.Options{
		Servers: r.cfg.Servers, Chroot: r.cfg.Chroot, SessionTimeout: r.cfg.SessionTimeout, MaxReply: r.cfg.MaxReply,
		Credentials: r.cfg.Credentials, TLS: r.cfg.TLS, DialContext: r.cfg.DialContext,
	}
	wait, refused := minReconnect, 0
	for {
		box := newInbox()
		conn, err := client.Connect(ctx, opts, r.zxid, func(e client.Event) {
			if r.layout.watches(e.Path) {
				box.put(message{event: e})
			}
		})
		if err == nil {
			return conn, box, nil
		}
		if ctx.Err() != nil || errors.Is(err, source.ErrUnauthorized) || r.overdue() {
			return nil, nil, err
		}
		refused++
		if !errors.Is(err, client.ErrHandshakeRefused) {
			refused = 0
		}
		if refused >= refusals && r.zxid != 0 {
			r.cfg.Logger.WarnContext(ctx, "servers refuse the last known transaction, starting from nothing as after a loss of their data")
			r.zxid, refused = 0, 0
		}
		if !sleep(ctx, jitter(wait)) {
			return nil, nil, ctx.Err()
		}
		wait = min(2*wait, maxReconnect)
	}
}

// sleep waits, and says whether it did so to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// jitter spreads d over half to one and a half of it.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d+1) //nolint:gosec // spreads load, guards nothing
}
