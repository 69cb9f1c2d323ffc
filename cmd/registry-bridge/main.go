// Command registry-bridge keeps Istio ServiceEntries equal to what service registries hold.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/registry-bridge/registry-bridge/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on, signals have their usual effect again, so a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	// See https://no-color.org: the variable switches colours off whatever its value.
	colour := term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" //nolint:forbidigo // A convention of terminals, no configuration.
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Streams{
		Out: os.Stdout, Err: os.Stderr, In: os.Stdin, Colour: colour, Interactive: term.IsTerminal(int(os.Stdin.Fd())), Program: os.Args[0],
	}))
}
