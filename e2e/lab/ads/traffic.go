package ads

import (
	"net/netip"
	"slices"
	"strconv"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
)

// outbound is the listener that all connections of the workload are redirected to. It hands each to the listener of its original
// destination, and keeps what has none.
const outbound = "virtualOutbound"

// Destination returns the cluster that takes a connection of the workload to an address where no HTTP is spoken, "" for none.
// A proxy picks the listener of exactly that address and port, else that of the port on all addresses, else the one for everything.
func (c *Config) Destination(to netip.AddrPort) string {
	port := "_" + strconv.Itoa(int(to.Port()))
	for _, name := range []string{to.Addr().String() + port, "0.0.0.0" + port, outbound} {
		if listener := c.Listeners[name]; listener != nil {
			return tcpDestination(listener)
		}
	}
	return ""
}

// tcpDestination returns where a connection goes for which no filter chain but the catch-all is meant.
func tcpDestination(listener *listenerv3.Listener) string {
	chains := slices.Clone(listener.GetFilterChains())
	if chain := listener.GetDefaultFilterChain(); chain != nil {
		chains = append(chains, chain)
	}
	// In virtualOutbound a chain for connections to the proxy itself comes first; the one that matches all is last.
	for _, chain := range slices.Backward(chains) {
		for _, filter := range chain.GetFilters() {
			var proxy tcpv3.TcpProxy
			if config := filter.GetTypedConfig(); config.MessageIs(&proxy) && config.UnmarshalTo(&proxy) == nil {
				return proxy.GetCluster()
			}
		}
	}
	return ""
}

// HTTPDestination returns the cluster that takes a request to a host in a connection to a port, "" for none.
func (c *Config) HTTPDestination(host string, port uint32) string {
	routes := c.Routes[strconv.FormatUint(uint64(port), 10)]
	for _, domain := range []string{host, "*"} {
		for _, vhost := range routes.GetVirtualHosts() {
			if slices.Contains(vhost.GetDomains(), domain) {
				return routeDestination(vhost)
			}
		}
	}
	return ""
}

func routeDestination(vhost *routev3.VirtualHost) string {
	for _, route := range vhost.GetRoutes() {
		if cluster := route.GetRoute().GetCluster(); cluster != "" {
			return cluster
		}
	}
	return ""
}

// routeNames returns the names of the routes that the listeners ask for.
func (c *Config) routeNames() map[string]bool {
	names := map[string]bool{}
	for _, listener := range c.Listeners {
		for _, chain := range append(slices.Clone(listener.GetFilterChains()), listener.GetDefaultFilterChain()) {
			for _, filter := range chain.GetFilters() {
				var manager hcmv3.HttpConnectionManager
				if config := filter.GetTypedConfig(); config.MessageIs(&manager) && config.UnmarshalTo(&manager) == nil {
					if name := manager.GetRds().GetRouteConfigName(); name != "" {
						names[name] = true
					}
				}
			}
		}
	}
	return names
}
