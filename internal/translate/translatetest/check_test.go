package translatetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func valid() *translate.Object {
	return &translate.Object{
		Key:    translate.Key{Kind: translate.KindServiceEntry, Namespace: "dubbo", Name: "com.acme.greeter"},
		Labels: map[string]string{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: "a"},
		Annotations: map[string]string{
			translate.AnnotationService: "com.acme.Greeter", translate.AnnotationRegistry: "zk",
		},
		ServiceEntry: &translate.ServiceEntry{
			Host: "com.acme.greeter", Addresses: []string{"240.239.0.9"}, Location: "MESH_INTERNAL", Resolution: "STATIC", ExportTo: []string{"."},
			Ports: []translate.ServicePort{{Name: "tcp-dubbo-20880", Number: 20880, Protocol: translate.TCP}},
			Endpoints: []translate.Endpoint{
				{
					Address: "10.0.0.1", Labels: []translate.Label{{Key: translate.LabelSource, Value: "zk.0a1b2c3d"}},
					Ports: []translate.EndpointPort{{Name: "tcp-dubbo-20880", Number: 20880}}, Weight: 10, Locality: "r/z/s", Network: "n",
				},
				{
					Address: "10.0.0.2", Labels: []translate.Label{{Key: translate.LabelSource, Value: "zk.0a1b2c3d"}},
					Ports: []translate.EndpointPort{{Name: "tcp-dubbo-20880", Number: 20880}},
				},
			},
		},
	}
}

func TestValid(t *testing.T) {
	if err := Check([]*translate.Object{valid()}); err != nil {
		t.Error(err)
	}
}

func endpoints(n int) []translate.Endpoint {
	all := make([]translate.Endpoint, n)
	for i := range all {
		all[i] = valid().ServiceEntry.Endpoints[0]
		all[i].Address = fmt.Sprintf("10.1%02d.1%02d.1%02d", i/10_000, i/100%100, i%100)
	}
	return all
}

