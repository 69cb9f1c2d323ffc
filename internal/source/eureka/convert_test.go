package eureka

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// convert makes a record of the text of an instance.
func convert(t *testing.T, text string) record {
	t.Helper()
	c := newConverter("home")
	if err := json.Unmarshal([]byte(text), &c.entry); err != nil {
		t.Fatal(err)
	}
	return c.record()
}

func TestConvert(t *testing.T) {
	t.Parallel()
	plain := func(edit func(*model.Instance)) model.Instance {
		i := model.Instance{ID: "a", Address: "10.0.0.1", Ports: []model.Port{{Number: 8080}}, Weight: 1}
		edit(&i)
		return i
	}
	const base = `"instanceId":"a","ipAddr":"10.0.0.1","status":"UP","port":{"$":8080,"@enabled":"true"}`
	for name, tt := range map[string]struct {
		text string
		want func(*model.Instance)
	}{
		"the least": {base, func(*model.Instance) {}},
		"numbers and truth values as texts, and the other way round": {
			`"instanceId":"a","ipAddr":"10.0.0.1","status":"UP","port":{"$":"8080","@enabled":true}`, func(*model.Instance) {},
		},
		"secure port only": {
			base + `,"port":{"$":7001,"@enabled":"false"},"securePort":{"$":8443,"@enabled":"true"}`,
			func(i *model.Instance) { i.Ports = []model.Port{{Protocol: "https", Number: 8443}} },
		},
		"both ports": {
			base + `,"securePort":{"$":8443,"@enabled":"true"}`,
			func(i *model.Instance) { i.Ports = append(i.Ports, model.Port{Protocol: "https", Number: 8443}) },
		},
		"status in small letters": {base + `,"status":"out_of_service"`, func(i *model.Instance) { i.Health = model.OutOfService }},
		"status and not its override": {
			base + `,"overriddenStatus":"OUT_OF_SERVICE","overriddenstatus":"DOWN"`, func(*model.Instance) {},
		},
		"zone": {base + `,"metadata":{"zone":"z1"}`, func(i *model.Instance) {
			i.Locality, i.Metadata = model.Locality{Region: "home", Zone: "z1"}, map[string]string{"zone": "z1"}
		}},
		"zone and region": {base + `,"metadata":{"zone":"z1","region":"far"}`, func(i *model.Instance) {
			i.Locality, i.Metadata = model.Locality{Region: "far", Zone: "z1"}, map[string]string{"zone": "z1", "region": "far"}
		}},
		"zone of Amazon before that of the metadata": {
			base + `,"dataCenterInfo":{"name":"Amazon","metadata":{"availability-zone":"us-west-2-lax-1a"}},"metadata":{"zone":"z1"}`,
			func(i *model.Instance) {
				i.Locality, i.Metadata = model.Locality{Region: "us-west-2", Zone: "us-west-2-lax-1a"}, map[string]string{"zone": "z1"}
			},
		},
		"an availability zone that is none of Amazon's": {
			base + `,"dataCenterInfo":{"name":"Amazon","metadata":{"availability-zone":"rack7"}}`,
			func(i *model.Instance) { i.Locality = model.Locality{Region: "home", Zone: "rack7"} },
		},
		"id and address of Amazon": {
			`"hostName":"h","status":"UP","port":{"$":8080},"dataCenterInfo":{"metadata":{"instance-id":"i-1","local-ipv4":"10.0.0.9"}}`,
			func(i *model.Instance) { i.ID, i.Address = "i-1", "10.0.0.9" },
		},
		"a host name only": {`"hostName":"h.corp","status":"UP","port":{"$":8080}`, func(i *model.Instance) { i.ID, i.Address = "h.corp", "h.corp" }},
		"metadata of every type": {
			base + `,"metadata":{"@class":"java.util.HashMap","a":1.50,"b":true,"c":null,"d":"","e":"ü\n","f":{"g":[1]}}`,
			func(i *model.Instance) {
				i.Metadata = map[string]string{"a": "1.50", "b": "true", "d": "", "e": "ü\n", "f": `{"g":[1]}`}
			},
		},
		"metadata null":         {base + `,"metadata":null`, func(*model.Instance) {}},
		"metadata that is none": {base + `,"metadata":"none"`, func(*model.Instance) {}},
		"metadata that is empty": {
			base + `,"metadata":{"@class":"java.util.Collections$EmptyMap"}`, func(*model.Instance) {},
		},
		"no id": {`"ipAddr":"10.0.0.1","status":"UP","port":{"$":8080}`, func(i *model.Instance) {
			i.ID, i.Problem = "", "MalformedName: the instance has no id and no host name"
		}},
		"no address": {`"instanceId":"a","status":"UP","port":{"$":8080}`, func(i *model.Instance) {
			i.Address, i.Problem = "", "AddressMissing: the instance has neither an address nor a host name"
		}},
		"a status that there is not": {base + `,"status":"AWAY"`, func(i *model.Instance) {
			i.Health, i.Problem = model.Unhealthy, "MalformedName: the status is a word that Eureka does not have"
		}},
		"no port": {base + `,"port":{"$":8080,"@enabled":"false"}`, func(i *model.Instance) {
			i.Ports, i.Problem = nil, "PortOutOfRange: neither port nor securePort is enabled"
		}},
		"port 0": {base + `,"port":{"$":0,"@enabled":"true"}`, func(i *model.Instance) {
			i.Ports, i.Problem = []model.Port{{}}, "PortOutOfRange: port 0 is not between 1 and 65535"
		}},
		"a negative port": {base + `,"port":{"$":-1,"@enabled":"true"}`, func(i *model.Instance) {
			i.Ports, i.Problem = []model.Port{{}}, "PortOutOfRange: port 0 is not between 1 and 65535"
		}},
		"a port that is none": {base + `,"port":{"$":"http","@enabled":"true"}`, func(i *model.Instance) {
			i.Ports, i.Problem = []model.Port{{}}, "PortOutOfRange: port 0 is not between 1 and 65535"
		}},
		"port NaN": {base + `,"port":{"$":"NaN","@enabled":"true"},"securePort":{"$":443,"@enabled":"true"}`, func(i *model.Instance) {
			i.Ports = []model.Port{{}, {Protocol: "https", Number: 443}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := plain(tt.want)
			if diff := cmp.Diff(want, convert(t, "{"+tt.text+"}").instance); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestConvertStatus: every status counts in the hash, and only UP takes traffic.
func TestConvertStatus(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]model.Health{
		"UP": model.Healthy, "DOWN": model.Unhealthy, "STARTING": model.Starting, "OUT_OF_SERVICE": model.OutOfService, "UNKNOWN": model.Unhealthy,
	} {
		r := convert(t, `{"instanceId":"a","ipAddr":"10.0.0.1","port":{"$":1},"status":"`+word+`"}`)
		if r.status.String() != word || r.instance.Health != want || r.instance.Problem != "" {
			t.Errorf("%s: %s, %s, %q", word, r.status, r.instance.Health, r.instance.Problem)
		}
	}
	if r := convert(t, `{"instanceId":"a"}`); r.status != statusUnknown || r.instance.Health == model.Healthy {
		t.Errorf("without a status: %s, %s", r.status, r.instance.Health)
	}
}

func TestConvertMuchMetadata(t *testing.T) {
	t.Parallel()
	r := convert(t, `{"instanceId":"a","ipAddr":"10.0.0.1","port":{"$":1},"status":"UP","metadata":{"a":"`+strings.Repeat("x", 65<<10)+`"}}`)
	if !strings.HasPrefix(r.instance.Problem, "MetadataTooLarge: ") {
		t.Errorf("problem %q", r.instance.Problem)
	}
}

// TestConvertShares: what many instances have in common is kept once.
func TestConvertShares(t *testing.T) {
	t.Parallel()
	r, _, err := read(`{"applications":{"application":[{"name":"A","instance":[
		{"instanceId":"a","metadata":{"zone":"z"}},{"instanceId":"b","metadata":{"zone":"z"}},{"instanceId":"c","metadata":{"zone":"y"}}]}]}}`)
	if err != nil {
		t.Fatal(err)
	}
	list := r.apps["A"].service.Instances
	list[0].Metadata["probe"] = "1"
	if list[1].Metadata["probe"] != "1" || list[2].Metadata["probe"] != "" {
		t.Errorf("metadata: %v, %v, %v", list[0].Metadata, list[1].Metadata, list[2].Metadata)
	}
}

// TestApply: the last word on an instance counts, in the order of the answer.
func TestApply(t *testing.T) {
	t.Parallel()
	known := newRegistry("id")
	instance := func(id, address string, updated int64) record {
		return record{instance: model.Instance{ID: id, Address: address}, status: statusUp, updated: updated}
	}
	gone := func(r record) record { r.deleted = true; return r }
	known.add("A", []record{instance("x", "10.0.0.1", 5), instance("y", "10.0.0.2", 5)}, nil, nil)
	known.add("B", []record{instance("x", "10.0.0.3", 5)}, nil, nil)
	known.unreadable["C"] = errNoList
	for name, tt := range map[string]struct {
		changes  []change
		want     map[string]string
		complete bool
	}{
		"nothing":        {nil, map[string]string{"A/x": "10.0.0.1", "A/y": "10.0.0.2", "B/x": "10.0.0.3"}, true},
		"the same again": {[]change{{"A", []record{instance("x", "10.0.0.1", 5)}}}, map[string]string{"A/x": "10.0.0.1", "A/y": "10.0.0.2", "B/x": "10.0.0.3"}, true},
		"changed":        {[]change{{"A", []record{instance("x", "10.0.0.9", 6)}}}, map[string]string{"A/x": "10.0.0.9", "A/y": "10.0.0.2", "B/x": "10.0.0.3"}, true},
		"gone, with its application": {
			[]change{{"B", []record{gone(instance("x", "10.0.0.3", 6))}}}, map[string]string{"A/x": "10.0.0.1", "A/y": "10.0.0.2"}, true,
		},
		"gone, and there again": {
			[]change{{"B", []record{gone(instance("x", "10.0.0.3", 6)), instance("x", "10.0.0.4", 7)}}},
			map[string]string{"A/x": "10.0.0.1", "A/y": "10.0.0.2", "B/x": "10.0.0.4"},
			true,
		},
		"there, and gone again": {
			[]change{{"B", []record{instance("x", "10.0.0.4", 6), gone(instance("x", "10.0.0.4", 7))}}}, map[string]string{"A/x": "10.0.0.1", "A/y": "10.0.0.2"}, true,
		},
		"in two parts": {
			[]change{{"D", []record{instance("x", "10.0.0.5", 6)}}, {"D", []record{instance("y", "10.0.0.6", 6)}}},
			map[string]string{"A/x": "10.0.0.1", "A/y": "10.0.0.2", "B/x": "10.0.0.3", "D/x": "10.0.0.5", "D/y": "10.0.0.6"},
			true,
		},
		"gone, and never known": {
			[]change{{"D", []record{gone(instance("x", "10.0.0.5", 6))}}}, map[string]string{"A/x": "10.0.0.1", "A/y": "10.0.0.2", "B/x": "10.0.0.3"}, true,
		},
		"older than what is known": {
			[]change{{"B", []record{gone(instance("x", "10.0.0.3", 4))}}}, map[string]string{"A/x": "10.0.0.1", "A/y": "10.0.0.2", "B/x": "10.0.0.3"}, false,
		},
		"without an id": {
			[]change{{"B", []record{instance("", "10.0.0.5", 6)}}}, map[string]string{"A/x": "10.0.0.1", "A/y": "10.0.0.2", "B/x": "10.0.0.3"}, false,
		},
		"of what cannot be read": {
			[]change{{"C", []record{instance("x", "10.0.0.5", 6)}}}, map[string]string{"A/x": "10.0.0.1", "A/y": "10.0.0.2", "B/x": "10.0.0.3"}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after, complete := known.apply(tt.changes)
			got := map[string]string{}
			for app, a := range after.apps {
				for _, i := range a.service.Instances {
					got[app+"/"+i.ID] = i.Address
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || complete != tt.complete {
				t.Errorf("complete %t; (-want +got)\n%s", complete, diff)
			}
		})
	}
}
