package faults_test

import (
	"math/rand/v2"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/proxy"
)

// holdFor is how long a delayed answer is held.
const holdFor = 5 * time.Second

// kinds returns every harm in every phase.
func kinds() []proxy.Fault {
	var all []proxy.Fault
	for _, harm := range []proxy.Harm{proxy.Cut, proxy.Delay, proxy.Reset, proxy.Truncate, proxy.HalfOpen, proxy.Short} {
		for _, phase := range []proxy.Phase{proxy.Listing, proxy.Watch, proxy.Read} {
			all = append(all, proxy.Fault{Harm: harm, Phase: phase, Hold: holdFor})
		}
	}
	return all
}

// schedule returns n faults: every kind in random order, then every kind in another order, and so on.
func schedule(random *rand.Rand, n int) []proxy.Fault {
	var all []proxy.Fault
	for len(all) < n {
		round := kinds()
		random.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		all = append(all, round...)
	}
	all = all[:n]
	for i := range all {
		if all[i].Phase == proxy.Listing {
			all[i].Skip = random.IntN(80)
		} else {
			all[i].Skip = random.IntN(3)
		}
	}
	return all
}
