package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Types of conditions in RegistryStatus.Conditions.
const (
	// ConditionReady: the configuration is valid and in use.
	ConditionReady = "Ready"
	// ConditionConnected: every source could be reached when it last tried.
	ConditionConnected = "Connected"
	// ConditionSynced: every source has read everything, and is watching.
	ConditionSynced = "Synced"
	// ConditionHolding: at least one removal is held back. True is the abnormal state.
	ConditionHolding = "Holding"
)

// RegistryStatus is what the bridge has to say about a Registry.
type RegistryStatus struct {
	// The generation of the spec that the rest of the status is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Ready, Connected, Synced and Holding.
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Counts over all sources.
	Summary Summary `json:"summary,omitempty"`
	// One entry for each source. Written on a change of state only; ages are metrics.
	Sources []SourceStatus `json:"sources,omitempty"`
	// The removals that are held back, one entry for each incident.
	Holds []HoldStatus `json:"holds,omitempty"`
}

// Summary counts what a Registry brings.
type Summary struct {
	// Services that the registry holds.
	Services int32 `json:"services"`
	// Instances that the registry holds.
	Instances int32 `json:"instances"`
	// Endpoints that are published.
	Published int32 `json:"published"`
	// Endpoints that are published only because a guard holds them.
	Held int32 `json:"held"`
	// Services and instances that are not published, for reasons that the diagnostics give.
	Dropped int32 `json:"dropped"`
}

// SourceStatus is where one source stands.
type SourceStatus struct {
	// The name of the scope, for instance that of a layout.
	Name string `json:"name"`
	// Listing, Synced or Failing.
	State string `json:"state"`
	// Since when it is in that state.
	LastChangeTime *metav1.Time `json:"lastChangeTime,omitempty"`
	// Why it is failing.
	Message string `json:"message,omitempty"`
}

// HoldStatus is one incident in which a guard holds removals back.
type HoldStatus struct {
	// What to name to release it.
	ID string `json:"id"`
	// Which guard holds.
	Guard string `json:"guard"`
	// How many endpoints are held.
	Endpoints int32 `json:"endpoints"`
	// Since when.
	Since *metav1.Time `json:"since,omitempty"`
	// Until when at most; not set when only an event or a person ends it.
	Until *metav1.Time `json:"until,omitempty"`
}
