package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Registry describes one registry and how it is bridged. Its ServiceEntries are written into its own namespace, which should hold no
// workloads of the mesh.
//
// A hold is released by its id, which status.holds and /debug/state show, in the annotation registry-bridge.io/release of the Registry;
// several are separated by commas. An id stands for one incident, so it may stay there.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rbreg,categories=registry-bridge
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.status.sourceType`,description="Which kind of registry it is."
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`,description="Whether objects are written."
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the configuration is valid and in use."
// +kubebuilder:printcolumn:name="Services",type=integer,JSONPath=`.status.summary.services`,description="Services that the registry holds."
// +kubebuilder:printcolumn:name="Instances",type=integer,JSONPath=`.status.summary.instances`,description="Instances that the registry holds."
// +kubebuilder:printcolumn:name="Held",type=integer,JSONPath=`.status.summary.held`,description="Endpoints that are published only because a guard holds them."
// +kubebuilder:printcolumn:name="Published",type=integer,priority=1,JSONPath=`.status.summary.published`,description="Endpoints that are published."
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why it is ready or not."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",fieldPath=".metadata",message="name has more than 63 characters"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.naming) || self.spec.hosts.template == oldSelf.spec.hosts.template && self.spec.hosts.suffix == oldSelf.spec.hosts.suffix",fieldPath=".spec.hosts",message="template and suffix cannot be changed while objects are live: every host would change under its callers; create another Registry beside this one"
type Registry struct {
	metav1.TypeMeta `json:",inline"`
	// Standard metadata. The name has at most 63 characters; with the namespace it identifies the Registry in metrics, logs and labels,
	// and a Registry of another name is another Registry. The annotation registry-bridge.io/release names holds that are released.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What is bridged, and how.
	Spec RegistrySpec `json:"spec"`
	// What the bridge has to say about it. It is ignored in files.
	Status RegistryStatus `json:"status,omitzero"`
}

// RegistryList is a list of Registries.
//
// +kubebuilder:object:root=true
type RegistryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// The Registries.
	Items []Registry `json:"items"`
}

// RegistrySpec is what a person configures.
type RegistrySpec struct {
	// Whether objects are written: Active writes them; Observe only plans, so that the outcome can be looked at first; Paused writes
	// nothing until it is Active again.
	// Example: Observe
	// +kubebuilder:validation:Enum=Active;Observe;Paused
	// +default="Active"
	Mode Mode `json:"mode,omitempty"`
	// What becomes of the published objects when the Registry itself is deleted: Retain leaves them as they are, Delete removes them at
	// once, all of them and without asking: deleting the Registry is the confirmation.
	// Example: Delete
	// +kubebuilder:validation:Enum=Retain;Delete
	// +default="Retain"
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
	// The registry to read. Exactly one member is set; which one cannot be changed later.
	Source Source `json:"source"`
	// Which of the registry's services are bridged. All of them unless said otherwise.
	// +default={}
	Services Services `json:"services,omitempty"`
	// How hosts are named.
	// +default={}
	Hosts Hosts `json:"hosts,omitempty"`
	// Overrides for some services. For each setting the first rule that matches and has it wins.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=1000
	Rules []Rule `json:"rules,omitempty"`
	// Which addresses are published, and with which labels.
	// +default={}
	Endpoints Endpoints `json:"endpoints,omitempty"`
	// How Dubbo services are rendered.
	// +default={}
	Dubbo Dubbo `json:"dubbo,omitempty"`
	// What the written objects look like.
	// +default={}
	Output Output `json:"output,omitempty"`
	// How long removals are held back when the registry may be lying.
	// +default={}
	Guards Guards `json:"guards,omitempty"`
}

// Mode says whether objects are written.
type Mode string

// The modes of a Registry.
const (
	ModeActive  Mode = "Active"
	ModeObserve Mode = "Observe"
	ModePaused  Mode = "Paused"
)

// DeletionPolicy says what becomes of the objects of a deleted Registry.
type DeletionPolicy string

// The deletion policies.
const (
	DeletionRetain DeletionPolicy = "Retain"
	DeletionDelete DeletionPolicy = "Delete"
)

// Services selects services by globs on their original names: "*" stands for any characters (dots and slashes too), "?" for exactly
// one. A Dubbo service is matched by its interface alone, and by its full name "group/interface:version".
type Services struct {
	// Only services that match one of these globs are bridged; every service when the list is empty.
	// Example: ["com.acme.*"]
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Include []string `json:"include,omitempty"`
	// Services that match one of these globs are not bridged, even when they are included.
	// Example: ["*.internal.*"]
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Exclude []string `json:"exclude,omitempty"`
	// How many hosts the Registry may have at most. Beyond it new hosts are held back; what is published stays.
	// Example: 2000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +default=10000
	Max *int32 `json:"max,omitempty"`
}

