package zktest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// Stats is what the server counted since New.
type Stats struct {
	// BytesSent are the bytes of all answers and events.
	BytesSent int64
	// Connections were accepted; Refused of them were refused in the handshake, because the client had seen a newer transaction.
	Connections, Refused int64
	// Requests by operation; handshakes count as OpCreateSession.
	Requests map[wire.Op]int64
}

// Stats returns the present counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.BytesSent = s.sent.Load()
	out.Requests = maps.Clone(s.stats.Requests)
	return out
}

// Session is a session as the server sees it.
type Session struct {
	ID        int64
	Timeout   time.Duration
	Connected bool
	// Ephemerals are the paths of its nodes, sorted.
	Ephemerals []string
}

// Sessions returns the sessions that are alive, by ID.
func (s *Server) Sessions() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Session, 0, len(s.sessions))
	for _, id := range slices.Sorted(maps.Keys(s.sessions)) {
		sess := s.sessions[id]
		out = append(out, Session{ID: id, Timeout: sess.timeout, Connected: sess.conn != nil, Ephemerals: s.ephemerals(id)})
	}
	return out
}

// ExpireSession ends a session at once, as if its client had been silent for too long. It says whether there was one.
func (s *Server) ExpireSession(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.sessions[id]
	if sess != nil {
		s.endSession(sess)
	}
	return sess != nil
}

// ExpireSessions ends all sessions and returns their number.
func (s *Server) ExpireSessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.sessions)
	for _, sess := range s.sessions {
		s.endSession(sess)
	}
	return n
}

// DropConnections cuts all connections and returns their number. Sessions stay.
func (s *Server) DropConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropAll()
}

// Create makes a persistent node that everybody may use, and those above it that are missing. Errors of Create, Delete, SetData,
// SetACL, Data and Children wrap a wire.Code. No ACL applies to these methods; they work while the server is stopped too.
func (s *Server) Create(path string, data []byte) error {
	return s.do("create", path, func(c *change) wire.Code {
		for at := 1; at < len(path); at++ {
			if path[at] != '/' || s.tree.get(path[:at]) != nil {
				continue
			}
			if _, code := s.tree.create(c, newNode{path: path[:at], acl: wire.WorldAll()}); code != wire.CodeOK {
				return code
			}
		}
		_, code := s.tree.create(c, newNode{path: path, data: slices.Clone(data), acl: wire.WorldAll()})
		return code
	})
}

// Delete removes a node and everything below it.
func (s *Server) Delete(path string) error {
	return s.do("delete", path, func(c *change) wire.Code {
		var below []string
		for p := range s.tree.nodes {
			if strings.HasPrefix(p, path+"/") {
				below = append(below, p)
			}
		}
		slices.Sort(below)
		for _, p := range slices.Backward(below) { // A child sorts behind its parent.
			if code := s.tree.remove(c, p, -1); code != wire.CodeOK {
				return code
			}
		}
		return s.tree.remove(c, path, -1)
	})
}

// SetData replaces the data of a node.
func (s *Server) SetData(path string, data []byte) error {
	return s.do("set data of", path, func(c *change) wire.Code {
		_, code := s.tree.setData(c, path, slices.Clone(data), -1)
		return code
	})
}

// SetACL replaces the ACL of a node, for example to hide it from those who do not know a password (see Digest).
func (s *Server) SetACL(path string, acl ...wire.ACL) error {
	return s.do("set acl of", path, func(c *change) wire.Code {
		_, code := s.tree.setACL(c, path, acl, -1)
		return code
	})
}

// Data returns the data of a node.
func (s *Server) Data(path string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tree.get(path)
	if n == nil {
		return nil, fmt.Errorf("read %q: %w", path, wire.CodeNoNode)
	}
	return slices.Clone(n.data), nil
}

// Children returns the names of the children of a node, sorted.
func (s *Server) Children(path string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tree.get(path)
	if n == nil {
		return nil, fmt.Errorf("list %q: %w", path, wire.CodeNoNode)
	}
	return slices.Sorted(maps.Keys(n.children)), nil
}

// do runs a transaction of the server's own.
func (s *Server) do(what, path string, run func(*change) wire.Code) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path == "" {
		return errors.New(what + ": no path")
	}
	if code := s.apply(nil, run); code != wire.CodeOK {
		return fmt.Errorf("%s %q: %w", what, path, code)
	}
	return nil
}
