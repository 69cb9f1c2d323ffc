package cluster_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
)

// answers is an API server that answers each write of a status with the next error.
type answers struct {
	client.Client
	errs []error
}

func (a *answers) Status() client.SubResourceWriter { return statusAnswers{answers: a} }

type statusAnswers struct {
	client.SubResourceWriter
	answers *answers
}

func (s statusAnswers) Apply(context.Context, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
	err := s.answers.errs[0]
	s.answers.errs = s.answers.errs[1:]
	return err
}

// unheard drops Events.
type unheard struct{}

func (unheard) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

// served is an output that knows its API server.
type served struct{}

func (served) Served() string { return "v1" }
func (served) Missing() bool  { return false }

// TestStatusWritesAreCounted: one that failed is counted and tried again, and one of a Registry that is gone has not failed.
func TestStatusWritesAreCounted(t *testing.T) {
	writes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "writes_total", Help: "Writes."}, []string{"result"})
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "registries"}, "zk")
	registry := &v1alpha1.Registry{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "zk", UID: "1"}}
	server := &answers{errs: []error{errors.New("no route"), gone, nil}}
	statuses := &cluster.Statuses{
		Client: server, Events: unheard{}, Cluster: served{}, Writes: writes, Logger: slog.New(slog.DiscardHandler),
		State: func() *engine.State { return &engine.State{} },
		Set:   func() cluster.Set { return cluster.Set{Registries: []cluster.Registry{{Seen: registry}}} },
	}
	for range 5 {
		statuses.Look(t.Context())
	}
	if len(server.errs) != 0 {
		t.Errorf("%d answers were not asked for", len(server.errs))
	}
	want := `
# HELP writes_total Writes.
# TYPE writes_total counter
writes_total{result="error"} 1
writes_total{result="ok"} 2
`
	if err := testutil.CollectAndCompare(writes, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
