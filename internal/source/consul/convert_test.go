package consul

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// answerOf wraps fields of a service and checks into an answer about "web".
func answerOf(service, checks string) string {
	return fmt.Sprintf(`[{"Node":{"Node":"n1","Address":"10.0.0.1","TaggedAddresses":{"wan":"198.51.100.1"},"Locality":{"Region":"north","Zone":"b"}},`+
		`"Service":{"ID":"web-1","Service":"web","Port":80,%s"Weights":{"Passing":10,"Warning":3}},"Checks":[%s]}]`, service, checks)
}

func TestConvert(t *testing.T) {
	t.Parallel()
	good := model.Instance{
		ID: "n1/web-1", Address: "10.0.0.1", Ports: []model.Port{{Number: 80}}, Weight: 10, Locality: model.Locality{Region: "north", Zone: "b"},
	}
	with := func(change func(*model.Instance)) []model.Instance {
		inst := good
		change(&inst)
		return []model.Instance{inst}
	}
	state := func(h model.Health, weight uint32) []model.Instance {
		return with(func(i *model.Instance) { i.Health, i.Weight = h, weight })
	}
	tests := map[string]struct {
		service, checks, from string
		want                  []model.Instance
	}{
		"no checks":              {want: state(model.Healthy, 10)},
		"passing":                {checks: `{"CheckID":"a","Status":"passing"}`, want: state(model.Healthy, 10)},
		"warning":                {checks: `{"CheckID":"a","Status":"passing"},{"CheckID":"b","Status":"warning"}`, want: state(model.Warning, 3)},
		"critical":               {checks: `{"CheckID":"a","Status":"warning"},{"CheckID":"serfHealth","Status":"critical"}`, want: state(model.Unhealthy, 10)},
		"service in maintenance": {checks: `{"CheckID":"_service_maintenance:web-1","Status":"critical"}`, want: state(model.Maintenance, 10)},
		"node in maintenance":    {checks: `{"CheckID":"_node_maintenance","Status":"critical"}`, want: state(model.Maintenance, 10)},
		"unknown status": {checks: `{"CheckID":"a","Status":"dreaming"}`, want: with(func(i *model.Instance) {
			i.Health, i.Problem = model.Unhealthy, "MalformedName: a check has a status that Consul does not have"
		})},
		"address of the service":     {service: `"Address":"10.0.0.9",`, want: with(func(i *model.Instance) { i.Address = "10.0.0.9" })},
		"tagged address of the node": {from: "wan", want: with(func(i *model.Instance) { i.Address = "198.51.100.1" })},
		"tagged address of the service": {
			service: `"Address":"10.0.0.9","TaggedAddresses":{"wan":{"Address":"198.51.100.9","Port":8080}},`, from: "wan",
			want: with(func(i *model.Instance) { i.Address, i.Ports = "198.51.100.9", []model.Port{{Number: 8080}} }),
		},
		"no such tagged address": {service: `"Address":"10.0.0.9",`, from: "wan", want: with(func(i *model.Instance) {
			i.Address, i.Problem = "", `AddressMissing: neither the service nor its node has the address "wan"`
		})},
		"several ports, the default first": {
			service: `"Ports":[{"Name":"admin","Port":9000},{"Name":"grpc-api","Port":9090,"Default":true}],`,
			want: with(func(i *model.Instance) {
				i.Ports = []model.Port{{Name: "grpc-api", Protocol: "grpc", Number: 9090}, {Name: "admin", Number: 9000}}
			}),
		},
		"metadata and tags": {
			service: `"Meta":{"version":"1"},"Tags":["primary","version=2","zone=b"],`,
			want:    with(func(i *model.Instance) { i.Metadata = map[string]string{"version": "1", "zone": "b"} }),
		},
		"own locality": {service: `"Locality":{"Region":"south","Zone":"a"},`, want: with(func(i *model.Instance) {
			i.Locality = model.Locality{Region: "south", Zone: "a"}
		})},
		"too much metadata": {service: `"Tags":["a=` + strings.Repeat("x", 70<<10) + `"],`, want: with(func(i *model.Instance) {
			i.Metadata = map[string]string{"a": strings.Repeat("x", 70<<10)}
			i.Problem = "MetadataTooLarge: 71681 bytes of metadata, 65536 are accepted"
		})},
		"a port that is text": {service: `"Port":"http",`, want: []model.Instance{{ID: "#0", Problem: "MalformedName: Service.Port is a string"}}},
		"a sidecar proxy":     {service: `"Kind":"connect-proxy",`, want: nil},
		"a gateway":           {service: `"Kind":"api-gateway",`, want: nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := converter{id: "id", addressFrom: AddressFromService}
			if tt.from != "" {
				c.addressFrom = tt.from
			}
			svc, err := c.service("web", []byte(answerOf(tt.service, tt.checks)))
			if err != nil {
				t.Fatal(err)
			}
			var got []model.Instance
			if svc != nil {
				got = svc.Instances
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestConvertRefuses: what is not an answer to the question fails as a whole.
func TestConvertRefuses(t *testing.T) {
	t.Parallel()
	for body, class := range map[string]error{
		`null`: source.ErrMalformed, `{}`: source.ErrMalformed, `[]`: source.ErrUnauthorized, `[`: source.ErrMalformed,
		`[{"Node":{"Node":"n1"},"Service":{"ID":"db","Service":"db"}}]`: source.ErrMalformed,
	} {
		if svc, err := (converter{}).service("web", []byte(body)); !errors.Is(err, class) || svc != nil {
			t.Errorf("%s: got %v, %v, want %q", body, svc, err, class)
		}
	}
	for body, class := range map[string]error{`null`: source.ErrMalformed, `[]`: source.ErrMalformed, `{}`: source.ErrUnauthorized} {
		if names, err := (converter{}).listing([]byte(body), true); !errors.Is(err, class) {
			t.Errorf("%s: got %v, %v, want %q", body, names, err, class)
		}
	}
	if names, err := (converter{}).listing([]byte(`{}`), false); err != nil || len(names) != 0 {
		t.Errorf("an empty namespace: got %v, %v", names, err)
	}
}

// FuzzConvert: whatever an answer holds, it is refused, or makes a service that keeps to the rules of the model.
func FuzzConvert(f *testing.F) {
	f.Add([]byte(answerOf(`"Meta":{"a":"b"},"Tags":["c=d"],`, `{"CheckID":"a","Status":"passing"}`)))
	f.Add([]byte(`[{},null,{"Node":{"Node":"n"},"Service":{"ID":"i","Service":"web","Port":-1}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c := converter{id: "id", addressFrom: AddressFromService}
		svc, err := c.service("web", body)
		if err != nil || svc == nil {
			return
		}
		seen := map[string]bool{}
		for _, inst := range svc.Instances {
			if seen[inst.ID] || inst.Problem == "" && (inst.Address == "" || len(inst.Ports) == 0) {
				t.Errorf("%+v", inst)
			}
			seen[inst.ID] = true
		}
		again, err := c.service("web", body)
		if err != nil || !svc.Equal(again) {
			t.Errorf("the same answer gave another service: %v", err)
		}
	})
}
