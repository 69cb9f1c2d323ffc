package v1alpha1

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Types of conditions in RegistryStatus.Conditions. What they say and with which reasons is listed in docs/reference/reasons.md.
const (
	// ConditionReady: the configuration is valid and in use.
	ConditionReady = "Ready"
	// ConditionConnected: every source could be reached when it last tried.
	ConditionConnected = "Connected"
	// ConditionSynced: every source has read everything, and is watching.
	ConditionSynced = "Synced"
	// ConditionHolding: at least one removal is held back. True is the abnormal state.
	ConditionHolding = "Holding"
	// ConditionConfirmRemoval: an edit would remove so much that a person has to confirm it. True is the abnormal state.
	ConditionConfirmRemoval = "ConfirmRemoval"
	// ConditionHostConflict: somebody else has a host of this Registry in the cluster. True is the abnormal state.
	ConditionHostConflict = "HostConflict"
	// ConditionWorkloadsInOutputNamespace: the Registry's namespace holds workloads of the mesh. True is the abnormal state.
	ConditionWorkloadsInOutputNamespace = "WorkloadsInOutputNamespace"
	// ConditionHint: a source works, and would work better with another configuration. True is the state to look at.
	ConditionHint = "Hint"
)

// The values of RegistryStatus.SourceType.
const (
	SourceTypeZooKeeper = "ZooKeeper"
	SourceTypeConsul    = "Consul"
	SourceTypeHTTP      = "HTTP"
	SourceTypeFile      = "File"
	SourceTypeEureka    = "Eureka"
	SourceTypeNacos     = "Nacos"
)

// NamingVersion is the version of the naming schemes that this program has.
const NamingVersion = 1

// The limits of the lists of a status: an object of Kubernetes is read as a whole by everybody who looks at it, and 10,000 holds would
// not even fit into one. The CRD has the same limits.
const (
	maxStatusSources = 100
	maxStatusHolds   = 20
	maxStatusMessage = 1024
)

// RegistryStatus is what the bridge has to say about a Registry.
type RegistryStatus struct {
	// The generation of the spec that the rest of the status is about.
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Which kind of registry it is: the member of spec.source that is set.
	// +kubebuilder:validation:MaxLength=63
	SourceType string `json:"sourceType,omitempty"`
	// Where the Registry stands. Ready, Connected, Synced and Holding are always there; ConfirmRemoval, HostConflict,
	// WorkloadsInOutputNamespace and Hint only while there is something to say.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// The naming scheme of the objects that are live. It stays what it is until the last of them is gone, whatever a newer bridge would
	// choose, and as long as it is there spec.hosts.template and spec.hosts.suffix cannot be changed.
	Naming *NamingStatus `json:"naming,omitempty"`
	// Counts over all sources.
	Summary Summary `json:"summary,omitzero"`
	// One entry for each source, the first 100 by name. Written on a change of state only; ages are metrics.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=100
	Sources []SourceStatus `json:"sources,omitempty"`
	// The removals that are held back, one entry for each incident: the 20 oldest.
	// +listType=map
	// +listMapKey=id
	// +kubebuilder:validation:MaxItems=20
	Holds []HoldStatus `json:"holds,omitempty"`
	// How many incidents there are; more than holds has entries when some are left out. All of them are at /debug/state.
	// +kubebuilder:validation:Minimum=0
	HoldCount int32 `json:"holdCount,omitempty"`
}

// NamingStatus is a naming scheme that objects are live under.
type NamingStatus struct {
	// The version of the bridge's naming schemes.
	// +kubebuilder:validation:Minimum=1
	Version int32 `json:"version"`
	// The template when the first object was written.
	// +kubebuilder:validation:MaxLength=253
	Template string `json:"template,omitempty"`
	// The suffix when the first object was written.
	// +kubebuilder:validation:MaxLength=253
	Suffix string `json:"suffix,omitempty"`
}

// Summary counts what a Registry brings.
type Summary struct {
	// Services that the registry holds.
	// +kubebuilder:validation:Minimum=0
	Services int32 `json:"services"`
	// Instances that the registry holds.
	// +kubebuilder:validation:Minimum=0
	Instances int32 `json:"instances"`
	// Endpoints that are published.
	// +kubebuilder:validation:Minimum=0
	Published int32 `json:"published"`
	// Endpoints that are published only because a guard holds them.
	// +kubebuilder:validation:Minimum=0
	Held int32 `json:"held"`
	// Services and instances that are not published, for reasons that the diagnostics give.
	// +kubebuilder:validation:Minimum=0
	Dropped int32 `json:"dropped"`
}

