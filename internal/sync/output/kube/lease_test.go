package kube

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
)

// TestNothingIsSentWithoutTheLease: neither by a process that never led, nor by one that was stopped and goes on too late.
func TestNothingIsSentWithoutTheLease(t *testing.T) {
	for name, until := range map[string]time.Time{"never led": {}, "has run out": time.Now().Add(-time.Millisecond)} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			k := a.open(t)
			k.opts.Until = func() time.Time { return until }
			results := k.Write(t.Context(), create("a.acme", "b.acme"))
			if len(results) == 0 || !errors.Is(results[0].Err, output.ErrOutput) {
				t.Errorf("results are %+v", results)
			}
			if len(a.bodies) > 0 {
				t.Errorf("%d objects were sent", len(a.bodies))
			}
		})
	}
}

// TestLeaseIsAskedBeforeEachRequest: it may end in the middle of a Write.
func TestLeaseIsAskedBeforeEachRequest(t *testing.T) {
	a := newAPI(t)
	k := a.open(t)
	k.parallel = 1
	var answered atomic.Int32
	a.answer = func(http.ResponseWriter, *http.Request, map[string]any) bool {
		answered.Add(1)
		return false
	}
	k.opts.Until = func() time.Time {
		if answered.Load() == 2 {
			return time.Time{}
		}
		return time.Now().Add(time.Hour)
	}
	k.Write(t.Context(), create("a.acme", "b.acme", "c.acme"))
	if len(a.bodies) != 2 {
		t.Errorf("%d objects were sent, want the two of the time before the end", len(a.bodies))
	}
}

// TestNothingIsSentAfterTheLook: a process may be stopped between the look at the lease and the system call, for longer than the lease.
func TestNothingIsSentAfterTheLook(t *testing.T) {
	for _, connected := range []bool{true, false} {
		t.Run(fmt.Sprintf("connected %t", connected), func(t *testing.T) {
			a := newAPI(t)
			k := a.open(t)
			sent := 0
			if connected {
				k.Write(t.Context(), create("a.acme"))
				sent = len(a.bodies)
			}
			var looked atomic.Bool
			k.opts.Until = func() time.Time {
				if looked.Swap(true) {
					return time.Now().Add(-time.Millisecond)
				}
				return time.Now().Add(time.Hour)
			}
			results := k.Write(t.Context(), create("b.acme"))
			if len(results) != 1 || !errors.Is(results[0].Err, output.ErrOutput) {
				t.Errorf("results are %+v", results)
			}
			if more := len(a.bodies) - sent; more > 0 {
				t.Errorf("%d objects were sent", more)
			}
		})
	}
}

// TestRequestEndsWithTheLease: an API server that hangs must not carry a write out when somebody else leads.
func TestRequestEndsWithTheLease(t *testing.T) {
	a := newAPI(t)
	k := a.open(t)
	ended := make(chan struct{})
	a.answer = func(_ http.ResponseWriter, r *http.Request, _ map[string]any) bool {
		<-r.Context().Done()
		close(ended)
		return true
	}
	until := time.Now().Add(100 * time.Millisecond)
	k.opts.Until = func() time.Time { return until }
	results := k.Write(t.Context(), create("a.acme"))
	if len(results) != 1 || results[0].Err == nil {
		t.Errorf("results are %+v", results)
	}
	<-ended
}
