package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func TestCompileDubbo(t *testing.T) {
	d := v1alpha1.Dubbo{
		DataPlanes: []v1alpha1.DataPlane{v1alpha1.DataPlaneEnvoy},
		Consumers:  v1alpha1.Consumers{Namespaces: []string{"shop", "billing"}},
		Rollout:    v1alpha1.Rollout{Stage: v1alpha1.RolloutListed, Interfaces: []string{"com.acme.*"}},
		TagRouting: v1alpha1.TagRoutingEnabled,
		Routes: []v1alpha1.DubboRoute{
			{
				Name: "canary", Interface: "com.acme.Order", Group: new("blue"), Method: &v1alpha1.MethodMatch{Prefix: "get"},
				Split: []v1alpha1.DubboSplit{{Version: new("1"), Weight: 90}, {Version: new("2"), Group: new(""), Tag: "gray", Weight: 10}},
			},
			{Name: "all", Interface: "com.acme.Order", Version: new(""), Split: []v1alpha1.DubboSplit{{Weight: 1}}},
		},
	}
	want := translate.Dubbo{
		Envoy: true, Namespaces: []string{"billing", "shop"}, ByTag: true,
		Rules: []translate.DubboRule{
			{
				Name: "canary", Interface: "com.acme.Order", Group: new("blue"), Method: translate.MethodMatch{Prefix: "get"},
				Shares: []translate.DubboShare{{Version: new("1"), Weight: 90}, {Version: new("2"), Group: new(""), Tag: "gray", Weight: 10}},
			},
			{Name: "all", Interface: "com.acme.Order", Version: new(""), Shares: []translate.DubboShare{{Weight: 1}}},
		},
	}
	ignored := cmpopts.IgnoreFields(translate.Dubbo{}, "Routes")
	got := compileDubbo(&d)
	if diff := cmp.Diff(want, got, ignored); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !got.Routes("blue/com.acme.Order:1.0") || got.Routes("com.other.Order") {
		t.Error("other interfaces are routed than those that are listed")
	}
	d.Rollout.Stage = v1alpha1.RolloutAll
	if got := compileDubbo(&d); !got.Routes("com.other.Order") {
		t.Error("stage All does not route everything")
	}
	d.Rollout.Stage = v1alpha1.RolloutObserve
	if got := compileDubbo(&d); got.Routes != nil {
		t.Error("stage Observe routes something")
	}
	d.DataPlanes = []v1alpha1.DataPlane{v1alpha1.DataPlaneTCP}
	if diff := cmp.Diff(translate.Dubbo{}, compileDubbo(&d), ignored); diff != "" {
		t.Errorf("data plane TCP:\n%s", diff)
	}
}
