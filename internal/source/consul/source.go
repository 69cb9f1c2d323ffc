package consul

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

// Defaults of Config.
const (
	// DefaultConnections leaves as many of the 200 connections that an agent allows to one client address by default
	// (limits.http_max_conns_per_client) to others at that address, and to a second bridge during an upgrade.
	DefaultConnections = 100
	// DefaultWait is what Consul itself waits by default.
	DefaultWait = 5 * time.Minute
)

// AddressFromService is the value of Config.AddressFrom that takes the address of the service or, where that has none, of its node.
const AddressFromService = "Service"

// Config says what to watch. SourceID and Address must be set.
type Config struct {
	// SourceID is the Source of every Ref.
	SourceID model.SourceID
	// Address is the URL of an agent or of a load balancer before servers: http or https, with port, and a path where a proxy needs one.
	Address string
	// Datacenter, Namespace and Partition are Consul's; empty means what the agent and the token have by default.
	Datacenter, Namespace, Partition string
	// Filter is an expression in Consul's filter language that selects instances of each service.
	Filter string
	// AddressFrom is AddressFromService (also when empty), or the name of a tagged address, for instance "wan".
	AddressFrom string
	// Token returns the ACL token. It is asked for each query, so that a rotated token is used by the next one. Nil means none: Consul
	// then uses the agent's own token. Nothing is taken from the environment.
	Token func(ctx context.Context) (string, error)
	// TLS returns the TLS configuration of the next connection. Nil means that of the system. It is used for https only.
	TLS func(ctx context.Context) (*tls.Config, error)
	// Connections is how many connections are used at most where each query needs one (HTTP/1.1). With more services than that they
	// take turns. DefaultConnections when 0.
	Connections int
	// Wait is how long a blocking query may wait, DefaultWait when 0. Consul allows 10 minutes at most.
	Wait time.Duration
	// Selects says whether a service is wanted. Others are named without instances, and not read. Nil wants all. It must be pure.
	Selects func(name string) bool
	// Logger gets what an operator should know. Nil logs nothing.
	Logger *slog.Logger
	// DialContext replaces the dialer of package net. May be nil.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// New returns a source that watches the services of a Consul datacenter. It does no I/O.
//
// Run returns the error when the first listing fails, and when a later one has failed for half a minute. Meanwhile nothing is removed,
// and services are not asked either. A service that cannot be read, or whose answer cannot be believed, is skipped at the third failure
// in a row, which takes about two seconds, and tried again with backoff. A service is deleted only when the listing says that it is
// gone. The service "consul" and instances that are proxies or gateways of Consul's own mesh are left out.
func New(cfg Config) source.Source {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Connections = cmp.Or(cfg.Connections, DefaultConnections)
	cfg.Wait = cmp.Or(cfg.Wait, DefaultWait)
	cfg.AddressFrom = cmp.Or(cfg.AddressFrom, AddressFromService)
	return &consulSource{cfg: cfg}
}

type consulSource struct{ cfg Config }

// Run implements source.Source.
func (s *consulSource) Run(ctx context.Context, sink source.Sink) error {
	c, err := newClient(s.cfg)
	if err != nil {
		return fmt.Errorf("consul: %w", err)
	}
	defer c.close()
	err = newRunner(s.cfg, c, sink).run(ctx)
	if ctx.Err() != nil {
		return nil // Ended on request; what else went wrong meanwhile is of no interest.
	}
	return fmt.Errorf("consul: %w", err)
}
