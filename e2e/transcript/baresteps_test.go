package transcript_test

import (
	"encoding/binary"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

func node(path string, mode wire.CreateMode) *wire.CreateRequest {
	return &wire.CreateRequest{Path: path, Data: []byte("x"), ACL: wire.WorldAll(), Mode: mode}
}

func look(path string) *wire.ReadRequest  { return &wire.ReadRequest{Path: path} }
func watch(path string) *wire.ReadRequest { return &wire.ReadRequest{Path: path, Watch: true} }

func change(path string) *wire.SetDataRequest {
	return &wire.SetDataRequest{Path: path, Data: []byte("yy"), Version: -1}
}

func at(path string) *wire.VersionRequest { return &wire.VersionRequest{Path: path, Version: -1} }
func only(path string) *wire.PathRecord   { return &wire.PathRecord{Path: path} }

func (b *bare) handshakes() {
	for _, timeout := range []int32{-1, 1, 5000, 1 << 30} {
		b.open(wire.ConnectRequest{Timeout: timeout}).call(wire.OpCloseSession, nil, nil)
	}
	old := b.fresh()
	old.call(wire.OpPing, nil, nil)
	again := wire.ConnectRequest{Timeout: 5000, SessionID: old.resp.SessionID, Password: old.resp.Password, HasReadOnly: true}
	taken := b.open(again)
	old.receive(nil)
	taken.call(wire.OpPing, nil, nil)

	b.note("a newer transaction than the server's")
	ahead := again
	ahead.LastZxidSeen = 1 << 50
	b.open(ahead)
	taken.call(wire.OpPing, nil, nil)

	b.note("an unknown session")
	unknown := again
	unknown.SessionID++
	b.open(unknown).receive(nil)

	b.note("a wrong password")
	wrong := again
	wrong.Password = make([]byte, 16)
	b.open(wrong).receive(nil)
	taken.call(wire.OpPing, nil, nil)
	last := b.open(again)
	last.call(wire.OpCloseSession, nil, nil)
	last.receive(nil)
	b.open(again)
}

func (b *bare) nodes() {
	s := b.fresh()
	made := &wire.Create2Response{}
	s.call(wire.OpCreate, node("/n", 0), &wire.PathRecord{})
	s.call(wire.OpCreate2, node("/n/2", wire.ModeEphemeral), made)
	s.call(wire.OpCreate2, node("/n/2", wire.ModeEphemeral), made)
	s.call(wire.OpCreateContainer, node("/n/c", wire.ModeContainer), made)
	s.call(wire.OpCreateContainer, node("/n/c2", wire.ModePersistent), made)
	s.call(wire.OpCreate, node("/n/c3", wire.ModeContainer), &wire.PathRecord{})
	s.call(wire.OpCreateTTL, &wire.CreateTTLRequest{CreateRequest: *node("/n/t", wire.ModePersistentTTL), TTL: 1000}, made)
	s.call(wire.OpCreateTTL, &wire.CreateTTLRequest{CreateRequest: *node("/n/t", wire.ModePersistent), TTL: 1000}, made)
	s.call(wire.OpCreate, node("/n/t", wire.ModePersistentTTL), made)
	s.call(wire.OpCreate, node("/n/t", 99), made)
	s.call(wire.OpCreate, &wire.CreateRequest{Path: "/n/null", ACL: wire.WorldAll()}, &wire.PathRecord{})
	s.call(wire.OpGetData, look("/n/null"), &wire.GetDataResponse{})
	s.call(wire.OpSetData, &wire.SetDataRequest{Path: "/n/null", Data: []byte{}, Version: 0}, &wire.Stat{})
	s.call(wire.OpGetData, look("/n/null"), &wire.GetDataResponse{})
	s.call(wire.OpSync, only("/nowhere"), only(""))
	s.call(wire.OpGetEphemerals, only(""), &wire.ChildrenResponse{})
	s.call(wire.OpGetEphemerals, only("/m"), &wire.ChildrenResponse{})
	s.call(wire.OpGetAllChildrenNumber, only("/"), &wire.CountResponse{})
	s.call(wire.OpGetAllChildrenNumber, only("/n"), &wire.CountResponse{})
	s.call(wire.OpGetAllChildrenNumber, only("/nowhere"), &wire.CountResponse{})
	s.call(wire.OpMulti, &wire.MultiRequest{}, &wire.MultiResponse{})
	s.call(wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{
		{Op: wire.OpCreate, Request: node("/n/m", 0)},
		{Op: wire.OpCreate2, Request: node("/n/m/", wire.ModeEphemeralSequential)},
		{Op: wire.OpCreateContainer, Request: node("/n/m/c", wire.ModeContainer)},
		{Op: wire.OpSetData, Request: change("/n/m")},
		{Op: wire.OpCheck, Request: at("/n/m")},
		{Op: wire.OpDelete, Request: at("/n/m/c")},
	}}, &wire.MultiResponse{})
	s.call(wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{
		{Op: wire.OpCreate, Request: node("/n/k", 0)},
		{Op: wire.OpCreate, Request: node("/n/k", 0)},
		{Op: wire.OpDelete, Request: at("/n/k")},
	}}, &wire.MultiResponse{})
	s.call(wire.OpGetChildren2, look("/n"), &wire.Children2Response{})
	s.call(wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{{Op: wire.OpGetData, Request: look("/n")}}}, &wire.MultiResponse{})
	s.call(wire.OpCloseSession, nil, nil)
	s.receive(nil)
}

