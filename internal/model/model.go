// Package model holds what registries say, in one vocabulary for all of them: services, instances and where they came from.
//
// Values are immutable once they have been handed over: whoever wants a change makes a copy. That is what lets the store, the
// translator and the planner compare by pointer, and share without locks. The package imports the standard library only.
package model

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// SourceID names one source for ever: "<registry>.<8 hex of the scope>". It is at most 63 characters of [a-z0-9.-] and starts and
// ends alphanumerically, so it can stand as a Kubernetes label value as it is (every endpoint carries it, see docs/design/0001).
type SourceID string

// maxSourceRegistry is what a 63-character label value leaves for the registry's name: 63 less a dot and 8 hex digits.
const maxSourceRegistry = 63 - 1 - 8

// NewSourceID derives the id of the source that watches scope for the Registry namespace/registry. The same three words give the
// same id in every process; scope is any text that is unique within the Registry and survives edits that do not change what is
// watched (a ZooKeeper layout type and root, a Consul datacenter).
func NewSourceID(namespace, registry, scope string) SourceID {
	if len(registry) > maxSourceRegistry {
		registry = registry[:maxSourceRegistry-9] + "-" + shortHash(registry)
	}
	return SourceID(registry + "." + shortHash(namespace+"\x00"+scope))
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

// Ref names one service in the registry's own words, unaltered: no lower-casing, no trimming, possibly not UTF-8.
type Ref struct {
	Source SourceID
	// Unit is what one read of the registry returns, for instance a ZooKeeper interface node. A unit fails as a whole.
	Unit string
	// Name is the service within the source, for instance "group/interface:version". It is unique in its source; it is empty
	// where a Ref stands for the whole unit.
	Name string
}

// Compare orders references by source, unit and name.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.Source, o.Source), cmp.Compare(r.Unit, o.Unit), cmp.Compare(r.Name, o.Name))
}

// Service is the full content of one service at one moment, as the registry gave it.
type Service struct {
	Ref       Ref
	Instances []Instance
	// Metadata is what the registry says of the service as a whole. Dubbo sources set the keys named in MetaDubbo*.
	Metadata map[string]string
	// HealthUnknown says that the registry itself does not trust its health now (Nacos' protection threshold): known instances
	// keep their last health, new ones count as healthy.
	HealthUnknown bool
}

// Keys of Service.Metadata that sources of Dubbo services set, so that hosts and routes can be named by them. A key whose value is
// empty is absent.
const (
	MetaDubboInterface = "dubbo.interface"
	MetaDubboGroup     = "dubbo.group"
	MetaDubboVersion   = "dubbo.version"
	// MetaDubboApplication is set instead by a source that knows the application only (Dubbo 3's registration of applications).
	MetaDubboApplication = "dubbo.application"
)

// Instance is one registered endpoint, usable or not.
type Instance struct {
	// ID tells instances of one service apart and survives a restart of the instance at the same place (for Dubbo:
	// protocol, address and port, without timestamp and pid).
	ID string
	// Address is an IP literal or a host name, as registered. Translate decides whether it can be published.
	Address string
	// Ports are in the registry's order; at least one for an instance without a Problem.
	Ports []Port
	// Weight is in the registry's own scale; 0 means that the instance takes no traffic.
	Weight   uint32
	Health   Health
	Locality Locality
	Metadata map[string]string
	// Problem says why this instance makes no sense, as "Reason: detail" with a reason of package reason; it is never published
	// then. Empty for a good instance.
	Problem string
}

// Port is one port of an instance.
type Port struct {
	// Name is the registry's name of the port, empty where it has none.
	Name string
	// Protocol is the registry's word ("dubbo", "tri", "http", "https", …), lower case, empty when unknown.
	Protocol string
	Number   uint32
}

// Health is what the registry says of an instance. The zero value is Healthy: a registry without a notion of health lists what works.
type Health uint8

// The healths, and whether translate publishes them: Healthy yes, Warning unless configured otherwise, all others no.
const (
	Healthy Health = iota
	Warning
	Unhealthy
	Starting
	OutOfService
	Maintenance
	Disabled
)

// String returns the name that diagnostics and pages show.
func (h Health) String() string {
	names := [...]string{"healthy", "warning", "unhealthy", "starting", "out of service", "in maintenance", "disabled"}
	if int(h) < len(names) {
		return names[h]
	}
	return "unknown"
}

// Locality is where an instance runs; parts that the registry does not know are empty.
type Locality struct {
	Region, Zone, Subzone string
}

// String renders Istio's form "region/zone/subzone", cut behind the last part that is known; empty without a region.
func (l Locality) String() string {
	if l.Region == "" {
		return ""
	}
	return strings.TrimRight(l.Region+"/"+l.Zone+"/"+l.Subzone, "/")
}
