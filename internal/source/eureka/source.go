package eureka

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// DefaultPollInterval is how often Eureka's own clients ask, and how often a server brings its answers up to date by default.
const DefaultPollInterval = 30 * time.Second

// DefaultMaxAnswer is about 500,000 instances, in bytes.
const DefaultMaxAnswer = 512 << 20

// Config says what to watch. SourceID and Servers must be set.
type Config struct {
	// SourceID is the Source of every Ref.
	SourceID model.SourceID
	// Servers hold the same registry. The first one is asked until it fails, then the next one that answers.
	Servers []Server
	// PollInterval is the time from one poll to the next, at most; DefaultPollInterval when 0.
	PollInterval time.Duration
	// Region is that of instances that name a zone and no region.
	Region string
	// MaxAnswer is the largest answer that is accepted, in bytes of JSON; DefaultMaxAnswer when 0.
	MaxAnswer int64
	// TLS returns the TLS configuration of the next connection. Nil means that of the system. It is used for https only.
	TLS func(ctx context.Context) (*tls.Config, error)
	// Logger gets what an operator should know. Nil logs nothing.
	Logger *slog.Logger
	// DialContext replaces the dialer of package net. May be nil.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Server is one server of Eureka.
type Server struct {
	// URL is what stands before /apps, for instance "http://eureka:8761/eureka", without credentials.
	URL string
	// Credentials returns user and password for basic authentication at this server. It is asked for each poll, so that a rotated
	// password is used by the next one. Nil means none.
	Credentials func(ctx context.Context) (user, password string, err error)
}

// New returns a source that watches the applications of Eureka. It does no I/O.
//
// Run returns the error when no server answers the first poll, and when none has answered for half a minute. An application whose part of
// the answer makes no sense is skipped. Services are named as Eureka does, in capitals; status decides whether an instance is healthy.
func New(cfg Config) source.Source {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.PollInterval = cmp.Or(cfg.PollInterval, DefaultPollInterval)
	cfg.MaxAnswer = cmp.Or(cfg.MaxAnswer, DefaultMaxAnswer)
	return &eurekaSource{cfg: cfg}
}

type eurekaSource struct{ cfg Config }

// Run implements source.Source.
func (s *eurekaSource) Run(ctx context.Context, sink source.Sink) error {
	c := newClient(s.cfg)
	defer c.close()
	p := &poller{cfg: s.cfg, client: c, sink: sink}
	if err := source.Follow(ctx, sink, s.cfg.SourceID, p.next); err != nil {
		return fmt.Errorf("eureka: %w", err)
	}
	return nil
}
