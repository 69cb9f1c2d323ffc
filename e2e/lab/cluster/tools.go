package cluster

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Tool is a program that people use with a cluster.
type Tool string

// The tools.
const (
	Kubectl Tool = "kubectl"
	Helm    Tool = "helm"
)

// Command returns a command of a tool that uses the cluster as its administrator. Neither reads or writes the user's own files.
func (c *Cluster) Command(ctx context.Context, tool Tool, args ...string) *exec.Cmd {
	program := c.programs.Kubectl
	if tool == Helm {
		program = c.programs.Helm
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(cmd.Environ(), "KUBECONFIG="+c.Kubeconfig, "HOME="+c.home, "KUBECACHEDIR="+filepath.Join(c.home, "kube"),
		"HELM_CACHE_HOME="+filepath.Join(c.home, "cache"), "HELM_CONFIG_HOME="+filepath.Join(c.home, "config"),
		"HELM_DATA_HOME="+filepath.Join(c.home, "data"))
	return cmd
}

// Kubectl runs kubectl and returns what it wrote to its standard output. An error fails the test; use Command for one that is expected.
func (c *Cluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	return output(t, c.Command(t.Context(), Kubectl, args...))
}

// Helm runs helm and returns what it wrote to its standard output. An error fails the test; use Command for one that is expected.
func (c *Cluster) Helm(t testing.TB, args ...string) string {
	t.Helper()
	return output(t, c.Command(t.Context(), Helm, args...))
}

// Apply creates or changes the objects of a manifest.
func (c *Cluster) Apply(t testing.TB, manifest string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Kubectl(t, "apply", "--filename="+file)
}

// Describe writes what a person would look at first into the test's log: the pods of a namespace, why they are not ready, and what they
// wrote. It is for tests that failed.
func (c *Cluster) Describe(ctx context.Context, t testing.TB, namespace string) {
	t.Helper()
	describe := func(args ...string) string {
		text, err := c.Command(ctx, Kubectl, append(args, "--namespace="+namespace)...).CombinedOutput()
		t.Logf("kubectl %s --namespace=%s (%v):\n%s", strings.Join(args, " "), namespace, err, text)
		return string(text)
	}
	describe("get", "pods", "--output=wide")
	describe("events")
	for pod := range strings.FieldsSeq(describe("get", "pods", "--output=name")) {
		describe("logs", pod, "--all-containers", "--prefix", "--tail=50", "--ignore-errors")
	}
}

func output(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(cmd.Path), strings.Join(cmd.Args[1:], " "), err, &stdout, &stderr)
	}
	return stdout.String()
}
