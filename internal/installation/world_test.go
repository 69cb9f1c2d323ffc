package installation_test

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/installation"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// shop is the Registry of most tests.
var shop = types.NamespacedName{Namespace: "dubbo", Name: "shop"}

// newClient returns a client of an API server in memory.
func newClient(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := installation.Scheme()
	istio := schema.GroupVersion{Group: "networking.istio.io", Version: "v1"}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{istio})
	for _, k := range translate.Kinds() {
		kind := string(k)
		scheme.AddKnownTypeWithName(istio.WithKind(kind), &unstructured.Unstructured{})
		scheme.AddKnownTypeWithName(istio.WithKind(kind+"List"), &unstructured.UnstructuredList{})
		mapper.Add(istio.WithKind(kind), meta.RESTScopeNamespace)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper).WithObjects(objects...).WithReturnManagedFields().Build()
}

func lease(namespace, name string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func registry(name types.NamespacedName, edit ...func(*v1alpha1.Registry)) *v1alpha1.Registry {
	r := &v1alpha1.Registry{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	r.Spec.Mode = v1alpha1.ModeActive
	for _, e := range edit {
		e(r)
	}
	return r
}

func read(t *testing.T, c client.Client, name types.NamespacedName) *v1alpha1.Registry {
	t.Helper()
	r, err := installation.Registry{Client: c, Name: name}.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// published returns an object of a bridge.
func published(kind, name, instance, registry string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("networking.istio.io/v1")
	u.SetKind(kind)
	u.SetNamespace(shop.Namespace)
	u.SetName(name)
	u.SetUID(types.UID(kind + name))
	u.SetLabels(map[string]string{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: instance})
	if registry != "" {
		u.SetAnnotations(map[string]string{translate.AnnotationRegistry: registry})
	}
	return u
}