// Hosts configures the names under which services appear in the mesh. The scheme cannot be changed while objects are live.
type Hosts struct {
	// Replaces the naming scheme of the registry's type. Placeholders: {service}, {interface}, {group}, {version}, {registry},
	// {namespace}.
	// Example: "{interface}.{registry}"
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || self.contains('{service}') || self.contains('{interface}')",message="gives every service the same host; use {service} or {interface}, e.g. {interface}.dubbo"
	// +default=""
	Template string `json:"template,omitempty"`
	// Replaces the suffix that the scheme appends where a name needs one, without a leading dot.
	// Example: legacy.example.com
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$`
	// +default=""
	Suffix string `json:"suffix,omitempty"`
	// Which Registry comes first where two of them name the same host or endpoint: the higher number, then the name.
	// Example: 10
	// +kubebuilder:validation:Minimum=-1000000
	// +kubebuilder:validation:Maximum=1000000
	// +default=0
	Priority int32 `json:"priority,omitempty"`
}

// Rule overrides what the registry says, for the services that it matches.
//
// +kubebuilder:validation:XValidation:rule="has(self.protocol) || has(self.servicePort) || has(self.host) || has(self.tlsMode)",message="sets nothing; add protocol, servicePort, host or tlsMode"
type Rule struct {
	// Names the rule in messages; unique within the Registry.
	// Example: legacy
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Which services the rule is for.
	Match Match `json:"match"`
	// The protocol that the services speak.
	// Example: TCP
	// +kubebuilder:validation:Enum=TCP;HTTP;HTTP2;HTTPS;GRPC;TLS
	Protocol Protocol `json:"protocol,omitempty"`
	// The port under which the host is called. After a change the old port stays for guards.emptyGrace.
	// Example: 9000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	ServicePort *int32 `json:"servicePort,omitempty"`
	// The host, in place of the one from the naming scheme. Only for a rule that matches one service.
	// Example: legacy.example.com
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+)?$`
	Host string `json:"host,omitempty"`
	// Whether clients use the mesh's mutual TLS: istio for instances that have a sidecar, disabled for plain text. It is never guessed.
	// Example: istio
	// +kubebuilder:validation:Enum=istio;disabled
	TLSMode TLSMode `json:"tlsMode,omitempty"`
}

// Match selects the services of a rule.
type Match struct {
	// Globs on original names, as in services.include; one of them has to match.
	// Example: ["com.acme.Legacy*"]
	// +kubebuilder:validation:MinItems=1
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Services []string `json:"services"`
}

// Protocol is a protocol in Istio's words.
type Protocol string

// The protocols that a rule can set.
const (
	ProtocolTCP   Protocol = "TCP"
	ProtocolHTTP  Protocol = "HTTP"
	ProtocolHTTP2 Protocol = "HTTP2"
	ProtocolHTTPS Protocol = "HTTPS"
	ProtocolGRPC  Protocol = "GRPC"
	ProtocolTLS   Protocol = "TLS"
)

// TLSMode is a value of Istio's endpoint label security.istio.io/tlsMode.
type TLSMode string

// The TLS modes that a rule can set.
const (
	TLSIstio    TLSMode = "istio"
	TLSDisabled TLSMode = "disabled"
)

// Endpoints configures which addresses are published, and with which labels.
type Endpoints struct {
	// Where endpoints are written: Inline puts them into the ServiceEntry; WorkloadEntry gives each a WorkloadEntry of its own, for
	// services with many instances that come and go. It is decided when a host is first published; a change is for new hosts only.
	// Example: WorkloadEntry
	// +kubebuilder:validation:Enum=Inline;WorkloadEntry
	// +default="Inline"
	Mode EndpointMode `json:"mode,omitempty"`
	// What happens to an instance that is registered by a host name: Reject leaves it out and reports it.
	// +kubebuilder:validation:Enum=Reject
	// +default="Reject"
	Hostnames Hostnames `json:"hostnames,omitempty"`
	// Only addresses in these ranges are published; any address when the list is empty.
	// Example: ["10.0.0.0/8"]
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=49
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="needs to be a range of addresses without bits behind its prefix, e.g. 10.0.0.0/8"
	AllowCIDRs []string `json:"allowCIDRs,omitempty"`
	// Addresses in these ranges are never published. Setting the list replaces the default, also when it is set to [].
	// Example: ["127.0.0.0/8", "172.17.0.0/16"]
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=49
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="needs to be a range of addresses without bits behind its prefix, e.g. 10.0.0.0/8"
	// +default=["127.0.0.0/8","::1/128"]
	DenyCIDRs []string `json:"denyCIDRs,omitempty"`
	// The metadata keys of an instance that become labels of its endpoint. Setting the list replaces the default, also when it is set
	// to []. In mode WorkloadEntry the labels have private keys, so that no Service selects the endpoint by them: version becomes
	// label.registry-bridge.io/version, and a slash an underscore. Of two keys that become one, the first in the alphabet counts. The
	// subsets of a DestinationRule name these keys.
	// Example: [version, zone]
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	// +default=["version","group"]
	CopyLabels []string `json:"copyLabels,omitempty"`
}

