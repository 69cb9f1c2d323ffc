package dubbo

import (
	"slices"
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

func TestHost(t *testing.T) {
	for _, c := range []struct{ iface, group, version, name, suffix string }{
		{"com.acme.Greeter", "", "", "com.acme.Greeter", ""},
		{"com.acme.Greeter", "blue", "", "g-blue.com.acme.Greeter", ""},
		{"com.acme.Greeter", "", "1.0.0", "v-1.0.0.com.acme.Greeter", ""},
		{"com.acme.Greeter", "blue", "2", "v-2.g-blue.com.acme.Greeter", ""},
		{"Greeter", "", "", "Greeter", "dubbo"},
		{"Greeter", "", "1.0", "v-1.0.Greeter", "dubbo"},
	} {
		svc := &model.Service{Ref: model.Ref{Name: "x"}, Metadata: map[string]string{
			model.MetaDubboInterface: c.iface, model.MetaDubboGroup: c.group, model.MetaDubboVersion: c.version,
		}}
		if name, suffix := Host(svc); name != c.name || suffix != c.suffix {
			t.Errorf("%+v: %s, %s", c, name, suffix)
		}
	}
	if name, _ := Host(&model.Service{Ref: model.Ref{Name: "com.acme.Unnamed"}}); name != "com.acme.Unnamed" {
		t.Errorf("without metadata: %s", name)
	}
}

func TestTCP(t *testing.T) {
	tcp := TCP()
	if !slices.Equal(tcp.ExportTo, []string{"."}) {
		t.Errorf("exported to %s", tcp.ExportTo)
	}
	for scheme, want := range map[string]Port{
		"dubbo": {"tcp-dubbo", "TCP"}, "tri": {"grpc-tri", "GRPC"}, "grpc": {"grpc", "GRPC"}, "rest": {"http", "HTTP"}, "http": {"http", "HTTP"},
		"bolt": {"tcp-bolt", "TCP"}, "rmi": {"tcp-rmi", "TCP"}, "": {"tcp", "TCP"}, "a b": {"tcp", "TCP"}, "h2c1": {"tcp", "TCP"}, "ä": {"tcp", "TCP"},
		strings.Repeat("z", 20): {"tcp-" + strings.Repeat("z", 20), "TCP"}, strings.Repeat("z", 21): {"tcp", "TCP"}, "9a": {"tcp-9a", "TCP"},
	} {
		if got := tcp.Port(scheme); got != want {
			t.Errorf("%q: %+v", scheme, got)
		}
	}
}
