// Package translate turns what registries say into the Istio objects that should exist. It is pure: no clock, no I/O, no logger, no
// global state; the same input gives the same objects, byte for byte.
package translate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// Kind is the kind of a generated object.
type Kind string

// The kinds of networking.istio.io.
const (
	KindServiceEntry Kind = "ServiceEntry"
	// KindWorkloadEntry is one endpoint of a ServiceEntry in mode WorkloadEntries. Translate makes none: an output stores such a
	// ServiceEntry in several objects, and joins them when it reads.
	KindWorkloadEntry Kind = "WorkloadEntry"
	// KindDestinationRule names the subsets of a host that calls with a tag are routed to.
	KindDestinationRule Kind = "DestinationRule"
	// KindEnvoyFilter is a table of Dubbo routes. Its key is that of TableKey: it lives where the consumers are, and is made of
	// everything that they see on its port.
	KindEnvoyFilter Kind = "EnvoyFilter"
)

// Kinds returns every kind of object that an output holds.
func Kinds() []Kind {
	return []Kind{KindServiceEntry, KindWorkloadEntry, KindDestinationRule, KindEnvoyFilter}
}

// Labels and annotations of generated objects. They are constant over an object's life, because istiod answers a change of either
// with a full push to every proxy.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy. Together with LabelInstance it says that an object is ours; removing either
	// detaches the object.
	ManagedBy     = "registry-bridge"
	LabelInstance = "registry-bridge.io/instance"

	// AnnotationService holds the registry's own name of the service as EncodeName writes it.
	AnnotationService = "registry-bridge.io/service"
	// AnnotationUnit holds Ref.Unit, encoded alike, where it differs from the service's name: after a restart it tells which
	// live objects a failing unit stands for.
	AnnotationUnit = "registry-bridge.io/unit"
	// AnnotationRegistry holds the name of the Registry that published the object first, kept while a Registry of that name
	// exists.
	AnnotationRegistry = "registry-bridge.io/registry"

	// AnnotationLabels holds the sorted, comma-separated keys of the labels that the configuration added (Output.Labels). Package
	// manifest writes and reads it, so that those can be told from labels that somebody else added; it is absent without any.
	AnnotationLabels = "registry-bridge.io/labels"

	// AnnotationIdentities is there when ServiceEntry.SubjectAltNames are ours, so that those can be told from names that somebody else
	// added. Package manifest writes and reads it. Its value is IdentitiesOfPods.
	AnnotationIdentities = "registry-bridge.io/identities"
	IdentitiesOfPods     = "pods"

	// LabelSource is the provenance label of every endpoint; its value is a model.SourceID.
	LabelSource = "registry-bridge.io/source"
	// LabelHost is the label by which a ServiceEntry selects its WorkloadEntries; its value is that of HostLabel.
	LabelHost = "registry-bridge.io/host"
	// LabelPrivate begins the keys of copied labels on WorkloadEntries.
	LabelPrivate = "label.registry-bridge.io/"
	// AnnotationHost has the host of a WorkloadEntry where LabelHost cannot hold it.
	AnnotationHost = "registry-bridge.io/host"
)

// Key names one generated object in the output.
type Key struct {
	Kind            Kind
	Namespace, Name string
}

// Compare orders keys by kind, namespace and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Kind, o.Kind), cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// String renders "ServiceEntry namespace/name".
func (k Key) String() string { return string(k.Kind) + " " + k.Namespace + "/" + k.Name }

// Object is one generated object: only the fields that we set. It is immutable; an object without a change keeps its pointer from
// one Result to the next.
type Object struct {
	Key         Key
	Labels      map[string]string
	Annotations map[string]string
	// ServiceEntry is the spec of a KindServiceEntry, WorkloadEntry that of a KindWorkloadEntry, and so on: exactly one is there.
	ServiceEntry    *ServiceEntry
	WorkloadEntry   *WorkloadEntry
	DestinationRule *DestinationRule
	EnvoyFilter     *EnvoyFilter
	// Origins are the services that the object was made of, sorted; nil for an object that was read from an output.
	Origins []model.Ref
	// Registries are the names of the Registries that contribute, in merge order; nil for an object read from an output, and for a
	// KindEnvoyFilter, which is of nobody's in particular: what it is made of are the hosts that it names.
	Registries []string
	// Claims are what sources say beyond the labels of endpoints, sorted: an endpoint of the host that a source has, too, and that belongs
	// to another. The guards count them: such a source has not lost the endpoint. Nil for an object that was read from an output.
	Claims []Claim
}

// Claim is an endpoint that a source has, too.
type Claim struct {
	Source  model.SourceID
	Address string
	// Port is the smallest real port, see Endpoint.Port.
	Port uint32
}

// Compare orders claims by source, address and port.
func (c Claim) Compare(o Claim) int {
	return cmp.Or(cmp.Compare(c.Source, o.Source), strings.Compare(c.Address, o.Address), cmp.Compare(c.Port, o.Port))
}

// Registry returns the name of the Registry, in the namespace of the object, that the object belongs to: the one that published it first.
// It is empty when nothing says so.
func (o *Object) Registry() string {
	name, ok := o.Annotations[AnnotationRegistry]
	if !ok && len(o.Registries) > 0 {
		name = o.Registries[0]
	}
	return name
}

