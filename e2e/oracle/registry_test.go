package oracle

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddProviders(t *testing.T) {
	tests := []struct {
		name string
		urls []string
		want Endpoints
	}{
		{
			name: "equal weights are not set",
			urls: []string{
				"dubbo://10.0.0.1:20880/demo.Orders?interface=demo.Orders&side=provider",
				"dubbo://10.0.0.2:20880/demo.Orders?interface=demo.Orders&weight=100",
			},
			want: Endpoints{{"demo.orders", "10.0.0.1", 20880}: 0, {"demo.orders", "10.0.0.2", 20880}: 0},
		},
		{
			name: "different weights are a tenth",
			urls: []string{
				"dubbo://10.0.0.1:20880/demo.Orders?interface=demo.Orders",
				"dubbo://10.0.0.2:20880/demo.Orders?interface=demo.Orders&weight=250",
				"dubbo://10.0.0.3:20880/demo.Orders?interface=demo.Orders&weight=1",
			},
			want: Endpoints{{"demo.orders", "10.0.0.1", 20880}: 10, {"demo.orders", "10.0.0.2", 20880}: 25, {"demo.orders", "10.0.0.3", 20880}: 1},
		},
		{
			name: "groups are services of their own",
			urls: []string{
				"dubbo://10.0.0.1:20880/demo.Orders?interface=demo.Orders&group=blue",
				"dubbo://10.0.0.1:20881/demo.Orders?interface=demo.Orders",
			},
			want: Endpoints{{"g-blue.demo.orders", "10.0.0.1", 20880}: 0, {"demo.orders", "10.0.0.1", 20881}: 0},
		},
		{
			name: "what cannot take traffic is not expected",
			urls: []string{
				"dubbo://10.0.0.1:0/demo.Orders?interface=demo.Orders",
				"dubbo://10.0.0.2:20880/demo.Orders?interface=demo.Orders&weight=0",
				"dubbo://:20880/demo.Orders?interface=demo.Orders",
				"no url",
			},
			want: Endpoints{},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var nodes []string
			for _, u := range tt.urls {
				nodes = append(nodes, url.QueryEscape(u))
			}
			got := Endpoints{}
			addProviders(got, nodes)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("endpoints (-want +got):\n%s", diff)
			}
		})
	}
}
