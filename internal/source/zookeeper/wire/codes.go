package wire

import "strconv"

// Op is the type of a request.
type Op int32

// The types of requests. OpError marks a failed operation inside the reply of a multi.
const (
	OpNotification         Op = 0
	OpCreate               Op = 1
	OpDelete               Op = 2
	OpExists               Op = 3
	OpGetData              Op = 4
	OpSetData              Op = 5
	OpGetACL               Op = 6
	OpSetACL               Op = 7
	OpGetChildren          Op = 8
	OpSync                 Op = 9
	OpPing                 Op = 11
	OpGetChildren2         Op = 12
	OpCheck                Op = 13
	OpMulti                Op = 14
	OpCreate2              Op = 15
	OpReconfig             Op = 16
	OpCheckWatches         Op = 17
	OpRemoveWatches        Op = 18
	OpCreateContainer      Op = 19
	OpDeleteContainer      Op = 20
	OpCreateTTL            Op = 21
	OpMultiRead            Op = 22
	OpAuth                 Op = 100
	OpSetWatches           Op = 101
	OpSASL                 Op = 102
	OpGetEphemerals        Op = 103
	OpGetAllChildrenNumber Op = 104
	OpSetWatches2          Op = 105
	OpAddWatch             Op = 106
	OpWhoAmI               Op = 107
	OpCreateSession        Op = -10
	OpCloseSession         Op = -11
	OpError                Op = -1
)

// String is the name of the operation in ZooKeeper's own words, or its number.
func (o Op) String() string {
	if s := opName(o); s != "" {
		return s
	}
	return "op " + strconv.Itoa(int(o))
}

func opName(o Op) string {
	if low := lowOps(); o >= 0 && int(o) < len(low) {
		return low[o]
	}
	switch o {
	case OpAuth:
		return "auth"
	case OpSetWatches:
		return "setWatches"
	case OpSASL:
		return "sasl"
	case OpGetEphemerals:
		return "getEphemerals"
	case OpGetAllChildrenNumber:
		return "getAllChildrenNumber"
	case OpSetWatches2:
		return "setWatches2"
	case OpAddWatch:
		return "addWatch"
	case OpWhoAmI:
		return "whoAmI"
	case OpCreateSession:
		return "createSession"
	case OpCloseSession:
		return "closeSession"
	case OpError:
		return "error"
	default:
		return ""
	}
}

// lowOps are the names of the operations 0 to 22 by number; 10 is not used.
func lowOps() [23]string {
	return [23]string{
		"notification", "create", "delete", "exists", "getData", "setData", "getACL", "setACL", "getChildren", "sync", "",
		"ping", "getChildren2", "check", "multi", "create2", "reconfig", "checkWatches", "removeWatches",
		"createContainer", "deleteContainer", "createTTL", "multiRead",
	}
}

// The transaction ids of frames that are no answer to an ordinary request. Ordinary requests count up from 1.
const (
	XidNotification int32 = -1
	XidPing         int32 = -2
	XidAuth         int32 = -4
	XidSetWatches   int32 = -8
)

// EventType says what happened to a node.
type EventType int32

// The types of events. EventNone is a change of the session, which only client libraries make.
const (
	EventNone                   EventType = -1
	EventNodeCreated            EventType = 1
	EventNodeDeleted            EventType = 2
	EventNodeDataChanged        EventType = 3
	EventNodeChildrenChanged    EventType = 4
	EventDataWatchRemoved       EventType = 5
	EventChildWatchRemoved      EventType = 6
	EventPersistentWatchRemoved EventType = 7
)

// String is the name of the event in ZooKeeper's own words, or its number.
func (t EventType) String() string {
	switch t {
	case EventNone:
		return "None"
	case EventNodeCreated:
		return "NodeCreated"
	case EventNodeDeleted:
		return "NodeDeleted"
	case EventNodeDataChanged:
		return "NodeDataChanged"
	case EventNodeChildrenChanged:
		return "NodeChildrenChanged"
	case EventDataWatchRemoved:
		return "DataWatchRemoved"
	case EventChildWatchRemoved:
		return "ChildWatchRemoved"
	case EventPersistentWatchRemoved:
		return "PersistentWatchRemoved"
	default:
		return "event " + strconv.Itoa(int(t))
	}
}

// StateSyncConnected is the state that every event of a server carries.
const StateSyncConnected int32 = 3

// CreateMode is the kind of a new node.
type CreateMode int32

// The kinds of nodes. A sequential node gets a number of ten digits, counted by its parent, behind its name.
const (
	ModePersistent              CreateMode = 0
	ModeEphemeral               CreateMode = 1
	ModePersistentSequential    CreateMode = 2
	ModeEphemeralSequential     CreateMode = 3
	ModeContainer               CreateMode = 4
	ModePersistentTTL           CreateMode = 5
	ModePersistentSequentialTTL CreateMode = 6
)

// Ephemeral says whether the node goes with the session that made it.
func (m CreateMode) Ephemeral() bool { return m == ModeEphemeral || m == ModeEphemeralSequential }

// Sequential says whether the server appends a number to the name.
func (m CreateMode) Sequential() bool {
	return m == ModePersistentSequential || m == ModeEphemeralSequential || m == ModePersistentSequentialTTL
}

// TTL says whether the node goes when it had no change for its time to live and has no children.
func (m CreateMode) TTL() bool { return m == ModePersistentTTL || m == ModePersistentSequentialTTL }

// AddWatchMode is the kind of a watch that stays after it fired.
type AddWatchMode int32

// The kinds of watches that stay.
const (
	// WatchPersistent reports changes of the node and of its list of children.
	WatchPersistent AddWatchMode = 0
	// WatchPersistentRecursive reports the creation, deletion and change of data of the node and of everything below it.
	WatchPersistentRecursive AddWatchMode = 1
)

// WatcherType says which watches of a path removeWatches and checkWatches mean.
type WatcherType int32

// The kinds of watches by what registered them.
const (
	WatcherChildren WatcherType = 1
	WatcherData     WatcherType = 2
	WatcherAny      WatcherType = 3
	// The last two are known since 3.9; before, watches that stay are removed by WatcherAny alone.
	WatcherPersistent          WatcherType = 4
	WatcherPersistentRecursive WatcherType = 5
)

// The permissions of an ACL.
const (
	PermRead   int32 = 1
	PermWrite  int32 = 2
	PermCreate int32 = 4
	PermDelete int32 = 8
	PermAdmin  int32 = 16
	PermAll    int32 = 31
)
