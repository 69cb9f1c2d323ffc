package plan

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// TestWeightsBesideKeptEndpoints: translation leaves equal weights unset, and sees only a part of a service that is coming back. What is
// there again keeps the weight that it had, beside what is held.
func TestWeightsBesideKeptEndpoints(t *testing.T) {
	at := func(address string, weight uint32) translate.Endpoint {
		return translate.Endpoint{Address: address, Weight: weight, Ports: []translate.EndpointPort{{Name: "tcp", Number: 1}}}
	}
	of := func(endpoints ...translate.Endpoint) *translate.Object {
		return &translate.Object{ServiceEntry: &translate.ServiceEntry{Ports: []translate.ServicePort{{Name: "tcp", Number: 1}}, Endpoints: endpoints}}
	}
	for _, tt := range []struct {
		name                string
		desired, live, kept []translate.Endpoint
		want                []translate.Endpoint
	}{
		{
			"a part of what was weighted is back",
			[]translate.Endpoint{at("10.0.0.1", 0)},
			[]translate.Endpoint{at("10.0.0.1", 20), at("10.0.0.2", 5)},
			[]translate.Endpoint{at("10.0.0.2", 5)},
			[]translate.Endpoint{at("10.0.0.1", 20), at("10.0.0.2", 5)},
		},
		{
			"a newcomer counts as usual",
			[]translate.Endpoint{at("10.0.0.3", 0)},
			[]translate.Endpoint{at("10.0.0.1", 20), at("10.0.0.2", 5)},
			[]translate.Endpoint{at("10.0.0.2", 5)},
			[]translate.Endpoint{at("10.0.0.2", 5), at("10.0.0.3", translate.UnitWeight)},
		},
		{
			"what the registry says of weights holds",
			[]translate.Endpoint{at("10.0.0.1", 10), at("10.0.0.3", 30)},
			[]translate.Endpoint{at("10.0.0.1", 20), at("10.0.0.2", 5)},
			[]translate.Endpoint{at("10.0.0.2", 5)},
			[]translate.Endpoint{at("10.0.0.1", 10), at("10.0.0.2", 5), at("10.0.0.3", 30)},
		},
		{
			"nothing had a weight",
			[]translate.Endpoint{at("10.0.0.1", 0)},
			[]translate.Endpoint{at("10.0.0.1", 0), at("10.0.0.2", 0)},
			[]translate.Endpoint{at("10.0.0.2", 0)},
			[]translate.Endpoint{at("10.0.0.1", 0), at("10.0.0.2", 0)},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var kept []*translate.Endpoint
			for i := range tt.kept {
				kept = append(kept, &tt.kept[i])
			}
			got := merge(of(tt.desired...), of(tt.live...), kept).ServiceEntry.Endpoints
			if diff := gocmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