func (b *bare) paths() {
	s := b.fresh()
	for _, path := range []string{
		"", "/", "p", "/p/", "//p", "/n//p", "/n/.", "/n/..", "/n/.p", "/n/...", "/n/p\x00", "/n/p\x01", "/n/p\u007f", "/n/p\ufff0", "/n/é世", "/n/\U0001f600", "/n/\xff",
	} {
		s.call(wire.OpCreate, node(path, 0), &wire.PathRecord{})
		s.call(wire.OpExists, look(path), &wire.Stat{})
		s.call(wire.OpSetData, change(path), &wire.Stat{})
		s.call(wire.OpDelete, at(path), nil)
	}
	s.call(wire.OpGetChildren2, look(""), &wire.Children2Response{})
	s.call(wire.OpCreate, node("/n/", wire.ModePersistentSequential), &wire.PathRecord{})
	s.call(wire.OpDelete, at("/zookeeper/config"), nil)
	s.call(wire.OpCreate, node("/zookeeper/p", 0), &wire.PathRecord{})
	s.call(wire.OpDelete, at("/zookeeper/p"), nil)
	s.call(wire.OpGetACL, only("/zookeeper/config"), &wire.GetACLResponse{})
}

func (b *bare) reads() {
	s := b.fresh()
	s.call(wire.OpMultiRead, &wire.MultiRequest{Ops: []wire.MultiOp{
		{Op: wire.OpGetChildren, Request: look("/zookeeper")},
		{Op: wire.OpGetData, Request: look("/n")},
		{Op: wire.OpGetData, Request: look("/nowhere")},
	}}, &wire.MultiResponse{})
	s.call(wire.OpMultiRead, &wire.MultiRequest{}, &wire.MultiResponse{})
	s.call(wire.OpGetChildren, look("/zookeeper"), &wire.ChildrenResponse{})
	s.call(wire.OpGetChildren, look("/nowhere"), &wire.ChildrenResponse{})
	s.call(wire.OpGetACL, only("/n"), &wire.GetACLResponse{})
	s.call(wire.OpGetACL, only("/nowhere"), &wire.GetACLResponse{})
	s.call(wire.OpSetACL, &wire.SetACLRequest{Path: "/n", ACL: append(wire.WorldAll(), wire.WorldAll()...), Version: -1}, &wire.Stat{})
	s.call(wire.OpGetACL, only("/n"), &wire.GetACLResponse{})
	s.call(wire.OpSetACL, &wire.SetACLRequest{Path: "/n/", ACL: wire.WorldAll(), Version: -1}, &wire.Stat{})
}

