package lab

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/registry-bridge/registry-bridge/e2e/audit"
)

// AccountKubeconfig writes a file with which a program reaches the API server as a service account does from inside of a pod: with a token
// that is asked for (TokenRequest) and the rights that the account has.
func (k *Kube) AccountKubeconfig(t testing.TB, namespace, account string) (path string) {
	t.Helper()
	client, err := kubernetes.NewForConfig(k.Config())
	if err != nil {
		t.Fatal(err)
	}
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(kubeconfig(k.url, token.Status.Token)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Requests returns what a service account has asked for so far. What is not about objects, such as which kinds there are, is not among it.
func (k *Kube) Requests(t testing.TB, namespace, account string) []audit.Request {
	t.Helper()
	requests, err := audit.ReadAll(filepath.Join(k.dir, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	user := "system:serviceaccount:" + namespace + ":" + account
	return slices.DeleteFunc(requests, func(r audit.Request) bool { return r.Resource == "" || r.User != user })
}
