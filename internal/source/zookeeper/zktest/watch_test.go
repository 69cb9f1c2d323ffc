package zktest_test

import (
	"fmt"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

func read(path string) *wire.ReadRequest  { return &wire.ReadRequest{Path: path} }
func watch(path string) *wire.ReadRequest { return &wire.ReadRequest{Path: path, Watch: true} }

func set(path string) *wire.SetDataRequest {
	return &wire.SetDataRequest{Path: path, Data: []byte("x"), Version: -1}
}

func remove(path string) *wire.VersionRequest { return &wire.VersionRequest{Path: path, Version: -1} }

func TestOneShotWatches(t *testing.T) {
	s := start(t, zktest.Options{})
	a, b := dial(t, s), dial(t, s)
	b.create("/n", wire.ModePersistent)
	for _, tt := range []struct {
		name  string
		watch func()
		do    func()
		want  []string
	}{
		{
			"data, changed", func() { a.must(wire.OpGetData, watch("/n"), nil) },
			func() { b.must(wire.OpSetData, set("/n"), nil) },
			[]string{"NodeDataChanged /n"},
		},
		{
			"exists, created", func() { a.fails(wire.OpExists, watch("/n/c"), wire.CodeNoNode) },
			func() { b.create("/n/c", wire.ModePersistent) },
			[]string{"NodeCreated /n/c"},
		},
		{
			"both on one node, deleted", func() {
				a.must(wire.OpGetData, watch("/n/c"), nil)
				a.must(wire.OpGetChildren, watch("/n/c"), nil)
			},
			func() { b.must(wire.OpDelete, remove("/n/c"), nil) },
			[]string{"NodeDeleted /n/c"},
		},
		{
			"children", func() { a.must(wire.OpGetChildren2, watch("/n"), nil) },
			func() { b.create("/n/c", wire.ModePersistent) },
			[]string{"NodeChildrenChanged /n"},
		},
		{
			"a failed read leaves none", func() {
				a.fails(wire.OpGetData, watch("/n/d"), wire.CodeNoNode)
				a.fails(wire.OpGetChildren, watch("/n/d"), wire.CodeNoNode)
			},
			func() { b.create("/n/d", wire.ModePersistent) },
			nil,
		},
		{
			"a failed change is none", func() { a.must(wire.OpGetData, watch("/n"), nil) },
			func() { b.fails(wire.OpDelete, remove("/n"), wire.CodeNotEmpty) },
			nil,
		},
	} {
		tt.watch()
		tt.do()
		t.Log(tt.name)
		a.expect(tt.want...)
		b.must(wire.OpSetACL, &wire.SetACLRequest{Path: "/n", ACL: wire.WorldAll(), Version: -1}, nil)
		a.expect() // One shot, and no event for an ACL.
	}
}

func TestAnEventComesBeforeTheReplyThatShowsIt(t *testing.T) {
	s := start(t, zktest.Options{})
	a := dial(t, s)
	a.must(wire.OpGetChildren, watch("/"), nil)
	a.create("/n", wire.ModePersistent) // Its own change too.
	if len(a.events) != 1 {
		t.Errorf("%d events before the answer to create", len(a.events))
	}
}

func TestPersistentWatch(t *testing.T) {
	s := start(t, zktest.Options{})
	a, b := dial(t, s), dial(t, s)
	a.must(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/n", Mode: wire.WatchPersistent}, &wire.ErrorResponse{})
	churn(b)
	a.expect("NodeCreated /n", "NodeChildrenChanged /n", "NodeDataChanged /n", "NodeChildrenChanged /n", "NodeDeleted /n",
		"NodeCreated /n", "NodeDeleted /n")
}

// churn does a little of everything with /n and below.
func churn(b *raw) {
	b.t.Helper()
	b.create("/n", wire.ModePersistent)
	b.create("/n/c", wire.ModePersistent)
	b.must(wire.OpSetData, set("/n"), nil)
	b.must(wire.OpSetData, set("/n/c"), nil)
	b.must(wire.OpDelete, remove("/n/c"), nil)
	b.must(wire.OpDelete, remove("/n"), nil)
	b.create("/n", wire.ModePersistent)
	b.must(wire.OpDelete, remove("/n"), nil)
}

func TestRecursiveWatch(t *testing.T) {
	for _, tt := range []struct {
		version zktest.Version
		path    string
		want    []string
	}{
		{zktest.V39, "/n", []string{
			"NodeCreated /n", "NodeCreated /n/c", "NodeDataChanged /n", "NodeDataChanged /n/c", "NodeDeleted /n/c", "NodeDeleted /n",
			"NodeCreated /n", "NodeDeleted /n",
		}},
		{zktest.V39, "/", []string{
			"NodeCreated /n", "NodeCreated /n/c", "NodeDataChanged /n", "NodeDataChanged /n/c", "NodeDeleted /n/c", "NodeDeleted /n",
			"NodeCreated /n", "NodeDeleted /n",
		}},
		{zktest.V36, "/n", []string{
			"NodeCreated /n", "NodeCreated /n/c", "NodeChildrenChanged /n", "NodeDataChanged /n", "NodeDataChanged /n/c",
			"NodeDeleted /n/c", "NodeChildrenChanged /n", "NodeDeleted /n", "NodeCreated /n", "NodeDeleted /n",
		}},
	} {
		t.Run(fmt.Sprint(tt.version, tt.path), func(t *testing.T) {
			s := start(t, zktest.Options{Version: tt.version})
			a, b := dial(t, s), dial(t, s)
			a.must(wire.OpAddWatch, &wire.AddWatchRequest{Path: tt.path, Mode: wire.WatchPersistentRecursive}, &wire.ErrorResponse{})
			churn(b)
			a.expect(tt.want...)
		})
	}
}

func TestEventsCarryTheirTransactionSince39(t *testing.T) {
	for version, carried := range map[zktest.Version]bool{zktest.V39: true, zktest.V36: false} {
		s := start(t, zktest.Options{Version: version})
		a, b := dial(t, s), dial(t, s)
		a.must(wire.OpGetChildren, watch("/"), nil)
		b.create("/n", wire.ModePersistent)
		body, err := wire.ReadFrame(a.in, nil, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var h wire.ReplyHeader
		if _, err = wire.Decode(body, &h); err != nil {
			t.Fatal(err)
		}
		want := int64(-1)
		if carried {
			want = b.header.Zxid
		}
		if h.Xid != wire.XidNotification || h.Zxid != want {
			t.Errorf("version %d: %+v, want zxid %d", version, h, want)
		}
	}
}

func TestWatchesAreRemoved(t *testing.T) {
	s := start(t, zktest.Options{})
	a, b := dial(t, s), dial(t, s)
	b.create("/n", wire.ModePersistent)
	all := func() {
		a.must(wire.OpGetData, watch("/n"), nil)
		a.must(wire.OpGetChildren, watch("/n"), nil)
		a.must(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/n", Mode: wire.WatchPersistent}, nil)
		a.must(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/n", Mode: wire.WatchPersistentRecursive}, nil)
	}
	all()
	for _, kind := range []wire.WatcherType{wire.WatcherChildren, wire.WatcherData, wire.WatcherPersistent, wire.WatcherPersistentRecursive} {
		r := &wire.WatchesRequest{Path: "/n", Type: kind}
		a.must(wire.OpCheckWatches, r, nil)
		a.must(wire.OpRemoveWatches, r, nil)
		a.fails(wire.OpCheckWatches, r, wire.CodeNoWatcher)
		a.fails(wire.OpRemoveWatches, r, wire.CodeNoWatcher)
	}
	all()
	a.must(wire.OpRemoveWatches, &wire.WatchesRequest{Path: "/n", Type: wire.WatcherAny}, nil)
	a.fails(wire.OpRemoveWatches, &wire.WatchesRequest{Path: "/n", Type: 99}, wire.CodeMarshallingError)
	b.must(wire.OpSetData, set("/n"), nil)
	a.expect()
}

func TestWatchesAreRemovedBefore39(t *testing.T) {
	s := start(t, zktest.Options{Version: zktest.V36})
	a, b := dial(t, s), dial(t, s)
	for _, kind := range []wire.WatcherType{wire.WatcherPersistent, wire.WatcherPersistentRecursive} {
		a.fails(wire.OpRemoveWatches, &wire.WatchesRequest{Path: "/n", Type: kind}, wire.CodeMarshallingError)
	}
	a.must(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/n", Mode: wire.WatchPersistent}, nil)
	a.must(wire.OpRemoveWatches, &wire.WatchesRequest{Path: "/n", Type: wire.WatcherData}, nil)
	a.must(wire.OpRemoveWatches, &wire.WatchesRequest{Path: "/n", Type: wire.WatcherChildren}, nil)
	a.fails(wire.OpRemoveWatches, &wire.WatchesRequest{Path: "/n", Type: wire.WatcherAny}, wire.CodeNoWatcher)
	b.create("/n", wire.ModePersistent)
	a.expect()
}

func TestSetWatchesTellsWhatOneShotWatchesMissed(t *testing.T) {
	for _, op := range []wire.Op{wire.OpSetWatches, wire.OpSetWatches2} {
		t.Run(op.String(), func(t *testing.T) {
			s := start(t, zktest.Options{})
			a, b := dial(t, s), dial(t, s)
			for _, path := range []string{"/same", "/changed", "/gone", "/list", "/list2"} {
				b.create(path, wire.ModePersistent)
			}
			a.must(wire.OpPing, nil, nil)
			r := wire.SetWatches{
				RelativeZxid: a.header.Zxid,
				Data:         []string{"/same", "/changed", "/gone"},
				Exist:        []string{"/made", "/unmade"},
				Child:        []string{"/list", "/list2", "/gone"},
			}
			b.must(wire.OpSetData, set("/changed"), nil)
			b.must(wire.OpDelete, remove("/gone"), nil)
			b.create("/made", wire.ModePersistent)
			b.create("/list/c", wire.ModePersistent)
			if op == wire.OpSetWatches {
				a.must(op, &r, nil)
			} else {
				a.must(op, &wire.SetWatches2{SetWatches: r, Persistent: []string{"/list"}, PersistentRecursive: []string{"/made"}}, nil)
			}
			a.expectBefore("NodeDataChanged /changed", "NodeDeleted /gone", "NodeCreated /made", "NodeChildrenChanged /list",
				"NodeDeleted /gone")
			b.must(wire.OpSetData, set("/same"), nil)
			b.create("/unmade", wire.ModePersistent)
			b.create("/list2/c", wire.ModePersistent)
			a.expect("NodeDataChanged /same", "NodeCreated /unmade", "NodeChildrenChanged /list2")
			b.create("/list/d", wire.ModePersistent)
			b.must(wire.OpSetData, set("/made"), nil)
			if op == wire.OpSetWatches2 {
				a.expect("NodeChildrenChanged /list", "NodeDataChanged /made")
			} else {
				a.expect()
			}
		})
	}
}

// expectBefore compares the events before the last reply.
func (r *raw) expectBefore(want ...string) {
	r.t.Helper()
	got := make([]string, 0, len(r.events))
	for _, e := range r.events {
		got = append(got, e.Type.String()+" "+e.Path)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("told %q, want %q", got, want)
	}
}

func TestEventsAreOnlyForReaders(t *testing.T) {
	s := start(t, zktest.Options{})
	a, b := dial(t, s), dial(t, s)
	hidden := []wire.ACL{{Perms: wire.PermAll, Scheme: "digest", ID: zktest.Digest("u:p")}}
	b.must(wire.OpAuth, &wire.AuthRequest{Scheme: "digest", Auth: []byte("u:p")}, nil)
	for _, c := range []*raw{a, b} {
		c.must(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/", Mode: wire.WatchPersistentRecursive}, nil)
	}
	b.create("/open", wire.ModePersistent)
	b.must(wire.OpCreate, &wire.CreateRequest{Path: "/hidden", ACL: hidden}, nil)
	b.create("/hidden/open", wire.ModePersistent)
	b.must(wire.OpSetData, set("/hidden"), nil)
	b.expectBefore("NodeDataChanged /hidden")
	a.expect("NodeCreated /open", "NodeCreated /hidden/open")
}

func TestBefore36(t *testing.T) {
	for _, op := range []wire.Op{
		wire.OpAddWatch, wire.OpSetWatches2, wire.OpGetEphemerals, wire.OpGetAllChildrenNumber, wire.OpMultiRead, wire.OpWhoAmI,
	} {
		s := start(t, zktest.Options{Version: zktest.Before36})
		c := dial(t, s)
		c.fails(op, read("/"), wire.CodeUnimplemented)
		if err := c.call(wire.OpPing, nil, nil); !cut(err) {
			t.Errorf("after %s the connection: %v", op, err)
		}
	}
}

func TestADroppedConnectionLosesItsWatches(t *testing.T) {
	s := start(t, zktest.Options{})
	a, b := dial(t, s), dial(t, s)
	a.must(wire.OpGetChildren, watch("/"), nil)
	a.must(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/", Mode: wire.WatchPersistent}, nil)
	if err := a.net.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := connect(t, s, wire.ConnectRequest{Timeout: 60_000, SessionID: a.session.SessionID, Password: a.session.Password})
	if err != nil {
		t.Fatal(err)
	}
	b.create("/n", wire.ModePersistent)
	again.expect()
}

func TestFaults(t *testing.T) {
	s := start(t, zktest.Options{})
	if err := s.Create("/n/c", nil); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)

	s.Inject(zktest.Fault{Op: wire.OpGetChildren, Path: "/n", Code: wire.CodeConnectionLoss, Times: 2})
	c.must(wire.OpGetChildren, read("/"), nil)
	c.fails(wire.OpGetChildren, read("/n"), wire.CodeConnectionLoss)
	c.fails(wire.OpGetChildren, read("/n/c"), wire.CodeConnectionLoss)
	c.must(wire.OpGetChildren, read("/n"), nil)

	remove := s.Inject(zktest.Fault{Op: wire.OpNotification, Drop: true})
	c.must(wire.OpGetChildren, watch("/n"), nil)
	c.create("/n/d", wire.ModePersistent)
	c.expect()
	remove()
	c.must(wire.OpGetChildren, watch("/n"), nil)
	c.create("/n/e", wire.ModePersistent)
	c.expectBefore("NodeChildrenChanged /n")

	s.Inject(zktest.Fault{Op: wire.OpExists, Times: 1, Corrupt: func(frame []byte) []byte {
		frame[0] = 0xff
		return frame
	}})
	if err := c.call(wire.OpExists, read("/n"), &wire.Stat{}); err == nil {
		t.Error("a corrupted answer was read")
	}

	c = dial(t, s)
	s.Inject(zktest.Fault{Op: wire.OpExists, Times: 1, Truncate: 30})
	if err := c.call(wire.OpExists, read("/n"), &wire.Stat{}); !cut(err) {
		t.Errorf("a truncated answer: %v", err)
	}

	c = dial(t, s)
	s.Inject(zktest.Fault{Op: wire.OpExists, Times: 1, Delay: 1}) // As little as can be measured: nobody waits in a test.
	c.must(wire.OpExists, read("/n"), &wire.Stat{})

	s.Inject(zktest.Fault{Op: wire.OpExists, Times: 1, Delay: patience * 100})
	if err := c.send(wire.OpExists, read("/n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request is served", func() bool { return s.Stats().Requests[wire.OpExists] >= 4 })
	s.Stop() // A delay does not keep the server.
	if err := c.receive(nil); !cut(err) {
		t.Errorf("after stop: %v", err)
	}
}
