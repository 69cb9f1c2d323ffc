package tree

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// server is a ZooKeeper in memory that answers at once, when its answers are delivered.
type server struct {
	nodes   map[string]string
	hidden  map[string]bool
	answers []func()
	watched []string // By WatchExists.
}

func (s *server) code(path string) error {
	if s.hidden[path] {
		return wire.CodeNoAuth
	}
	if _, ok := s.nodes[path]; !ok {
		return wire.CodeNoNode
	}
	return nil
}

func (s *server) Children(path string, _ bool, reply func([]string, error)) {
	var names []string
	for p := range s.nodes {
		if name, below := strings.CutPrefix(p, path+"/"); below && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	reply(names, s.code(path))
}

func (s *server) Data(path string, _ bool, reply func([]byte, error)) {
	reply([]byte(s.nodes[path]), s.code(path))
}

func (s *server) WatchExists(path string, reply func(error)) {
	s.watched = append(s.watched, path)
	reply(wire.CodeNoNode)
}

func (s *server) connection(plain bool) Connection {
	return Connection{
		Conn: s, Plain: plain, Post: func(f func()) { s.answers = append(s.answers, f) },
		Broken: func(err error) bool { return errors.Is(err, source.ErrUnavailable) },
	}
}

// settle delivers answers until nothing is being read.
func (s *server) settle(t *Tree) {
	for !t.Settled() {
		t.Pump()
		for len(s.answers) > 0 {
			next := s.answers[0]
			s.answers = s.answers[1:]
			next()
		}
	}
}

// scene is a View that collects the data of all children of /r.
type scene struct {
	*testing.T
	*server
	tree    *Tree
	view    *View
	changes int
}

func newScene(t *testing.T, plain bool) *scene {
	t.Helper()
	s := &scene{T: t, server: &server{nodes: map[string]string{"/r": ""}, hidden: map[string]bool{}}}
	s.tree = New(func(_ string, data []byte) any { return string(data) })
	s.view = s.tree.View(func() { s.changes++ })
	s.tree.Connect(s.connection(plain))
	return s
}

// look evaluates until nothing is pending.
func (s *scene) look() (map[string]string, error) {
	for {
		found := map[string]string{}
		err := s.view.Evaluate(func() {
			for _, name := range s.view.List("/r") {
				if text, ok := s.view.Data("/r/" + name).(string); ok {
					found[name] = text
				}
			}
		})
		if !errors.Is(err, ErrPending) {
			return found, err
		}
		s.settle(s.tree)
	}
}

func (s *scene) want(want map[string]string) {
	s.Helper()
	if got, err := s.look(); err != nil || !maps.Equal(got, want) {
		s.Fatalf("it has %v, %v; want %v", got, err, want)
	}
}

func (s *scene) paths() []string {
	var paths []string
	for k := range s.tree.entries {
		paths = append(paths, k.path)
	}
	slices.Sort(paths)
	return paths
}

// TestEvents follows nodes that are made, changed and removed, and forgets what nobody looks at any more.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := newScene(t, false)
	s.nodes["/r/a"] = "1"
	s.want(map[string]string{"a": "1"})
	s.nodes["/r/b"] = "2"
	s.tree.Handle(wire.EventNodeCreated, "/r/b")
	s.want(map[string]string{"a": "1", "b": "2"})
	s.nodes["/r/a"] = "3"
	s.tree.Handle(wire.EventNodeDataChanged, "/r/a")
	s.settle(s.tree)
	s.want(map[string]string{"a": "3", "b": "2"})
	before := s.changes
	s.tree.Handle(wire.EventNodeDataChanged, "/r/a") // Written again without a difference.
	s.settle(s.tree)
	if s.changes != before {
		t.Error("the same data is a change")
	}
	delete(s.nodes, "/r/a")
	s.tree.Handle(wire.EventNodeDeleted, "/r/a")
	s.want(map[string]string{"b": "2"})
	if got := s.paths(); !slices.Equal(got, []string{"/r", "/r/b"}) {
		t.Errorf("entries %q", got)
	}
	s.view.Close()
	if len(s.tree.entries) > 0 {
		t.Errorf("entries of nobody: %q", s.paths())
	}
}

// TestCheck: reading everything again finds what no event told, and counts it.
func TestCheck(t *testing.T) {
	t.Parallel()
	s := newScene(t, false)
	s.nodes["/r/a"] = "1"
	s.want(map[string]string{"a": "1"})
	s.tree.Check()
	s.settle(s.tree)
	if drift := s.tree.CheckEnd(); drift != 0 {
		t.Errorf("drift %d without a difference", drift)
	}
	s.nodes["/r/a"], s.nodes["/r/b"] = "2", "3"
	s.tree.Check()
	s.settle(s.tree)
	if drift := s.tree.CheckEnd(); drift != 2 {
		t.Errorf("drift %d, want that of a list and of a node", drift)
	}
	s.want(map[string]string{"a": "2", "b": "3"})
}

// TestUnreadable: a node that may not be read fails the evaluation until it may be, and is tried again by itself.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	s := newScene(t, false)
	s.nodes["/r/a"], s.hidden["/r/a"] = "1", true
	if _, err := s.look(); !errors.Is(err, source.ErrUnauthorized) {
		t.Fatalf("error %v", err)
	}
	if s.tree.Next().IsZero() {
		t.Fatal("it is never tried again")
	}
	s.hidden["/r/a"] = false
	before := s.changes
	s.tree.Due(time.Now().Add(time.Hour))
	s.settle(s.tree)
	if s.changes == before {
		t.Error("the recovery is no change")
	}
	s.want(map[string]string{"a": "1"})
}

// TestOneShot: with one-shot watches an event only says where to look again, and what does not exist is watched for.
func TestOneShot(t *testing.T) {
	t.Parallel()
	s := newScene(t, true)
	delete(s.nodes, "/r")
	s.want(map[string]string{})
	if !slices.Equal(s.watched, []string{"/r"}) {
		t.Errorf("watched for %q", s.watched)
	}
	s.nodes["/r"], s.nodes["/r/a"] = "", "1"
	s.tree.Handle(wire.EventNodeCreated, "/r")
	s.tree.Due(time.Now().Add(time.Hour))
	s.settle(s.tree)
	s.want(map[string]string{"a": "1"})
	s.nodes["/r/b"] = "2"
	s.tree.Handle(wire.EventNodeChildrenChanged, "/r")
	s.tree.Due(time.Now().Add(time.Hour))
	s.settle(s.tree)
	s.want(map[string]string{"a": "1", "b": "2"})
}

// TestBrokenConnection: what the connection breaks is no node's fault; everything is read again on the next one.
func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	s := newScene(t, false)
	s.nodes["/r/a"] = "1"
	s.want(map[string]string{"a": "1"})
	s.tree.Check()
	s.tree.Pump()
	s.answers = nil // They never come.
	s.nodes["/r/a"] = "2"
	s.tree.Connect(s.connection(false))
	s.settle(s.tree)
	s.want(map[string]string{"a": "2"})
	if s.tree.Err() != nil {
		t.Errorf("error %v", s.tree.Err())
	}
}
