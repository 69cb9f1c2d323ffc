package controller

import (
	"context"
	"crypto/tls"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/eureka"
)

// newEureka makes a source of Eureka.
func (s Sources) newEureka(spec SourceSpec) source.Source {
	e := spec.Eureka
	cfg := eureka.Config{SourceID: spec.ID, PollInterval: duration(e.PollInterval), Region: e.Region, Logger: s.logger(spec)}
	for _, server := range e.Servers {
		one := eureka.Server{URL: server.URL}
		if server.AuthSecretRef != nil {
			ref := *server.AuthSecretRef
			one.Credentials = func(ctx context.Context) (user, password string, err error) {
				return s.credentials(ctx, spec.Namespace, ref)
			}
		}
		cfg.Servers = append(cfg.Servers, one)
	}
	if e.TLS != nil {
		t := *e.TLS
		cfg.TLS = func(ctx context.Context) (*tls.Config, error) { return s.tls(ctx, spec.Namespace, &t) }
	}
	return eureka.New(cfg)
}
