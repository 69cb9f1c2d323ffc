package zookeeper_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper"
)

const iface = "com.acme.Orders"

// encode writes node names as Dubbo does.
func encode(urls ...string) []string {
	nodes := make([]string, 0, len(urls))
	for _, u := range urls {
		nodes = append(nodes, url.QueryEscape(u))
	}
	return nodes
}

func convert(t *testing.T, node string, providers, configurators []string) []*model.Service {
	t.Helper()
	services, err := zookeeper.Convert("zk.00000000", node, providers, configurators)
	if err != nil {
		t.Fatal(err)
	}
	return services
}

func one(t *testing.T, providers, configurators []string) []model.Instance {
	t.Helper()
	services := convert(t, iface, providers, configurators)
	if len(services) != 1 {
		t.Fatalf("%d services, want 1", len(services))
	}
	return services[0].Instances
}

// written336 is what Apache Dubbo 3.3.6 and 2.7.23 write for one interface: without group and version, simplified, and with both.
func written336() []string {
	return []string{
		"dubbo%3A%2F%2F127.0.0.1%3A20980%2Fdemo.GreetingService%3Fapplication%3Dgreeting-provider%26deprecated%3Dfalse%26dubbo%3D2.0.2" +
			"%26dynamic%3Dtrue%26generic%3Dfalse%26interface%3Ddemo.GreetingService%26methods%3Decho%2Cfail%2Cgreet" +
			"%26prefer.serialization%3Dhessian2%2Cfastjson2%26release%3D3.3.6%26revision%3Dlab%26service-name-mapping%3Dtrue" +
			"%26side%3Dprovider%26timestamp%3D1795415497326",
		"dubbo%3A%2F%2F127.0.0.1%3A20981%2Fdemo.GreetingService%3Fapplication%3Dgreeting-provider%26deprecated%3Dfalse%26dubbo%3D2.0.2" +
			"%26prefer.serialization%3Dhessian2%26release%3D3.3.6%26serialization%3Dhessian2%26side%3Dprovider%26weight%3D50",
		"dubbo%3A%2F%2F127.0.0.1%3A20982%2Fdemo.GreetingService%3Fanyhost%3Dtrue%26application%3Dgreeting-provider%26deprecated%3Dfalse" +
			"%26dubbo%3D2.0.2%26dubbo.tag%3Dgray%26dynamic%3Dtrue%26generic%3Dfalse%26group%3Dg1%26interface%3Ddemo.GreetingService" +
			"%26metadata-type%3Dremote%26methods%3Dfail%2Cgreet%2Cecho%26pid%3D3091%26release%3D2.7.23%26revision%3Dlab" +
			"%26service.name%3DServiceBean%3Ag1%2Fdemo.GreetingService%3A1.0.0%26side%3Dprovider%26timestamp%3D1795415429699%26version%3D1.0.0",
	}
}

