package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestChurnOfOneServiceIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.start()
		h.sink.Synced()
		h.after(time.Second)
		for i := range 1000 { // 2,000 providers of one service, restarting one by one at 20 each second.
			h.register("a", fmt.Sprintf("10.0.%d.%d", i/250, i%250+1))
			<-time.After(50 * time.Millisecond)
		}
		h.after(1200 * time.Millisecond)
		if got := h.countWrites(""); got < 45 || got > 52 {
			t.Errorf("50 s of changes of one service made %d writes, want about one each second", got)
		}
		h.wantEndpoints(map[string][]string{"a": {"10.0.3.250:20881"}})
	})
}

// TestRestartOfAWholeService lets the 1,000 instances of a service leave and come back within ten seconds. That is a dozen writes, and
// still none that has left is published for much longer than a second.
func TestRestartOfAWholeService(t *testing.T) {
	const (
		instances = 1000
		away      = 200 // How many are away at a time.
		length    = 10 * time.Second
		step      = length / (instances + away)
		limit     = 1150 * time.Millisecond // The pace of a second, and what a single change takes.
	)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		all := make([]string, instances)
		for i := range all {
			all[i] = fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)
		}
		h.register("a", all...)
		h.sink.Synced()
		h.start()
		h.after(time.Minute)
		before := h.countWrites("")
		for i := range instances + away {
			h.register("a", slices.Concat(all[:max(0, i+1-away)], all[min(i+1, instances):])...)
			h.after(step)
			if k := i - int(limit/step); k >= 0 && k < instances && slices.Contains(h.memory.Endpoints()["a"], all[k]+":20881") {
				t.Fatalf("%s left %v ago and is still published", all[k], time.Duration(i+1-k)*step)
			}
		}
		h.after(limit)
		if got := len(h.memory.Endpoints()["a"]); got != instances {
			t.Errorf("%d of %d instances are published in the end", got, instances)
		}
		if got := h.countWrites("") - before; got > 12 {
			t.Errorf("the restart made %d writes, want 12 at most", got)
		}
	})
}

func TestSingleChangesAreNotPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.register("a", "10.0.0.1", "10.0.0.2")
		h.sink.Synced()
		h.start()
		for range 5 { // An instance restarts, now and then.
			h.after(3 * time.Second)
			for _, addresses := range [][]string{{"10.0.0.1"}, {"10.0.0.1", "10.0.0.2"}} {
				h.register("a", addresses...)
				h.after(150 * time.Millisecond)
				if got := len(h.memory.Endpoints()["a"]); got != len(addresses) {
					t.Errorf("%d instances are published, want %d", got, len(addresses))
				}
			}
		}
		for i := range 10 { // A change now and then.
			h.after(1050 * time.Millisecond)
			address := fmt.Sprintf("10.1.0.%d", i+1)
			h.register("a", address)
			h.after(150 * time.Millisecond)
			h.wantEndpoints(map[string][]string{"a": {address + ":20881"}})
		}
	})
}
