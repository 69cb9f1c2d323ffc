// Package node_test runs the image of the bridge in a real cluster of one node.
package node_test

import (
	"flag"
	"path/filepath"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/lab/cluster"
)

// settleLimit is how long anything may take that takes seconds on an idle machine.
const settleLimit = time.Minute

// The images of this suite. That with nextImage has the same program.
const (
	bridgeImage = "registry-bridge.lab/registry-bridge:test"
	nextImage   = "registry-bridge.lab/registry-bridge:next"
	probeImage  = "registry-bridge.lab/probe:test"
)

var (
	kubeconfigFlag = flag.String("kubeconfig", "", "`FILE` of a cluster that is there already and has the images of the bridge; only TestInstall runs")
	addressFlag    = flag.String("address", "", "`ADDRESS` of this machine for the pods of that cluster")
)

// TestNode shares one cluster among all tests of this package that want one of their own.
func TestNode(t *testing.T) {
	if *kubeconfigFlag != "" {
		t.Skip("there is a cluster already, whose components are not to be touched")
	}
	c := cluster.Start(t)
	program := build(t, "../..", "./cmd/registry-bridge")
	archives := []string{buildImage(t, program, bridgeImage), buildImage(t, program, nextImage), filepath.Join(t.TempDir(), "probe.tar")}
	if err := cluster.WriteImage(archives[2], probeImage, build(t, ".", "./probe")); err != nil {
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
		{"Tools", (*scene).tools},
		{"Install", (*scene).install},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newScene(t, c)) })
	}
}

// TestInstall is TestNode/Install in a cluster that is there already.
func TestInstall(t *testing.T) {
	if *kubeconfigFlag == "" {
		t.Skip("it is a part of TestNode when there is no -kubeconfig")
	}
	newScene(t, cluster.Connect(t, *kubeconfigFlag, *addressFlag)).install()
}
