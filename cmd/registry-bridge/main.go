// Command registry-bridge keeps Istio ServiceEntries equal to what service registries hold.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/registry-bridge/registry-bridge/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on, signals have their usual effect again, so a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Streams{Out: os.Stdout, Err: os.Stderr}))
}