func (b *bare) watches() {
	s, o := b.fresh(), b.fresh()
	done := &wire.ErrorResponse{Code: 1}
	s.call(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/w", Mode: wire.WatchPersistent}, done)
	s.call(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/", Mode: wire.WatchPersistentRecursive}, done)
	s.call(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/w", Mode: 7}, done)
	o.call(wire.OpCreate, node("/w", 0), nil)
	o.call(wire.OpCreate, node("/w/c", 0), nil)
	o.call(wire.OpCreate, node("/w/c/d", wire.ModeEphemeral), nil)
	s.call(wire.OpGetChildren, watch("/w"), &wire.ChildrenResponse{})
	s.call(wire.OpGetData, watch("/w/c"), &wire.GetDataResponse{})
	o.call(wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{
		{Op: wire.OpSetData, Request: change("/w/c")},
		{Op: wire.OpDelete, Request: at("/w/c/d")},
		{Op: wire.OpDelete, Request: at("/w/c")},
		{Op: wire.OpCreate, Request: node("/w/c", 0)},
	}}, &wire.MultiResponse{})
	s.call(wire.OpPing, nil, nil)
	for _, kind := range []wire.WatcherType{1, 2, 3, 4, 5, 6} {
		for _, path := range []string{"/w", "/"} {
			r := &wire.WatchesRequest{Path: path, Type: kind}
			s.call(wire.OpCheckWatches, r, nil)
			s.call(wire.OpRemoveWatches, r, nil)
		}
	}
	o.call(wire.OpSetData, change("/w"), &wire.Stat{})
	s.call(wire.OpPing, nil, nil)

	b.note("watches that missed something, and that did not")
	o.call(wire.OpCreate, node("/w/same", 0), nil)
	s.call(wire.OpExists, look("/w"), &wire.Stat{})
	missed := wire.SetWatches{
		RelativeZxid: s.last(), Data: []string{"/w/c", "/w/gone", "/w/same", "/"}, Exist: []string{"/w/made", "/w/never"}, Child: []string{"/w/c", "/w/same", "/w/gone", "/"},
	}
	o.call(wire.OpSetData, change("/w/c"), nil)
	o.call(wire.OpCreate, node("/w/made", 0), nil)
	o.call(wire.OpCreate, node("/w/c/e", 0), nil)
	s.call(wire.OpSetWatches, &missed, nil)
	s.call(wire.OpSetWatches2, &wire.SetWatches2{SetWatches: missed, Persistent: []string{"/w/c"}, PersistentRecursive: []string{"/w"}}, nil)
	o.call(wire.OpSetData, change("/w/same"), nil)
	o.call(wire.OpCreate, node("/w/never", 0), nil)
	o.call(wire.OpCreate, node("/w/c/f", 0), nil)
	o.call(wire.OpDelete, at("/w/same"), nil)
	o.call(wire.OpCreate, node("/top", 0), nil)
	s.call(wire.OpPing, nil, nil)
}

// last is the newest transaction that the server has told, as the server numbers it.
func (s *session) last() int64 {
	s.t.Helper()
	s.write(&wire.RequestHeader{Xid: 77, Op: wire.OpExists}, look("/"))
	body, err := wire.ReadFrame(s.in, nil, 1<<20)
	if err != nil {
		s.t.Fatal(err)
	}
	var h wire.ReplyHeader
	if _, err := wire.Decode(body, &h); err != nil {
		s.t.Fatal(err)
	}
	return h.Zxid
}

func (b *bare) identities() {
	s, o := b.fresh(), b.fresh()
	digest := &wire.AuthRequest{Scheme: "digest", Auth: []byte("user:pass:word")}
	s.call(wire.OpWhoAmI, nil, &wire.WhoAmIResponse{})
	s.call(wire.OpAuth, digest, nil)
	s.call(wire.OpAuth, digest, nil)
	s.call(wire.OpAuth, &wire.AuthRequest{Scheme: "ip"}, nil)
	s.call(wire.OpWhoAmI, nil, &wire.WhoAmIResponse{})
	for _, acl := range []wire.ACL{
		{Perms: wire.PermRead, Scheme: "world", ID: "someone"},
		{Perms: wire.PermRead, Scheme: "digest", ID: "user"},
		{Perms: wire.PermRead, Scheme: "digest", ID: "user:hash:more"},
		{Perms: wire.PermRead, Scheme: "ip", ID: "127.0.0.1"},
		{Perms: wire.PermRead, Scheme: "ip", ID: "10.0.0.0/8"},
		{Perms: wire.PermRead, Scheme: "ip", ID: "localhost"},
		{Perms: wire.PermRead, Scheme: "nonsense", ID: "x"},
		{Perms: wire.PermAll, Scheme: "auth", ID: "ignored"},
		{Perms: 0, Scheme: "world", ID: "anyone"},
	} {
		made := &wire.PathRecord{}
		s.call(wire.OpCreate, &wire.CreateRequest{Path: "/i-", ACL: []wire.ACL{acl}, Mode: wire.ModePersistentSequential}, made)
		if made.Path == "" {
			continue
		}
		s.call(wire.OpGetACL, only(made.Path), &wire.GetACLResponse{})
		o.call(wire.OpGetACL, only(made.Path), &wire.GetACLResponse{})
		o.call(wire.OpExists, watch(made.Path), &wire.Stat{})
		s.call(wire.OpSetData, change(made.Path), &wire.Stat{})
		o.call(wire.OpCreate, node(made.Path+"/c", 0), nil)
	}
	o.call(wire.OpPing, nil, nil)
	o.call(wire.OpAuth, &wire.AuthRequest{Scheme: "world"}, nil)
	o.receive(nil)
}

func (b *bare) malformed() {
	for _, op := range []wire.Op{0, wire.OpCheck, 23, 999} {
		s := b.fresh()
		s.call(op, at("/n"), nil)
		s.receive(nil)
	}
	s := b.fresh()
	for _, op := range []wire.Op{
		wire.OpCreate, wire.OpCreate2, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData, wire.OpSetACL, wire.OpMulti, wire.OpExists, wire.OpGetData,
		wire.OpGetChildren2, wire.OpGetACL, wire.OpSetWatches, wire.OpSetWatches2, wire.OpAddWatch, wire.OpRemoveWatches, wire.OpMultiRead, wire.OpSync,
	} {
		s.call(op, nil, nil)
	}
	s.call(wire.OpExists, look("/n"), &wire.Stat{})
	b.note("a frame that is too long")
	s.call(wire.OpSetData, &wire.SetDataRequest{Path: "/n", Data: make([]byte, 0), Version: -1}, &wire.Stat{})
	_, _ = s.conn.Write(binary.BigEndian.AppendUint32(nil, wire.DefaultMaxFrame+1)) // What comes of it is read below.
	s.receive(nil)
	for _, length := range []uint32{0, 1<<32 - 1} {
		b.note("a frame of length %d", length)
		s = b.fresh()
		_, _ = s.conn.Write(binary.BigEndian.AppendUint32(nil, length)) // What comes of it is read below.
		s.receive(nil)
	}
}
