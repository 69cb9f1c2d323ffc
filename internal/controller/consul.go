package controller

import (
	"context"
	"crypto/tls"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/consul"
)

// newConsul makes a source of Consul.
func (s Sources) newConsul(spec SourceSpec) source.Source {
	c := spec.Consul
	cfg := consul.Config{
		SourceID: spec.ID, Address: c.Address, Datacenter: c.Datacenter, Namespace: c.Namespace, Partition: c.Partition,
		Filter: c.Filter, AddressFrom: c.AddressFrom,
		Selects: selects(spec.Services.Include, spec.Services.Exclude), Logger: s.logger(spec),
	}
	if c.TokenSecretRef != nil {
		ref := *c.TokenSecretRef
		cfg.Token = func(ctx context.Context) (string, error) {
			return readText(ctx, s.Secrets, secret(spec.Namespace, ref.Name, ref.Key))
		}
	}
	if c.TLS != nil {
		t := *c.TLS
		cfg.TLS = func(ctx context.Context) (*tls.Config, error) { return s.tls(ctx, spec.Namespace, &t) }
	}
	return consul.New(cfg)
}
