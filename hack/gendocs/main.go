// Command gendocs writes the pages of docs/reference from the program itself: the configuration from the Go types and their comments,
// the commands from their flags, the reasons and the metrics from what is declared, the values
// of the chart from their comments. Run it with "make generate".
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run .

// The working directory is that of this package, as go generate sets it.
const (
	root = "../.."
	out  = root + "/docs/reference"
)

func main() {
	if err := generate(); err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

func generate() error {
	pages := map[string]func() (string, error){
		"registry.md": registryPage, "cli.md": cliPage, "reasons.md": reasonsPage, "metrics.md": metricsPage,
		"helm.md": helmPage, "services.schema.json": servicesSchema,
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // Documentation is for everybody.
		return err
	}
	for name, page := range pages {
		text, err := page()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(out, name), []byte(text), 0o644); err != nil { //nolint:gosec // Documentation is for everybody.
			return err
		}
	}
	return nil
}
