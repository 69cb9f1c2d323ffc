package node_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/cluster"
)

// scene is one test with a namespace of its own in the cluster that all tests share. The namespace admits restricted pods only.
type scene struct {
	*testing.T
	cluster   *cluster.Cluster
	namespace string
}

func newScene(t *testing.T, c *cluster.Cluster) *scene {
	t.Helper()
	name := strings.ToLower(filepath.Base(t.Name()))
	makeNamespace(t, c, name)
	return &scene{T: t, cluster: c, namespace: name}
}

// makeNamespace makes a namespace until the end of the test.
func makeNamespace(t testing.TB, c *cluster.Cluster, name string) {
	t.Helper()
	namespaces := c.Client().CoreV1().Namespaces()
	_, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if t.Failed() {
			c.Describe(ctx, t, name)
		}
		if err := namespaces.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
			t.Error(err)
		}
	})
	// Pods are refused until it is there.
	lab.Await(t, settleLimit, "the service account of "+name+" is there", func(ctx context.Context) error {
		_, err := c.Client().CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// build builds a static program from a package of the module in dir.
func build(t *testing.T, dir, pkg string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, pkg)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, output)
	}
	return program
}

// buildImage puts the program into its image with what makes the released one, for this machine's architecture only, and returns the
// archive.
func buildImage(t *testing.T, program, image string) (archive string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "image")
	repository, tag, _ := strings.Cut(image, ":")
	// Paths are relative to its folder. A test needs no third parties' notices, so any text will do.
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "image",
		"-out", out, "-name", repository, "-tag", tag, "-notices", "../../LICENSE", program)
	cmd.Dir = "../../hack/release"
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make the image: %v\n%s", err, output)
	}
	archives, err := filepath.Glob(filepath.Join(out, "*.tar"))
	if err != nil || len(archives) != 1 {
		t.Fatalf("there are archives %q (%v), want one", archives, err)
	}
	return archives[0]
}

// restricted is what a restricted namespace wants of a container, and what the bridge's own pods have.
const restricted = `{runAsNonRoot: true, runAsUser: 65532, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, ` +
	`capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}`

// runOnce runs a pod to its end and returns what it wrote.
func (s *scene) runOnce(name, image string, args ...string) string {
	s.Helper()
	s.cluster.Apply(s, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %q, namespace: %q}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: %q, imagePullPolicy: Never, args: %s, securityContext: %s}
`, name, s.namespace, image, list(args), restricted))
	var phase corev1.PodPhase
	lab.Await(s, settleLimit, "pod "+name+" has ended", func(ctx context.Context) error {
		pod, err := s.cluster.Client().CoreV1().Pods(s.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if phase = pod.Status.Phase; phase == corev1.PodSucceeded || phase == corev1.PodFailed {
			return nil
		}
		return fmt.Errorf("it is %s: %v", phase, pod.Status.ContainerStatuses)
	})
	log := s.cluster.Kubectl(s, "logs", "--namespace="+s.namespace, name)
	if phase == corev1.PodFailed {
		s.Fatalf("pod %s failed: %s", name, log)
	}
	return log
}

// list writes arguments as a YAML list.
func list(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = fmt.Sprintf("%q", arg)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// serve starts a Deployment of the probe with a Service of the same name, and waits until its pods are ready.
func (s *scene) serve(name string, replicas int) {
	s.Helper()
	s.cluster.Apply(s, fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]q, namespace: %[2]q}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: %[1]q}}
  template:
    metadata: {labels: {app: %[1]q}}
    spec:
      containers:
      - name: main
        image: %[4]q
        imagePullPolicy: Never
        args: [serve]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1, failureThreshold: 1}
        securityContext: %[5]s
---
apiVersion: v1
kind: Service
metadata: {name: %[1]q, namespace: %[2]q}
spec: {selector: {app: %[1]q}, ports: [{port: 80, targetPort: 8080}]}
`, name, s.namespace, replicas, probeImage, restricted))
	s.cluster.Kubectl(s, "rollout", "status", "--namespace="+s.namespace, "deployment/"+name, "--timeout="+settleLimit.String())
}

// pods returns the pods of a Deployment made by serve.
func (s *scene) pods(ctx context.Context, name string) ([]corev1.Pod, error) {
	pods, err := s.cluster.Client().CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}
