package translate

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestNamesOfWorkloads(t *testing.T) {
	long := strings.Repeat("abcdefgh.", 28) + "b"
	for _, host := range []string{"a.b", "v-1.0.0.com.acme.greeter", long, long[:235] + ".x", strings.Repeat("a", 62) + "." + strings.Repeat("b", 62)} {
		names := map[string]bool{}
		for _, e := range []Endpoint{
			{Address: "10.0.0.1", Ports: []EndpointPort{{"http-80", 80}}},
			{Address: "10.0.0.1", Ports: []EndpointPort{{"http-80", 81}}},
			{Address: "fd00::1", Ports: []EndpointPort{{"http-80", 80}}},
		} {
			name := WorkloadName(host, &e)
			if errs := validation.IsDNS1123Subdomain(name); errs != nil || names[name] {
				t.Errorf("name %q: %v", name, errs)
			}
			names[name] = true
			e.Weight, e.Locality, e.Labels = 7, "r/z", []Label{{LabelSource, "zk.1"}}
			e.Ports = append(e.Ports, EndpointPort{"grpc-90", 90})
			if WorkloadName(host, &e) != name {
				t.Errorf("name %q depends on more than the endpoint's place", name)
			}
		}
		if errs := validation.IsValidLabelValue(HostLabel(host)); errs != nil {
			t.Errorf("label %q: %v", HostLabel(host), errs)
		}
	}
	if a, b := HostLabel(long+"a"), HostLabel(long+"b"); a == b {
		t.Errorf("two hosts have the label %s", a)
	}
}
