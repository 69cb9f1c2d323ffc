package kube

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// facts are what one object means to services that are routed by what calls say.
type facts struct {
	// rule is the host of somebody else's DestinationRule.
	rule    string
	hosts   []translate.ForeignHost
	ports   []translate.ForeignPort
	filters []translate.ForeignFilter
	// allocated says that it is an entry of ours without an address, to which istiod gives one.
	allocated bool
}

func (f *facts) none() bool {
	return f.rule == "" && !f.allocated && len(f.hosts)+len(f.ports)+len(f.filters) == 0
}

func (f *facts) equal(o *facts) bool {
	one := &translate.Foreign{Hosts: f.hosts, Ports: f.ports, Filters: f.filters}
	other := &translate.Foreign{Hosts: o.hosts, Ports: o.ports, Filters: o.filters}
	return f.rule == o.rule && f.allocated == o.allocated && one.Equal(other)
}

// factsOf takes the facts from an object; i is what was read of it already.
func factsOf(u *unstructured.Unstructured, i *item) facts {
	var f facts
	switch kind := translate.Kind(u.GetKind()); {
	case i.object != nil:
		f.allocated = i.object.ServiceEntry != nil && isAllocated(u, i.object)
	case kind == translate.KindServiceEntry:
		for _, host := range i.claim.hosts {
			f.hosts = append(f.hosts, translate.ForeignHost{Host: host, Namespace: i.Namespace, Name: i.Name, ExportTo: i.claim.exportTo})
		}
		f.ports = portsOf(u, i, "protocol")
	case kind == translate.KindDestinationRule:
		host, _, _ := unstructured.NestedString(u.Object, "spec", "host")
		f.rule = strings.ToLower(host)
	case kind == translate.KindEnvoyFilter:
		f.filters = filtersOf(u, i)
	case kind == kindService:
		f.ports = portsOf(u, i, "appProtocol")
	}
	return f
}

// isAllocated reports whether istiod gives an address to an entry that has none.
func isAllocated(u *unstructured.Unstructured, o *translate.Object) bool {
	given, _, _ := unstructured.NestedSlice(u.Object, "status", "addresses")
	return len(given) > 0 && len(o.ServiceEntry.Addresses) == 0 && u.GetLabels()[translate.LabelAutoAllocate] != translate.AutoAllocateOff
}

// portsOf returns the ports over TCP of a Service or ServiceEntry; speaks is the field that says what is spoken there.
func portsOf(u *unstructured.Unstructured, i *item, speaks string) []translate.ForeignPort {
	var ports []translate.ForeignPort
	list, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
	for _, p := range list {
		port, _ := p.(map[string]any)
		number, ok := portNumber(port, "number")
		if !ok {
			number, ok = portNumber(port, "port")
		}
		if transport, _ := port["protocol"].(string); !ok || strings.EqualFold(transport, "UDP") || strings.EqualFold(transport, "SCTP") {
			continue
		}
		name, _ := port["name"].(string)
		protocol, _ := port[speaks].(string)
		ports = append(ports, translate.ForeignPort{
			Kind: u.GetKind(), Namespace: i.Namespace, Name: i.Name, ExportTo: i.claim.exportTo, Number: number, PortName: name, Protocol: protocol,
		})
	}
	return ports
}

func portNumber(m map[string]any, field string) (uint32, bool) {
	n, ok := m[field].(int64)
	if !ok || n <= 0 || n >= 1<<16 {
		return 0, false
	}
	return uint32(n), true
}

// filtersOf returns the ports on which an EnvoyFilter changes what outbound listeners of sidecars do with bytes, 0 for any.
func filtersOf(u *unstructured.Unstructured, i *item) []translate.ForeignFilter {
	var found []translate.ForeignFilter
	patches, _, _ := unstructured.NestedSlice(u.Object, "spec", "configPatches")
	for _, p := range patches {
		patch, _ := p.(map[string]any)
		to, _ := patch["applyTo"].(string)
		context, _, _ := unstructured.NestedString(patch, "match", "context")
		filter, _, _ := unstructured.NestedString(patch, "match", "listener", "filterChain", "filter", "name")
		outbound := context == "" || context == "ANY" || context == "SIDECAR_OUTBOUND"
		if to != "NETWORK_FILTER" || !outbound || filter != "" && !strings.HasSuffix(filter, "tcp_proxy") {
			continue
		}
		port, ok := listenerPort(patch)
		f := translate.ForeignFilter{Namespace: i.Namespace, Name: i.Name, Port: port}
		if ok && !slices.Contains(found, f) {
			found = append(found, f)
		}
	}
	return found
}

// listenerPort returns the port of the listeners that a patch matches, 0 for any; false for a listener that is none of a port.
func listenerPort(patch map[string]any) (uint32, bool) {
	listener, _, _ := unstructured.NestedMap(patch, "match", "listener")
	if port, ok := portNumber(listener, "portNumber"); ok {
		return port, true
	}
	name, _ := listener["name"].(string)
	if name == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(name[strings.LastIndex(name, "_")+1:], 10, 16)
	return uint32(n), err == nil
}
