package envoy_test

import (
	"fmt"
	"net"
	"strconv"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
	"github.com/registry-bridge/registry-bridge/e2e/lab/envoy"
)

// loopback is what a person applies for a consumer that dials 127.0.0.1: two versions of a service, and a route to one of them.
const loopback = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec:
  egress:
  - {captureMode: NONE, bind: 127.0.0.1, port: {number: %[1]d, name: tcp-dubbo, protocol: TCP}, hosts: ["*/*"]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one, namespace: shop, labels: {networking.istio.io/enable-autoallocate-ip: "false"}}
spec:
  hosts: [v-1-0-0.demo.greetingservice]
  ports: [{number: %[1]d, name: tcp-dubbo, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {tcp-dubbo: %[2]d}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: two, namespace: shop, labels: {networking.istio.io/enable-autoallocate-ip: "false"}}
spec:
  hosts: [v-2-0-0.demo.greetingservice]
  ports: [{number: %[1]d, name: tcp-dubbo, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {tcp-dubbo: %[3]d}}]
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: dubbo, namespace: shop}
spec:
  configPatches:
  - applyTo: NETWORK_FILTER
    match:
      context: SIDECAR_OUTBOUND
      listener: {portNumber: %[1]d, filterChain: {filter: {name: envoy.filters.network.tcp_proxy}}}
    patch:
      operation: REPLACE
      value:
        name: envoy.filters.network.dubbo_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy
          stat_prefix: "dubbo"
          multiple_route_config:
            name: dubbo
            route_config:
            - {name: one, interface: demo.GreetingService, version: 1.0.0, routes: [{match: {method: {name: {safe_regex: {regex: ".*"}}}},
               route: {cluster: "outbound|%[1]d||v-1-0-0.demo.greetingservice"}}]}
            - {name: two, interface: demo.GreetingService, version: 2.0.0, routes: [{match: {method: {name: {safe_regex: {regex: ".*"}}}},
               route: {cluster: "outbound|%[1]d||v-2-0-0.demo.greetingservice"}}]}
          dubbo_filters: [{name: envoy.filters.dubbo.router}]
`

// TestLoopback has consumers of two versions dial one port of their own sidecar.
func TestLoopback(t *testing.T) {
	kube := lab.StartKube(t)
	istiod := lab.StartIstiod(t, kube, lab.IstiodOptions{Envoy: true})
	kube.MakeNamespace(t, "shop")
	port := lab.FreePort(t)
	one := lab.StartDubboProvider(t, lab.DubboOptions{ServiceVersion: "1.0.0"})
	two := lab.StartDubboProvider(t, lab.DubboOptions{ServiceVersion: "2.0.0"})
	kube.Kubectl(t).Feed(t, fmt.Sprintf(loopback, port, one.Port, two.Port), "apply", "-f", "-")

	sidecar := envoy.Start(t, envoy.Options{Options: ads.Options{
		Addr: istiod.Addr, Namespace: "shop", IP: "127.0.0.1", Interception: ads.None,
	}})
	for version, provider := range map[string]*lab.DubboProvider{"1.0.0": one, "2.0.0": two} {
		calls := lab.CallDubbo(t, lab.DubboOptions{ServiceVersion: version, Settings: map[string]string{
			"url": "dubbo://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), "count": "10", "timeout": "20000",
		}})
		if calls.Bad != 0 || calls.By[provider.Name] != 10 {
			t.Errorf("calls of version %s = %+v, want 10 answered by %s", version, calls, provider.Name)
		}
	}
	if counts := sidecar.Dubbo(t); counts["request"] != 20 || counts["response_success"] != 20 {
		t.Errorf("envoy counts %v, want 20 requests, all successful", counts)
	}
	sidecar.CheckAccepted(t)
}
