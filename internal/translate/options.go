package translate

import (
	"net/netip"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// Options is the configuration of a translation, compiled from the Registry objects by package controller. It is immutable; a new
// pointer to a Registry means that its configuration changed, and everything of it is translated anew.
type Options struct {
	// Instance is the owner id, the value of LabelInstance.
	Instance string
	// Registries is sorted by merge order: Priority (higher first), then namespace and name.
	Registries []*Registry
	// Pods are the addresses that are pods with a sidecar; nil when nobody looks.
	Pods *Pods
	// RootNamespace is that of the mesh, "istio-system" when it is empty: what is in it is everybody's.
	RootNamespace string
	// Foreign is what others have in the cluster.
	Foreign *Foreign
}

// Registry is the compiled configuration of one Registry.
type Registry struct {
	Namespace, Name string
	// Type is the member of the source union: "zookeeper", "consul", …. It selects the default host suffix and weight.
	Type string
	// Sources are the sources of the Registry, in merge order, with the facts about their scope that translation needs.
	Sources  []Source
	Priority int

	// Selects says whether a service is bridged at all, by its original name. Nil means every service.
	Selects func(original string) bool
	// MaxServices is enforced by the planner, which knows what is live.

	Hosts     Hosts
	Rules     []Rule
	Endpoints Endpoints
	Output    Output
	Dubbo     Dubbo
	// DefaultProtocol is used where neither a rule nor the instance says what it speaks; empty means TCP.
	DefaultProtocol Protocol
	// PublishWarning publishes instances in state Warning (default true, set by the configuration's defaults).
	PublishWarning bool
}

// Source is one scope of a Registry.
type Source struct {
	ID model.SourceID
	// Scope is the scope's name in the configuration, for instance a layout's name.
	Scope string
	// Dubbo says that the services carry model.MetaDubbo*, so that hosts are named by interface, group and version.
	Dubbo bool
	// DefaultWeight is the registry's weight of an instance that says nothing: 100 for Dubbo, else 1.
	DefaultWeight uint32
	// HostPrefix stands in front of the default hosts of services that are not Dubbo's, with its dot: the group and namespace of Nacos.
	HostPrefix string
}

// Hosts configures how hosts are named.
type Hosts struct {
	// Template overrides the default naming scheme: text with the placeholders {service}, {interface}, {group}, {version},
	// {registry}, {namespace}. Empty means the default of the registry's type.
	Template string
	// Suffix overrides the default suffix ("zookeeper", "dubbo", …), without a leading dot.
	Suffix string
}

// Rule overrides what the registry says for the services that it matches. The first rule that sets a field wins, field by field.
type Rule struct {
	Name        string
	Match       func(original string) bool
	Protocol    Protocol
	ServicePort uint32
	Host        string
	// TLSMode is the value of the endpoints' label security.istio.io/tlsMode, empty for none.
	TLSMode string
}

// Endpoints configures which addresses are published, and with which labels.
type Endpoints struct {
	// Mode is where the endpoints of hosts are written that are published for the first time.
	Mode                  EndpointMode
	AllowCIDRs, DenyCIDRs []netip.Prefix
	// CopyLabels are the metadata keys that become labels.
	CopyLabels []string
	// MaxPerObject is the number of endpoints from which a host is sharded over several objects; 1,000 when 0.
	MaxPerObject int
}

// Output configures the objects.
type Output struct {
	ExportTo []string
	// ExportToSet says that the user chose ExportTo; Dubbo's TCP data plane narrows the default to the own namespace.
	ExportToSet bool
	// External publishes MESH_EXTERNAL instead of MESH_INTERNAL.
	External bool
	Labels   map[string]string
	Network  string
	// VIPs is the range for TCP services; the zero prefix means none, and such services are then exported to nobody.
	VIPs netip.Prefix
	// PortOverlap is how long a configured port change keeps the old port; enforced by the planner.
	PortOverlap time.Duration
}

// Dubbo configures how calls in Dubbo's own protocol are carried. The zero value is data plane TCP.
type Dubbo struct {
	// Envoy has the sidecars of consumers route each call; nothing else of Dubbo matters without it.
	Envoy bool
	// Mesh says that everybody is a consumer; otherwise Namespaces, which is sorted, are those of the consumers.
	Mesh       bool
	Namespaces []string
	// Routes says whether calls of a service are routed yet, by its original name; all others go where their consumers send them. Nil
	// means none.
	Routes func(original string) bool
	// ByTag routes calls that carry a tag to providers that have it.
	ByTag bool
	// Rules are tried in order for calls whose tag, if any, no provider has.
	Rules []DubboRule
}

// DubboRule sends calls of one interface to other providers than those of their own group and version.
type DubboRule struct {
	Name, Interface string
	// Group and Version are nil where any will do, and empty for calls without.
	Group, Version *string
	Method         MethodMatch
	// Shares are where the calls go.
	Shares []DubboShare
}

// DubboShare is a service that gets some of the calls of a rule.
type DubboShare struct {
	// Group and Version are nil for those of the call.
	Group, Version *string
	// Tag is that of the providers; empty for those without where there are tags.
	Tag    string
	Weight uint32
}
