// Prepare gets everything that the end-to-end suites start, so that their first run does not have to. It is safe to run at any time
// and does nothing when all is there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

func main() {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func prepare() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, project := range lab.Projects() {
		if _, err := lab.Prepare(ctx, project, os.Stderr); err != nil {
			return err
		}
	}
	if _, err := lab.PrepareKubernetes(ctx, os.Stderr); err != nil {
		return err
	}
	if _, err := lab.PrepareKubectl(ctx, os.Stderr); err != nil {
		return err
	}
	if _, err := lab.PrepareConsul(ctx, os.Stderr); err != nil {
		return err
	}
	if _, err := lab.PrepareIstiod(ctx, os.Stderr); err != nil {
		return err
	}
	if _, err := lab.PrepareEnvoy(ctx, os.Stderr); err != nil {
		return err
	}
	if _, err := lab.PrepareNetwork(ctx, os.Stderr); err != nil {
		return err
	}
	_, err := lab.PrepareCluster(ctx, os.Stderr)
	return err
}