func TestConvertWhatDubboWrites(t *testing.T) {
	t.Parallel()
	got := convert(t, "demo.GreetingService", written336(), nil)
	ref := func(name string) model.Ref {
		return model.Ref{Source: "zk.00000000", Unit: "demo.GreetingService", Name: name}
	}
	port := func(n uint32) []model.Port { return []model.Port{{Protocol: "dubbo", Number: n}} }
	want := []*model.Service{
		{
			Ref: ref("demo.GreetingService"),
			Instances: []model.Instance{
				{
					ID: "dubbo://127.0.0.1:20980", Address: "127.0.0.1", Ports: port(20980), Weight: 100,
					Metadata: map[string]string{
						"application": "greeting-provider", "deprecated": "false", "dubbo": "2.0.2", "dynamic": "true", "generic": "false",
						"interface": "demo.GreetingService", "methods": "echo,fail,greet", "prefer.serialization": "hessian2,fastjson2",
						"release": "3.3.6", "revision": "lab", "service-name-mapping": "true", "side": "provider",
					},
				},
				{
					ID: "dubbo://127.0.0.1:20981", Address: "127.0.0.1", Ports: port(20981), Weight: 50,
					Metadata: map[string]string{
						"application": "greeting-provider", "deprecated": "false", "dubbo": "2.0.2", "prefer.serialization": "hessian2",
						"release": "3.3.6", "serialization": "hessian2", "side": "provider", "weight": "50",
					},
				},
			},
			Metadata: map[string]string{model.MetaDubboInterface: "demo.GreetingService"},
		},
		{
			Ref: ref("g1/demo.GreetingService:1.0.0"),
			Instances: []model.Instance{{
				ID: "dubbo://127.0.0.1:20982", Address: "127.0.0.1", Ports: port(20982), Weight: 100,
				Metadata: map[string]string{
					"anyhost": "true", "application": "greeting-provider", "deprecated": "false", "dubbo": "2.0.2", "dubbo.tag": "gray",
					"dynamic": "true", "generic": "false", "group": "g1", "interface": "demo.GreetingService", "metadata-type": "remote",
					"methods": "fail,greet,echo", "release": "2.7.23", "revision": "lab",
					"service.name": "ServiceBean:g1/demo.GreetingService:1.0.0", "side": "provider", "version": "1.0.0",
				},
			}},
			Metadata: map[string]string{
				model.MetaDubboInterface: "demo.GreetingService", model.MetaDubboGroup: "g1", model.MetaDubboVersion: "1.0.0",
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestConvertServiceKeys(t *testing.T) {
	t.Parallel()
	tests := []struct{ query, want string }{
		{"", iface},
		{"?group=g", "g/" + iface},
		{"?version=1", iface + ":1"},
		{"?group=g&version=1.0.0", "g/" + iface + ":1.0.0"},
		{"?version=0.0.0", iface},
		{"?group=&version=", iface},
		{"?default.group=g&default.version=2", "g/" + iface + ":2"},
		{"?interface=com.acme.Other", iface},
		{"?group=a%2Bb", "a%2Bb/" + iface},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			t.Parallel()
			services := convert(t, iface, encode("dubbo://10.0.0.1:1/other/path"+tt.query), nil)
			if len(services) != 1 || services[0].Ref.Name != tt.want || services[0].Ref.Unit != iface {
				t.Errorf("services %+v, want one named %q", services, tt.want)
			}
		})
	}
}

func TestConvertInterfaceNames(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, node, want string }{
		{"inner class", "com.acme.Outer%24Inner_v2", "com.acme.Outer$Inner_v2"},
		{"plain dollar", "com.acme.Outer$Inner", "com.acme.Outer$Inner"},
		{"300 characters", strings.Repeat("a", 300), strings.Repeat("a", 300)},
		{"not ASCII", url.QueryEscape("com.acme.订单"), "com.acme.订单"},
		{"not UTF-8", "com.acme.%ff%fe", "com.acme.\xff\xfe"},
		{"decoded once", "a%2525", "a%25"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			services := convert(t, tt.node, encode("dubbo://10.0.0.1:1/p"), nil)
			if services[0].Ref.Unit != tt.want || services[0].Ref.Name != tt.want {
				t.Errorf("ref %+v, want %q", services[0].Ref, tt.want)
			}
		})
	}
	for _, node := range []string{"", "%", "%2", "a%zz", "a%2Fb"} {
		if _, err := zookeeper.Convert("s", node, nil, nil); !errors.Is(err, source.ErrMalformed) {
			t.Errorf("node %q: error %v, want source.ErrMalformed", node, err)
		}
	}
}

func TestConvertRestartIsNoChange(t *testing.T) {
	t.Parallel()
	before := one(t, encode("dubbo://10.0.0.1:1/p?pid=1&timestamp=100&warmup=10&version=1&token=a"), nil)
	overlap := one(t, encode(
		"dubbo://10.0.0.1:1/p?pid=1&timestamp=100&warmup=10&version=1&token=a",
		"dubbo://10.0.0.1:1/p?pid=2&timestamp=200&warmup=20&version=1&token=b",
	), nil)
	after := one(t, encode("dubbo://10.0.0.1:1/p?pid=2&timestamp=200&warmup=20&version=1&token=b"), nil)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("restart (-before +after)\n%s", diff)
	}
	if diff := cmp.Diff(before, overlap); diff != "" {
		t.Errorf("old and new node together (-before +both)\n%s", diff)
	}
}

func TestConvertNewestNodeOfAnAddressCounts(t *testing.T) {
	t.Parallel()
	got := one(t, encode("dubbo://h:1/p?timestamp=200&weight=2", "dubbo://h:1/p?timestamp=99&weight=1"), nil)
	if len(got) != 1 || got[0].Weight != 2 {
		t.Errorf("instances %+v, want the one of weight 2", got)
	}
}

