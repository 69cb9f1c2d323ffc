package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func nacosRegistry(edit func(*v1alpha1.Registry)) *compiled {
	r := &v1alpha1.Registry{}
	r.Namespace, r.Name = "ns", "nacos"
	r.Spec.Source.Nacos = &v1alpha1.Nacos{
		Servers: []string{"nacos:8848"},
		Scopes: []v1alpha1.NacosScope{
			{Groups: []string{"DEFAULT_GROUP", "payments"}},
			{Namespace: "5d7e7a4c", Groups: []string{"DEFAULT_GROUP", "payments"}},
		},
	}
	edit(r)
	v1alpha1.Default(r)
	return compile(r)
}

func TestCompileNacos(t *testing.T) {
	c := nacosRegistry(func(r *v1alpha1.Registry) { r.Spec.Services.Include = []string{"orders*"} })
	got := map[string]translate.Source{}
	for _, s := range c.registry.Sources {
		got[s.Scope] = s
	}
	source := func(scope, prefix string) translate.Source {
		return translate.Source{ID: model.NewSourceID("ns", "nacos", "nacos/"+scope), Scope: scope, DefaultWeight: 100, HostPrefix: prefix}
	}
	want := map[string]translate.Source{
		"public/DEFAULT_GROUP":   source("public/DEFAULT_GROUP", ""),
		"public/payments":        source("public/payments", "payments."),
		"5d7e7a4c/DEFAULT_GROUP": source("5d7e7a4c/DEFAULT_GROUP", "5d7e7a4c."),
		"5d7e7a4c/payments":      source("5d7e7a4c/payments", "payments.5d7e7a4c."),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got)\n%s", diff)
	}
	if c.registry.Type != "nacos" || len(c.sources) != 4 {
		t.Errorf("type %q, %d sources", c.registry.Type, len(c.sources))
	}
	for _, s := range c.sources {
		if len(s.Nacos.Scopes) != 1 || len(s.Nacos.Scopes[0].Groups) != 1 {
			t.Errorf("a source of %+v", s.Nacos.Scopes)
		}
		if diff := cmp.Diff([]string{"orders*"}, s.Services.Include); diff != "" {
			t.Errorf("the source does not know what to read:\n%s", diff)
		}
	}
}

// TestNacosSourceID: other servers, credentials, clusters and another layout are the same source.
func TestNacosSourceID(t *testing.T) {
	ids := func(c *compiled) map[model.SourceID]bool {
		out := map[model.SourceID]bool{}
		for _, s := range c.sources {
			out[s.ID] = true
		}
		return out
	}
	same := nacosRegistry(func(r *v1alpha1.Registry) {
		n := r.Spec.Source.Nacos
		n.Servers, n.Layout, n.Clusters, n.AuthSecretRef = []string{"other:8848"}, "Plain", []string{"a"}, &v1alpha1.SecretRef{Name: "a"}
	})
	if diff := cmp.Diff(ids(nacosRegistry(func(*v1alpha1.Registry) {})), ids(same)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