// TestEachRuleRejects breaks a valid object in one way at a time.
func TestEachRuleRejects(t *testing.T) {
	label := func(key, value string) func(o *translate.Object) {
		return func(o *translate.Object) {
			e := &o.ServiceEntry.Endpoints[0]
			e.Labels = append([]translate.Label{{Key: key, Value: value}}, e.Labels...)
		}
	}
	port := func(change func(p *translate.ServicePort)) func(o *translate.Object) {
		return func(o *translate.Object) { change(&o.ServiceEntry.Ports[0]) }
	}
	endpoint := func(change func(e *translate.Endpoint)) func(o *translate.Object) {
		return func(o *translate.Object) { change(&o.ServiceEntry.Endpoints[0]) }
	}
	host := func(h string) func(o *translate.Object) {
		return func(o *translate.Object) { o.ServiceEntry.Host = h }
	}
	exportTo := func(to ...string) func(o *translate.Object) {
		return func(o *translate.Object) { o.ServiceEntry.ExportTo = to }
	}
	for _, c := range []struct {
		name, want string
		breakIt    func(o *translate.Object)
	}{
		{"size", "bytes", func(o *translate.Object) {
			o.ServiceEntry.Endpoints = endpoints(4000)
			for i := range o.ServiceEntry.Endpoints {
				o.ServiceEntry.Endpoints[i].Locality = strings.Repeat("r", 200)
			}
		}},
		{"metadata.name", "metadata.name", func(o *translate.Object) { o.Key.Name = "A_B" }},
		{"metadata.namespace", "metadata.namespace", func(o *translate.Object) { o.Key.Namespace = "" }},
		{"label of the object", "metadata.labels", func(o *translate.Object) { o.Labels["a b"] = "c" }},
		{"annotations too large", "metadata.annotations", func(o *translate.Object) {
			o.Annotations[translate.AnnotationUnit] = strings.Repeat("a", 300<<10)
		}},
		{"host: any", "no DNS label", host("*")},
		{"host: upper case", "lower case", host("com.acme.Greeter")},
		{"host: underscore", "no DNS label", host("com.acme.gree_ter")},
		{"host: dollar", "no DNS label", host("com.acme.a$b")},
		{"host: empty label", "no DNS label", host("com..greeter")},
		{"host: dash at the end", "no DNS label", host("com.greeter-")},
		{"host: long label", "no DNS label", host("com." + strings.Repeat("a", 64))},
		{"host: long", "too long", host(strings.Repeat("abcd.", 51))},
		{"host: no dot", "has no dot", host("greeter")},
		{"host: number", "ends in a number", host("com.acme.1")},
		{"host: Kubernetes", "somebody else", host("a.b.svc.cluster.local")},
		{"host: Kubernetes, short", "somebody else", host("a.b.svc")},
		{"host: multicast DNS", "somebody else", host("printer.local")},
		{"host: several", "no DNS label", host("a.b,c.d")},
		{"ports: none", "0 ports", func(o *translate.Object) { o.ServiceEntry.Ports = nil }},
		{"ports: 17", "17 ports", func(o *translate.Object) {
			for i := range uint32(16) {
				o.ServiceEntry.Ports = append(o.ServiceEntry.Ports,
					translate.ServicePort{Name: fmt.Sprintf("tcp-%d", i+1), Number: 30000 + i, Protocol: translate.TCP})
			}
		}},
		{"port: name", "port name", port(func(p *translate.ServicePort) { p.Name = "Tcp_1" })},
		{"port: long name", "port name", port(func(p *translate.ServicePort) { p.Name = strings.Repeat("a", 63) })},
		{"port: zero", "port number 0", port(func(p *translate.ServicePort) { p.Number = 0 })},
		{"port: protocol", `protocol "dubbo"`, port(func(p *translate.ServicePort) { p.Protocol = "dubbo" })},
		{"address: range", `address "10.0.0.0/8"`, func(o *translate.Object) { o.ServiceEntry.Addresses[0] = "10.0.0.0/8" }},
		{"address: text", "unable to parse IP", func(o *translate.Object) { o.ServiceEntry.Addresses[0] = "vip" }},
		{"resolution", "resolution DNS", func(o *translate.Object) { o.ServiceEntry.Resolution = "DNS" }},
		{"exportTo: nobody and somebody", "and others", exportTo("~", "a")},
		{"exportTo: all and somebody", "and others", exportTo("*", "a")},
		{"exportTo: twice", "twice", exportTo("a", "a")},
		{"exportTo: own namespace twice", "twice", exportTo(".", "dubbo")},
		{"exportTo: empty", "exportTo is empty", exportTo("")},
		{"exportTo: no namespace", "no namespace", exportTo("A_B")},
		{"endpoint: host name", "needs an IP", endpoint(func(e *translate.Endpoint) { e.Address = "host.example.com" })},
		{"endpoint: zone", "names no machine", endpoint(func(e *translate.Endpoint) { e.Address = "fe80::1%eth0" })},
		{"endpoint: unspecified", "names no machine", endpoint(func(e *translate.Endpoint) { e.Address = "0.0.0.0" })},
		{"endpoint: multicast", "names no machine", endpoint(func(e *translate.Endpoint) { e.Address = "224.0.0.1" })},
		{"endpoint: unusual form", "names no machine", endpoint(func(e *translate.Endpoint) { e.Address = "FD00::1" })},
		{"endpoint: foreign port", "not among the ports", endpoint(func(e *translate.Endpoint) { e.Ports[0].Name = "http" })},
		{"endpoint: port zero", "port 0", endpoint(func(e *translate.Endpoint) { e.Ports[0].Number = 0 })},
		{"endpoint: label key", "label key", label("a b", "c")},
		{"endpoint: long label key", "label key", label(strings.Repeat("a", 64), "c")},
		{"endpoint: long label prefix", "label key", label(strings.Repeat("a", 254)+"/a", "c")},
		{"endpoint: label value with a space", "label value", label("a", "b c")},
		{"endpoint: label value with a comma", "label value", label("a", "b,c")},
		{"endpoint: long label value", "label value", label("a", strings.Repeat("b", 64))},
		{"endpoint: locality of four parts", "locality", endpoint(func(e *translate.Endpoint) { e.Locality = "a/b/c/d" })},
		{"endpoint: locality without region", "locality", endpoint(func(e *translate.Endpoint) { e.Locality = "/b" })},
		{"own: owner", "owner labels", func(o *translate.Object) { delete(o.Labels, translate.LabelInstance) }},
		{"own: manager", "owner labels", func(o *translate.Object) { o.Labels[translate.LabelManagedBy] = "helm" }},
		{"own: origin", "annotations of the origin", func(o *translate.Object) { delete(o.Annotations, translate.AnnotationService) }},
		{"own: registry", "annotations of the origin", func(o *translate.Object) { delete(o.Annotations, translate.AnnotationRegistry) }},
		{"own: TCP without address", "captures", func(o *translate.Object) { o.ServiceEntry.Addresses = nil }},
		{"own: TLS without address", "captures", func(o *translate.Object) {
			o.ServiceEntry.Addresses, o.ServiceEntry.Ports[0].Protocol = nil, translate.TLS
		}},
		{"own: order of ports", "ports are not sorted", func(o *translate.Object) {
			o.ServiceEntry.Ports = append(o.ServiceEntry.Ports, translate.ServicePort{Name: "tcp-1", Number: 1, Protocol: translate.TCP})
		}},
		{"own: order of endpoints", "endpoints are not sorted", endpoint(func(e *translate.Endpoint) { e.Address = "10.9.9.9" })},
		{"own: provenance", "no provenance", endpoint(func(e *translate.Endpoint) { e.Labels = nil })},
		{"own: a port is missing", "0 of 1 ports", endpoint(func(e *translate.Endpoint) { e.Ports = nil })},
		{"own: weight", "weight 10001", endpoint(func(e *translate.Endpoint) { e.Weight = 10_001 })},
		{"own: endpoint twice", "is there twice", endpoint(func(e *translate.Endpoint) { e.Address = "10.0.0.2" })},
		{"own: not read back", "another when it is read back", func(o *translate.Object) {
			o.ServiceEntry.Ports = []translate.ServicePort{{Name: "tcp-2", Number: 2, Protocol: translate.TCP}, {Name: "tcp-1", Number: 1, Protocol: translate.TCP}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := valid()
			c.breakIt(o)
			err := Check([]*translate.Object{o})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestExportedToNobody: the one way in which a TCP port may have no address.
func TestExportedToNobody(t *testing.T) {
	o := valid()
	o.ServiceEntry.Addresses, o.ServiceEntry.ExportTo = nil, []string{"~"}
	if err := Check([]*translate.Object{o}); err != nil {
		t.Error(err)
	}
}

func TestObjectsTogether(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(o *translate.Object)
	}{
		{"a shard", "", func(o *translate.Object) { o.Key.Name += "-2" }},
		{"another host", "", func(o *translate.Object) {
			o.Key.Name, o.ServiceEntry.Host, o.ServiceEntry.Addresses[0] = "a.b", "a.b", "240.239.0.1"
		}},
		{"the same name", "is there twice", func(*translate.Object) {}},
		{"another namespace", "disagree", func(o *translate.Object) { o.Key.Namespace = "other" }},
		{"other ports", "disagree", func(o *translate.Object) { o.Key.Name, o.ServiceEntry.Ports[0].Protocol = "a.b", translate.TLS }},
		{"other addresses", "disagree", func(o *translate.Object) { o.Key.Name, o.ServiceEntry.Addresses[0] = "a.b", "240.239.0.1" }},
		{"others see it", "disagree", func(o *translate.Object) { o.Key.Name, o.ServiceEntry.ExportTo = "a.b", []string{"*"} }},
		{"the same address", "have the address", func(o *translate.Object) { o.Key.Name, o.ServiceEntry.Host = "a.b", "a.b" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := valid()
			c.change(o)
			err := Check([]*translate.Object{valid(), o})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
