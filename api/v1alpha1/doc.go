// Package v1alpha1 is the Registry kind: what a person writes to have one registry bridged, its defaults and its validation.
//
// +kubebuilder:object:generate=true
// +groupName=registry-bridge.io
//
// The configuration reference in docs/reference/registry.md, what kubectl explain says and the schema of the CRD are generated from the
// comments of this package, so a comment on a field is written for the person who sets it. Lines that start with "Example:" become the
// example column. Durations are written as in "90s", "5m" or "1h30m".
//
// There are two implementations of the defaults, Default for files and the schema for the API server, and a test keeps them equal. Of
// the validation, Validate has all; the schema refuses early what it can say in a line, and never more than Validate, apart from sizes
// that nobody needs.
package v1alpha1

const (
	// Group is the API group of this package.
	Group = "registry-bridge.io"
	// Version is the version of the API.
	Version = "v1alpha1"
	// APIVersion is what a manifest of this package's kinds says in apiVersion.
	APIVersion = Group + "/" + Version
	// KindRegistry is the kind of a Registry.
	KindRegistry = "Registry"
	// AnnotationRelease on a Registry lists the holds (their ids, separated by commas) that a person has looked at and releases. An
	// id stands for one incident, so one that is left there later releases nothing else.
	AnnotationRelease = Group + "/release"
)