func TestConvertHidesSecrets(t *testing.T) {
	t.Parallel()
	got := one(t, encode("dubbo://u:hush@h:1/p?token=hush&default.token=hush&db.password=hush&accessKeyId=hush&app.Secret=hush&a=1"), nil)
	if diff := cmp.Diff(map[string]string{"a": "1"}, got[0].Metadata); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if strings.Contains(fmt.Sprintf("%+v", got), "hush") {
		t.Errorf("a secret is left in %+v", got)
	}
}

func TestConvertProtocols(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		urls []string
		want []string
	}{
		{"one process", []string{"dubbo://a:1/p?pid=7", "tri://a:2/p?pid=7"}, []string{"dubbo://a:1 dubbo:1 tri:2"}},
		{"one port", []string{"dubbo://a:1/p", "tri://a:1/p"}, []string{"dubbo://a:1 dubbo:1 tri:1"}},
		{
			"by pid",
			[]string{"dubbo://a:1/p?pid=7", "tri://a:9/p?pid=7", "dubbo://a:2/p?pid=8", "tri://a:8/p?pid=8"},
			[]string{"dubbo://a:1 dubbo:1 tri:9", "dubbo://a:2 dubbo:2 tri:8"},
		},
		{
			"by order",
			[]string{"dubbo://a:1/p", "tri://a:9/p", "dubbo://a:2/p", "tri://a:8/p?pid=8"},
			[]string{"dubbo://a:1 dubbo:1 tri:8", "dubbo://a:2 dubbo:2 tri:9"},
		},
		{"other hosts stay apart", []string{"dubbo://a:1/p", "tri://b:2/p"}, []string{"dubbo://a:1 dubbo:1", "tri://b:2 tri:2"}},
		{
			"a disabled one stays apart",
			[]string{"dubbo://a:1/p?pid=7&disabled=true", "tri://a:2/p?pid=7"},
			[]string{"dubbo://a:1 dubbo:1", "tri://a:2 tri:2"},
		},
		{
			"one in excess",
			[]string{"dubbo://a:1/p", "dubbo://a:2/p", "tri://a:3/p"},
			[]string{"dubbo://a:1 dubbo:1 tri:3", "dubbo://a:2 dubbo:2"},
		},
		{"schemes are lower case", []string{"DUBBO://a:1/p"}, []string{"dubbo://a:1 dubbo:1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for range 3 {
				var got []string
				for _, inst := range one(t, encode(tt.urls...), nil) {
					words := []string{inst.ID}
					for _, p := range inst.Ports {
						words = append(words, fmt.Sprintf("%s:%d", p.Protocol, p.Number))
					}
					got = append(got, strings.Join(words, " "))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				slices.Reverse(tt.urls)
			}
		})
	}
}

