package controller

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	nethttp "net/http"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
	"github.com/registry-bridge/registry-bridge/internal/source/file"
	"github.com/registry-bridge/registry-bridge/internal/source/http"
)

// newHTTP makes a source of a document at a URL.
func (s Sources) newHTTP(spec SourceSpec) source.Source {
	h := spec.HTTP
	cfg := http.Config{
		SourceID: spec.ID, URL: h.URL, Format: document.Format(h.Format), ServiceLabel: h.ServiceLabel,
		PollInterval: duration(h.PollInterval), LongPoll: duration(h.LongPoll),
		Header: func(ctx context.Context) (nethttp.Header, error) { return s.header(ctx, spec.Namespace, h) },
	}
	if h.TLS != nil {
		cfg.TLS = func(ctx context.Context) (*tls.Config, error) { return s.tls(ctx, spec.Namespace, h.TLS) }
	}
	return http.New(cfg)
}

// header returns the configured headers with what their secrets hold now.
func (s Sources) header(ctx context.Context, namespace string, h *v1alpha1.HTTP) (nethttp.Header, error) {
	header := nethttp.Header{}
	for _, one := range h.Headers {
		value := one.Value
		if ref := one.SecretRef; ref != nil {
			var err error
			if value, err = readText(ctx, s.Secrets, secret(namespace, ref.Name, ref.Key)); err != nil {
				return nil, err
			}
		}
		header.Set(one.Name, value)
	}
	switch {
	case h.BearerSecretRef != nil:
		token, err := readText(ctx, s.Secrets, secret(namespace, h.BearerSecretRef.Name, h.BearerSecretRef.Key))
		if err != nil {
			return nil, err
		}
		header.Set("Authorization", "Bearer "+token)
	case h.BasicSecretRef != nil:
		user, password, err := s.credentials(ctx, namespace, *h.BasicSecretRef)
		if err != nil {
			return nil, err
		}
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	return header, nil
}

// newFile makes a source of documents in files.
func (s Sources) newFile(spec SourceSpec) source.Source {
	f := spec.File
	return file.New(file.Config{
		SourceID: spec.ID, Path: f.Path, Format: document.Format(f.Format), ServiceLabel: f.ServiceLabel, Logger: s.logger(spec),
	})
}
