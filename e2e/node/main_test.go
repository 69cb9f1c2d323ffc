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
	programs := map[string]string{
		bridgeImage: build(t, "../..", "./cmd/registry-bridge"),
		probeImage:  build(t, ".", "./probe"),
	}
	c := cluster.Start(t)
	for image, program := range programs {
		archive := filepath.Join(t.TempDir(), "image.tar")
		if err := cluster.WriteImage(archive, image, program); err != nil {
			t.Fatal(err)
		}
		c.Import(t, archive)
	}
	for _, test := range []struct {
		name string
		run  func(*scene)
	}{
		{"Version", func(s *scene) { s.version(programs[bridgeImage]) }},
		{"Services", (*scene).services},
		{"Restarts", (*scene).restarts},
		{"Signals", (*scene).signals},
		{"Helm", (*scene).helm},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newScene(t, c)) })
	}
}
