package kube

import (
	"errors"
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
	var asked atomic.Int32
	k.opts.Until = func() time.Time {
		if asked.Add(1) > 2 {
			return time.Time{}
		}
		return time.Now().Add(time.Hour)
	}
	k.Write(t.Context(), create("a.acme", "b.acme", "c.acme"))
	if len(a.bodies) != 2 {
		t.Errorf("%d objects were sent, want the two of the time before the end", len(a.bodies))
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
