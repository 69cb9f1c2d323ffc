package faults_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/faults/proxy"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// TestFaults disturbs the connection of bridges to a real ZooKeeper, at chosen moments, while providers come and go. Each fault ends
// with output and registry compared; the oracle judges every version that was written meanwhile.
func TestFaults(t *testing.T) {
	t.Parallel()
	number := providers.Seed(t, *seedFlag)
	server := func(settings map[string]string) *lab.ZooKeeper {
		t.Helper()
		return lab.StartZooKeeper(t, lab.ZooKeeperOptions{Settings: settings})
	}
	// A short session notices silence before a delayed answer arrives, a long one waits for it.
	short, long := server(map[string]string{"maxSessionTimeout": "3000"}), server(nil)
	// This watch manager knows one-shot watches only, as servers before 3.6 do.
	plain := server(map[string]string{
		"maxSessionTimeout": "3000", "watchManagerName": "org.apache.zookeeper.server.watch.WatchManagerOptimized",
	})
	populations := []struct {
		name      string
		zookeeper *lab.ZooKeeper
		// guards is the time of all guards. With a second, what a source says must be true by itself.
		guards time.Duration
	}{
		{"short session", short, 0},
		{"long session", long, 0},
		{"one-shot watches, short guards", plain, time.Second},
		{"long session, short guards", long, time.Second},
	}
	for n, p := range populations {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(number, uint64(n)))
			d := &disturbance{population: providers.Population{Block: n, Interfaces: 50, Instances: 4}}
			d.scene = newScene(t, setting{
				zookeeper: p.zookeeper, proxied: true, population: d.population,
				options: bridge.Options{
					Root: "/dubbo" + strconv.Itoa(n), SessionTimeout: 10 * time.Second, EmptyGrace: p.guards, HoldFor: p.guards,
				},
			})
			d.churn = providers.NewChurn(d.scene.fleet, d.population, random.Uint64())
			d.scene.start()
			// The interface of the canaries keeps this one, so that it is never empty.
			d.scene.canary(d.population, 0)
			if p.zookeeper == plain {
				d.scene.logged("the server has no recursive watches")
			}
			for i, f := range schedule(random, (*faultCount+len(populations)-1)/len(populations)) {
				t.Logf("%s: fault %d: %s", time.Now().Format("15:04:05.000"), i, f)
				d.inject(i, f)
			}
		})
	}
}

// disturbance is one population that is disturbed.
type disturbance struct {
	scene      *scene
	population providers.Population
	churn      *providers.Churn
	// fresh counts the interfaces that were made to be read.
	fresh int
}

// inject does one fault while providers come and go, and waits until all is well again.
func (d *disturbance) inject(i int, f proxy.Fault) {
	t := d.scene.t
	t.Helper()
	if err := d.scene.proxy.Prepare(f); err != nil {
		t.Fatal(err)
	}
	// The bridge follows again when it shows a change: what comes next meets a source at rest.
	canary := 1 + i%2
	d.scene.canary(d.population, canary)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	churned := make(chan error, 1)
	go func() { churned <- d.churn.Run(ctx, 100*time.Millisecond, 0) }()
	fired, err := d.scene.proxy.Arm(f)
	if err != nil {
		t.Fatal(err)
	}
	d.provoke(f, fired)
	// Changes go on while the bridge is blind.
	d.scene.pass(time.Second)
	cancel()
	if err := <-churned; err != nil {
		t.Fatal(err)
	}
	d.scene.proxy.Disarm()
	d.scene.settle(settleLimit)
	if err := d.scene.fleet.Deregister(d.population.Instance(d.population.Interfaces, canary), 0); err != nil {
		t.Fatal(err)
	}
}

// provoke brings the moment of a fault about, and waits until it has come. Reconnects and the churn do so for listings and events; what
// makes the bridge read a single interface is that it is new.
func (d *disturbance) provoke(f proxy.Fault, fired <-chan struct{}) {
	t := d.scene.t
	t.Helper()
	limit := time.NewTimer(settleLimit)
	defer limit.Stop()
	again := time.NewTicker(300 * time.Millisecond)
	defer again.Stop()
	for {
		if f.Phase == proxy.Read {
			d.fresh++
			d.scene.register(d.population.Instance(d.population.Interfaces+d.fresh, 0))
		}
		select {
		case <-fired:
			return
		case <-again.C:
		case <-limit.C:
			t.Fatalf("%s: its moment has not come", f)
		}
	}
}
