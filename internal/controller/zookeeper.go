package controller

import (
	"context"
	"crypto/tls"
	"errors"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper"
)

// newZooKeeper makes a source of ZooKeeper.
func (s Sources) newZooKeeper(spec SourceSpec) source.Source {
	z := spec.ZooKeeper
	cfg := zookeeper.Config{
		SourceID:       spec.ID,
		Servers:        z.Servers,
		Chroot:         z.Chroot,
		Layout:         zookeeperLayout(z.Layouts[0].Type),
		Root:           z.Layouts[0].Root,
		MetadataRoot:   z.Layouts[0].MetadataRoot,
		SessionTimeout: duration(z.SessionTimeout),
	}
	cfg.Logger = s.logger(spec)
	if s.Drift != nil {
		drift := s.Drift.WithLabelValues(spec.Namespace+"/"+spec.Registry, string(spec.ID))
		cfg.Drift = func(nodes int) { drift.Add(float64(nodes)) }
	}
	if z.Auth != nil && z.Auth.DigestSecretRef != nil {
		ref := *z.Auth.DigestSecretRef
		cfg.Credentials = func(ctx context.Context) (user, password string, err error) {
			return s.credentials(ctx, spec.Namespace, ref)
		}
	}
	if z.TLS != nil {
		t := *z.TLS
		cfg.TLS = func(ctx context.Context) (*tls.Config, error) { return s.tls(ctx, spec.Namespace, &t) }
	}
	return zookeeper.New(cfg)
}

func zookeeperLayout(t v1alpha1.ZooKeeperLayoutType) zookeeper.Layout {
	switch t {
	case v1alpha1.LayoutDubboApplication:
		return zookeeper.DubboApplication
	case v1alpha1.LayoutSpringCloud:
		return zookeeper.SpringCloud
	default:
		return zookeeper.DubboInterface
	}
}

func (s Sources) credentials(ctx context.Context, namespace string, ref v1alpha1.SecretRef) (user, password string, err error) {
	user, userErr := readText(ctx, s.Secrets, secret(namespace, ref.Name, "username"))
	password, passwordErr := readText(ctx, s.Secrets, secret(namespace, ref.Name, "password"))
	if err := errors.Join(userErr, passwordErr); err != nil {
		return "", "", err
	}
	return user, password, nil
}