func TestConvertInstances(t *testing.T) {
	t.Parallel()
	dubbo := func(n uint32) []model.Port { return []model.Port{{Protocol: "dubbo", Number: n}} }
	tests := []struct {
		name, url string
		want      model.Instance
	}{
		{"IPv6", "dubbo://2001:db8::1:20880/p", model.Instance{ID: "dubbo://[2001:db8::1]:20880", Address: "2001:db8::1", Ports: dubbo(20880), Weight: 100}},
		{"IPv6 with scope", "dubbo://fe80::1%eth0:20880/p", model.Instance{
			ID: "dubbo://[fe80::1%eth0]:20880", Address: "fe80::1%eth0", Ports: dubbo(20880), Weight: 100,
		}},
		{"every address", "dubbo://0.0.0.0:1/p", model.Instance{ID: "dubbo://0.0.0.0:1", Address: "0.0.0.0", Ports: dubbo(1), Weight: 100}},
		{"host name", "dubbo://orders.acme:1/p", model.Instance{ID: "dubbo://orders.acme:1", Address: "orders.acme", Ports: dubbo(1), Weight: 100}},
		{"weight 0", "dubbo://a:1/p?weight=0", model.Instance{ID: "dubbo://a:1", Address: "a", Ports: dubbo(1), Metadata: map[string]string{"weight": "0"}}},
		{"weight below 0", "dubbo://a:1/p?weight=-5", model.Instance{ID: "dubbo://a:1", Address: "a", Ports: dubbo(1), Metadata: map[string]string{"weight": "-5"}}},
		{"weight that is no number", "dubbo://a:1/p?weight=x", model.Instance{
			ID: "dubbo://a:1", Address: "a", Ports: dubbo(1), Weight: 100, Metadata: map[string]string{"weight": "x"},
		}},
		{"disabled", "dubbo://a:1/p?disabled=TRUE", model.Instance{
			ID: "dubbo://a:1", Address: "a", Ports: dubbo(1), Weight: 100, Health: model.Disabled, Metadata: map[string]string{"disabled": "TRUE"},
		}},
		{"not enabled", "dubbo://a:1/p?enabled=false", model.Instance{
			ID: "dubbo://a:1", Address: "a", Ports: dubbo(1), Weight: 100, Health: model.Disabled, Metadata: map[string]string{"enabled": "false"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff([]model.Instance{tt.want}, one(t, encode(tt.url), nil)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestConvertProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, node string
		want       reason.Reason
	}{
		{"port 0", url.QueryEscape("dubbo://a:0/p"), reason.PortOutOfRange},
		{"no port", url.QueryEscape("dubbo://a/p"), reason.PortOutOfRange},
		{"port 70000", url.QueryEscape("dubbo://a:70000/p"), reason.PortOutOfRange},
		{"no host", url.QueryEscape("dubbo://:1/p"), reason.MalformedURL},
		{"no URL", "hello", reason.MalformedURL},
		{"cut off", "dubbo%3A%2F%2Fa%3A1%", reason.MalformedURL},
		{"encoded twice", url.QueryEscape(url.QueryEscape("dubbo://a:1/p")), reason.MalformedURL},
		{"binary", "\x01\xff\xfe", reason.MalformedURL},
		{"64 KB of metadata", url.QueryEscape("dubbo://a:1/p?methods=" + strings.Repeat("m", 64<<10)), reason.MetadataTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := one(t, append(encode("dubbo://10.0.0.1:1/p"), tt.node), nil)
			if len(got) != 2 {
				t.Fatalf("%d instances, want the good one and the bad one", len(got))
			}
			good, bad := got[0], got[1]
			if good.Problem != "" {
				good, bad = bad, good
			}
			if r, detail := reason.SplitProblem(bad.Problem); r != tt.want || detail == "" || bad.ID == "" {
				t.Errorf("instance %+v, want problem %s", bad, tt.want)
			}
			if good.Problem != "" || good.Address != "10.0.0.1" {
				t.Errorf("the good instance became %+v", good)
			}
		})
	}
}

func TestConvertSkipsWhatIsNoProvider(t *testing.T) {
	t.Parallel()
	got := convert(t, iface, encode(
		"injvm://127.0.0.1:0/p", "empty://0.0.0.0/p?category=providers", "consumer://10.0.0.9/p?side=consumer",
		"route://0.0.0.0/p", "dubbo://10.0.0.9:1/p?category=consumers",
	), nil)
	if len(got) != 0 {
		t.Errorf("services %+v, want none", got)
	}
}

func TestConvertSharesMetadata(t *testing.T) {
	t.Parallel()
	got := one(t, encode("dubbo://10.0.0.1:1/p?a=1&b=2&pid=1", "dubbo://10.0.0.2:1/p?b=2&a=1&pid=2"), nil)
	got[0].Metadata["a"] = "changed"
	if got[1].Metadata["a"] != "changed" {
		t.Error("equal metadata is kept twice")
	}
}

func FuzzConvert(f *testing.F) {
	f.Add(iface, written336()[0], written336()[2], "override%3A%2F%2F0.0.0.0%2Fp%3Fweight%3D5")
	f.Add("%ff", "tri%3A%2F%2F%5B%3A%3A1%5D%3A70000", "", "override://h:1/p?~a=b&disabled=true")
	f.Fuzz(func(t *testing.T, node, first, second, rule string) {
		got, err := zookeeper.Convert("s", node, []string{first, second}, []string{rule})
		if err != nil {
			return
		}
		again, err := zookeeper.Convert("s", node, []string{second, first}, []string{rule})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatalf("another order gives another result\n%s", diff)
		}
		for _, svc := range got {
			for _, inst := range svc.Instances {
				if inst.ID == "" || inst.Problem == "" && (inst.Address == "" || len(inst.Ports) == 0) {
					t.Fatalf("incomplete instance %+v", inst)
				}
			}
		}
	})
}
