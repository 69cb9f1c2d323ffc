// Package plan decides what may be written: it compares what should exist with what is live, and lets a removal through only when no
// guard holds it. It is pure: the time is an argument, memory is handed in and out.
package plan

import (
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Live is one object of ours as the output holds it. An unchanged object keeps its pointers from one Output.Live to the next.
type Live struct {
	Object *translate.Object
	// ResourceVersion and UID are preconditions of the next write: a change that happened meanwhile makes it fail instead of
	// overwriting. Outputs without versions use what tells two contents apart (a file: size, time and inode).
	ResourceVersion, UID string
	// Stored are the objects, sorted by kind and name, that the output keeps for this one, when it keeps several: a ServiceEntry and its
	// WorkloadEntries, each with its own versions. ResourceVersion is a digest of theirs then. Only outputs look at it.
	Stored *[]Live
}

// Mode says what may be written for a Registry.
type Mode string

// The modes of a Registry.
const (
	Active  Mode = "Active"
	Observe Mode = "Observe"
	Pause   Mode = "Paused"
)

// Policy is how removals of one Registry are guarded, compiled from its configuration.
type Policy struct {
	// Namespace and Name are those of the Registry; Sources are its configured sources.
	Namespace, Name string
	Sources         []model.SourceID
	Mode            Mode
	// Deleted says that the Registry object is being deleted with deletionPolicy Delete: all it published goes, cause config.
	Deleted bool
	// MaxServices holds additions of new hosts beyond this many; 0 means no limit.
	MaxServices int
	EmptyGrace  time.Duration
	DeleteAfter time.Duration
	// MaxHold ends the Failing guard after this long; 0 means never.
	MaxHold time.Duration
	// MassRemovalPercent and MassRemovalHold configure the guards MassRemoval and EmptySource.
	MassRemovalPercent int
	MassRemovalHold    time.Duration
	// Released are ids of holds (Hold.ID) that an operator has released; "*" releases all of the Registry. Only a guard that
	// doubts what a registry or an edit says can be released (EmptySource, MassRemoval, EmptyService, Vanished, ConfirmRemoval):
	// where nothing is known (Unsynced, Failing), there is nothing to confirm. A release of a whole source's incident covers
	// what its services lost with it.
	Released []string
}

// Input is everything that Compute looks at.
type Input struct {
	Now     time.Time
	Desired translate.Result
	// Live is sorted by key.
	Live    []Live
	Sources map[model.SourceID]model.Status
	// Policies has each configured Registry. A live object whose Registry is in none of them is an orphan.
	Policies []Policy
	// Frozen stops every write.
	Frozen bool
	// RootNamespace is that of the mesh: the tables of Dubbo routes in it are those of entries that everybody sees.
	RootNamespace string
	// AtOnce plans where steps that are made one after the other lead to, for those who show a plan.
	AtOnce bool
	Memory Memory
}

// Op is what a Change does.
type Op uint8

// The operations, in the order in which they are written: what takes endpoints away first, so that dead endpoints go at once even
// when a thousand creates are waiting.
const (
	Remove Op = iota // an update that removes at least one endpoint
	Update
	Create
	Delete
)

// String returns the word that logs, metrics and the plan command show.
func (o Op) String() string { return [...]string{"remove", "update", "create", "delete"}[o] }

// Change is one write.
type Change struct {
	Op  Op
	Key translate.Key
	// Object is what to write, held endpoints included; nil for Delete.
	Object *translate.Object
	// Live is what the plan saw, and the precondition of the write; nil for Create.
	Live *Live
}

// Hold is a removal, or an addition beyond a limit, that a guard keeps back.
type Hold struct {
	// ID is stable while the hold lasts: "h-" and 4 to 8 hex digits. All holds of one guard on one source share it, so that an
	// operator releases an incident, not an endpoint.
	ID  string
	Key translate.Key
	// Host is the object's host. Endpoint is "address:port" (an IPv6 address in brackets), empty for the object itself.
	Host, Endpoint string
	Source         model.SourceID
	Guard          reason.Reason
	// Detail is one sentence for a person: what was seen, and what ends the hold.
	Detail string
	Since  time.Time
	// Until is when the hold ends by itself; zero when only an event or a person ends it.
	Until time.Time
}

// Plan is what Compute decided. It is immutable: as long as nothing changes, the same slices are handed out again.
type Plan struct {
	// Apply is in the order in which to write (Op, then key); Delete is sorted by key and comes after all of Apply.
	Apply, Delete []Change
	// Suppressed is what would be written if the Registry were Active and nothing were frozen.
	Suppressed []Change
	// Held is sorted by key, endpoint and guard.
	Held []Hold
	// Memory goes into the next Compute.
	Memory Memory
	// Wake is when the plan can change without any event; zero when it cannot.
	Wake time.Time
	// Continues says that the next plan may have more to write as soon as something of this one is written.
	Continues bool
}

// Empty reports whether there is nothing to write.
func (p *Plan) Empty() bool { return len(p.Apply) == 0 && len(p.Delete) == 0 }
