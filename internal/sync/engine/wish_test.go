package engine

import (
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// TestNewWishNeedNotWait: an endpoint that is refused does not delay the others of its host.
func TestNewWishNeedNotWait(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	change := func(o *translate.Object) []plan.Change {
		return []plan.Change{{Op: plan.Update, Key: o.Key, Object: o}}
	}
	for _, test := range []struct {
		name         string
		first, again *translate.Object
		after        time.Duration
		ready        bool
	}{
		{"the same", outputtest.Workloads("a.acme", "10.0.0.1"), outputtest.Workloads("a.acme", "10.0.0.1"), time.Minute, false},
		{"another endpoint", outputtest.Workloads("a.acme", "10.0.0.1"), outputtest.Workloads("a.acme", "10.0.0.2"), time.Minute, true},
		{"at once", outputtest.Workloads("a.acme", "10.0.0.1"), outputtest.Workloads("a.acme", "10.0.0.2"), minRetry / 2, false},
		{"inline", outputtest.Object("a.acme", "10.0.0.1"), outputtest.Object("a.acme", "10.0.0.2"), time.Minute, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRetries()
			for range 20 { // The wait is the longest by now.
				r.failed(test.first.Key, output.ErrRefused, 0, now)
			}
			r.noteWish(&change(test.first)[0], now)
			p := r.due(plan.Plan{Apply: change(test.again)}, now.Add(test.after))
			if got := len(p.Apply) > 0; got != test.ready {
				t.Errorf("ready is %t, want %t", got, test.ready)
			}
			if test.after < minRetry && !r.paced.Equal(now.Add(minRetry)) {
				t.Errorf("the next attempt is at %s", r.paced)
			}
			r.succeeded(test.first.Key)
			if len(r.refused) > 0 {
				t.Error("a wish is remembered behind its end")
			}
		})
	}
}
