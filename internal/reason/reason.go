// Package reason lists every reason that the program gives for a decision: why something was dropped, why something is held, and what
// a condition means. One typed list feeds diagnostics, metrics, the generated docs page and explain, so no reason exists twice and
// none is undocumented.
package reason

import "strings"

// Reason is a CamelCase word, stable across versions: dashboards and scripts match it.
type Reason string

// Kind says where a reason is used.
type Kind string

// The kinds of reasons.
const (
	// Drop: an instance, a service or a unit is not published.
	Drop Kind = "drop"
	// Note: something is published, but not as the registry words it.
	Note Kind = "note"
	// Guard: a removal is held back.
	Guard Kind = "guard"
	// Hint: a source works, and would work better with another configuration.
	Hint Kind = "hint"
	// State: a condition of a Registry has its status. Guards are reasons of conditions too.
	State Kind = "state"
)

// Info is what a person needs to know of a reason.
type Info struct {
	Reason Reason
	Kind   Kind
	// Summary says what it means, Advice what to do; both are full sentences.
	Summary, Advice string
}

// Why an instance, a service or a unit is not published.
const (
	MalformedURL        Reason = "MalformedURL"
	MalformedName       Reason = "MalformedName"
	PortOutOfRange      Reason = "PortOutOfRange"
	AddressNotIP        Reason = "AddressNotIP"
	AddressMissing      Reason = "AddressMissing"
	AddressUnspecified  Reason = "AddressUnspecified"
	AddressDenied       Reason = "AddressDenied"
	MetadataTooLarge    Reason = "MetadataTooLarge"
	Unusable            Reason = "Unusable"
	UnitUnreadable      Reason = "UnitUnreadable"
	HostCollision       Reason = "HostCollision"
	HostConflict        Reason = "HostConflict"
	HostReserved        Reason = "HostReserved"
	HostInvalid         Reason = "HostInvalid"
	ProtocolConflict    Reason = "ProtocolConflict"
	ServiceExcluded     Reason = "ServiceExcluded"
	TooManyServices     Reason = "TooManyServices"
	TooManyPorts        Reason = "TooManyPorts"
	DuplicateEndpoint   Reason = "DuplicateEndpoint"
	UnsupportedProtocol Reason = "UnsupportedProtocol"
	InterfacesUnknown   Reason = "InterfacesUnknown"
)

// What is published differently from the registry's words.
const (
	PortDrift         Reason = "PortDrift"
	TCPWithoutAddress Reason = "TCPWithoutAddress"
	LabelSanitised    Reason = "LabelSanitised"
	WeightClamped     Reason = "WeightClamped"
	EndpointModeFixed Reason = "EndpointModeFixed"
	IdentityUnknown   Reason = "IdentityUnknown"
)

// Why calls to a Dubbo service are not routed by what they say, or not as they could be. The service is published all the same.
const (
	SerializationUnsupported Reason = "SerializationUnsupported"
	ForeignServiceOnPort     Reason = "ForeignServiceOnPort"
	ListenerConflict         Reason = "ListenerConflict"
	DuplicateHostNamespace   Reason = "DuplicateHostNamespace"
	DNSCaptureListener       Reason = "DNSCaptureListener"
	ForeignDestinationRule   Reason = "ForeignDestinationRule"
	RouteIncomplete          Reason = "RouteIncomplete"
	PortNotRouted            Reason = "PortNotRouted"
)

// Which guard holds a removal. The order is that of the design's table of guards.
const (
	Unsynced       Reason = "Unsynced"
	Failing        Reason = "Failing"
	EmptyService   Reason = "EmptyService"
	EmptySource    Reason = "EmptySource"
	MassRemoval    Reason = "MassRemoval"
	Vanished       Reason = "Vanished"
	Orphan         Reason = "Orphan"
	Paused         Reason = "Paused"
	Frozen         Reason = "Frozen"
	Observed       Reason = "Observed"
	ConfirmRemoval Reason = "ConfirmRemoval"
	PortOverlap    Reason = "PortOverlap"
	ShardMove      Reason = "ShardMove"
	TableFirst     Reason = "TableFirst"
	RoutesFirst    Reason = "RoutesFirst"
)

// What could be better about a source.
const (
	ConnectionLimit Reason = "ConnectionLimit"
	NoChangeFeed    Reason = "NoChangeFeed"
)

// Why a condition has its status, where that is not one of the above.
const (
	Pending           Reason = "Pending"
	InUse             Reason = "InUse"
	Invalid           Reason = "Invalid"
	IstioMissing      Reason = "IstioMissing"
	IstioOutdated     Reason = "IstioOutdated"
	OutputUnavailable Reason = "OutputUnavailable"
	WritesRefused     Reason = "WritesRefused"
	Connected         Reason = "Connected"
	Unreachable       Reason = "Unreachable"
	Unauthorized      Reason = "Unauthorized"
	MalformedAnswer   Reason = "MalformedAnswer"
	SecretUnavailable Reason = "SecretUnavailable"
	Synced            Reason = "Synced"
	NothingHeld       Reason = "NothingHeld"
	SeveralGuards     Reason = "SeveralGuards"
	WorkloadsFound    Reason = "WorkloadsFound"
	PodAccessDenied   Reason = "PodAccessDenied"
)

// Releasable reports whether a person can end the holds of a guard: those that doubt what a registry or an edit says. Where nothing is
// known, there is nothing to confirm.
func Releasable(guard Reason) bool {
	switch guard {
	case EmptyService, EmptySource, MassRemoval, Vanished, ConfirmRemoval:
		return true
	}
	return false
}

// Problem renders model.Instance.Problem: the reason, a colon and one sentence.
func Problem(r Reason, detail string) string { return string(r) + ": " + detail }

// SplitProblem takes a model.Instance.Problem apart again. A text without a reason is a MalformedName with the whole text as detail.
func SplitProblem(problem string) (Reason, string) {
	r, detail, ok := strings.Cut(problem, ": ")
	if !ok {
		return MalformedName, problem
	}
	return Reason(r), detail
}
