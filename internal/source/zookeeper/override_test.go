package zookeeper_test

import (
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

func TestConvertOverrides(t *testing.T) {
	t.Parallel()
	const plain = "dubbo://10.0.0.1:20880/" + iface + "?application=shop"
	const grouped = "dubbo://10.0.0.1:20880/" + iface + "?application=shop&group=g&version=1.0.0"
	tests := []struct {
		name, provider string
		rules          []string
		weight         uint32
		health         model.Health
	}{
		{"everywhere", plain, []string{"override://0.0.0.0/x?weight=7"}, 7, model.Healthy},
		{"disabled everywhere", plain, []string{"override://0.0.0.0/x?disabled=true"}, 100, model.Disabled},
		{"one address", plain, []string{"override://10.0.0.1:20880/x?disabled=true"}, 100, model.Disabled},
		{"another address", plain, []string{"override://10.0.0.2:20880/x?disabled=true"}, 100, model.Healthy},
		{"another port", plain, []string{"override://10.0.0.1:20881/x?disabled=true"}, 100, model.Healthy},
		{"one port everywhere", plain, []string{"override://0.0.0.0:20880/x?disabled=true"}, 100, model.Disabled},
		{"a host without port is a consumer", plain, []string{"override://10.0.0.1/x?disabled=true"}, 100, model.Healthy},
		{"switched off", plain, []string{"override://0.0.0.0/x?disabled=true&enabled=false"}, 100, model.Healthy},
		{"for consumers", plain, []string{"override://0.0.0.0/x?disabled=true&side=consumer"}, 100, model.Healthy},
		{"this application", plain, []string{"override://0.0.0.0/x?weight=7&application=shop"}, 7, model.Healthy},
		{"any application", plain, []string{"override://0.0.0.0/x?weight=7&application=*"}, 7, model.Healthy},
		{"another application", plain, []string{"override://0.0.0.0/x?weight=7&application=till"}, 100, model.Healthy},
		{"condition met", plain, []string{"override://0.0.0.0/x?weight=7&~application=shop"}, 7, model.Healthy},
		{"condition any", plain, []string{"override://0.0.0.0/x?weight=7&~tag=*"}, 7, model.Healthy},
		{"condition not met", plain, []string{"override://0.0.0.0/x?weight=7&~tag=gray"}, 100, model.Healthy},
		{"without group is for services without group", grouped, []string{"override://0.0.0.0/x?weight=7"}, 100, model.Healthy},
		{"same group and version", grouped, []string{"override://0.0.0.0/x?weight=7&group=g&version=1.0.0"}, 7, model.Healthy},
		{"any group and version", grouped, []string{"override://0.0.0.0/x?weight=7&group=*&version=*"}, 7, model.Healthy},
		{"another version", grouped, []string{"override://0.0.0.0/x?weight=7&group=g&version=2.0.0"}, 100, model.Healthy},
		{"the specific host wins", plain, []string{
			"override://10.0.0.1:20880/x?weight=2&priority=1", "override://0.0.0.0/x?weight=1&priority=9",
		}, 2, model.Healthy},
		{"the higher priority wins", plain, []string{
			"override://0.0.0.0/x?weight=2&priority=9", "override://0.0.0.0/x?weight=1&priority=8",
		}, 2, model.Healthy},
		{"then the text", plain, []string{"override://0.0.0.0/x?weight=2", "override://0.0.0.0/x?weight=1"}, 2, model.Healthy},
		{"enabled again", plain + "&disabled=true", []string{"override://0.0.0.0/x?disabled=false"}, 100, model.Healthy},
		{"parameters add up", plain, []string{"override://0.0.0.0/x?weight=3", "override://10.0.0.1:20880/x?disabled=true"}, 3, model.Disabled},
		{"other schemes and nonsense", plain, []string{"route://0.0.0.0/x?disabled=true", "???", "override://0.0.0.0/x?weight=heavy"}, 100, model.Healthy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := one(t, encode(tt.provider), encode(tt.rules...))
			if len(got) != 1 || got[0].Weight != tt.weight || got[0].Health != tt.health {
				t.Errorf("instances %+v, want weight %d, %s", got, tt.weight, tt.health)
			}
		})
	}
}
