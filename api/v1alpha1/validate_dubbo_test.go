package v1alpha1_test

import (
	"testing"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

func TestValidateDubbo(t *testing.T) {
	canary := func() v1alpha1.DubboRoute {
		return v1alpha1.DubboRoute{
			Name: "canary", Interface: "com.acme.OrderService", Method: &v1alpha1.MethodMatch{Prefix: "get"},
			Split: []v1alpha1.DubboSplit{{Version: new("1.0.0"), Weight: 90}, {Version: new("2.0.0"), Group: new(""), Weight: 10}},
		}
	}
	routed := func(edit func(r *v1alpha1.DubboRoute)) func(d *v1alpha1.Dubbo) {
		return func(d *v1alpha1.Dubbo) {
			r := canary()
			edit(&r)
			d.Routes = []v1alpha1.DubboRoute{r}
		}
	}
	for _, tt := range []struct {
		name       string
		edit       func(d *v1alpha1.Dubbo)
		path, hint string
	}{
		{"two data planes", func(d *v1alpha1.Dubbo) {
			d.DataPlanes, d.Consumers.Mesh = []v1alpha1.DataPlane{"TCP", "TCP"}, true
		}, "spec.dubbo.dataPlanes", "at most 1"},
		{"Envoy", func(d *v1alpha1.Dubbo) {
			d.DataPlanes, d.Consumers.Namespaces = []v1alpha1.DataPlane{"Envoy"}, []string{"shop"}
		}, "", ""},
		{"Envoy for the mesh", func(d *v1alpha1.Dubbo) {
			d.DataPlanes, d.Consumers.Mesh = []v1alpha1.DataPlane{"Envoy"}, true
		}, "", ""},
		{"Envoy for nobody", func(d *v1alpha1.Dubbo) { d.DataPlanes = []v1alpha1.DataPlane{"Envoy"} }, "spec.dubbo.consumers", "namespaces"},
		{"mesh and namespaces", func(d *v1alpha1.Dubbo) {
			d.Consumers = v1alpha1.Consumers{Mesh: true, Namespaces: []string{"shop"}}
		}, "spec.dubbo.consumers", "every namespace"},
		{"no namespace", func(d *v1alpha1.Dubbo) { d.Consumers.Namespaces = []string{"*"} }, "spec.dubbo.consumers.namespaces[0]", "e.g. shop"},
		{"namespace twice", func(d *v1alpha1.Dubbo) { d.Consumers.Namespaces = []string{"a", "a"} }, "spec.dubbo.consumers.namespaces[1]", ""},
		{"stage", func(d *v1alpha1.Dubbo) { d.Rollout.Stage = "Some" }, "spec.dubbo.rollout.stage", "Listed"},
		{"nothing listed", func(d *v1alpha1.Dubbo) { d.Rollout.Stage = "Listed" }, "spec.dubbo.rollout.interfaces", "com.acme.order.*"},
		{"listed", func(d *v1alpha1.Dubbo) {
			d.Rollout = v1alpha1.Rollout{Stage: "Listed", Interfaces: []string{"com.acme.*"}}
		}, "", ""},
		{"glob", func(d *v1alpha1.Dubbo) { d.Rollout.Interfaces = []string{"a{b}"} }, "spec.dubbo.rollout.interfaces[0]", "use *"},
		{"tags", func(d *v1alpha1.Dubbo) { d.TagRouting = "On" }, "spec.dubbo.tagRouting", "Enabled"},
		{"canary", routed(func(*v1alpha1.DubboRoute) {}), "", ""},
		{"no name", routed(func(r *v1alpha1.DubboRoute) { r.Name = "" }), "spec.dubbo.routes[0].name", "e.g. canary"},
		{"route twice", func(d *v1alpha1.Dubbo) { d.Routes = []v1alpha1.DubboRoute{canary(), canary()} }, "spec.dubbo.routes[1].name", ""},
		{"no interface", routed(func(r *v1alpha1.DubboRoute) { r.Interface = "" }), "spec.dubbo.routes[0].interface", "com.acme"},
		{"no condition on the method", routed(func(r *v1alpha1.DubboRoute) { r.Method = &v1alpha1.MethodMatch{} }), "spec.dubbo.routes[0].method", "exactly one"},
		{"two conditions", routed(func(r *v1alpha1.DubboRoute) { r.Method.Exact = "a" }), "spec.dubbo.routes[0].method", "exactly one"},
		{"regex", routed(func(r *v1alpha1.DubboRoute) { r.Method = &v1alpha1.MethodMatch{Regex: "(?=a)"} }), "spec.dubbo.routes[0].method.regex", "RE2"},
		{"good regex", routed(func(r *v1alpha1.DubboRoute) { r.Method = &v1alpha1.MethodMatch{Regex: "get|find.*"} }), "", ""},
		{"no split", routed(func(r *v1alpha1.DubboRoute) { r.Split = nil }), "spec.dubbo.routes[0].split", "version: 2.0.0"},
		{"no weight", routed(func(r *v1alpha1.DubboRoute) { r.Split = []v1alpha1.DubboSplit{{}} }), "spec.dubbo.routes[0].split", "above 0"},
		{"negative weight", routed(func(r *v1alpha1.DubboRoute) { r.Split[0].Weight = -1 }), "spec.dubbo.routes[0].split[0].weight", "10000"},
		{"large weight", routed(func(r *v1alpha1.DubboRoute) { r.Split[1].Weight = 10_001 }), "spec.dubbo.routes[0].split[1].weight", "10000"},
		{"tag without tags", routed(func(r *v1alpha1.DubboRoute) { r.Split[1].Tag = "gray" }), "spec.dubbo.routes[0].split[1].tag", "Enabled"},
		{"tag", func(d *v1alpha1.Dubbo) {
			d.TagRouting = v1alpha1.TagRoutingEnabled
			routed(func(r *v1alpha1.DubboRoute) { r.Split[1].Tag = "gray" })(d)
		}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := minimal()
			v1alpha1.Default(r)
			tt.edit(&r.Spec.Dubbo)
			checkOne(t, r, tt.path, tt.hint)
		})
	}
}
