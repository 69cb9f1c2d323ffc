package migration_test

import (
	"testing"
	"time"
)

// removalLimit is how soon a removal has to show.
const removalLimit = 2 * time.Second

// TestZooKeeperToConsul is a migration of Spring Cloud services.
func TestZooKeeperToConsul(t *testing.T) {
	t.Parallel()
	from, to := newZooKeeper(t, "zookeeper", true), newConsul(t)
	newScene(t, meshHost, from, to).thereAndBack(from, to)
}

// TestZooKeeperToZooKeeper is a migration of Dubbo services to another ensemble.
func TestZooKeeperToZooKeeper(t *testing.T) {
	t.Parallel()
	from, to := newZooKeeper(t, "old", false), newZooKeeper(t, "new", false)
	newScene(t, dubboHost, from, to).thereAndBack(from, to)
}

// TestOneRegistryLost kills one of two registries that have services in common: its endpoints stay, and those of the other one come and go.
func TestOneRegistryLost(t *testing.T) {
	t.Parallel()
	lost, other := newZooKeeper(t, "zookeeper", true), newConsul(t)
	s := newScene(t, meshHost, lost, other)
	list := places(0)
	s.register(lost, 0, list[0])
	s.register(lost, 0, list[1])
	s.register(other, 0, list[1]) // In both.
	s.register(other, 0, list[2])
	s.register(lost, 1, places(1)[0])
	s.bridge.Start(s)
	s.await()

	lost.server.Kill()
	s.deregister(other, 0, list[1], 0) // Still registered, as far as anybody knows.
	extra := place{"10.7.0.9", 20880}
	s.register(other, 0, extra)
	s.await()
	s.register(other, 2, places(2)[0])
	s.await()
	s.deregister(other, 0, extra, removalLimit)
	s.await()

	lost.server.Start(t)
	lost.connect(t) // The client that has seen the server go may take its time.
	s.register(lost, 3, places(3)[0])
	s.await()
	s.deregister(lost, 0, list[1], removalLimit)
	s.await()
}
