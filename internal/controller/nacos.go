package controller

import (
	"cmp"
	"context"
	"crypto/tls"
	"slices"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// compileNacos makes one source of each group of each namespace. Those two are its scope: other servers, credentials, clusters or another
// layout do not make it another source.
func (c *compiled) compileNacos(r *v1alpha1.Registry, n *v1alpha1.Nacos) {
	c.registry.Type = "nacos"
	services := v1alpha1.Services{Include: r.Spec.Services.Include, Exclude: r.Spec.Services.Exclude}
	for _, scope := range n.Scopes {
		for _, group := range scope.Groups {
			name := scope.Namespace + "/" + group
			id := model.NewSourceID(r.Namespace, r.Name, "nacos/"+name)
			one := *n
			one.Scopes = []v1alpha1.NacosScope{{Namespace: scope.Namespace, Groups: []string{group}}}
			c.sources = append(c.sources, SourceSpec{ID: id, Namespace: r.Namespace, Registry: r.Name, Nacos: &one, Services: services})
			c.registry.Sources = append(c.registry.Sources, translate.Source{
				ID: id, Scope: name, DefaultWeight: nacos.DefaultWeight, HostPrefix: nacosHostPrefix(scope.Namespace, group),
			})
		}
	}
	slices.SortFunc(c.registry.Sources, func(a, b translate.Source) int { return cmp.Compare(a.ID, b.ID) })
}

// nacosHostPrefix is what keeps the hosts of groups and namespaces apart; those of the default ones are short.
func nacosHostPrefix(namespace, group string) string {
	prefix := ""
	if group != v1alpha1.NacosDefaultGroup {
		prefix = group + "."
	}
	if namespace != v1alpha1.NacosDefaultNamespace {
		prefix += namespace + "."
	}
	return prefix
}

// newNacos makes a source of Nacos.
func (s Sources) newNacos(spec SourceSpec) source.Source {
	n := spec.Nacos
	cfg := nacos.Config{
		SourceID: spec.ID, Servers: n.Servers, GRPCPortOffset: int(*n.GRPCPortOffset), ContextPath: n.ContextPath,
		Namespace: n.Scopes[0].Namespace, Group: n.Scopes[0].Groups[0], Clusters: n.Clusters, Layout: nacos.Layout(n.Layout),
		LoginHTTPS: n.LoginScheme == v1alpha1.NacosLoginHTTPS || n.LoginScheme == "" && n.TLS != nil,
		Selects:    selects(spec.Services.Include, spec.Services.Exclude), Logger: s.logger(spec),
	}
	if n.AuthSecretRef != nil {
		ref := *n.AuthSecretRef
		cfg.Credentials = func(ctx context.Context) (user, password string, err error) {
			return s.credentials(ctx, spec.Namespace, ref)
		}
	}
	if n.AccessKey != nil {
		key := *n.AccessKey
		cfg.AccessKey = func(ctx context.Context) (nacos.AccessKey, error) { return s.accessKey(ctx, spec.Namespace, key) }
	}
	if n.TLS != nil {
		t := *n.TLS
		cfg.TLS = func(ctx context.Context) (*tls.Config, error) { return s.tls(ctx, spec.Namespace, &t) }
	}
	return nacos.New(cfg)
}

// accessKey reads a key. Only temporary ones have a token, so that it may be missing.
func (s Sources) accessKey(ctx context.Context, namespace string, key v1alpha1.NacosAccessKey) (nacos.AccessKey, error) {
	id, err := readText(ctx, s.Secrets, secret(namespace, key.SecretRef.Name, "accessKey"))
	if err != nil {
		return nacos.AccessKey{}, err
	}
	signing, err := readText(ctx, s.Secrets, secret(namespace, key.SecretRef.Name, "secretKey"))
	if err != nil {
		return nacos.AccessKey{}, err
	}
	token, err := readText(ctx, s.Secrets, secret(namespace, key.SecretRef.Name, "securityToken"))
	if err != nil {
		token = ""
	}
	return nacos.AccessKey{ID: id, Secret: signing, Token: token, Region: key.Region}, nil
}
