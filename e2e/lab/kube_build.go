package lab

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The module that pins Kubernetes: k8s.io/kubernetes with all its staging modules replaced by released ones. To move to another
// version, change the versions in a copy and kubernetesVersion, add a Go file that imports the k8s.io/kubernetes/cmd/… packages which
// the lab builds, and run go mod tidy. The files have no go.mod's name, because a folder with a go.mod is left out of the module around
// it.
var (
	//go:embed kube/kubernetes.mod
	kubernetesMod []byte
	//go:embed kube/kubernetes.sum
	kubernetesSum []byte
)

// kubernetesVersion is what the programs of Kubernetes say that they are: the version in kubernetes.mod.
const kubernetesVersion = "v1.37.2"

// kubernetesProgram is one of the programs of Kubernetes; minutes is how long its build takes when the API server's was the one before.
func kubernetesProgram(name string, minutes int) goProgram {
	return goProgram{
		folder: "kube", name: name, pkg: "k8s.io/kubernetes/cmd/" + name, mod: kubernetesMod, sum: kubernetesSum, minutes: minutes,
		variables: []string{
			"k8s.io/component-base/version.gitVersion=" + kubernetesVersion,
			"k8s.io/component-base/version.gitMajor=1", "k8s.io/component-base/version.gitMinor=37",
		},
	}
}

// PrepareKubernetes builds the API server into the cache folder, unless it is there, and returns the program. It makes sure that there
// is an etcd, too. It writes its progress to progress. Several processes may prepare at once: one works, the others wait.
func PrepareKubernetes(ctx context.Context, progress io.Writer) (program string, err error) {
	if err := requireEtcd(ctx, progress); err != nil {
		return "", err
	}
	return kubernetesProgram("kube-apiserver", 8).prepare(ctx, progress)
}

// requireEtcd makes sure that etcd can be run. On a Debian machine and as root it installs it.
func requireEtcd(ctx context.Context, progress io.Writer) error {
	if _, err := exec.LookPath("etcd"); err == nil {
		return nil
	}
	return install(ctx, progress, "etcd", "etcd-server")
}

// IstioCRDs returns the manifests of Istio's custom resource definitions, from the module of its API.
func IstioCRDs(ctx context.Context) ([]byte, error) {
	const module = "istio.io/api"
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module)
	output, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("find the module %s: %w", module, err)
	}
	return os.ReadFile(filepath.Join(strings.TrimSpace(string(output)), "kubernetes", "customresourcedefinitions.gen.yaml"))
}
