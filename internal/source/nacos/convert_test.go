package nacos

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// told is what a test sees of an instance.
type told struct {
	ID      string
	Ports   string
	Weight  uint32
	Health  model.Health
	Problem string
}

func tell(services map[string]*model.Service) map[string][]told {
	out := map[string][]told{}
	for name, svc := range services {
		out[name] = nil
		for _, i := range svc.Instances {
			var ports []string
			for _, p := range i.Ports {
				ports = append(ports, strings.TrimPrefix(p.Protocol+":"+jsonText(p.Number), ":"))
			}
			problem, _, _ := strings.Cut(i.Problem, ":")
			out[name] = append(out[name], told{i.ID, strings.Join(ports, " "), i.Weight, i.Health, problem})
		}
	}
	return out
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestConvert: what each layout makes of what is registered, sense or nonsense.
func TestConvert(t *testing.T) {
	const spring = `"preserved.register.source":"SPRING_CLOUD"`
	tests := []struct {
		name, unit string
		layout     Layout
		clusters   []string
		hosts      string
		want       map[string][]told
	}{
		{"plain", "orders", Auto, nil, `{"ip":"10.0.0.1","port":80}`, map[string][]told{"orders": {{"10.0.0.1:80", "80", 100, 0, ""}}}},
		{
			"Spring Cloud", "orders", Auto, nil, `{"ip":"a","port":80,"metadata":{` + spring + `}},{"ip":"b","port":443,"metadata":{` + spring + `,"secure":"true"}}`,
			map[string][]told{"orders": {{"a:80", "http:80", 100, 0, ""}, {"b:443", "https:443", 100, 0, ""}}},
		},
		{
			"weights", "a", Plain, nil, `{"ip":"a","port":1,"weight":0.5},{"ip":"b","port":1,"weight":0},{"ip":"c","port":1,"weight":1e9},{"ip":"d","port":1,"weight":0.0001},{"ip":"e","port":1,"weight":null}`,
			map[string][]told{"a": {{"a:1", "1", 50, 0, ""}, {"b:1", "1", 0, 0, ""}, {"c:1", "1", 1_000_000, 0, ""}, {"d:1", "1", 1, 0, ""}, {"e:1", "1", 100, 0, ""}}},
		},
		{
			"weights that are none", "a", Plain, nil, `{"ip":"a","port":1,"weight":"NaN"},{"ip":"b","port":1,"weight":-1},{"ip":"c","port":1,"weight":"much"},{"ip":"d","port":1,"weight":{}}`,
			map[string][]told{"a": {
				{"a:1", "1", 0, 0, "MalformedName"}, {"b:1", "1", 0, 0, "MalformedName"}, {"c:1", "1", 0, 0, "MalformedName"}, {"d:1", "1", 0, 0, "MalformedName"},
			}},
		},
		{
			"health", "a", Plain, nil, `{"ip":"a","port":1,"healthy":false},{"ip":"b","port":1,"enabled":false}`,
			map[string][]told{"a": {{"a:1", "1", 100, model.Unhealthy, ""}, {"b:1", "1", 100, model.Disabled, ""}}},
		},
		{
			"no sense", "a", Plain, nil, `5,{"ip":"a"},{"port":1},{"ip":"b","port":70000},{"ip":"c","port":1,"metadata":null},{"ip":"d","port":1,"metadata":{"k":7}}`,
			map[string][]told{"a": {
				{":0##0", "0", 0, 0, "MalformedName"},
				{":0##5", "0", 0, 0, "MalformedName"},
				{":1##2", "1", 100, 0, "AddressMissing"},
				{"a:0", "0", 100, 0, "PortOutOfRange"},
				{"b:70000", "70000", 100, 0, "PortOutOfRange"},
				{"c:1", "1", 100, 0, ""},
			}},
		},
		{
			"twice", "a", Plain, nil, `{"ip":"a","port":1},{"ip":"a","port":1},{"ip":"a","port":1,"clusterName":"B"}`,
			map[string][]told{"a": {{"a:1", "1", 100, 0, ""}, {"a:1#1", "1", 100, 0, "MalformedName"}, {"a:1#B", "1", 100, 0, ""}}},
		},
		{"clusters", "a", Plain, []string{"B"}, `{"ip":"a","port":1},{"ip":"b","port":1,"clusterName":"B"}`, map[string][]told{"a": {{"b:1#B", "1", 100, 0, ""}}}},
		{
			"Dubbo interface", "providers:com.acme.A:1.0.0:g", Auto, nil,
			`{"ip":"a","port":20880,"weight":0.5,"metadata":{"protocol":"dubbo","interface":"com.acme.A","version":"1.0.0","group":"g","pid":"1","weight":"200"}},` +
				`{"ip":"a","port":50051,"metadata":{"protocol":"tri","interface":"com.acme.A","version":"1.0.0","group":"g","pid":"1"}},` +
				`{"ip":"b","port":20880,"metadata":{"protocol":"dubbo","interface":"com.acme.A","version":"1.0.0","group":"g","disabled":"true"}}`,
			map[string][]told{"g/com.acme.A:1.0.0": {
				{"dubbo://a:20880", "dubbo:20880 tri:50051", 100, 0, ""}, {"dubbo://b:20880", "dubbo:20880", 100, model.Disabled, ""},
			}},
		},
		{
			"Dubbo interface of old", "providers:com.acme.A:g", DubboInterface, nil, `{"ip":"a","port":1,"metadata":{"interface":"com.acme.A","group":"g"}}`,
			map[string][]told{"g/com.acme.A": {{"dubbo://a:1", "dubbo:1", 100, 0, ""}}},
		},
		{"consumers in a place of providers", "providers:com.acme.A::", Auto, nil, `{"ip":"a","port":1,"metadata":{"side":"consumer"}}`, map[string][]told{}},
		{
			"Dubbo application beside Spring Cloud", "orders", Auto, nil,
			`{"ip":"a","port":8080,"metadata":{` + spring + `}},{"ip":"a","port":20880,"metadata":{"dubbo.metadata.revision":"x","dubbo.endpoints":"[{\"port\":20880,\"protocol\":\"dubbo\"},{\"port\":50051,\"protocol\":\"tri\"}]"}}`,
			map[string][]told{"orders": {{"a:8080", "http:8080", 100, 0, ""}}, "orders.dubbo": {{"a:20880", "dubbo:20880 tri:50051", 100, 0, ""}}},
		},
		{
			"Dubbo application", "orders", DubboApplication, nil,
			`{"ip":"a","port":1,"metadata":{}},{"ip":"b","port":2,"metadata":{"dubbo.metadata.revision":"0"}},{"ip":"c","port":3,"metadata":{"dubbo.endpoints":"x"}}`,
			map[string][]told{"orders": {{"b:2", "dubbo:2", 100, model.Starting, ""}, {"c:3", "dubbo:3", 100, 0, "MalformedName"}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newConverter(Config{SourceID: "a.0", Group: DefaultGroup, Layout: tt.layout, Clusters: tt.clusters})
			var info serviceInfo
			if err := json.Unmarshal([]byte(`{"hosts":[`+tt.hosts+`]}`), &info); err != nil {
				t.Fatal(err)
			}
			services, err := c.convert(tt.unit, &info)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, tell(services)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestNames: which services a name may stand for, before any instance is known.
func TestNames(t *testing.T) {
	tests := []struct {
		unit string
		want map[Layout][]string
	}{
		{"orders", map[Layout][]string{
			Auto: {"orders", "orders.dubbo"}, SpringCloud: {"orders"}, DubboInterface: nil, DubboApplication: {"orders"}, Plain: {"orders"},
		}},
		{"providers:com.acme.A:1.0.0:", map[Layout][]string{
			Auto: {"com.acme.A:1.0.0"}, SpringCloud: nil, DubboInterface: {"com.acme.A:1.0.0"}, DubboApplication: nil, Plain: {"providers:com.acme.A:1.0.0:"},
		}},
		{"providers:com.acme.A:0.0.0:g", map[Layout][]string{Auto: {"g/com.acme.A"}}},
		{"consumers:com.acme.A::", map[Layout][]string{Auto: nil, DubboInterface: nil, Plain: {"consumers:com.acme.A::"}}},
		{"providers:", map[Layout][]string{Auto: {"providers:", "providers:.dubbo"}}},
		{"a:b:c:d:e", map[Layout][]string{Auto: {"a:b:c:d:e", "a:b:c:d:e.dubbo"}}},
		{"", map[Layout][]string{Auto: nil, Plain: nil}},
	}
	for _, tt := range tests {
		for layout, want := range tt.want {
			if diff := cmp.Diff(want, newConverter(Config{Layout: layout}).names(tt.unit)); diff != "" {
				t.Errorf("%q as %s (-want +got)\n%s", tt.unit, layout, diff)
			}
		}
	}
}

func FuzzConvert(f *testing.F) {
	f.Add("orders", `{"hosts":[{"ip":"10.0.0.1","port":80,"weight":1.0,"healthy":true,"enabled":true,"metadata":{"secure":"true"}}]}`)
	f.Add("providers:com.acme.A:1.0.0:g", `{"hosts":[{"ip":"a","port":1,"metadata":{"protocol":"tri","weight":"3","pid":"1"}},{"ip":"a","port":2}]}`)
	f.Add("orders", `{"reachProtectionThreshold":true,"hosts":[{"weight":"NaN"},5,null,{"metadata":{"dubbo.endpoints":"[{\"port\":1e9}]"}}]}`)
	f.Fuzz(func(t *testing.T, unit, text string) {
		for _, layout := range []Layout{Auto, SpringCloud, DubboInterface, DubboApplication, Plain} {
			c := newConverter(Config{SourceID: "a.0", Group: DefaultGroup, Layout: layout})
			var info serviceInfo
			if json.Unmarshal([]byte(text), &info) != nil {
				return
			}
			if len(c.names(unit)) == 0 {
				continue
			}
			services, err := c.convert(unit, &info)
			if err != nil {
				continue
			}
			for name, svc := range services {
				if name == "" || name != svc.Ref.Name || svc.Ref.Unit != unit {
					t.Errorf("service %q is %+v", name, svc.Ref)
				}
				seen := map[string]bool{}
				for _, i := range svc.Instances {
					if seen[i.ID] || i.Problem == "" && (i.Address == "" || len(i.Ports) == 0) {
						t.Errorf("instance %+v", i)
					}
					seen[i.ID] = true
				}
			}
		}
	})
}
