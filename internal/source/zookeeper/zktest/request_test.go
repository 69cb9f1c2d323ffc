package zktest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

func node(path string, mode wire.CreateMode) *wire.CreateRequest {
	return &wire.CreateRequest{Path: path, ACL: wire.WorldAll(), Mode: mode}
}

func TestErrorCodes(t *testing.T) {
	s := start(t, zktest.Options{})
	c := dial(t, s)
	c.create("/n", wire.ModePersistent)
	c.create("/n/c", wire.ModePersistent)
	c.create("/e", wire.ModeEphemeral)
	wrong := []wire.ACL{{Perms: wire.PermAll, Scheme: "digest", ID: "nohash"}}
	for i, tt := range []struct {
		op   wire.Op
		req  wire.Record
		want wire.Code
	}{
		{wire.OpCreate, node("/n", 0), wire.CodeNodeExists},
		{wire.OpCreate, node("/m/c", 0), wire.CodeNoNode},
		{wire.OpCreate, node("/e/c", 0), wire.CodeNoChildrenForEphemerals},
		{wire.OpCreate, node("n", 0), wire.CodeBadArguments},
		{wire.OpCreate, node("/n/", 0), wire.CodeBadArguments},
		{wire.OpCreate, node("/n/..", 0), wire.CodeBadArguments},
		{wire.OpCreate, node("/n/\x01", 0), wire.CodeBadArguments},
		{wire.OpCreate, node("/x", 77), wire.CodeBadArguments},
		{wire.OpCreate, &wire.CreateRequest{Path: "/x"}, wire.CodeInvalidACL},
		{wire.OpCreate, &wire.CreateRequest{Path: "/x", ACL: wrong}, wire.CodeInvalidACL},
		{wire.OpCreate, &wire.CreateRequest{Path: "/x", ACL: []wire.ACL{{Perms: 31, Scheme: "auth"}}}, wire.CodeInvalidACL},
		{wire.OpCreateTTL, &wire.CreateTTLRequest{CreateRequest: *node("/x", wire.ModePersistentTTL), TTL: 9}, wire.CodeUnimplemented},
		{wire.OpDelete, &wire.VersionRequest{Path: "/n", Version: -1}, wire.CodeNotEmpty},
		{wire.OpDelete, &wire.VersionRequest{Path: "/n/c", Version: 7}, wire.CodeBadVersion},
		{wire.OpDelete, &wire.VersionRequest{Path: "/x", Version: -1}, wire.CodeNoNode},
		{wire.OpDelete, &wire.VersionRequest{Path: "/zookeeper/quota", Version: -1}, wire.CodeBadArguments},
		{wire.OpSetData, &wire.SetDataRequest{Path: "/n", Version: 1}, wire.CodeBadVersion},
		{wire.OpSetData, &wire.SetDataRequest{Path: "/x", Version: -1}, wire.CodeNoNode},
		{wire.OpSetACL, &wire.SetACLRequest{Path: "/n", ACL: wire.WorldAll(), Version: 4}, wire.CodeBadVersion},
		{wire.OpSetACL, &wire.SetACLRequest{Path: "/x", ACL: wire.WorldAll(), Version: -1}, wire.CodeNoNode},
		{wire.OpGetData, read("/x"), wire.CodeNoNode},
		{wire.OpGetChildren, read("/x"), wire.CodeNoNode},
		{wire.OpGetChildren2, read("/x"), wire.CodeNoNode},
		{wire.OpGetACL, &wire.PathRecord{Path: "/x"}, wire.CodeNoNode},
		{wire.OpExists, read("/x"), wire.CodeNoNode},
		{wire.OpExists, read("/x\x00"), wire.CodeBadArguments},
		{wire.OpGetData, nil, wire.CodeMarshallingError},
		{wire.OpAddWatch, &wire.AddWatchRequest{Path: "/n", Mode: 9}, wire.CodeMarshallingError},
	} {
		t.Run(fmt.Sprint(i, tt.op), func(*testing.T) { c.fails(tt.op, tt.req, tt.want) })
	}
	c.fails(wire.OpReconfig, nil, wire.CodeUnimplemented)
	if err := c.call(wire.OpPing, nil, nil); !cut(err) {
		t.Errorf("the connection after an unknown operation: %v", err)
	}
}

