package cluster

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ErrNotLeader says that nothing was sent, because another replica may lead.
var ErrNotLeader = errors.New("the lease has run out, another replica may be the leader")

// leased is a client whose writes end before the lease does. The election tells of a loss only when it has failed to renew for a while: a
// process that was stopped for longer than its lease would write Registries meanwhile. It knows the two ways in which this package writes:
// patches of Registries (finalizers), and applied statuses.
type leased struct {
	client.Client
	// until is Lease.Until.
	until func() time.Time
}

// Patch implements client.Writer.
func (l leased) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	return l.write(ctx, func(ctx context.Context) error { return l.Client.Patch(ctx, object, patch, options...) })
}

// Status implements client.StatusClient.
func (l leased) Status() client.SubResourceWriter {
	return leasedStatus{SubResourceWriter: l.Client.Status(), leased: l}
}

func (l leased) write(ctx context.Context, send func(context.Context) error) error {
	until := l.until()
	if !time.Now().Before(until) {
		return ErrNotLeader
	}
	ctx, cancel := context.WithDeadlineCause(ctx, until, ErrNotLeader)
	defer cancel()
	return send(ctx)
}

// leasedStatus is the part of leased that writes statuses.
type leasedStatus struct {
	client.SubResourceWriter
	leased leased
}

// Apply implements client.SubResourceWriter.
func (s leasedStatus) Apply(ctx context.Context, object runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
	return s.leased.write(ctx, func(ctx context.Context) error { return s.SubResourceWriter.Apply(ctx, object, options...) })
}
