package lab

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// istiodStartLimit is how long istiod may take until it is ready. It takes three seconds on an idle machine.
const istiodStartLimit = 2 * time.Minute

// istioNamespace is where istiod keeps what is its own, and the root namespace of the mesh.
const istioNamespace = "istio-system"

// Istiod is a running istiod 1.31 that reads an API server as it does in a cluster, and whose webhook judges what is written there.
type Istiod struct {
	// Addr is host:port where proxies ask for their configuration, without TLS.
	Addr string

	https, monitoring, ready string
	// command is the environment that Istio's chart gives it, the program, and its arguments.
	command []string
	process *Process
}

// IstiodOptions configures an istiod. The zero value is one with its defaults, for proxies that are played.
type IstiodOptions struct {
	// Envoy makes it send what an Envoy without Istio's agent and without Istio's filters can use, see docs/contributing/envoy.md.
	Envoy bool
	// Host is an address of this machine where proxies ask for their configuration, 127.0.0.1 when it is empty.
	Host string
}

// StartIstiod starts istiod over the API server, and waits until it is ready. From then on the API server asks istiod's webhook about
// every object of Istio's that is written, and refuses it when the webhook does or is not there.
func StartIstiod(t testing.TB, k *Kube, options IstiodOptions) *Istiod {
	t.Helper()
	program, err := PrepareIstiod(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	k.MakeNamespace(t, istioNamespace)
	certificates := NewCertificates(t)
	i := &Istiod{
		Addr:  net.JoinHostPort(cmp.Or(options.Host, "127.0.0.1"), strconv.Itoa(FreePort(t))),
		https: loopback(FreePort(t)), monitoring: loopback(FreePort(t)), ready: loopback(FreePort(t)),
	}
	i.command = []string{"env", "POD_NAMESPACE=" + istioNamespace, "POD_NAME=istiod-0"}
	mesh := filepath.Join(t.TempDir(), "mesh.yaml")
	if options.Envoy {
		i.command = append(i.command, "PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false")
		// Certificates come from Istio's agent.
		if err := os.WriteFile(mesh, []byte("enableAutoMtls: false\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	i.command = append(i.command, program, "discovery",
		"--kubeconfig", k.Kubeconfig, "--meshConfig", mesh, "--grpcAddr", i.Addr, "--secureGRPCAddr", "",
		"--httpsAddr", i.https, "--httpAddr", i.ready, "--monitoringAddr", i.monitoring, "--ctrlz_port", "0",
		"--tlsCertFile", certificates.ServerKeyAndCert, "--tlsKeyFile", certificates.ServerKey, "--caCertFile", certificates.CA)
	i.Start(t)
	i.installWebhook(t, k, certificates.CA)
	if options.Envoy {
		i.disableTLS(t, k)
	}
	return i
}

// disableTLS has no proxy of the mesh wait for certificates, without which its inbound listener does not start, nor any other.
func (i *Istiod) disableTLS(t testing.TB, k *Kube) {
	t.Helper()
	policy := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": map[string]any{"name": "default"},
		"spec": map[string]any{"mtls": map[string]any{"mode": "DISABLE"}},
	}}
	resource := schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"}
	if _, err := k.Client(t).Resource(resource).Namespace(istioNamespace).Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Start starts istiod again after Stop or Kill, and waits until it is ready.
func (i *Istiod) Start(t testing.TB) {
	t.Helper()
	i.process = StartProcess(t, "istiod", i.command[0], i.command[1:]...)
	Await(t, istiodStartLimit, "istiod is ready", func(ctx context.Context) error {
		i.process.failIfExited(t)
		return Probe(ctx, "http://"+i.ready+"/ready", "")
	})
}

// Kill ends istiod as a crash would.
func (i *Istiod) Kill() { i.process.Kill() }

// installWebhook has the API server ask istiod, as Istio's chart does.
func (i *Istiod) installWebhook(t testing.TB, k *Kube, authority string) {
	t.Helper()
	bundle, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	webhook := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
		"metadata": map[string]any{"name": "istio-validator"},
		"webhooks": []any{map[string]any{
			"name": "validation.istio.io", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "failurePolicy": "Fail",
			"clientConfig": map[string]any{"url": "https://" + i.https + "/validate", "caBundle": base64.StdEncoding.EncodeToString(bundle)},
			"rules": []any{map[string]any{
				"apiGroups": []any{"networking.istio.io"}, "apiVersions": []any{"*"}, "resources": []any{"*"},
				"operations": []any{"CREATE", "UPDATE"},
			}},
		}},
	}}
	resource := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}
	if _, err := k.Client(t).Resource(resource).Create(t.Context(), webhook, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// The schema allows any text as a protocol, the webhook only some.
	refused := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": map[string]any{"name": "refused"},
		"spec": map[string]any{"hosts": []any{"refused.lab"}, "ports": []any{
			map[string]any{"name": "none", "number": int64(1), "protocol": "none"},
		}},
	}}
	entries := k.Client(t).Resource(schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"})
	Await(t, istiodStartLimit, "the webhook refuses", func(ctx context.Context) error {
		i.process.failIfExited(t)
		_, err := entries.Namespace(istioNamespace).Create(ctx, refused, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), "denied the request") {
			return fmt.Errorf("it did not: %w", err)
		}
		return nil
	})
}

// MakeNamespace makes a namespace, unless it is there.
func (k *Kube) MakeNamespace(t testing.TB, name string) {
	t.Helper()
	namespace := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
	}}
	resource := schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	_, err := k.Client(t).Resource(resource).Create(t.Context(), namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// Counters returns the values of all series of one of istiod's counters, each under the value of the label; series that differ in
// other labels only are added up. A label of "" adds up all.
func (i *Istiod) Counters(ctx context.Context, name, label string) (map[string]float64, error) {
	families, err := i.metrics(ctx)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for _, series := range families[name].GetMetric() {
		values[labelOf(series, label)] += series.GetCounter().GetValue()
	}
	return values, nil
}

// Histogram returns the sum and the number of what one of istiod's histograms has observed of a type.
func (i *Istiod) Histogram(ctx context.Context, name, kind string) (sum, count float64, err error) {
	families, err := i.metrics(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, series := range families[name].GetMetric() {
		if labelOf(series, "type") == kind {
			sum += series.GetHistogram().GetSampleSum()
			count += float64(series.GetHistogram().GetSampleCount())
		}
	}
	return sum, count, nil
}

func (i *Istiod) metrics(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.monitoring+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask istiod for metrics: %w", err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of istiod: %w", err)
	}
	return families, nil
}

func labelOf(series *dto.Metric, name string) string {
	for _, pair := range series.GetLabel() {
		if strings.EqualFold(pair.GetName(), name) {
			return pair.GetValue()
		}
	}
	return ""
}