// EndpointMode says where endpoints are written.
type EndpointMode string

// The modes of endpoints.
const (
	EndpointsInline        EndpointMode = "Inline"
	EndpointsWorkloadEntry EndpointMode = "WorkloadEntry"
)

// Hostnames says what happens to instances that are registered by a host name.
type Hostnames string

// HostnamesReject leaves them out and reports them.
const HostnamesReject Hostnames = "Reject"

// Output configures the written objects.
type Output struct {
	// The namespaces that see the hosts: "*" for all, "." for the Registry's own, "~" for none, or names. When it is not set, hosts are
	// seen everywhere, except Dubbo services of data plane TCP, which are seen in the Registry's own namespace only: thousands of
	// virtual IPs are a cost for every proxy.
	// Example: ["shop", "billing"]
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:Pattern=`^([*.~]|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$`
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.size() <= 1 || !('*' in self || '~' in self)",message="\"*\" and \"~\" cannot be combined with anything else"
	ExportTo []string `json:"exportTo,omitempty"`
	// Whether the services belong to the mesh (MeshInternal) or not (MeshExternal).
	// Example: MeshExternal
	// +kubebuilder:validation:Enum=MeshInternal;MeshExternal
	// +default="MeshInternal"
	Location Location `json:"location,omitempty"`
	// Labels that every written object gets besides the bridge's own.
	// Example: {team: platform}
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`
	// The Istio network of the endpoints, where the mesh has several.
	// Example: datacenter-1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`
	Network string `json:"network,omitempty"`
	// The range from which TCP services get their virtual IP. It must not be in use anywhere else. An empty text means no virtual IPs:
	// TCP services are then exported to nobody, because an entry without an address would capture its port for the whole mesh.
	// Example: 240.100.0.0/16
	// +kubebuilder:validation:MaxLength=49
	// +kubebuilder:validation:XValidation:rule="self == '' || isCIDR(self) && cidr(self) == cidr(self).masked() && cidr(self).ip().family() == 4 && cidr(self).prefixLength() <= 22",message="needs to be a range of IPv4 addresses, /22 or larger, e.g. 240.239.0.0/16; or empty"
	// +default="240.239.0.0/16"
	VIPCIDR *string `json:"vipCIDR,omitempty"`
}

// Location says whether services belong to the mesh.
type Location string

// The locations.
const (
	MeshInternal Location = "MeshInternal"
	MeshExternal Location = "MeshExternal"
)

// Guards configures how long removals are held back when the registry may be lying. A hold ends early when what was missing returns.
type Guards struct {
	// How long the endpoints of a service stay after it fell to no usable instance at all. At least 1s.
	// Example: 1m
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="needs to be at least 1s"
	// +default="3m"
	EmptyGrace *metav1.Duration `json:"emptyGrace,omitempty"`
	// How long an object without endpoints stays before it is deleted. At least 1s.
	// Example: 1h
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="needs to be at least 1s"
	// +default="10m"
	DeleteAfter *metav1.Duration `json:"deleteAfter,omitempty"`
	// How long the endpoints of a registry that cannot be read stay at most; 0s means for as long as that lasts.
	// Example: 24h
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$`
	// +default="0s"
	MaxHold *metav1.Duration `json:"maxHold,omitempty"`
	// Holds removals when many endpoints of one registry go within five minutes.
	// +default={}
	MassRemoval MassRemoval `json:"massRemoval,omitempty"`
}

// MassRemoval configures the guard against the loss of many endpoints at once, and against a registry that is suddenly empty.
type MassRemoval struct {
	// The guard trips when more than this share of the endpoints, and more than ten, is lost. 100 switches it off.
	// Example: 50
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +default=30
	MaxPercent *int32 `json:"maxPercent,omitempty"`
	// How long removals are held, counted while the registry can be read. At least 1s.
	// Example: 30m
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="needs to be at least 1s"
	// +default="10m"
	HoldFor *metav1.Duration `json:"holdFor,omitempty"`
}
