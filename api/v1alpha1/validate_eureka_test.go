package v1alpha1_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

func eurekaRegistry() *v1alpha1.Registry {
	r := minimal()
	r.Spec.Source = v1alpha1.Source{Eureka: &v1alpha1.Eureka{Servers: []v1alpha1.EurekaServer{{URL: "http://eureka:8761/eureka"}}}}
	return r
}

func TestEurekaDefaults(t *testing.T) {
	r := eurekaRegistry()
	r.Spec.Source.Eureka.TLS = &v1alpha1.TLS{CARef: &v1alpha1.ObjectKeyRef{Name: "ca"}}
	v1alpha1.Default(r)
	want := &v1alpha1.Eureka{
		Servers: []v1alpha1.EurekaServer{{URL: "http://eureka:8761/eureka"}}, PollInterval: &metav1.Duration{Duration: 30 * time.Second},
		TLS: &v1alpha1.TLS{CARef: &v1alpha1.ObjectKeyRef{Kind: "Secret", Name: "ca", Key: "ca.crt"}},
	}
	if diff := cmp.Diff(want, r.Spec.Source.Eureka); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestValidateEureka(t *testing.T) {
	type edit = func(*v1alpha1.Eureka)
	urls := func(list ...string) edit {
		return func(e *v1alpha1.Eureka) {
			e.Servers = nil
			for _, u := range list {
				e.Servers = append(e.Servers, v1alpha1.EurekaServer{URL: u})
			}
		}
	}
	poll := func(d time.Duration) edit {
		return func(e *v1alpha1.Eureka) { e.PollInterval = &metav1.Duration{Duration: d} }
	}
	tests := []struct {
		name       string
		edit       edit
		path, hint string
	}{
		{"minimal", func(*v1alpha1.Eureka) {}, "", ""},
		{"IPv6, several, Netflix's path", urls("http://[2001:db8::1]:8080/eureka/v2", "https://e/eureka/"), "", ""},
		{"no server", urls(), "servers", "http://eureka:8761/eureka"},
		{"no scheme", urls("eureka:8761/eureka"), "servers[0].url", "needs to be a URL"},
		{"no host", urls("http://:8761/eureka"), "servers[0].url", "with a host"},
		{"credentials", urls("http://a:b@eureka:8761/eureka"), "servers[0].url", "authSecretRef"},
		{"several in one, as Eureka's clients have them", urls("http://e1/eureka,http://e2/eureka"), "servers[0].url", "entry of its own"},
		{"with the path of an answer", urls("http://eureka:8761/eureka/apps/"), "servers[0].url", "without /apps"},
		{"twice", urls("http://e/eureka", "http://e/eureka/"), "servers[1]", ""},
		{"secret without name", func(e *v1alpha1.Eureka) { e.Servers[0].AuthSecretRef = &v1alpha1.SecretRef{} }, "servers[0].authSecretRef.name", "eureka"},
		{"TLS over http", func(e *v1alpha1.Eureka) { e.TLS = &v1alpha1.TLS{} }, "servers[0].url", "needs https"},
		{"too often", poll(time.Millisecond), "pollInterval", "between 1s and 10m"},
		{"too seldom", poll(time.Hour), "pollInterval", "between 1s and 10m"},
		{"region", func(e *v1alpha1.Eureka) { e.Region = "north/a" }, "region", "without slashes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := eurekaRegistry()
			v1alpha1.Default(r)
			tt.edit(r.Spec.Source.Eureka)
			path := tt.path
			if path != "" {
				path = "spec.source.eureka." + path
			}
			checkOne(t, r, path, tt.hint)
		})
	}
}