func TestStat(t *testing.T) {
	s := start(t, zktest.Options{})
	c := dial(t, s)
	var made wire.Create2Response
	c.must(wire.OpCreate2, &wire.CreateRequest{Path: "/n", Data: []byte("abc"), ACL: wire.WorldAll()}, &made)
	created := c.header.Zxid
	c.create("/n/a", wire.ModePersistent)
	c.create("/n/b", wire.ModeEphemeral)
	b := c.header.Zxid
	c.must(wire.OpDelete, remove("/n/a"), nil)
	deleted := c.header.Zxid
	var changed, got, child wire.Stat
	c.must(wire.OpSetData, set("/n"), &changed)
	setAt := c.header.Zxid
	c.must(wire.OpSetACL, &wire.SetACLRequest{Path: "/n", ACL: wire.WorldAll(), Version: 0}, nil)
	c.must(wire.OpExists, read("/n"), &got)
	c.must(wire.OpExists, read("/n/b"), &child)
	now := time.Now().UnixMilli()
	if got.Ctime > now || got.Mtime < got.Ctime || now-got.Ctime > patience.Milliseconds() {
		t.Errorf("times %d, %d at %d", got.Ctime, got.Mtime, now)
	}
	got.Ctime, got.Mtime, child.Ctime, child.Mtime = 0, 0, 0, 0
	want := wire.Stat{
		Czxid: created, Mzxid: setAt, Pzxid: deleted, Version: 1, Cversion: 3, Aversion: 1, DataLength: 1, NumChildren: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	want = wire.Stat{Czxid: b, Mzxid: b, Pzxid: b, EphemeralOwner: c.session.SessionID}
	if diff := cmp.Diff(want, child); diff != "" {
		t.Error(diff)
	}
	if changed.Aversion != 0 || changed.Version != 1 || made.Path != "/n" || made.Stat.DataLength != 3 {
		t.Errorf("set data answered %+v, create %+v", changed, made)
	}
	var data wire.GetDataResponse
	c.must(wire.OpGetData, read("/n/b"), &data)
	if data.Data != nil {
		t.Errorf("a node without data has %v", data.Data)
	}
}

func TestSequentialNodesAreNumberedByTheirParent(t *testing.T) {
	c := dial(t, start(t, zktest.Options{}))
	c.create("/n", wire.ModePersistent)
	for i, mode := range []wire.CreateMode{wire.ModePersistentSequential, wire.ModeEphemeralSequential} {
		if got, want := c.create("/n/s-", mode), fmt.Sprintf("/n/s-%010d", i); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	c.must(wire.OpDelete, remove("/n/s-0000000000"), nil)
	if got := c.create("/n/", wire.ModePersistentSequential); got != "/n/0000000002" {
		t.Errorf("got %q", got)
	}
}

func TestContainersAndTimedNodesFade(t *testing.T) {
	s := start(t, zktest.Options{ExtendedTypes: true, Tick: 50 * time.Millisecond})
	c, err := connect(t, s, wire.ConnectRequest{Timeout: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	var made wire.Create2Response
	c.must(wire.OpCreateContainer, node("/c", wire.ModeContainer), &made)
	c.must(wire.OpCreateTTL, &wire.CreateTTLRequest{CreateRequest: *node("/t", wire.ModePersistentTTL), TTL: 1}, &made)
	c.fails(wire.OpCreateTTL, &wire.CreateTTLRequest{CreateRequest: *node("/u", wire.ModePersistentTTL)}, wire.CodeBadArguments)
	gone := func(path string) func() bool {
		return func() bool { return errors.Is(c.call(wire.OpExists, read(path), nil), wire.CodeNoNode) }
	}
	eventually(t, "the timed node goes", gone("/t"))
	if gone("/c")() {
		t.Error("a container that was never used went")
	}
	c.create("/c/a", wire.ModePersistent)
	c.must(wire.OpDelete, remove("/c/a"), nil)
	eventually(t, "the emptied container goes", gone("/c"))
}

func TestACLs(t *testing.T) {
	s := start(t, zktest.Options{})
	owner, other := dial(t, s), dial(t, s)
	owner.must(wire.OpAuth, &wire.AuthRequest{Scheme: "digest", Auth: []byte("u:p")}, nil)
	owner.must(wire.OpCreate, &wire.CreateRequest{Path: "/n", ACL: []wire.ACL{
		{Perms: wire.PermAll, Scheme: "auth"}, {Perms: wire.PermRead, Scheme: "ip", ID: "10.0.0.0/8"},
	}}, nil)
	for _, tt := range []struct {
		op  wire.Op
		req wire.Record
	}{
		{wire.OpExists, read("/n")},
		{wire.OpGetData, read("/n")},
		{wire.OpGetChildren, read("/n")},
		{wire.OpGetChildren2, read("/n")},
		{wire.OpGetAllChildrenNumber, &wire.PathRecord{Path: "/n"}},
		{wire.OpGetACL, &wire.PathRecord{Path: "/n"}},
		{wire.OpSetData, set("/n")},
		{wire.OpSetACL, &wire.SetACLRequest{Path: "/n", ACL: wire.WorldAll(), Version: -1}},
		{wire.OpCreate, node("/n/c", 0)},
	} {
		other.fails(tt.op, tt.req, wire.CodeNoAuth)
	}
	owner.create("/n/c", wire.ModePersistent)
	other.fails(wire.OpDelete, remove("/n/c"), wire.CodeNoAuth)

	var acl wire.GetACLResponse
	owner.must(wire.OpGetACL, &wire.PathRecord{Path: "/n"}, &acl)
	want := []wire.ACL{
		{Perms: wire.PermAll, Scheme: "digest", ID: zktest.Digest("u:p")}, {Perms: wire.PermRead, Scheme: "ip", ID: "10.0.0.0/8"},
	}
	if diff := cmp.Diff(want, acl.ACL); diff != "" {
		t.Error(diff)
	}
	// Who may only read does not see the hash; the loopback address is this client's identity.
	acl.ACL[1] = wire.ACL{Perms: wire.PermRead, Scheme: "ip", ID: "127.0.0.1"}
	owner.must(wire.OpSetACL, &wire.SetACLRequest{Path: "/n", ACL: acl.ACL, Version: 0}, nil)
	other.must(wire.OpGetACL, &wire.PathRecord{Path: "/n"}, &acl)
	if acl.ACL[0].ID != "u:x" {
		t.Errorf("a reader sees %q", acl.ACL[0].ID)
	}
	other.fails(wire.OpSetData, set("/n"), wire.CodeNoAuth)

	if err := s.SetACL("/n", wire.ACL{Perms: wire.PermAll, Scheme: "digest", ID: zktest.Digest("other:p")}); err != nil {
		t.Fatal(err)
	}
	other.fails(wire.OpExists, read("/n"), wire.CodeNoAuth)
	for range 2 { // Curator shows its credentials twice; they count once.
		other.must(wire.OpAuth, &wire.AuthRequest{Scheme: "digest", Auth: []byte("other:p")}, nil)
	}
	other.must(wire.OpSetData, set("/n"), nil)

	var who wire.WhoAmIResponse
	other.must(wire.OpWhoAmI, nil, &who)
	if diff := cmp.Diff([]wire.ClientInfo{{Scheme: "ip", User: "127.0.0.1"}, {Scheme: "digest", User: "other"}}, who.Identities); diff != "" {
		t.Error(diff)
	}
	other.fails(wire.OpAuth, &wire.AuthRequest{Scheme: "nonsense"}, wire.CodeAuthFailed)
	if err := other.call(wire.OpPing, nil, nil); !cut(err) {
		t.Errorf("the connection after a failed auth: %v", err)
	}
}

func TestMultiIsAllOrNothing(t *testing.T) {
	s := start(t, zktest.Options{})
	a, b := dial(t, s), dial(t, s)
	a.create("/n", wire.ModePersistent)
	a.create("/n/old", wire.ModePersistent)
	b.must(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/", Mode: wire.WatchPersistentRecursive}, nil)
	var before, after wire.Stat
	a.must(wire.OpExists, read("/n"), &before)
	ops := []wire.MultiOp{
		{Op: wire.OpCreate, Request: node("/n/new", 0)},
		{Op: wire.OpDelete, Request: remove("/n/old")},
		{Op: wire.OpSetData, Request: set("/n")},
		{Op: wire.OpCheck, Request: &wire.VersionRequest{Path: "/n", Version: 5}},
		{Op: wire.OpCreate2, Request: node("/n/second", wire.ModeEphemeral)},
	}
	var resp wire.MultiResponse
	a.must(wire.OpMulti, &wire.MultiRequest{Ops: ops}, &resp)
	var codes []wire.Code
	for _, r := range resp.Results {
		e, ok := r.Response.(*wire.ErrorResponse)
		if !ok {
			t.Fatalf("%+v", r)
		}
		codes = append(codes, e.Code)
	}
	if want := []wire.Code{0, 0, 0, wire.CodeBadVersion, wire.CodeRuntimeInconsistency}; !slices.Equal(codes, want) {
		t.Errorf("codes %v, want %v", codes, want)
	}
	a.must(wire.OpExists, read("/n"), &after)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a failed multi left: %s", diff)
	}
	a.must(wire.OpExists, read("/n/old"), nil)
	a.fails(wire.OpExists, read("/n/new"), wire.CodeNoNode)
	b.expect()

	ops[3].Request = &wire.VersionRequest{Path: "/n", Version: 1}
	a.must(wire.OpMulti, &wire.MultiRequest{Ops: ops}, &resp)
	b.expect("NodeCreated /n/new", "NodeDeleted /n/old", "NodeDataChanged /n", "NodeCreated /n/second")
	second, ok := resp.Results[4].Response.(*wire.Create2Response)
	if !ok || second.Stat.EphemeralOwner != a.session.SessionID || second.Stat.Czxid != a.header.Zxid {
		t.Errorf("the last result %+v", resp.Results[4])
	}
	a.fails(wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{{Op: wire.OpGetData, Request: read("/n")}}}, wire.CodeMarshallingError)
}

func TestMultiRead(t *testing.T) {
	c := dial(t, start(t, zktest.Options{}))
	c.create("/n", wire.ModePersistent)
	var resp wire.MultiResponse
	c.must(wire.OpMultiRead, &wire.MultiRequest{Ops: []wire.MultiOp{
		{Op: wire.OpGetChildren, Request: read("/zookeeper")},
		{Op: wire.OpGetData, Request: read("/x")},
		{Op: wire.OpGetData, Request: read("/n")},
	}}, &resp)
	if e, ok := resp.Results[1].Response.(*wire.ErrorResponse); !ok || e.Code != wire.CodeNoNode {
		t.Errorf("the second result %+v", resp.Results[1])
	}
	list, ok := resp.Results[0].Response.(*wire.ChildrenResponse)
	if !ok || !slices.Equal(slices.Sorted(slices.Values(list.Children)), []string{"config", "quota"}) {
		t.Errorf("the first result %+v", resp.Results[0])
	}
	if _, ok := resp.Results[2].Response.(*wire.GetDataResponse); !ok {
		t.Errorf("the third result %+v", resp.Results[2])
	}
}

func TestCounts(t *testing.T) {
	s := start(t, zktest.Options{})
	c := dial(t, s)
	c.create("/n", wire.ModePersistent)
	c.create("/n/e", wire.ModeEphemeral)
	var count wire.CountResponse
	for path, want := range map[string]int32{"/": 5, "/n": 1, "/zookeeper": 2} {
		c.must(wire.OpGetAllChildrenNumber, &wire.PathRecord{Path: path}, &count)
		if count.Count != want {
			t.Errorf("%d nodes below %s, want %d", count.Count, path, want)
		}
	}
	var list wire.ChildrenResponse
	for prefix, want := range map[string]int{"/": 1, "/n": 1, "/m": 0} {
		c.must(wire.OpGetEphemerals, &wire.PathRecord{Path: prefix}, &list)
		if len(list.Children) != want {
			t.Errorf("ephemerals below %s: %q", prefix, list.Children)
		}
	}
	c.must(wire.OpSync, &wire.PathRecord{Path: "/n"}, &wire.PathRecord{})
	stats := s.Stats()
	if stats.Requests[wire.OpCreate] != 2 || stats.Requests[wire.OpSync] != 1 || stats.Connections != 1 || stats.BytesSent < 100 {
		t.Errorf("stats %+v", stats)
	}
}

func TestARequestIsLimitedAnAnswerIsNot(t *testing.T) {
	s := start(t, zktest.Options{MaxRequest: 1000})
	if err := s.Create("/n", make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)
	c.must(wire.OpGetData, read("/n"), nil)
	if err := c.call(wire.OpSetData, &wire.SetDataRequest{Path: "/n", Data: make([]byte, 1000)}, nil); !cut(err) {
		t.Errorf("after a long request: %v", err)
	}
}
