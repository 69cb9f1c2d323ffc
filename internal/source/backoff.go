package source

import (
	"math/rand/v2"
	"time"
)

// UnitBackoff returns how long to wait after the n-th failure in a row to read a unit: half of a second to all of it after the first, twice
// that after each further one, and a minute at most. Runs as a whole are what Supervise spaces.
func UnitBackoff(n int) time.Duration {
	span := minBackoff
	for range n - 1 {
		span = min(2*span, maxBackoff)
	}
	return span/2 + rand.N(span/2+1) //nolint:gosec // Jitter needs no secret randomness.
}
