package faults_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

// usual is a population of two hundred instances.
func usual() providers.Population { return providers.Population{Interfaces: 50, Instances: 4} }

// TestServerKilled kills ZooKeeper and starts it again with its data.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	for _, ephemeral := range []bool{false, true} {
		t.Run(fmt.Sprintf("ephemeral=%t", ephemeral), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, setting{population: usual(), ephemeral: ephemeral})
			s.start()
			s.zookeeper.Kill()
			s.awaitDown()
			s.zookeeper.Start(t)
			s.restore()
			s.register(usual().Instance(0, 9))
			s.settle(recoveryLimit)
		})
	}
}

// TestServerWiped restarts ZooKeeper without its data. Its transaction ids begin again, so it refuses every client that has seen newer
// ones; then it lists nothing; then the providers come back. Nothing of it may be seen in the output.
func TestServerWiped(t *testing.T) {
	t.Parallel()
	for _, population := range []providers.Population{{Interfaces: 3, Instances: 3}, {Interfaces: 50, Instances: 10}} {
		t.Run(fmt.Sprintf("%d instances", population.Interfaces*population.Instances), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, setting{population: population, ephemeral: true})
			s.start()
			before := s.identities()
			s.zookeeper.Wipe(t)
			s.awaitHeld(population)
			s.restore()
			s.awaitRecovered(population)
			s.unchanged(before)
			s.logged("servers refuse the last known transaction", "guard=EmptySource", "hold ended")
			// What is held no more is removed at once again.
			s.deregister(population.Instance(0, 0))
			s.settle(recoveryLimit)
		})
	}
}

// TestWipedForGood wipes ZooKeeper, and a third of the providers never comes back: the hold ends by itself, in a quiet system.
func TestWipedForGood(t *testing.T) {
	t.Parallel()
	population := providers.Population{Interfaces: 3, Instances: 3}
	const hold = 8 * time.Second
	s := newScene(t, setting{
		population: population, ephemeral: true, loose: true,
		options: bridge.Options{EmptyGrace: hold, HoldFor: hold},
	})
	s.start()
	s.zookeeper.Wipe(t)
	s.awaitHeld(population)
	seen := time.Now()
	for i := range population.Interfaces {
		s.fleet.Lose(population.Instance(i, 0))
	}
	s.restore()
	s.settle(settleLimit)
	if held := time.Since(seen); held < hold/2 {
		t.Errorf("what was missing was removed after %s, before its hold of %s was over", held, hold)
	}
}

// TestServerPaused stops the server's process for longer than any session lasts. When it goes on, nodes that are bound to sessions
// expire one after the other while their providers register again: what the registry then says is true for a moment, so a service that
// keeps at least half of its instances follows it (guard MassRemoval), and whatever falls below is held.
func TestServerPaused(t *testing.T) {
	t.Parallel()
	for _, ephemeral := range []bool{false, true} {
		t.Run(fmt.Sprintf("ephemeral=%t", ephemeral), func(t *testing.T) {
			t.Parallel()
			zookeeper := lab.StartZooKeeper(t, lab.ZooKeeperOptions{Settings: map[string]string{"maxSessionTimeout": "2000"}})
			s := newScene(t, setting{zookeeper: zookeeper, population: usual(), ephemeral: ephemeral})
			s.start()
			before, versions := s.identities(), s.recorder.Len()
			zookeeper.Process().Signal(syscall.SIGSTOP)
			s.awaitDown()
			s.pass(3 * time.Second)
			zookeeper.Process().Signal(syscall.SIGCONT)
			s.restore()
			s.awaitRecovered(usual())
			if ephemeral {
				s.keptHalf(versions, usual().Instances)
			} else {
				s.unchanged(before)
			}
			s.register(usual().Instance(0, 9))
			s.settle(recoveryLimit)
		})
	}
}

