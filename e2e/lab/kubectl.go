package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// PrepareKubectl builds kubectl into the cache folder, unless it is there, and returns the program. It writes its progress to progress.
// Several processes may prepare at once: one works, the others wait.
func PrepareKubectl(ctx context.Context, progress io.Writer) (program string, err error) {
	return kubernetesProgram("kubectl", 2).prepare(ctx, progress)
}

// Kubectl is a person with kubectl.
type Kubectl struct{ program, kubeconfig, cache string }

// Kubectl returns a person who may do everything.
func (k *Kube) Kubectl(t testing.TB) *Kubectl {
	t.Helper()
	program, err := PrepareKubectl(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	// The discovery of another test's server must not be taken for that of this one.
	return &Kubectl{program: program, kubeconfig: k.Kubeconfig, cache: filepath.Join(t.TempDir(), "kube-cache")}
}

// Try runs kubectl with input, and returns what it printed. The error has what it said on standard error.
func (k *Kubectl) Try(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, k.program, append([]string{"--kubeconfig", k.kubeconfig, "--cache-dir", k.cache}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, &errs)
	}
	return out.String(), nil
}

// Run runs kubectl, which has to succeed, and returns what it printed.
func (k *Kubectl) Run(t testing.TB, args ...string) string {
	t.Helper()
	return k.Feed(t, "", args...)
}

// Feed runs kubectl with input, and has it succeed.
func (k *Kubectl) Feed(t testing.TB, input string, args ...string) string {
	t.Helper()
	out, err := k.Try(t.Context(), input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// registryCRD is the definition that the chart installs, seen from a test two folders below the root of the repository.
const registryCRD = "../../deploy/helm/registry-bridge/files/crds/registry-bridge.io_registries.yaml"

// DefineRegistries installs the definition of Registry, and waits until it is served.
func (k *Kubectl) DefineRegistries(t testing.TB) {
	t.Helper()
	k.Run(t, "apply", "--server-side", "-f", registryCRD)
	k.Run(t, "wait", "--for=condition=Established", "--timeout=60s", "crd/registries.registry-bridge.io")
}
