package cluster_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller"
	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// reader holds one Secret and one ConfigMap, both named shop/zk.
type reader struct {
	client.Reader
	secret, config map[string][]byte
	fails          error
	gets           int
}

func (r *reader) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	r.gets++
	if r.fails != nil {
		return r.fails
	}
	found := key == client.ObjectKey{Namespace: "shop", Name: "zk"}
	switch o := into.(type) {
	case *corev1.Secret:
		o.Data, found = r.secret, found && r.secret != nil
	case *corev1.ConfigMap:
		o.Data, found = map[string]string{}, found && r.config != nil
		for k, v := range r.config {
			o.Data[k] = string(v)
		}
	}
	if !found {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	return nil
}

func ref(kind v1alpha1.RefKind, key string) controller.Reference {
	return controller.Reference{Kind: kind, Namespace: "shop", Name: "zk", Key: key}
}

func wantValue(t *testing.T, s *cluster.Secrets, ref controller.Reference, want string) {
	t.Helper()
	if got, err := s.Read(t.Context(), ref); err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v, want %q", ref.Kind, got, err, want)
	}
}

func TestSecretsAreReadByKind(t *testing.T) {
	r := &reader{secret: map[string][]byte{"password": []byte("s3cret")}, config: map[string][]byte{"ca.crt": []byte("pem")}}
	s := cluster.NewSecrets(r)
	wantValue(t, s, ref(v1alpha1.RefSecret, "password"), "s3cret")
	wantValue(t, s, ref(v1alpha1.RefConfigMap, "ca.crt"), "pem")
	for _, wrong := range []controller.Reference{
		ref(v1alpha1.RefSecret, "user"),
		ref(v1alpha1.RefConfigMap, "password"),
		{Kind: v1alpha1.RefSecret, Namespace: "other", Name: "zk", Key: "password"},
	} {
		_, err := s.Read(t.Context(), wrong)
		if !errors.Is(err, source.ErrSecret) || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), wrong.Namespace+"/zk") {
			t.Errorf("%v: got %v, want an error that names the reference and no content", wrong, err)
		}
	}
}

func TestSecretIsReadAgainAfterItsRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{secret: map[string][]byte{"password": []byte("old")}}
		s := cluster.NewSecrets(r)
		for range 1000 {
			wantValue(t, s, ref(v1alpha1.RefSecret, "password"), "old")
		}
		if r.gets != 1 {
			t.Errorf("%d requests to read one secret a thousand times, want 1", r.gets)
		}
		r.secret = map[string][]byte{"password": []byte("new")}
		<-time.After(6 * time.Second)
		wantValue(t, s, ref(v1alpha1.RefSecret, "password"), "new")
	})
}

func TestSecretOutlivesTheAPIServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{secret: map[string][]byte{"password": []byte("s3cret")}}
		s := cluster.NewSecrets(r)
		wantValue(t, s, ref(v1alpha1.RefSecret, "password"), "s3cret")
		r.fails = errors.New("connection refused")
		<-time.After(time.Hour)
		wantValue(t, s, ref(v1alpha1.RefSecret, "password"), "s3cret")

		r.fails, r.secret = nil, nil
		<-time.After(time.Hour)
		if _, err := s.Read(t.Context(), ref(v1alpha1.RefSecret, "password")); !apierrors.IsNotFound(err) {
			t.Errorf("the secret is deleted, got %v", err)
		}
	})
}
