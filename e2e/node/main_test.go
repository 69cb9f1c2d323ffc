// Package node_test runs the image of the bridge in a real cluster of one node.
package node_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/lab/cluster"
)

// settleLimit is how long anything may take that takes seconds on an idle machine.
const settleLimit = time.Minute

// The images of this suite.
const (
	bridgeImage = "registry-bridge.lab/registry-bridge:test"
	probeImage  = "registry-bridge.lab/probe:test"
)

// TestNode shares one cluster among all tests of this package.
func TestNode(t *testing.T) {
	c := cluster.Start(t)
	program := build(t, "../..", "./cmd/registry-bridge")
	archives := []string{buildImage(t, program), filepath.Join(t.TempDir(), "probe.tar")}
	if err := cluster.WriteImage(archives[1], probeImage, build(t, ".", "./probe")); err != nil {
		t.Fatal(err)
	}
	for _, archive := range archives {
		c.Import(t, archive)
	}
	for _, test := range []struct {
		name string
		run  func(*scene)
	}{
		{"Version", func(s *scene) { s.version(program) }},
		{"Services", (*scene).services},
		{"Restarts", (*scene).restarts},
		{"Signals", (*scene).signals},
		{"Helm", (*scene).helm},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newScene(t, c)) })
	}
}
