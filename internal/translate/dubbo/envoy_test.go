package dubbo

import (
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

func TestSerialization(t *testing.T) {
	for _, c := range []struct{ prefer, serialization, release, want string }{
		{"", "", "", "hessian2"},
		{"", "", "2.7.23", "hessian2"},
		{"", "", "3.1.11", "hessian2"},
		{"", "", "3.2.0", "fastjson2"},
		{"", "", "3.2.16", "fastjson2"},
		{"", "", "3.20.1", "hessian2"},
		{"", "", "3.3.6", "hessian2"},
		{"hessian2,fastjson2", "", "3.3.6", "hessian2"},
		{"fastjson2,hessian2", "", "3.3.6", "fastjson2"},
		{"hessian2", "", "3.2.5", "hessian2"},
		{"hessian2", "fastjson2", "3.2.5", "hessian2"},
		{" , Hessian2 ", "", "3.2.5", "hessian2"},
		{"", "hessian2", "3.2.5", "hessian2"},
		{"", "protobuf", "2.7.23", "protobuf"},
	} {
		got := Serialization(map[string]string{keyPrefer: c.prefer, keySerialization: c.serialization, keyRelease: c.release})
		if got != c.want || Readable(got) != (c.want == "hessian2") {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestServices(t *testing.T) {
	for _, c := range []struct {
		iface, group, version string
		want                  Service
		ok                    bool
	}{
		{"com.acme.Greeter", "blue", "1.0.0", Service{"com.acme.Greeter", "blue", "1.0.0"}, true},
		{"com.acme.Greeter", "", "0.0.0", Service{"com.acme.Greeter", "", ""}, true},
		{"com.acme.*", "", "", Service{"com.acme.*", "", ""}, false},
		{"*Greeter", "", "", Service{"*Greeter", "", ""}, false},
		{"Greeter", "\xff", "", Service{"Greeter", "\xff", ""}, false},
	} {
		got, ok := ServiceOf(&model.Service{Metadata: map[string]string{
			model.MetaDubboInterface: c.iface, model.MetaDubboGroup: c.group, model.MetaDubboVersion: c.version,
		}})
		if got != c.want || ok != c.ok {
			t.Errorf("%+v: %+v, %t", c, got, ok)
		}
	}
	if _, ok := ServiceOf(&model.Service{}); ok {
		t.Error("a service without a name can be called")
	}
	for prefix, want := range map[string]bool{"tcp-dubbo": true, "tcp-dubbo-p1": true, "tcp-dubbos": false, "tcp": false, "grpc-tri": false} {
		if Routable(prefix) != want {
			t.Errorf("%s: %t", prefix, !want)
		}
	}
}
