package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func eurekaRegistry(edit func(*v1alpha1.Registry)) *compiled {
	r := &v1alpha1.Registry{}
	r.Namespace, r.Name = "ns", "eureka"
	r.Spec.Source.Eureka = &v1alpha1.Eureka{Servers: []v1alpha1.EurekaServer{{URL: "http://eureka:8761/eureka"}}}
	edit(r)
	v1alpha1.Default(r)
	return compile(r)
}

func TestCompileEureka(t *testing.T) {
	c := eurekaRegistry(func(*v1alpha1.Registry) {})
	id := c.sources[0].ID
	if diff := cmp.Diff([]translate.Source{{ID: id, Scope: "eureka", DefaultWeight: 1}}, c.registry.Sources); diff != "" {
		t.Errorf("sources (-want +got)\n%s", diff)
	}
	if c.registry.Type != "eureka" || c.registry.DefaultProtocol != translate.HTTP {
		t.Errorf("type %q, protocol %q", c.registry.Type, c.registry.DefaultProtocol)
	}
	// A registry has one source, whatever is changed about how it is asked.
	other := eurekaRegistry(func(r *v1alpha1.Registry) {
		e := r.Spec.Source.Eureka
		e.Servers = []v1alpha1.EurekaServer{{URL: "https://other/eureka", AuthSecretRef: &v1alpha1.SecretRef{Name: "a"}}}
		e.PollInterval, e.Region = &metav1.Duration{Duration: time.Second}, "north"
	})
	if other.sources[0].ID != id {
		t.Error("other servers have another id")
	}
}
