package network_test

import (
	"fmt"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
	"github.com/registry-bridge/registry-bridge/e2e/lab/envoy"
	"github.com/registry-bridge/registry-bridge/e2e/lab/network"
)

// transparent is what a person applies for consumers that dial the address of any provider: the provider of one version, and a route to it.
const transparent = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: two, namespace: shop, labels: {networking.istio.io/enable-autoallocate-ip: "false"}}
spec:
  hosts: [v-2-0-0.demo.greetingservice]
  ports: [{number: 20880, name: tcp-dubbo, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: %s}]
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: dubbo, namespace: shop}
spec:
  configPatches:
  - applyTo: NETWORK_FILTER
    match:
      context: SIDECAR_OUTBOUND
      listener: {portNumber: 20880, filterChain: {filter: {name: envoy.filters.network.tcp_proxy}}}
    patch:
      operation: REPLACE
      value:
        name: envoy.filters.network.dubbo_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy
          stat_prefix: "20880"
          multiple_route_config:
            name: dubbo
            route_config:
            - {name: two, interface: demo.GreetingService, version: 2.0.0, routes: [{match: {method: {name: {safe_regex: {regex: ".*"}}}},
               route: {cluster: "outbound|20880||v-2-0-0.demo.greetingservice"}}]}
            - {name: rest, interface: "*", routes: [{match: {method: {name: {safe_regex: {regex: ".*"}}}}, route: {cluster: PassthroughCluster}}]}
          dubbo_filters: [{name: envoy.filters.dubbo.router}]
`

// TestTransparent has a consumer on a host of its own dial the provider of another version than it wants: its sidecar sends each call to the
// provider of its version, and what it has no route for to where the consumer dialled.
func TestTransparent(t *testing.T) {
	net := network.Start(t)
	kube := lab.StartKube(t)
	istiod := lab.StartIstiod(t, kube, lab.IstiodOptions{Envoy: true, Host: network.Gateway})
	kube.MakeNamespace(t, "shop")
	provide := func(name, version string) *network.Host {
		host := net.Join(t, name)
		lab.StartDubboProvider(t, lab.DubboOptions{
			IP: host.IP, Prefix: host.Prefix(), ServiceVersion: version, Settings: map[string]string{"name": name},
		})
		return host
	}
	one, two := provide("one", "1.0.0"), provide("two", "2.0.0")
	kube.Kubectl(t).Feed(t, fmt.Sprintf(transparent, two.IP), "apply", "-f", "-")
	caller := net.Join(t, "caller")
	net.Redirect(t, caller)
	sidecar := envoy.Start(t, envoy.Options{
		Options:   ads.Options{Addr: istiod.Addr, Namespace: "shop", IP: caller.IP},
		AdminPort: 15000, Command: caller.SidecarPrefix(),
	})
	consumer := lab.StartDubboConsumer(t, lab.DubboOptions{IP: caller.IP, Prefix: caller.Prefix()})

	for version, want := range map[string]string{"1.0.0": "one", "2.0.0": "two"} {
		for _, call := range consumer.Call(t, map[string]string{
			"url": "dubbo://" + one.IP + ":20880", "version": version, "count": "10", "timeout": "20000",
		}) {
			if call.By != want {
				t.Errorf("a call of version %s was answered by %q (%s), want %s", version, call.By, call.Err, want)
			}
		}
	}
	if counts := sidecar.Dubbo(t); counts["request"] != 20 || counts["response_success"] != 20 {
		t.Errorf("envoy counts %v, want 20 requests, all successful", counts)
	}
	if got := sidecar.Connections(t, "PassthroughCluster"); got != 1 {
		t.Errorf("%d connections passed through, want that of version 1.0.0", got)
	}
	sidecar.CheckAccepted(t)
}
