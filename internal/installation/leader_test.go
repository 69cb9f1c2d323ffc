package installation_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/registry-bridge/registry-bridge/internal/installation"
)

// replica returns a pod, and the Lease that it holds.
func replica(t *testing.T, name, holder string, ports ...corev1.ContainerPort) *installation.Bridge {
	t.Helper()
	l := lease("mesh", "bridge")
	if holder != "" {
		l.Spec.HolderIdentity = &holder
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "mesh", Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "sidecar"}, {Name: "bridge", Ports: ports}}},
	}
	return &installation.Bridge{Client: newClient(t, l, pod), Namespace: "mesh", Name: "bridge"}
}

func TestLeader(t *testing.T) {
	long := strings.Repeat("a", 70)
	tests := []struct {
		name, pod, holder string
		ports             []corev1.ContainerPort
		port              int32
		err               error
	}{
		{"named port", "bridge-1", "bridge-1_0000", []corev1.ContainerPort{{Name: "other", ContainerPort: 1}, {Name: "http", ContainerPort: 9090}}, 9090, nil},
		{"no ports", "bridge-1", "bridge-1_0000", nil, 8080, nil},
		{"a long name", long, long[:63] + "_0000", nil, 8080, nil},
		{"released", "bridge-1", "", nil, 0, installation.ErrNoLeader},
		{"not in a pod", "bridge-1", "laptop_0000", nil, 0, installation.ErrNoLeader},
		{"somebody else's Lease", "bridge-1", "bridge-1", nil, 0, installation.ErrNoLeader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod, port, err := replica(t, tt.pod, tt.holder, tt.ports...).Leader(t.Context())
			if !errors.Is(err, tt.err) || port != tt.port || err == nil && pod.Name != tt.pod {
				t.Errorf("got %v, %d, %v", pod, port, err)
			}
		})
	}
}

// TestForwardRefused: an API server that refuses a port-forward is an error that says so, and nothing is left running.
func TestForwardRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := "/api/v1/namespaces/mesh/pods/bridge-1/portforward"; r.URL.Path != want {
			t.Errorf("asked for %s, want %s", r.URL.Path, want)
		}
		http.Error(w, "no rights", http.StatusForbidden)
	}))
	defer server.Close()
	_, err := replica(t, "bridge-1", "bridge-1_0").AskLeader(t.Context(), &rest.Config{Host: server.URL}, "/debug/state")
	if err == nil || !strings.Contains(err.Error(), "forward a port of pod mesh/bridge-1") {
		t.Errorf("got %v", err)
	}
}

func TestAsk(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/standby" {
			http.Error(w, "it does not lead", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusOK)
	}))
	defer server.Close()
	if _, err := installation.Ask(t.Context(), server.URL+"/"); err != nil {
		t.Error(err)
	}
	if _, err := installation.Ask(t.Context(), server.URL+"/standby"); err == nil || !strings.Contains(err.Error(), "it does not lead") {
		t.Errorf("got %v", err)
	}
}
