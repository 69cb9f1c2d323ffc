package providers

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

// Churn makes the small changes of an ordinary day: an instance leaves, one comes back, one comes at a new address, one restarts.
// Never more than one instance of an interface is away, and never more than a twentieth of all: nothing of it is for a guard to hold.
type Churn struct {
	fleet      *Fleet
	rand       *rand.Rand
	population Population
	// up is the numbers of the instances of each interface; away is those that left; next is the number of the next new one.
	up   [][]int
	away map[int]int
	next []int
	// most is how many instances may be away at a time.
	most int
}

// NewChurn returns a churn of a population that is registered. The same seed makes the same changes.
func NewChurn(fleet *Fleet, population Population, seed uint64) *Churn {
	c := &Churn{
		fleet:      fleet,
		rand:       rand.New(rand.NewPCG(seed, uint64(population.Block))), //nolint:gosec // repeatable, not secret
		population: population,
		up:         make([][]int, population.Interfaces),
		away:       map[int]int{},
		next:       make([]int, population.Interfaces),
		most:       max(1, population.Interfaces*population.Instances/20),
	}
	for i := range population.Interfaces {
		for k := range population.Instances {
			c.up[i] = append(c.up[i], k)
		}
		c.next[i] = population.Instances
	}
	return c
}

// Run makes a change each interval until ctx ends or a change fails. Deregistrations have to show within the given time; see
// oracle.Journal. Run may be called again, not twice at once.
func (c *Churn) Run(ctx context.Context, interval, within time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := c.Step(within); err != nil {
				return err
			}
		}
	}
}

// During runs what while it makes a change each interval, as Run does with nothing said of when deregistrations have to show.
func (c *Churn) During(t testing.TB, interval time.Duration, what func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, interval, 0) }()
	what()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// Seed returns the seed of a test, one that is chosen when n is 0, and prints it, so that a failure can be repeated.
func Seed(t testing.TB, n uint64) uint64 {
	t.Helper()
	if n == 0 {
		n = rand.Uint64N(1_000_000) + 1 //nolint:gosec // repeatable, not secret
	}
	t.Logf("seed %d (repeat with -args -seed=%d)", n, n)
	return n
}

// Step makes one change.
func (c *Churn) Step(within time.Duration) error {
	i := c.rand.IntN(len(c.up))
	k, isAway := c.away[i]
	switch {
	case isAway:
		return c.comeBack(i, k)
	case len(c.away) < c.most && len(c.up[i]) > 1 && c.rand.IntN(4) > 0:
		return c.leave(i, within)
	default:
		return c.fleet.Restart(c.population.Instance(i, c.up[i][c.rand.IntN(len(c.up[i]))]))
	}
}

// leave takes one instance of interface i away.
func (c *Churn) leave(i int, within time.Duration) error {
	n := c.rand.IntN(len(c.up[i]))
	k := c.up[i][n]
	if err := c.fleet.Deregister(c.population.Instance(i, k), within); err != nil {
		return err
	}
	c.up[i] = append(c.up[i][:n], c.up[i][n+1:]...)
	c.away[i] = k
	return nil
}

// comeBack brings the k-th instance of interface i back, or a new one in its place.
func (c *Churn) comeBack(i, k int) error {
	if c.rand.IntN(2) == 0 {
		k = c.next[i]
		c.next[i]++
	}
	if err := c.fleet.Register(c.population.Instance(i, k)); err != nil {
		return err
	}
	delete(c.away, i)
	c.up[i] = append(c.up[i], k)
	return nil
}
