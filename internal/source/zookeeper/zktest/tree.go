package zktest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// node is one node of the tree. Its methods and fields belong to the owner of the tree.
type node struct {
	data     []byte
	acl      []wire.ACL
	children map[string]struct{}
	// stat holds what is not derived; its Cversion counts the creations of children, from which sequence numbers come too.
	stat wire.Stat
	// owner is the session of an ephemeral node, else 0.
	owner int64
	// container and ttl mark nodes that the server removes itself once they have no children.
	container bool
	ttl       time.Duration
}

// status is the node's Stat as a client sees it: there Cversion counts deletions of children too.
func (n *node) status() wire.Stat {
	s := n.stat
	s.EphemeralOwner = n.owner
	s.DataLength = int32(len(n.data))      //nolint:gosec // bounded by the size of a frame
	s.NumChildren = int32(len(n.children)) //nolint:gosec // a test's tree is small
	s.Cversion = s.Cversion*2 - s.NumChildren
	return s
}

// tree is the data of the server. It is not safe for concurrent use.
type tree struct {
	nodes map[string]*node
	// ephemerals are the paths of each session.
	ephemerals map[int64]map[string]struct{}
	// fading are the containers and the nodes with a time to live.
	fading map[string]struct{}
}

// newTree is the tree of a server that has never been used.
func newTree() *tree {
	t := &tree{nodes: map[string]*node{}, ephemerals: map[int64]map[string]struct{}{}, fading: map[string]struct{}{}}
	for _, path := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		t.nodes[path] = &node{data: []byte{}, children: map[string]struct{}{}}
		if path != "/" {
			t.nodes[parentOf(path)].children[nameOf(path)] = struct{}{}
		}
	}
	config := t.nodes["/zookeeper/config"]
	config.stat.Aversion, config.acl = -1, []wire.ACL{{Perms: wire.PermRead, Scheme: schemeWorld, ID: "anyone"}}
	return t
}

// special nodes cannot be deleted.
func special(path string) bool {
	return path == "/" || path == "/zookeeper" || path == "/zookeeper/quota" || path == "/zookeeper/config"
}

func parentOf(path string) string {
	if at := strings.LastIndexByte(path, '/'); at > 0 {
		return path[:at]
	}
	return "/"
}

func nameOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// get finds a node; the root has the empty path too.
func (t *tree) get(path string) *node {
	if path == "" {
		path = "/"
	}
	return t.nodes[path]
}

// change is one transaction on the tree: the author and, while it goes on, what happened and how to take it back.
type change struct {
	zxid int64
	now  int64
	// session owns what is created as ephemeral.
	session int64
	ids     []identity
	// internal changes are the server's own and pass every ACL.
	internal bool
	happened []happening
	undo     []func()
}

// happening is a change of one node, for the watches.
type happening struct {
	kind           wire.EventType
	path           string
	acl, parentACL []wire.ACL
}

func (c *change) permitted(n *node, perm int32) bool {
	return c.internal || permits(n.acl, perm, c.ids)
}

// rollback takes everything back.
func (c *change) rollback() {
	for _, f := range slices.Backward(c.undo) {
		f()
	}
	c.happened, c.undo = nil, nil
}

// keep remembers the present state of a node, but for its children, for rollback.
func (c *change) keep(n *node) {
	old := *n
	c.undo = append(c.undo, func() { *n = old })
}

// newNode is what create makes.
type newNode struct {
	path      string
	data      []byte
	acl       []wire.ACL
	mode      wire.CreateMode
	container bool
	ttl       time.Duration
}

// create makes a node and returns its path, which has a number behind it for the sequential modes.
func (t *tree) create(c *change, in newNode) (string, wire.Code) {
	if !strings.HasPrefix(in.path, "/") || strings.ContainsRune(in.path, 0) {
		return "", wire.CodeBadArguments
	}
	acl, code := expand(in.acl, c.ids)
	if code != wire.CodeOK {
		return "", code
	}
	parent := t.get(parentOf(in.path))
	if parent == nil {
		return "", wire.CodeNoNode
	}
	if !c.permitted(parent, wire.PermCreate) {
		return "", wire.CodeNoAuth
	}
	path := in.path
	if in.mode.Sequential() {
		path += fmt.Sprintf("%010d", parent.stat.Cversion)
	}
	if !validPath(path) {
		return "", wire.CodeBadArguments
	}
	if t.get(path) != nil {
		return "", wire.CodeNodeExists
	}
	if parent.owner != 0 {
		return "", wire.CodeNoChildrenForEphemerals
	}
	n := &node{
		data: in.data, acl: acl, container: in.container, ttl: in.ttl,
		stat: wire.Stat{Czxid: c.zxid, Mzxid: c.zxid, Pzxid: c.zxid, Ctime: c.now, Mtime: c.now},
	}
	if in.mode.Ephemeral() {
		n.owner = c.session
	}
	c.keep(parent)
	c.undo = append(c.undo, func() { t.unlink(path, n) })
	t.link(path, n)
	parent.stat.Cversion++
	parent.stat.Pzxid = c.zxid
	c.happened = append(c.happened, happening{wire.EventNodeCreated, path, acl, parent.acl})
	return path, wire.CodeOK
}

