package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

// slow is an API server that never answers, and counts what it is asked.
type slow struct {
	client.Client
	asked int
}

func (s *slow) Patch(ctx context.Context, _ client.Object, _ client.Patch, _ ...client.PatchOption) error {
	s.asked++
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s *slow) Status() client.SubResourceWriter { return slowStatus{server: s} }

type slowStatus struct {
	client.SubResourceWriter
	server *slow
}

func (s slowStatus) Apply(ctx context.Context, _ runtime.ApplyConfiguration, _ ...client.SubResourceApplyOption) error {
	return s.server.Patch(ctx, nil, nil)
}

// TestLeased: nothing is sent when the lease is over, and nothing lasts for longer.
func TestLeased(t *testing.T) {
	const lease = 4 * time.Second
	for name, write := range map[string]func(context.Context, client.Client) error{
		"finalizer": func(ctx context.Context, c client.Client) error {
			return setFinalizer(ctx, c, &v1alpha1.Registry{}, true)
		},
		"status": func(ctx context.Context, c client.Client) error {
			return c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, server := time.Now(), &slow{}
				until := begin.Add(lease)
				c := leased{Client: server, until: func() time.Time { return until }}
				if err := write(t.Context(), c); !errors.Is(err, ErrNotLeader) || time.Since(begin) != lease || server.asked != 1 {
					t.Errorf("a write with a lease: %v after %s, asked %d times; want one that ends after %s", err, time.Since(begin), server.asked, lease)
				}
				if err := write(t.Context(), c); !errors.Is(err, ErrNotLeader) || server.asked != 1 {
					t.Errorf("a write when the lease is over: %v, asked %d times; want that nothing is sent", err, server.asked)
				}
			})
		})
	}
}
