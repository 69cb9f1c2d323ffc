package v1alpha1

// Dubbo configures how Dubbo services are rendered. Only Dubbo's own protocol (dubbo://) is meant: Triple, gRPC and REST are known to
// Istio, and are published on ports of their own in every data plane.
//
// +kubebuilder:validation:XValidation:rule="!has(self.dataPlanes) || !('Envoy' in self.dataPlanes) || has(self.consumers) && (has(self.consumers.mesh) && self.consumers.mesh || has(self.consumers.namespaces) && self.consumers.namespaces.size() > 0)",fieldPath=".consumers",message="data plane Envoy needs to know whose calls are routed: set namespaces, or mesh: true"
// +kubebuilder:validation:XValidation:rule="!has(self.routes) || has(self.tagRouting) && self.tagRouting == 'Enabled' || self.routes.all(r, r.split.all(s, !has(s.tag)))",fieldPath=".routes",message="a split by tag needs tagRouting: Enabled"
type Dubbo struct {
	// The data plane that calls go through. TCP gives every service a virtual IP of its own and forwards the bytes. Envoy has the sidecars
	// of the consumers read each call and route it by interface, group and version, while consumers go on dialling what their registry
	// tells them: there is no virtual IP then.
	// Example: [Envoy]
	// +listType=set
	// +kubebuilder:validation:MaxItems=1
	// +kubebuilder:validation:items:Enum=TCP;Envoy
	// +default=["TCP"]
	DataPlanes []DataPlane `json:"dataPlanes,omitempty"`
	// Whose calls are routed, with data plane Envoy.
	// +default={}
	Consumers Consumers `json:"consumers,omitempty"`
	// How far routing has been rolled out, with data plane Envoy.
	// +default={}
	Rollout Rollout `json:"rollout,omitempty"`
	// Whether calls that carry a tag (dubbo.tag) are routed to the providers that are registered with it, with data plane Envoy. A tagged
	// call falls back to the untagged providers when there is none with its tag; a call without a tag goes to untagged providers only. It
	// takes a DestinationRule for the host, which is not written where somebody else has one.
	// Example: Enabled
	// +kubebuilder:validation:Enum=Enabled;Disabled
	// +default="Disabled"
	TagRouting TagRouting `json:"tagRouting,omitempty"`
	// Calls that are routed in another way than by their own group and version, with data plane Envoy. The first route that suits a call
	// is taken; a tag goes first.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=200
	Routes []DubboRoute `json:"routes,omitempty"`
}

// DataPlane is a way to render Dubbo services.
type DataPlane string

// The data planes.
const (
	// DataPlaneTCP forwards bytes.
	DataPlaneTCP DataPlane = "TCP"
	// DataPlaneEnvoy routes each call by what it says.
	DataPlaneEnvoy DataPlane = "Envoy"
)

// Consumers are the workloads whose calls are routed: a list of namespaces or the whole mesh. For everybody else nothing changes.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.mesh) && self.mesh && has(self.namespaces) && self.namespaces.size() > 0)",message="mesh: true means every namespace; remove namespaces or mesh"
type Consumers struct {
	// Every workload of the mesh. The bridge needs the right to write EnvoyFilters in the root namespace of the mesh.
	// +default=false
	Mesh bool `json:"mesh,omitempty"`
	// The namespaces of the workloads. The bridge needs the right to write EnvoyFilters in each of them.
	// Example: [shop, billing]
	// +listType=set
	// +kubebuilder:validation:MaxItems=200
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespaces []string `json:"namespaces,omitempty"`
}

// Rollout says which interfaces are routed already.
//
// +kubebuilder:validation:XValidation:rule="!has(self.stage) || self.stage != 'Listed' || has(self.interfaces) && self.interfaces.size() > 0",fieldPath=".interfaces",message="stage Listed needs at least one interface"
type Rollout struct {
	// Observe routes nothing: sidecars read each call and send it where its consumer sent it, so that the statistics can be looked at
	// first. Listed routes interfaces; all other calls go where they were sent. All routes everything.
	// Example: All
	// +kubebuilder:validation:Enum=Observe;Listed;All
	// +default="Observe"
	Stage RolloutStage `json:"stage,omitempty"`
	// The interfaces that stage Listed routes: globs, as in services.include.
	// Example: ["com.acme.order.*"]
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Interfaces []string `json:"interfaces,omitempty"`
}

// RolloutStage is how far routing has been rolled out.
type RolloutStage string

// The stages.
const (
	RolloutObserve RolloutStage = "Observe"
	RolloutListed  RolloutStage = "Listed"
	RolloutAll     RolloutStage = "All"
)

// TagRouting says whether calls are routed by their tag.
type TagRouting string

// Whether calls are routed by their tag.
const (
	TagRoutingEnabled  TagRouting = "Enabled"
	TagRoutingDisabled TagRouting = "Disabled"
)

// DubboRoute sends some calls to other providers than those of their own group and version. Providers answer only what they export: those
// of another version have to export the version that the call asks for as well.
type DubboRoute struct {
	// Names the route in messages; unique within the Registry.
	// Example: canary
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// The interface that is called.
	// Example: com.acme.OrderService
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Interface string `json:"interface"`
	// Only calls to this group; "" for calls to none. Any group when it is not set.
	// +kubebuilder:validation:MaxLength=253
	Group *string `json:"group,omitempty"`
	// Only calls to this version; "" for calls to none. Any version when it is not set.
	// +kubebuilder:validation:MaxLength=253
	Version *string `json:"version,omitempty"`
	// Only calls of these methods. Every method when it is not set.
	Method *MethodMatch `json:"method,omitempty"`
	// Where the calls go. Providers that are not there get nothing, and the others their share.
	// Example: [{version: 1.0.0, weight: 90}, {version: 2.0.0, weight: 10}]
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.exists(s, s.weight > 0)",message="needs a weight above 0"
	Split []DubboSplit `json:"split"`
}

// MethodMatch is a condition on the name of a method.
//
// +kubebuilder:validation:XValidation:rule="[has(self.exact), has(self.prefix), has(self.suffix), has(self.regex)].filter(x, x).size() == 1",message="needs exactly one of exact, prefix, suffix and regex"
type MethodMatch struct {
	// The whole name.
	// Example: getOrder
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Exact string `json:"exact,omitempty"`
	// How the name begins.
	// Example: get
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Prefix string `json:"prefix,omitempty"`
	// How the name ends.
	// Example: Async
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Suffix string `json:"suffix,omitempty"`
	// A regular expression (RE2) for the whole name.
	// Example: "get|find.*"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Regex string `json:"regex,omitempty"`
}

// DubboSplit is one of the places where the calls of a route go.
type DubboSplit struct {
	// The group of the providers; "" for those without. That of the call when it is not set.
	// +kubebuilder:validation:MaxLength=253
	Group *string `json:"group,omitempty"`
	// The version of the providers; "" for those without. That of the call when it is not set.
	// Example: 2.0.0
	// +kubebuilder:validation:MaxLength=253
	Version *string `json:"version,omitempty"`
	// The tag of the providers. It needs tagRouting: Enabled; without it, untagged providers are meant where there are tags.
	// Example: gray
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Tag string `json:"tag,omitempty"`
	// The share of the calls, compared with the other weights.
	// Example: 10
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	Weight int32 `json:"weight"`
}
