package model

import "time"

// Snapshot is the last good state of every source at one moment. It is never changed after it was made; services, and the slices of
// sources without a change, are the same pointers from snapshot to snapshot.
type Snapshot struct {
	// Sources is sorted by ID and has each configured source once, synced or not.
	Sources []SourceServices
}

// SourceServices is the state of one source.
type SourceServices struct {
	ID SourceID
	// Services is sorted by Ref.
	Services []*Service
}

// State is where a source stands in its life.
//
//	          Synced               Run returned an error
//	Listing ─────────▶ Synced ───────────────────────────▶ Failing
//	                     ▲                                    │
//	                     └──────────── Synced ────────────────┘
//
// A first run that fails stays Listing: nothing has ever been read in full, which is the stronger statement.
type State uint8

// The states of a source.
const (
	// Listing: no full listing has been finished in this process.
	Listing State = iota
	// Synced: the last run named everything and is still watching.
	Synced
	// Failing: a full listing was finished once, the last run ended with an error, and no later run has synced yet.
	Failing
)

// String returns the name that status and pages show.
func (s State) String() string {
	names := [...]string{"Listing", "Synced", "Failing"}
	if int(s) < len(names) {
		return names[s]
	}
	return "Unknown"
}

// Status says how far the words of one source can be trusted. It is immutable like all of this package.
type Status struct {
	// Registry is the name of the Registry object that configured the source, Namespace where that object is.
	Namespace, Registry string
	State               State
	// Since is when the source entered State.
	Since time.Time
	// Err is why the last run ended, or why the registry cannot be heard now; without secrets, and empty while all is well. Cause is what
	// kind of error it is, one of package reason's.
	Err, Cause string
	// Interrupted is since when the registry cannot be heard although the run goes on and connects again by itself; zero otherwise.
	Interrupted time.Time
	// FailingUnits are the units whose last read failed, by Ref.Unit.
	FailingUnits map[string]UnitFailure
	// Hints are what the source says that could be better, sorted by Reason, each reason once.
	Hints []Hint
}

// Hint says that a source works, and would work better with another configuration.
type Hint struct {
	// Reason is one of package reason, of its kind Hint.
	Reason string
	// Detail says what it is in this case, without secrets. It is the same text for as long as the news is the same.
	Detail string
}

// UnitFailure is a unit that a source could not read or understand (Sink.Skip).
type UnitFailure struct {
	Since time.Time
	Err   string
	// Read says that the unit was read in this process before it failed, so the store holds its last good state. When it is
	// false, only the live objects know what the unit held.
	Read bool
}
