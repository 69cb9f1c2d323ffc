package lab

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// kubeStartLimit is how long etcd and the API server may take until they serve. It takes five seconds on an idle machine.
const kubeStartLimit = 2 * time.Minute

// The tokens of the two users. The first, admin, may do everything and is never asked to wait: she belongs to system:masters. The second,
// bridge, may do what a test allows.
const (
	kubeToken   = "lab"
	bridgeToken = "bridge"
)

// replicas are users like bridge, one for each replica of a bridge, so that the audit log tells them apart. Each user's token is its name.
func replicas() []string { return []string{"replica-0", "replica-1", "replica-2"} }

// auditPolicy lets the API server note who writes objects of Istio and Registries, and who holds a Lease; of service accounts, everything.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, verbs: [create, update, patch, delete, deletecollection], resources: [{group: networking.istio.io}, {group: registry-bridge.io}]}
- {level: Metadata, verbs: [create, update, patch], resources: [{group: coordination.k8s.io, resources: [leases]}]}
- {level: Metadata, userGroups: ["system:serviceaccounts"]}
- {level: None}
`

// Kube is a Kubernetes without nodes: an etcd and an API server with the CRDs of Istio. It keeps its address and its data through
// Stop, Kill and Start.
type Kube struct {
	// Kubeconfig is a file with which kubectl and the bridge reach the API server. BridgeKubeconfig does it as the user bridge, who
	// may do what a test allows, and has to wait when the API server is busy.
	Kubeconfig, BridgeKubeconfig string

	url, dir, program, etcdURL string
	port                       int
	process                    *Process
}

// StartKube starts both servers, waits until they serve and installs the CRDs of Istio.
func StartKube(t testing.TB) *Kube {
	t.Helper()
	program, err := PrepareKubernetes(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	port := FreePort(t)
	k := &Kube{
		url: "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: t.TempDir(), program: program, port: port,
	}
	k.Kubeconfig, k.BridgeKubeconfig = filepath.Join(k.dir, "kubeconfig"), filepath.Join(k.dir, "bridge.kubeconfig")
	k.startEtcd(t)
	k.writeFiles(t)
	k.Start(t)
	k.installCRDs(t)
	return k
}

func (k *Kube) startEtcd(t testing.TB) {
	t.Helper()
	k.etcdURL = "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
	peer := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
	// Nothing here has to survive a crash of the machine.
	etcd := StartProcess(t, "etcd", "etcd", "--data-dir", filepath.Join(k.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", k.etcdURL, "--advertise-client-urls", k.etcdURL,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	Await(t, kubeStartLimit, "etcd serves", func(ctx context.Context) error {
		etcd.failIfExited(t)
		return k.probe(ctx, k.etcdURL+"/health")
	})
}

// writeFiles writes the token, the key for service accounts and the kubeconfig.
func (k *Kube) writeFiles(t testing.TB) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	tokens := []string{kubeToken + `,admin,admin,"system:masters"`, bridgeToken + ",bridge,bridge"}
	for _, user := range replicas() {
		tokens = append(tokens, user+","+user+","+user+",bridges")
	}
	for name, text := range map[string][]byte{
		"tokens.csv":        []byte(strings.Join(tokens, "\n") + "\n"),
		"audit.yaml":        []byte(auditPolicy),
		"sa.key":            pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"sa.pub":            pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"kubeconfig":        []byte(kubeconfig(k.url, kubeToken)),
		"bridge.kubeconfig": []byte(kubeconfig(k.url, bridgeToken)),
	} {
		if err := os.WriteFile(filepath.Join(k.dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Replicas returns the users that replicas of a bridge may be, and for each a kubeconfig. They belong to the group "bridges".
func (k *Kube) Replicas(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, user := range replicas() {
		files[user] = filepath.Join(k.dir, user+".kubeconfig")
		if err := os.WriteFile(files[user], []byte(kubeconfig(k.url, user)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// KubeconfigFor renders a kubeconfig with which the bridge's user reaches an API server, or a proxy before it.
func KubeconfigFor(server string) string { return kubeconfig(server, bridgeToken) }

// kubeconfig renders a kubeconfig.
func kubeconfig(server, token string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "%s", insecure-skip-tls-verify: true}}]
users: [{name: user, user: {token: "%s"}}]
contexts: [{name: lab, context: {cluster: lab, user: user}}]
current-context: lab
`, server, token)
}

// Start starts the API server again after Stop or Kill, with more arguments if there are any, and waits until it serves.
func (k *Kube) Start(t testing.TB, args ...string) {
	t.Helper()
	file := func(name string) string { return filepath.Join(k.dir, name) }
	k.process = StartProcess(t, "kube-apiserver", k.program, append([]string{
		"--etcd-servers=" + k.etcdURL, "--cert-dir=" + file("certs"), "--secure-port=" + strconv.Itoa(k.port), "--bind-address=127.0.0.1",
		"--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount", "--token-auth-file=" + file("tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + file("sa.pub"),
		"--service-account-signing-key-file=" + file("sa.key"), "--service-cluster-ip-range=10.96.0.0/16",
		"--shutdown-delay-duration=0s", "--audit-policy-file=" + file("audit.yaml"), "--audit-log-path=" + file("audit.log"),
	}, args...)...)
	Await(t, kubeStartLimit, "kube-apiserver serves", func(ctx context.Context) error {
		k.process.failIfExited(t)
		return k.probe(ctx, k.url+"/readyz")
	})
}

// Kill ends the API server as a crash would; etcd goes on.
func (k *Kube) Kill() { k.process.Kill() }

// Process returns the process of the API server, for signals such as SIGSTOP.
func (k *Kube) Process() *Process { return k.process }

// Etcd returns the URL of the etcd behind the API server.
func (k *Kube) Etcd() string { return k.etcdURL }

// URL returns where the API server is.
func (k *Kube) URL() string { return k.url }

// Addr returns the address of the API server.
func (k *Kube) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(k.port)) }

// Config returns how clients reach the API server.
func (k *Kube) Config() *rest.Config {
	return &rest.Config{
		Host: k.url, BearerToken: kubeToken, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1,
	}
}

// Client returns a client that does what a person with kubectl does.
func (k *Kube) Client(t testing.TB) dynamic.Interface {
	t.Helper()
	client, err := dynamic.NewForConfig(k.Config())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// probe asks a server whether it serves.
func (k *Kube) probe(ctx context.Context, url string) error {
	return Probe(ctx, url, kubeToken)
}

// installCRDs installs the custom resource definitions of Istio, and waits until ServiceEntries are served.
func (k *Kube) installCRDs(t testing.TB) {
	t.Helper()
	text, err := IstioCRDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := k.Client(t)
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &crd.Object); err != nil {
			t.Fatal(err)
		}
		if crd.GetKind() != "CustomResourceDefinition" {
			continue
		}
		if _, err := crds.Create(t.Context(), crd, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	entries := schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
	Await(t, kubeStartLimit, "ServiceEntries are served", func(ctx context.Context) error {
		_, err := client.Resource(entries).List(ctx, metav1.ListOptions{})
		return err
	})
}
