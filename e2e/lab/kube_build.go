package lab

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The module that pins Kubernetes: k8s.io/kubernetes with all its staging modules replaced by released ones. To move to another
// version, change the versions in a copy, add a Go file that imports k8s.io/kubernetes/cmd/kube-apiserver, and run go mod tidy. The
// files have no go.mod's name, because a folder with a go.mod is left out of the module around it.
var (
	//go:embed kube/kubernetes.mod
	kubernetesMod []byte
	//go:embed kube/kubernetes.sum
	kubernetesSum []byte
)

// kubeBuildLimit bounds the build, downloads included. It takes 8 minutes on two idle cores.
const kubeBuildLimit = 45 * time.Minute

const kubeAPIServer = "k8s.io/kubernetes/cmd/kube-apiserver"

// PrepareKubernetes builds the API server into the cache folder, unless it is there, and returns the program. It makes sure that there
// is an etcd, too. It writes its progress to progress. Several processes may prepare at once: one works, the others wait.
func PrepareKubernetes(ctx context.Context, progress io.Writer) (program string, err error) {
	if err := requireEtcd(ctx, progress); err != nil {
		return "", err
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s\n%s%s", runtime.Version(), kubeAPIServer, kubernetesMod, kubernetesSum)
	program = filepath.Join(cache, "kube", hex.EncodeToString(sum.Sum(nil))[:12], "kube-apiserver")
	if isFile(program) {
		return program, nil
	}
	unlock, err := lockFile(ctx, filepath.Join(cache, "kube.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if isFile(program) {
		return program, nil // Another process built it while this one waited.
	}
	if err := buildKubernetes(ctx, program, progress); err != nil {
		return "", fmt.Errorf("build kube-apiserver: %w", err)
	}
	return program, nil
}

// buildKubernetes builds beside the program and renames it at the end, so that it is complete or not there.
func buildKubernetes(ctx context.Context, program string, progress io.Writer) error {
	dir := filepath.Dir(program)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for name, text := range map[string][]byte{"go.mod": kubernetesMod, "go.sum": kubernetesSum} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, kubeBuildLimit)
	defer cancel()
	start := time.Now()
	fmt.Fprintln(progress, "lab: building kube-apiserver (once; downloads Go modules, and takes about 8 minutes on two idle cores)")
	done := make(chan struct{})
	defer close(done)
	go func() {
		ticker := time.NewTicker(time.Minute)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				fmt.Fprintf(progress, "lab: still building kube-apiserver, %v so far\n", time.Since(start).Round(time.Second))
			}
		}
	}()
	build := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-ldflags", "-s -w", "-o", program+".new", kubeAPIServer)
	build.Dir = dir
	build.Env = append(build.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", kubeAPIServer, err, output)
	}
	if err := os.Rename(program+".new", program); err != nil {
		return err
	}
	fmt.Fprintf(progress, "lab: built kube-apiserver in %v\n", time.Since(start).Round(time.Second))
	return nil
}

// requireEtcd makes sure that etcd can be run. On a Debian machine and as root it installs it.
func requireEtcd(ctx context.Context, progress io.Writer) error {
	if _, err := exec.LookPath("etcd"); err == nil {
		return nil
	}
	return install(ctx, progress, "etcd", "etcd-server")
}

// istioCRDs returns the manifests of Istio's custom resource definitions, from the module of its API.
func istioCRDs(ctx context.Context) ([]byte, error) {
	const module = "istio.io/api"
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module)
	output, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("find the module %s: %w", module, err)
	}
	return os.ReadFile(filepath.Join(strings.TrimSpace(string(output)), "kubernetes", "customresourcedefinitions.gen.yaml"))
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
