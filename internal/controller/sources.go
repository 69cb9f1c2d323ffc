package controller

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// Sources makes the sources of the registries that this program knows.
type Sources struct {
	// Secrets resolves what a source's configuration refers to.
	Secrets Secrets
	Logger  *slog.Logger
	// Drift counts by source what full listings found that watches had missed; nil counts nothing.
	Drift *prometheus.CounterVec
}

// New makes the source of a spec. It does no I/O: secrets are read at each connection.
func (s Sources) New(spec SourceSpec) source.Source {
	switch {
	case spec.Consul != nil:
		return s.newConsul(spec)
	case spec.HTTP != nil:
		return s.newHTTP(spec)
	case spec.File != nil:
		return s.newFile(spec)
	case spec.Eureka != nil:
		return s.newEureka(spec)
	case spec.Nacos != nil:
		return s.newNacos(spec)
	}
	return s.newZooKeeper(spec)
}

// logger returns the logger of a source, nil when there is none.
func (s Sources) logger(spec SourceSpec) *slog.Logger {
	if s.Logger == nil {
		return nil
	}
	return s.Logger.With("source", spec.ID, "registry", spec.Registry, "namespace", spec.Namespace)
}

func (s Sources) tls(ctx context.Context, namespace string, t *v1alpha1.TLS) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if ref := t.CARef; ref != nil {
		pem, err := s.Secrets.Read(ctx, Reference{Kind: ref.Kind, Namespace: namespace, Name: ref.Name, Key: ref.Key})
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: key %q of %q holds no certificate in PEM", source.ErrSecret, ref.Key, ref.Name)
		}
	}
	if ref := t.ClientSecretRef; ref != nil {
		cert, err := s.Secrets.Read(ctx, secret(namespace, ref.Name, "tls.crt"))
		if err != nil {
			return nil, err
		}
		key, err := s.Secrets.Read(ctx, secret(namespace, ref.Name, "tls.key"))
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			// The error names what is wrong with the form of the two, never their content.
			return nil, fmt.Errorf("%w: keys \"tls.crt\" and \"tls.key\" of %q: %w", source.ErrSecret, ref.Name, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// secret refers to a key of a Secret.
func secret(namespace, name, key string) Reference {
	return Reference{Kind: v1alpha1.RefSecret, Namespace: namespace, Name: name, Key: key}
}

// readText reads a one-line value, without the line end that editors and echo leave behind it.
func readText(ctx context.Context, s Secrets, ref Reference) (string, error) {
	data, err := s.Read(ctx, ref)
	if err != nil {
		return "", err
	}
	data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	if len(data) == 0 {
		return "", fmt.Errorf("%w: key %q of %q is empty", source.ErrSecret, ref.Key, ref.Name)
	}
	return string(data), nil
}