// link puts a node into the tree and its indexes.
func (t *tree) link(path string, n *node) {
	t.nodes[path] = n
	parent := t.get(parentOf(path))
	if parent.children == nil {
		parent.children = map[string]struct{}{}
	}
	parent.children[nameOf(path)] = struct{}{}
	if n.owner != 0 {
		if t.ephemerals[n.owner] == nil {
			t.ephemerals[n.owner] = map[string]struct{}{}
		}
		t.ephemerals[n.owner][path] = struct{}{}
	}
	if n.container || n.ttl > 0 {
		t.fading[path] = struct{}{}
	}
}

// unlink takes a node out of the tree and its indexes.
func (t *tree) unlink(path string, n *node) {
	delete(t.nodes, path)
	delete(t.get(parentOf(path)).children, nameOf(path))
	if n.owner != 0 {
		delete(t.ephemerals[n.owner], path)
	}
	delete(t.fading, path)
}

// remove deletes a node.
func (t *tree) remove(c *change, path string, version int32) wire.Code {
	if !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) || special(path) {
		return wire.CodeBadArguments
	}
	parent := t.get(parentOf(path))
	if parent == nil {
		return wire.CodeNoNode
	}
	if !c.permitted(parent, wire.PermDelete) {
		return wire.CodeNoAuth
	}
	n := t.get(path)
	switch {
	case n == nil:
		return wire.CodeNoNode
	case version != -1 && version != n.stat.Version:
		return wire.CodeBadVersion
	case len(n.children) > 0:
		return wire.CodeNotEmpty
	}
	c.keep(parent)
	c.undo = append(c.undo, func() { t.link(path, n) })
	t.unlink(path, n)
	parent.stat.Pzxid = c.zxid
	c.happened = append(c.happened, happening{wire.EventNodeDeleted, path, n.acl, parent.acl})
	return wire.CodeOK
}

// setData replaces the data of a node.
func (t *tree) setData(c *change, path string, data []byte, version int32) (*node, wire.Code) {
	n, code := t.checked(c, path, wire.PermWrite)
	if code != wire.CodeOK {
		return nil, code
	}
	if version != -1 && version != n.stat.Version {
		return nil, wire.CodeBadVersion
	}
	c.keep(n)
	n.data = data
	n.stat.Version++
	n.stat.Mzxid, n.stat.Mtime = c.zxid, c.now
	c.happened = append(c.happened, happening{wire.EventNodeDataChanged, path, n.acl, nil})
	return n, wire.CodeOK
}

// setACL replaces the ACL of a node; no watch sees it.
func (t *tree) setACL(c *change, path string, list []wire.ACL, version int32) (*node, wire.Code) {
	if !validPath(path) {
		return nil, wire.CodeBadArguments
	}
	acl, code := expand(list, c.ids)
	if code != wire.CodeOK {
		return nil, code
	}
	n, code := t.checked(c, path, wire.PermAdmin)
	if code != wire.CodeOK {
		return nil, code
	}
	if version != -1 && version != n.stat.Aversion {
		return nil, wire.CodeBadVersion
	}
	c.keep(n)
	n.acl = acl
	n.stat.Aversion++
	return n, wire.CodeOK
}

// check compares the version of a node.
func (t *tree) check(c *change, path string, version int32) wire.Code {
	n, code := t.checked(c, path, wire.PermRead)
	if code == wire.CodeOK && version != -1 && version != n.stat.Version {
		return wire.CodeBadVersion
	}
	return code
}

// checked finds a node on which the author has the permission.
func (t *tree) checked(c *change, path string, perm int32) (*node, wire.Code) {
	if !validPath(path) {
		return nil, wire.CodeBadArguments
	}
	n := t.get(path)
	if n == nil {
		return nil, wire.CodeNoNode
	}
	if !c.permitted(n, perm) {
		return nil, wire.CodeNoAuth
	}
	return n, wire.CodeOK
}

// below counts the nodes under a path.
func (t *tree) below(path string) int {
	if path == "/" {
		return len(t.nodes) - 1
	}
	count := 0
	for p := range t.nodes {
		if strings.HasPrefix(p, path+"/") {
			count++
		}
	}
	return count
}

// faded are the containers and timed nodes that the server removes now.
func (t *tree) faded(now int64) []string {
	var out []string
	for path := range t.fading {
		n := t.nodes[path]
		if len(n.children) > 0 {
			continue
		}
		if (n.container && n.stat.Cversion > 0) || (n.ttl > 0 && now-n.stat.Mtime > n.ttl.Milliseconds()) {
			out = append(out, path)
		}
	}
	return out
}

// validPath is the rule of ZooKeeper for paths: absolute, no empty, "." or ".." part, no control or private character, and none
// outside the basic plane, which is a pair of surrogates to a Java server. Bytes that are no UTF-8 become U+FFFD, which is refused.
func validPath(path string) bool {
	if path == "/" {
		return true
	}
	if !strings.HasPrefix(path, "/") {
		return false
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, forbidden) {
			return false
		}
	}
	return true
}

func forbidden(r rune) bool {
	return r <= 0x1f || (r >= 0x7f && r <= 0x9f) || (r >= 0xd800 && r <= 0xf8ff) || r >= 0xfff0
}