// ServiceEntry is the spec of an Istio ServiceEntry as far as we set it.
type ServiceEntry struct {
	// Host is the only host.
	Host string
	// Addresses are the VIPs; empty for HTTP-like services.
	Addresses []string
	// Ports is sorted by number. It is empty only in what is live of a host in mode WorkloadEntries whose ServiceEntry is gone.
	Ports []ServicePort
	// Location is "MESH_INTERNAL" or "MESH_EXTERNAL"; Resolution is "STATIC".
	Location, Resolution string
	ExportTo             []string
	// SubjectAltNames are the identities that clients accept behind the host, sorted; any of the mesh when empty. They are the same in
	// all objects of a host.
	SubjectAltNames []string
	// Mode says where the endpoints are written. It never changes while a host is live.
	Mode EndpointMode
	// Selector is the value of LabelHost that selects the WorkloadEntries, in mode WorkloadEntries. In what is live it is what was
	// found, which may be something else, or nothing.
	Selector string
	// Endpoints is sorted by Endpoint.Compare and may be empty; the manifest then has no such field (an empty list counts as
	// set for the CRD's rules).
	Endpoints []Endpoint
}

// EndpointMode says where endpoints are written.
type EndpointMode string

// The modes.
const (
	// Inline is in the ServiceEntry itself.
	Inline EndpointMode = ""
	// WorkloadEntries is one WorkloadEntry for each endpoint.
	WorkloadEntries EndpointMode = "WorkloadEntry"
)

// WorkloadEntry is the spec of an Istio WorkloadEntry as far as we set it.
type WorkloadEntry struct {
	// Host is the host of the ServiceEntry that it belongs to.
	Host     string
	Endpoint Endpoint
}

// ServicePort is a port of the host.
type ServicePort struct {
	Name     string
	Number   uint32
	Protocol Protocol
}

// Protocol is a protocol in Istio's own words.
type Protocol string

// The protocols that are published.
const (
	TCP   Protocol = "TCP"
	HTTP  Protocol = "HTTP"
	HTTP2 Protocol = "HTTP2"
	HTTPS Protocol = "HTTPS"
	GRPC  Protocol = "GRPC"
	TLS   Protocol = "TLS"
)

// Endpoint is one address behind a host. Ports is sorted by name and Labels by key; both may be shared between endpoints.
type Endpoint struct {
	Address  string
	Ports    []EndpointPort
	Labels   []Label
	Weight   uint32
	Locality string
	Network  string
}

// Compare orders endpoints by address, identifying port and, so that equal places have a defined order too, by everything else.
func (e *Endpoint) Compare(o *Endpoint) int {
	return cmp.Or(
		strings.Compare(e.Address, o.Address),
		cmp.Compare(e.Port(), o.Port()),
		slices.CompareFunc(e.Ports, o.Ports, EndpointPort.compare),
		slices.CompareFunc(e.Labels, o.Labels, Label.Compare),
		cmp.Compare(e.Weight, o.Weight),
		strings.Compare(e.Locality, o.Locality),
		strings.Compare(e.Network, o.Network),
	)
}

// EndpointPort maps a service port's name to the real port of the endpoint.
type EndpointPort struct {
	Name   string
	Number uint32
}

func (p EndpointPort) compare(o EndpointPort) int {
	return cmp.Or(strings.Compare(p.Name, o.Name), cmp.Compare(p.Number, o.Number))
}

// Label is one label of an endpoint.
type Label struct{ Key, Value string }

// Compare orders labels by key and value.
func (l Label) Compare(o Label) int {
	return cmp.Or(strings.Compare(l.Key, o.Key), strings.Compare(l.Value, o.Value))
}

// Source returns the provenance of the endpoint, empty when it has none that we know.
func (e *Endpoint) Source() model.SourceID {
	for _, l := range e.Labels {
		if l.Key == LabelSource {
			return model.SourceID(l.Value)
		}
	}
	return ""
}

// Port returns the smallest real port, which together with Address identifies the endpoint within its host; 0 without ports.
func (e *Endpoint) Port() uint32 {
	var least uint32
	for i, p := range e.Ports {
		if i == 0 || p.Number < least {
			least = p.Number
		}
	}
	return least
}

// Diagnostic says what was dropped or decided, and why. It is data for status, metrics, logs and explain.
type Diagnostic struct {
	Reason reason.Reason
	// Registry is namespace/name; Ref is the service it is about; Instance the ID of the instance, empty when it is about the
	// whole service.
	Registry string
	Ref      model.Ref
	Instance string
	// Host is the host it is about, where there is one.
	Host string
	// Detail is one sentence for a person, without secrets.
	Detail string
}

// Withdrawal says that something is absent from Result.Objects because of configuration, not because the registry lost it; such a
// removal skips the guards against lying registries (design: "a removal caused by config").
type Withdrawal struct {
	Key Key
	// Source is the source whose claim was withdrawn; Address and Port say which endpoint. An empty Address means everything
	// that the source has in the object.
	Source  model.SourceID
	Address string
	Port    uint32
}

// Result is what Translate makes of one snapshot. Slices are sorted; unchanged objects keep their pointers.
type Result struct {
	Objects     []*Object
	Withdrawn   []Withdrawal
	Diagnostics []Diagnostic
}

// Prior is what is live for a key, as far as it makes the next translation sticky: published ports, VIPs and labels never change by
// themselves, and a host stays with the service that has it.
type Prior struct {
	// Host is the live host. A live object whose host is another than the one that is looked for (its name is a shard of somebody
	// else, say) makes nothing sticky.
	Host      string
	Ports     []ServicePort
	Addresses []string
	Labels    map[string]string
	// Mode is where its endpoints are.
	Mode EndpointMode
	// Endpoints and SubjectAltNames are looked at only while the pods are not known (UnknownPods).
	Endpoints       []Endpoint
	SubjectAltNames []string
	// Service, Unit and Registry are the annotations of the live object.
	Service, Unit, Registry string
}
