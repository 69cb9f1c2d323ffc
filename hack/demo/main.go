// Demo shows in under a minute what the bridge does when a registry changes, fails and comes back empty. It starts a ZooKeeper inside
// this process, runs the built binary against it, plays the part of some Dubbo providers, and tells what happens to the files. It
// needs neither root nor a network.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// Where the demo works, in the checkout.
const (
	binary = "bin/registry-bridge"
	folder = "out/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	registry := zktest.New(zktest.Options{})
	// Stop is for the way out of an error; the context of Start must outlive the demo's own, so that the bridge stops first.
	defer registry.Stop()
	if err := registry.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start ZooKeeper: %w", err)
	}
	b, err := startBridge(ctx, registry.Addr())
	if err != nil {
		return err
	}
	defer b.kill()

	d := &demo{ctx: ctx, registry: registry, bridge: b, out: os.Stdout}
	d.say("registry-bridge, shown on a ZooKeeper inside this process and the built binary, which writes to %s.", folder)
	d.say("The guards are shortened for the show: emptyGrace %v (default 3m), deleteAfter %v (10m), massRemoval.holdFor %v (10m).",
		emptyGrace, deleteAfter, holdFor)
	for i, act := range []func() error{d.arrive, d.leave, d.redeploy, d.outage, d.wipe, d.comeBack, d.stop} {
		if err := act(); err != nil {
			return fmt.Errorf("act %d: %w\n\nThe log of the bridge:\n%s", i+1, err, b.log())
		}
	}
	d.say("\nTo go on:")
	for _, next := range [][2]string{
		{"cat " + d.example, "an object as istiod reads it"},
		{binary + " validate examples/zookeeper-dubbo.yaml", "put your servers in it first"},
		{binary + " plan --config examples/zookeeper-dubbo.yaml", "what would be written; nothing is"},
	} {
		d.say("  %-75s # %s", next[0], next[1])
	}
	return nil
}

// waitLimit bounds every wait of the demo. It is reached only when something is broken.
const waitLimit = 60 * time.Second

// await polls until done reports true, and returns how long that took.
func await(ctx context.Context, what string, done func() (bool, error)) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	start := time.Now()
	for {
		ok, err := done()
		if err != nil || ok {
			return time.Since(start), err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%s: %w", what, ctx.Err())
		case <-ticker.C:
		}
	}
}
