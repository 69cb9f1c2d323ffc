package translate

import "slices"

// Foreign is what others have in the cluster that decides whether calls can be routed by what they say. It is immutable: a new pointer
// means that something of it changed. A nil Foreign has nothing; whoever watches hands none over before everything has been seen.
type Foreign struct {
	// DestinationRules are the hosts, in lower case, that somebody else has a DestinationRule for, wildcards ("*.example.com") among them.
	DestinationRules []string
	// Hosts are the hosts of other people's ServiceEntries, in lower case.
	Hosts []ForeignHost
	// Ports are the ports of other people's Services and ServiceEntries, whatever they speak over TCP.
	Ports []ForeignPort
	// Filters are other people's EnvoyFilters that change the filters of outbound listeners of sidecars.
	Filters []ForeignFilter
	// Allocated are our own ServiceEntries that istiod uses an address of its own for, although they want none: their status has addresses,
	// and their label LabelAutoAllocate is not AutoAllocateOff.
	Allocated []Key
}

// ForeignHost is a host of somebody else.
type ForeignHost struct {
	Host, Namespace, Name string
	ExportTo              []string
}

// ForeignPort is a port of somebody else's Service or ServiceEntry.
type ForeignPort struct {
	Kind, Namespace, Name string
	// ExportTo is that of the object, of a Service that of its annotation networking.istio.io/exportTo.
	ExportTo []string
	Number   uint32
	// PortName and Protocol are the port's own words; Protocol is a Service's appProtocol, and a ServiceEntry's protocol.
	PortName, Protocol string
}

// ForeignFilter is somebody else's EnvoyFilter.
type ForeignFilter struct {
	Namespace, Name string
	// Port is the listener's port that it is about, 0 when it is about any.
	Port uint32
}

// Equal reports whether both say the same. The lists have to be in the same order.
func (f *Foreign) Equal(o *Foreign) bool {
	if f == nil || o == nil {
		return f == o
	}
	return slices.Equal(f.DestinationRules, o.DestinationRules) && slices.EqualFunc(f.Hosts, o.Hosts, ForeignHost.equal) &&
		slices.EqualFunc(f.Ports, o.Ports, ForeignPort.equal) && slices.Equal(f.Filters, o.Filters) && slices.Equal(f.Allocated, o.Allocated)
}

func (h ForeignHost) equal(o ForeignHost) bool {
	return h.Host == o.Host && h.Namespace == o.Namespace && h.Name == o.Name && slices.Equal(h.ExportTo, o.ExportTo)
}

func (p ForeignPort) equal(o ForeignPort) bool {
	return p.Kind == o.Kind && p.Namespace == o.Namespace && p.Name == o.Name && p.Number == o.Number && p.PortName == o.PortName &&
		p.Protocol == o.Protocol && slices.Equal(p.ExportTo, o.ExportTo)
}
