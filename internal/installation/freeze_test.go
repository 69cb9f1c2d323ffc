package installation_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
	"github.com/registry-bridge/registry-bridge/internal/installation"
)

func TestFind(t *testing.T) {
	one := newClient(t, lease("mesh", "registry-bridge"), lease("kube-system", "kube-scheduler"))
	two := newClient(t, lease("mesh", "registry-bridge"), lease("eu", "registry-bridge"))
	tests := []struct {
		name      string
		client    client.Client
		namespace string
		want      string
		err       error
	}{
		{"the only one", one, "", "mesh", nil},
		{"named", two, "eu", "eu", nil},
		{"not there", one, "default", "", installation.ErrNone},
		{"several", two, "", "", installation.ErrSeveral},
		{"none", newClient(t), "", "", installation.ErrNone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := installation.Find(t.Context(), tt.client, tt.namespace, "registry-bridge")
			if !errors.Is(err, tt.err) || err == nil && b.Namespace != tt.want {
				t.Errorf("got %+v, %v", b, err)
			}
		})
	}
}

// data is what the ConfigMap that freezes says.
func data(t *testing.T, b *installation.Bridge) map[string]string {
	t.Helper()
	var m corev1.ConfigMap
	if err := b.Client.Get(t.Context(), client.ObjectKey{Namespace: "mesh", Name: "bridge-freeze"}, &m); err != nil {
		t.Fatal(err)
	}
	return m.Data
}

func TestFreeze(t *testing.T) {
	b := &installation.Bridge{Client: newClient(t), Namespace: "mesh", Name: "bridge"}
	first := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	steps := []struct {
		name string
		do   func() (*cluster.Freeze, error)
		want map[string]string
	}{
		{
			"unfreeze what never was", func() (*cluster.Freeze, error) { return b.Unfreeze(t.Context()) },
			map[string]string{"frozen": "false"},
		},
		{
			"freeze", func() (*cluster.Freeze, error) { return b.Freeze(t.Context(), "incident 7", first) },
			map[string]string{"frozen": "true", "reason": "incident 7", "since": "2026-03-01T03:00:00Z"},
		},
		{
			"again, without a reason", func() (*cluster.Freeze, error) { return b.Freeze(t.Context(), "", first.Add(time.Hour)) },
			map[string]string{"frozen": "true", "reason": "incident 7", "since": "2026-03-01T03:00:00Z"},
		},
		{
			"again, with another", func() (*cluster.Freeze, error) { return b.Freeze(t.Context(), "incident 8", first.Add(time.Hour)) },
			map[string]string{"frozen": "true", "reason": "incident 8", "since": "2026-03-01T03:00:00Z"},
		},
		{
			"unfreeze", func() (*cluster.Freeze, error) { return b.Unfreeze(t.Context()) },
			map[string]string{"frozen": "false"},
		},
	}
	for _, step := range steps {
		if _, err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, data(t, b)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// TestFreezeAfterLeaving: an uninstallation that was given up does not come back with the next freeze, which would take finalizers away.
func TestFreezeAfterLeaving(t *testing.T) {
	leaving := cluster.WriteFreeze("mesh", "bridge", &cluster.Freeze{Leaving: true})
	b := &installation.Bridge{Client: newClient(t, leaving), Namespace: "mesh", Name: "bridge"}
	if last, err := b.Unfreeze(t.Context()); err != nil || last == nil || !last.Leaving {
		t.Fatalf("got %+v, %v", last, err)
	}
	if next, err := b.Freeze(t.Context(), "", time.Now()); err != nil || next.Leaving {
		t.Fatalf("got %+v, %v", next, err)
	}
	if frozen := cluster.ReadFreeze(&corev1.ConfigMap{Data: data(t, b)}); frozen == nil || frozen.Leaving {
		t.Errorf("got %+v", frozen)
	}
}

// ready gives a Registry the condition Ready.
func ready(status metav1.ConditionStatus, why string) func(*v1alpha1.Registry) {
	return func(r *v1alpha1.Registry) {
		r.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: status, Reason: why}}
	}
}

func TestAwaitFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := shop
		bad.Name = "bad"
		b := &installation.Bridge{Client: newClient(t,
			registry(shop, ready(metav1.ConditionTrue, "InUse")), registry(bad, ready(metav1.ConditionFalse, "Invalid")),
		), Namespace: "mesh", Name: "bridge"}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		go func() {
			timer := time.NewTimer(time.Second)
			defer timer.Stop()
			<-timer.C
			r := read(t, b.Client, shop)
			ready(metav1.ConditionTrue, "Frozen")(r)
			if err := b.Client.Update(t.Context(), r); err != nil {
				t.Error(err)
			}
		}()
		start := time.Now()
		if n, err := b.AwaitFrozen(ctx, true, nil); n != 1 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		if waited := time.Since(start); waited < time.Second || waited > 2*time.Second {
			t.Errorf("it waited %s", waited)
		}
		_, err := b.AwaitFrozen(ctx, false, []string{shop.Namespace})
		if !errors.Is(err, installation.ErrUnconfirmed) || !strings.Contains(err.Error(), "Registry dubbo/shop says Frozen") {
			t.Errorf("got %v", err)
		}
	})
}
