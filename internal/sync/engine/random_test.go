package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestPipelineRandom moves a registry at random, breaks it, empties it and restarts the bridge. All the while, an endpoint that is
// registered and was published must stay published; in the end the folder must equal the registry.
func TestPipelineRandom(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.populate()
				w.start()
				r := rand.New(rand.NewPCG(seed, 1))
				last := w.endpoints()
				var history []string
				for range 60 {
					history = append(history, w.step(r))
					w.after(200*time.Millisecond + pause(r, 4*time.Minute))
					last = w.keepsWhatIsRegistered(last)
					if t.Failed() {
						t.Fatalf("after %q", history)
					}
				}
				w.registry.breakWith(nil)
				w.after(3 * time.Hour)
				w.want(fmt.Sprintf("in the end, after %q", history), w.registry.published())
				if held := w.engine.State().Plan.Held; len(held) > 0 {
					t.Errorf("still held: %+v", held[0])
				}
			})
		})
	}
}

// pause returns a time up to limit, short ones more often than long ones.
func pause(r *rand.Rand, limit time.Duration) time.Duration {
	x := r.Float64()
	return time.Duration(x * x * x * float64(limit))
}

// step does one thing and returns what.
func (w *world) step(r *rand.Rand) string {
	name := fmt.Sprintf("com.acme.service%d", r.IntN(10))
	switch n := r.IntN(20); {
	case n < 12:
		addresses := slices.Clone(w.registry.get(name))
		if i := r.IntN(5); i < len(addresses) && r.IntN(2) == 0 {
			addresses = slices.Delete(addresses, i, i+1)
		} else {
			addresses = append(addresses, fmt.Sprintf("10.%d.%d.%d", r.IntN(100), r.IntN(100), r.IntN(100)))
		}
		w.registry.set(name, addresses...)
		return fmt.Sprint("set ", name, addresses)
	case n < 14:
		w.registry.remove(name)
		return "remove " + name
	case n < 16:
		w.registry.breakWith(errDown)
		return "down"
	case n < 18:
		w.registry.breakWith(nil)
		return "up"
	case n < 19:
		w.registry.lose()
		w.registry.breakWith(errDown)
		w.after(time.Second)
		w.registry.breakWith(nil)
		return "restarted empty"
	default:
		w.restart()
		return "bridge restarted"
	}
}

// keepsWhatIsRegistered fails for each endpoint that is registered and was published before, and is not any more. It returns what is
// published.
func (w *world) keepsWhatIsRegistered(before map[string][]string) map[string][]string {
	w.Helper()
	now := w.endpoints()
	for host, registered := range w.registry.published() {
		for _, address := range registered {
			if slices.Contains(before[host], address) && !slices.Contains(now[host], address) {
				w.Errorf("%s of %s is registered and was published, and is gone: %v", address, host, now[host])
			}
		}
	}
	return now
}

// get returns the instances of a service.
func (r *fakeRegistry) get(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.services[name]
}

// published returns what the folder should have when all is quiet.
func (r *fakeRegistry) published() map[string][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	want := map[string][]string{}
	for name, addresses := range r.services {
		if len(addresses) > 0 {
			want[name] = slices.Compact(slices.Sorted(slices.Values(addresses)))
		}
	}
	return want
}