// SourceState is where a source stands.
type SourceState string

// The states of a source.
const (
	// SourceListing: it has not read everything since the bridge started, or since its configuration changed.
	SourceListing SourceState = "Listing"
	// SourceSynced: it has read everything, and is watching.
	SourceSynced SourceState = "Synced"
	// SourceFailing: its last try to reach or to read the registry failed.
	SourceFailing SourceState = "Failing"
)

// SourceStatus is where one source stands.
type SourceStatus struct {
	// The name of the scope, for instance that of a layout.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Listing, Synced or Failing.
	// +kubebuilder:validation:Enum=Listing;Synced;Failing
	State SourceState `json:"state"`
	// Since when it is in that state.
	LastChangeTime *metav1.Time `json:"lastChangeTime,omitempty"`
	// Why it is failing.
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// HoldStatus is one incident in which a guard holds removals back.
type HoldStatus struct {
	// What to name to release it.
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id"`
	// Which guard holds.
	// +kubebuilder:validation:MaxLength=63
	Guard string `json:"guard"`
	// Which source it is about, by its name in sources; not set when it is about all of them.
	// +kubebuilder:validation:MaxLength=253
	Source string `json:"source,omitempty"`
	// How many endpoints are held.
	// +kubebuilder:validation:Minimum=0
	Endpoints int32 `json:"endpoints"`
	// How many objects are held, apart from their endpoints.
	// +kubebuilder:validation:Minimum=0
	Objects int32 `json:"objects,omitempty"`
	// Since when.
	Since *metav1.Time `json:"since,omitempty"`
	// Until when at most; not set when only an event or a person ends it.
	Until *metav1.Time `json:"until,omitempty"`
}

// SetSources sets the sources: sorted, as many as a status may hold, and with messages that are not too long. It takes the list over.
func (s *RegistryStatus) SetSources(sources []SourceStatus) {
	slices.SortFunc(sources, func(a, b SourceStatus) int { return cmp.Compare(a.Name, b.Name) })
	s.Sources = sources[:min(len(sources), maxStatusSources)]
	for i := range s.Sources {
		s.Sources[i].Message = shorten(s.Sources[i].Message)
	}
}

// SetConditions sets the conditions, with messages that are not too long. It takes the list over.
func (s *RegistryStatus) SetConditions(conditions []metav1.Condition) {
	s.Conditions = conditions
	for i := range s.Conditions {
		s.Conditions[i].Message = shorten(s.Conditions[i].Message)
	}
}

// SetHolds sets the holds and their number: the oldest first, and as many as a status may hold. It takes the list over.
func (s *RegistryStatus) SetHolds(holds []HoldStatus) {
	slices.SortFunc(holds, func(a, b HoldStatus) int {
		return cmp.Or(compareTimes(a.Since, b.Since), cmp.Compare(a.ID, b.ID))
	})
	s.HoldCount = int32(min(len(holds), math.MaxInt32))
	s.Holds = holds[:min(len(holds), maxStatusHolds)]
}

// Type returns the value of RegistryStatus.SourceType, "" when no member is set.
func (s *Source) Type() string {
	switch {
	case s.ZooKeeper != nil:
		return SourceTypeZooKeeper
	case s.Consul != nil:
		return SourceTypeConsul
	case s.HTTP != nil:
		return SourceTypeHTTP
	case s.File != nil:
		return SourceTypeFile
	case s.Eureka != nil:
		return SourceTypeEureka
	case s.Nacos != nil:
		return SourceTypeNacos
	}
	return ""
}

// compareTimes puts what has no time last.
func compareTimes(a, b *metav1.Time) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return a.Compare(b.Time)
}

// shorten cuts a message to what a status may hold. The limit of the CRD counts characters, so does this.
func shorten(message string) string {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if utf8.RuneCountInString(message) <= maxStatusMessage {
		return message
	}
	return string([]rune(message)[:maxStatusMessage-1]) + "…"
}
