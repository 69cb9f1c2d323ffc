package nacos

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

// Layout is how services are registered.
type Layout string

// The layouts. Auto tells the others apart, each service by itself.
const (
	Auto             Layout = "Auto"
	SpringCloud      Layout = "SpringCloud"
	DubboInterface   Layout = "DubboInterface"
	DubboApplication Layout = "DubboApplication"
	Plain            Layout = "Plain"
)

// Defaults of Config.
const (
	DefaultGRPCPortOffset = 1000
	DefaultContextPath    = "/nacos"
	DefaultNamespace      = "public"
	DefaultGroup          = "DEFAULT_GROUP"
	// DefaultListEvery is how often it is asked which services there are.
	DefaultListEvery = 10 * time.Second
)

// Config says what to watch. SourceID and Servers must be set.
type Config struct {
	// SourceID is the Source of every Ref.
	SourceID model.SourceID
	// Servers are the host:port of the HTTP APIs of the servers of one cluster. One of them is used at a time.
	Servers []string
	// GRPCPortOffset is how far the gRPC port of a server is above that, DefaultGRPCPortOffset when 0.
	GRPCPortOffset int
	// ContextPath is the path of the HTTP API, DefaultContextPath when empty. It is used to log in only.
	ContextPath string
	// Namespace is the id of a namespace, Group the name of a group in it; the defaults of Nacos when empty.
	Namespace, Group string
	// Clusters selects instances by the cluster that they are in; all when empty.
	Clusters []string
	// Layout is how services are registered, Auto when empty.
	Layout Layout
	// Credentials returns user and password, with which a token is got by the HTTP API. It is asked at each login. Nil means none.
	Credentials func(ctx context.Context) (user, password string, err error)
	// LoginHTTPS says that this is done by HTTPS.
	LoginHTTPS bool
	// AccessKey returns the key with which requests are signed. It is asked for each request. Nil means none.
	AccessKey func(ctx context.Context) (AccessKey, error)
	// TLS returns the TLS configuration of the next connection. Nil means none: gRPC is spoken without TLS.
	TLS func(ctx context.Context) (*tls.Config, error)
	// Selects says whether a service is wanted, by the name of model.Ref. Others are named without instances, and not read. Nil wants all.
	// It must be pure.
	Selects func(name string) bool
	// ListEvery is how often it is asked which services there are, DefaultListEvery when 0.
	ListEvery time.Duration
	// Logger gets what an operator should know. Nil logs nothing.
	Logger *slog.Logger
	// DialContext replaces the dialer of package net. May be nil.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// AccessKey is a key of Alibaba Cloud. Its parts are never told.
type AccessKey struct {
	// ID and Secret are the key. Token is that of a temporary key, empty for others.
	ID, Secret, Token string
	// Region derives the signing key of signature version 4; empty means that Secret itself signs.
	Region string
}

// New returns a source that watches the services of a group. It does no I/O.
//
// Run returns the error when nothing could be listed yet, and when no server has been able to for half a minute after that; meanwhile
// nothing is removed, and it connects to the other servers in turn. A service that cannot be read, or whose answer cannot be understood, is
// skipped at the third failure in a row, which takes about two seconds, and tried again with backoff. A service is deleted once two listings
// in a row, of one connection, lack it.
func New(cfg Config) source.Source {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.DialContext == nil {
		cfg.DialContext = (&net.Dialer{Timeout: dialTime}).DialContext
	}
	cfg.GRPCPortOffset = cmp.Or(cfg.GRPCPortOffset, DefaultGRPCPortOffset)
	cfg.ContextPath = cmp.Or(cfg.ContextPath, DefaultContextPath)
	cfg.Namespace = cmp.Or(cfg.Namespace, DefaultNamespace)
	cfg.Group = cmp.Or(cfg.Group, DefaultGroup)
	cfg.Layout = cmp.Or(cfg.Layout, Auto)
	cfg.ListEvery = cmp.Or(cfg.ListEvery, DefaultListEvery)
	return &nacosSource{cfg: cfg}
}

type nacosSource struct{ cfg Config }

// Run implements source.Source.
func (s *nacosSource) Run(ctx context.Context, sink source.Sink) error {
	var err error
	if ctx.Err() == nil {
		err = newRunner(s.cfg, sink).run(ctx)
	}
	select {
	case <-ctx.Done():
		return nil // Ended on request; what else went wrong meanwhile is of no interest.
	default:
		return fmt.Errorf("nacos: %w", err)
	}
}
