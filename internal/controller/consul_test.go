package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func consulRegistry(edit func(*v1alpha1.Registry)) *compiled {
	r := &v1alpha1.Registry{}
	r.Namespace, r.Name = "ns", "consul"
	r.Spec.Source.Consul = &v1alpha1.Consul{Address: "https://consul:8501", Datacenter: "dc1"}
	edit(r)
	v1alpha1.Default(r)
	return compile(r)
}

func TestCompileConsul(t *testing.T) {
	c := consulRegistry(func(r *v1alpha1.Registry) { r.Spec.Services.Include = []string{"web*"} })
	id := c.sources[0].ID
	want := []translate.Source{{ID: id, Scope: "dc1", DefaultWeight: 1}}
	if diff := cmp.Diff(want, c.registry.Sources); diff != "" {
		t.Errorf("sources (-want +got)\n%s", diff)
	}
	if c.registry.Type != "consul" || !c.registry.PublishWarning {
		t.Errorf("type %q, PublishWarning %t", c.registry.Type, c.registry.PublishWarning)
	}
	if diff := cmp.Diff([]string{"web*"}, c.sources[0].Services.Include); diff != "" {
		t.Errorf("the source does not know what to read:\n%s", diff)
	}
	drop := consulRegistry(func(r *v1alpha1.Registry) { r.Spec.Source.Consul.Warning = v1alpha1.ConsulWarningDrop })
	if drop.registry.PublishWarning {
		t.Error("warning: Drop publishes")
	}
	if all := consulRegistry(func(*v1alpha1.Registry) {}); !cmp.Equal(all.sources, drop.sources) {
		t.Error("warning restarts the source")
	}
}

// TestConsulSourceID: another address, token or filter is the same source, another datacenter is not.
func TestConsulSourceID(t *testing.T) {
	id := consulRegistry(func(*v1alpha1.Registry) {}).sources[0].ID
	same := consulRegistry(func(r *v1alpha1.Registry) {
		c := r.Spec.Source.Consul
		c.Address, c.Filter, c.TokenSecretRef = "http://other:8500", "Service.Meta.a == 1", &v1alpha1.SecretKeyRef{Name: "a"}
	})
	if same.sources[0].ID != id {
		t.Error("another address has another id")
	}
	for _, edit := range []func(*v1alpha1.Consul){
		func(c *v1alpha1.Consul) { c.Datacenter = "dc2" }, func(c *v1alpha1.Consul) { c.Namespace = "a" }, func(c *v1alpha1.Consul) { c.Partition = "a" },
	} {
		if other := consulRegistry(func(r *v1alpha1.Registry) { edit(r.Spec.Source.Consul) }); other.sources[0].ID == id {
			t.Errorf("%+v has the same id", other.config.Spec.Source.Consul)
		}
	}
}
