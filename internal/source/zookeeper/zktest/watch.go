package zktest

import "github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"

// watchKinds is a set of the kinds of watches that one connection has on one path.
type watchKinds uint8

const (
	oneShot watchKinds = 1 << iota
	persistent
	recursive
	anyKind = oneShot | persistent | recursive
)

// watchTable is one of the two tables of watches, for nodes or for lists of children. It is not safe for concurrent use.
type watchTable struct {
	paths map[string]map[*conn]watchKinds
	conns map[*conn]map[string]struct{}
}

func newWatchTable() *watchTable {
	return &watchTable{paths: map[string]map[*conn]watchKinds{}, conns: map[*conn]map[string]struct{}{}}
}

func (t *watchTable) add(path string, c *conn, kind watchKinds) {
	if t.paths[path] == nil {
		t.paths[path] = map[*conn]watchKinds{}
	}
	t.paths[path][c] |= kind
	if t.conns[c] == nil {
		t.conns[c] = map[string]struct{}{}
	}
	t.conns[c][path] = struct{}{}
}

// remove takes the kinds away and says whether there was one.
func (t *watchTable) remove(path string, c *conn, kinds watchKinds) bool {
	had := t.paths[path][c]
	if had&kinds == 0 {
		return false
	}
	if left := had &^ kinds; left != 0 {
		t.paths[path][c] = left
		return true
	}
	delete(t.paths[path], c)
	if len(t.paths[path]) == 0 {
		delete(t.paths, path)
	}
	delete(t.conns[c], path)
	if len(t.conns[c]) == 0 {
		delete(t.conns, c)
	}
	return true
}

// hasAny says whether the connection has one of the kinds.
func (t *watchTable) hasAny(path string, c *conn, kinds watchKinds) bool {
	return t.paths[path][c]&kinds != 0
}

// drop forgets a connection.
func (t *watchTable) drop(c *conn) {
	for path := range t.conns[c] {
		t.remove(path, c, anyKind)
	}
}

// fire returns the connections that watch the path, or, recursively, one above it, and uses up their one-shot watches.
func (t *watchTable) fire(path string) map[*conn]struct{} {
	hit := map[*conn]struct{}{}
	for c := range t.paths[path] {
		hit[c] = struct{}{}
		t.remove(path, c, oneShot)
	}
	for path != "/" {
		path = parentOf(path)
		for c, kinds := range t.paths[path] {
			if kinds&recursive != 0 {
				hit[c] = struct{}{}
			}
		}
	}
	return hit
}

// notice is an event on its way to those who watch.
type notice struct {
	kind wire.EventType
	path string
	zxid int64
	// acl is the one of the node: who may not read it is not told (CVE-2024-23944).
	acl []wire.ACL
}

// notify tells the watchers what happened, in the order of the real server.
func (s *Server) notify(c *change) {
	for _, h := range c.happened {
		n := notice{h.kind, h.path, c.zxid, h.acl}
		told := s.dataWatches.fire(h.path)
		s.tell(told, nil, n)
		if h.kind == wire.EventNodeDataChanged {
			continue
		}
		if h.kind == wire.EventNodeDeleted {
			s.tell(s.childWatches.fire(h.path), told, n)
		}
		parent := parentOf(h.path)
		s.tell(s.childWatches.fire(parent), nil, notice{wire.EventNodeChildrenChanged, parent, c.zxid, h.parentACL})
	}
}

// tell sends a notice to the connections that may have it and were not told before.
func (s *Server) tell(to, told map[*conn]struct{}, n notice) {
	for c := range to {
		if _, ok := told[c]; !ok && permits(n.acl, wire.PermRead, c.ids) {
			s.event(c, n.kind, n.path, n.zxid)
		}
	}
}

// event sends one event.
func (s *Server) event(c *conn, kind wire.EventType, path string, zxid int64) {
	if s.opts.Version < V39 {
		zxid = -1 // ZOOKEEPER-4655
	}
	frame := wire.AppendFrame(nil, &wire.ReplyHeader{Xid: wire.XidNotification, Zxid: zxid},
		&wire.WatcherEvent{Type: kind, State: wire.StateSyncConnected, Path: path})
	s.deliver(c, wire.OpNotification, path, frame)
}

// addWatch registers a watch that stays.
func (s *Server) addWatch(c *conn, path string, mode wire.AddWatchMode) wire.Code {
	switch mode {
	case wire.WatchPersistent:
		s.watchPersistent(c, path)
	case wire.WatchPersistentRecursive:
		s.watchRecursive(c, path)
	default:
		return wire.CodeMarshallingError
	}
	return wire.CodeOK
}

func (s *Server) watchPersistent(c *conn, path string) {
	s.dataWatches.add(path, c, persistent)
	s.childWatches.add(path, c, persistent)
}

// watchRecursive puts the watch into the table of children too before 3.9 (ZOOKEEPER-4475).
func (s *Server) watchRecursive(c *conn, path string) {
	s.dataWatches.add(path, c, recursive)
	if s.opts.Version < V39 {
		s.childWatches.add(path, c, recursive)
	}
}

// setWatches registers the watches of a session on its new connection and fires the one-shot watches that missed something.
func (s *Server) setWatches(c *conn, r *wire.SetWatches2) {
	for _, path := range r.Data {
		switch n := s.tree.get(path); {
		case n == nil:
			s.event(c, wire.EventNodeDeleted, path, -1)
		case n.stat.Mzxid > r.RelativeZxid:
			s.event(c, wire.EventNodeDataChanged, path, -1)
		default:
			s.dataWatches.add(path, c, oneShot)
		}
	}
	for _, path := range r.Exist {
		if s.tree.get(path) != nil {
			s.event(c, wire.EventNodeCreated, path, -1)
		} else {
			s.dataWatches.add(path, c, oneShot)
		}
	}
	for _, path := range r.Child {
		switch n := s.tree.get(path); {
		case n == nil:
			s.event(c, wire.EventNodeDeleted, path, -1)
		case n.stat.Pzxid > r.RelativeZxid:
			s.event(c, wire.EventNodeChildrenChanged, path, -1)
		default:
			s.childWatches.add(path, c, oneShot)
		}
	}
	for _, path := range r.Persistent {
		s.watchPersistent(c, path)
	}
	for _, path := range r.PersistentRecursive {
		s.watchRecursive(c, path)
	}
}

// watchQuery does removeWatches, or asks for checkWatches.
func (s *Server) watchQuery(c *conn, r *wire.WatchesRequest, do func(*watchTable, string, *conn, watchKinds) bool) wire.Code {
	data, children, ok := kindsOf(r.Type, s.opts.Version)
	if !ok {
		return wire.CodeMarshallingError
	}
	inData, inChildren := do(s.dataWatches, r.Path, c, data), do(s.childWatches, r.Path, c, children)
	if !inData && !inChildren {
		return wire.CodeNoWatcher
	}
	return wire.CodeOK
}

// kindsOf is what a type of watcher means in each of the two tables. Before 3.9 a table did not tell its kinds apart, and there were
// no types for those that stay.
func kindsOf(t wire.WatcherType, v Version) (data, children watchKinds, ok bool) {
	standard := oneShot
	if v < V39 {
		standard = anyKind
	}
	switch t {
	case wire.WatcherChildren:
		return 0, standard, true
	case wire.WatcherData:
		return standard, 0, true
	case wire.WatcherAny:
		return anyKind, anyKind, true
	case wire.WatcherPersistent:
		return persistent, persistent, v >= V39
	case wire.WatcherPersistentRecursive:
		return recursive, recursive, v >= V39
	default:
		return 0, 0, false
	}
}
