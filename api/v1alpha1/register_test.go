package v1alpha1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

// TestAddToScheme decodes a list as a client does.
func TestAddToScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	want := &v1alpha1.RegistryList{Items: []v1alpha1.Registry{*minimal()}}
	want.APIVersion, want.Kind = v1alpha1.APIVersion, "RegistryList"
	codecs := serializer.NewCodecFactory(scheme)
	data, err := runtime.Encode(codecs.LegacyCodec(v1alpha1.GroupVersion()), want.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	got, err := runtime.Decode(codecs.UniversalDeserializer(), data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(runtime.Object(want), got); diff != "" {
		t.Errorf("(-sent +read)\n%s", diff)
	}
}
