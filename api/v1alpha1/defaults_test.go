package v1alpha1_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files")

func minimal() *v1alpha1.Registry {
	r := &v1alpha1.Registry{}
	r.APIVersion, r.Kind = v1alpha1.APIVersion, v1alpha1.KindRegistry
	r.Name, r.Namespace = "dubbo-prod", "dubbo-registry"
	r.Spec.Source.ZooKeeper = &v1alpha1.ZooKeeper{Servers: []string{"zk:2181"}}
	return r
}

func TestDefaults(t *testing.T) {
	r := minimal()
	r.Spec.Source.ZooKeeper.TLS = &v1alpha1.TLS{CARef: &v1alpha1.ObjectKeyRef{Name: "zk-ca"}}
	v1alpha1.Default(r)
	got, err := yaml.Marshal(r.Spec)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "defaults.yaml")
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if errs := v1alpha1.Validate(r); len(errs) > 0 {
		t.Errorf("the defaults are not valid: %v", errs)
	}

	v1alpha1.Default(r)
	again, err := yaml.Marshal(r.Spec)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(again)); diff != "" {
		t.Errorf("a second call changed something (-first +second):\n%s", diff)
	}
}

func TestDefaultKeepsWhatIsSet(t *testing.T) {
	r := minimal()
	r.Spec.Endpoints.DenyCIDRs, r.Spec.Endpoints.CopyLabels = []string{}, []string{}
	r.Spec.Output.VIPCIDR = new("")
	r.Spec.Services.Max = new(int32(7))
	r.Spec.Source.ZooKeeper.Layouts = []v1alpha1.ZooKeeperLayout{{Name: "blue", Root: "/dubbo-blue"}}
	v1alpha1.Default(r)
	if n := len(r.Spec.Endpoints.DenyCIDRs) + len(r.Spec.Endpoints.CopyLabels); n != 0 {
		t.Errorf("%d entries were added to lists that are set to nothing", n)
	}
	if *r.Spec.Output.VIPCIDR != "" || *r.Spec.Services.Max != 7 {
		t.Errorf("vipCIDR %q, max %d; want none and 7", *r.Spec.Output.VIPCIDR, *r.Spec.Services.Max)
	}
	want := []v1alpha1.ZooKeeperLayout{{Name: "blue", Type: v1alpha1.LayoutDubboInterface, Root: "/dubbo-blue"}}
	if diff := cmp.Diff(want, r.Spec.Source.ZooKeeper.Layouts); diff != "" {
		t.Errorf("layouts (-want +got):\n%s", diff)
	}
}