// TestServerDownAtStart starts the bridge before its registry.
func TestServerDownAtStart(t *testing.T) {
	t.Parallel()
	s := newScene(t, setting{population: usual()})
	s.zookeeper.Kill()
	s.bridge.Start(t)
	s.awaitDown()
	s.zookeeper.Start(t)
	s.restore()
	s.settle(settleLimit)
}

// awaitDown waits until the bridge knows that it has lost the registry: it says so when a connection is lost, and its source is down
// when there has been none.
func (s *scene) awaitDown() {
	s.t.Helper()
	lab.Await(s.t, settleLimit, "the bridge knows that the registry is gone", func(ctx context.Context) error {
		if strings.Contains(s.bridge.Process().Output(), "connection to zookeeper lost") {
			return nil
		}
		m, err := s.bridge.Metrics(ctx)
		if err == nil && (!m.Has("source_up") || m.Sum("source_up") != 0) {
			err = errors.New("its source is up")
		}
		return err
	})
}

// awaitHeld waits until the bridge has seen an empty registry, and holds everything.
func (s *scene) awaitHeld(population providers.Population) {
	s.t.Helper()
	all := float64(population.Interfaces * population.Instances)
	s.bridge.Await(s.t, settleLimit, "the bridge holds what an empty registry lacks", func(m bridge.Metrics) bool {
		return m.Sum("source_synced") == 1 && m.Sum("instances") == 0 && m.Sum("held") >= all
	})
}

// awaitRecovered waits until the bridge has read the whole population again and holds nothing any more.
func (s *scene) awaitRecovered(population providers.Population) {
	s.t.Helper()
	all := float64(population.Interfaces * population.Instances)
	s.bridge.Await(s.t, recoveryLimit, "the bridge has recovered", func(m bridge.Metrics) bool {
		return m.Sum("source_synced") == 1 && m.Sum("instances") == all && m.Sum("held") == 0
	})
}

// restore lets the providers come back.
func (s *scene) restore() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), settleLimit)
	defer cancel()
	if err := s.fleet.Restore(ctx); err != nil {
		s.t.Fatal(err)
	}
}

// logged fails when the bridge does not tell its operator something. A line may come through the pipe after what it tells of is seen.
func (s *scene) logged(texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		lab.Await(s.t, recoveryLimit, "the log says "+text, func(context.Context) error {
			if !strings.Contains(s.bridge.Process().Output(), text) {
				return errors.New("it does not say so yet")
			}
			return nil
		})
	}
}

// unchanged fails when a file is not the one that it was, even if its bytes are.
func (s *scene) unchanged(before map[string]string) {
	s.t.Helper()
	now := s.identities()
	for name, identity := range before {
		if now[name] != identity {
			s.t.Errorf("%s was %s and is %s", name, identity, now[name])
			s.tellVersions(name)
		}
	}
	if len(now) != len(before) {
		s.t.Errorf("there are %d files, and there were %d", len(now), len(before))
	}
}

// tellVersions logs what every version of a file had.
func (s *scene) tellVersions(name string) {
	versions, _ := s.recorder.Versions()
	for _, v := range versions {
		if v.File == name {
			_, endpoints, err := oracle.Parse(v.Data)
			s.t.Logf("%s: %s has %v (%v)", v.At.Format(time.StampMilli), name, slices.Collect(maps.Keys(endpoints)), err)
		}
	}
}

// keptHalf fails when a version of a file since the given one has less than half of the instances.
func (s *scene) keptHalf(since, instances int) {
	s.t.Helper()
	for _, v := range s.recorder.After(since) {
		_, endpoints, err := oracle.Parse(v.Data)
		if err != nil || 2*len(endpoints) < instances {
			s.t.Errorf("%s had %d of %d endpoints at %s (%v)", v.File, len(endpoints), instances, v.At, err)
		}
	}
}

// pass lets time pass.
func (s *scene) pass(length time.Duration) {
	s.t.Helper()
	lab.Pass(s.t, length)
}
