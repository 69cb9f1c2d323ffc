package zktest

import (
	"bytes"
	"crypto/rand"
	"slices"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// session is what lives on between the connections of a client.
type session struct {
	id       int64
	password []byte
	timeout  time.Duration
	deadline time.Time
	// conn is the connection of the session, or nil.
	conn *conn
}

// touch puts off the end of the session.
func (s *session) touch() { s.deadline = time.Now().Add(s.timeout) }

// handshake opens a session or takes one up again. It returns false to refuse the client without an answer.
//
//	lastZxidSeen newer than ours        no answer, cut
//	unknown session, wrong password     timeout 0, cut
//	known session                       its other connection is cut
func (s *Server) handshake(c *conn, r *wire.ConnectRequest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests[wire.OpCreateSession]++
	if r.LastZxidSeen > s.zxid {
		s.stats.Refused++
		return false
	}
	wanted := time.Duration(r.Timeout) * time.Millisecond
	timeout := min(max(wanted, 2*s.opts.Tick), 20*s.opts.Tick)
	sess := s.sessions[r.SessionID]
	if r.SessionID == 0 {
		sess = s.newSession()
	} else if sess != nil {
		if sess.conn != nil {
			s.detach(sess.conn)
		}
		if !bytes.Equal(sess.password, r.Password) {
			sess = nil
		}
	}
	resp := &wire.ConnectResponse{Password: make([]byte, passwordLen), HasReadOnly: r.HasReadOnly}
	if sess != nil {
		sess.timeout, sess.conn, c.session = timeout, c, sess
		sess.touch()
		resp.Timeout = int32(timeout.Milliseconds()) //nolint:gosec // 20 ticks are far below 24 days
		resp.SessionID, resp.Password = sess.id, sess.password
	}
	s.deliver(c, wire.OpCreateSession, "", wire.AppendFrame(nil, resp))
	if sess == nil {
		c.hangUp()
	}
	return true
}

const passwordLen = 16

// newSession is a transaction, as every change of the sessions is.
func (s *Server) newSession() *session {
	s.zxid++
	s.lastSession++
	sess := &session{id: s.lastSession, password: make([]byte, passwordLen)}
	_, _ = rand.Read(sess.password) // It never fails.
	s.sessions[sess.id] = sess
	return sess
}

// endSession removes a session and its ephemeral nodes in one transaction, and cuts its connection.
func (s *Server) endSession(sess *session) {
	s.closeSession(sess)
	if sess.conn != nil {
		s.detach(sess.conn)
	}
}

// closeSession removes a session and its ephemeral nodes in one transaction.
func (s *Server) closeSession(sess *session) {
	delete(s.sessions, sess.id)
	_ = s.apply(nil, func(c *change) wire.Code { // It cannot fail: ephemeral nodes have no children.
		for _, path := range s.ephemerals(sess.id) {
			if code := s.tree.remove(c, path, -1); code != wire.CodeOK {
				return code
			}
		}
		return wire.CodeOK
	})
	delete(s.tree.ephemerals, sess.id)
}

// ephemerals are the paths of the nodes of a session, sorted.
func (s *Server) ephemerals(id int64) []string {
	paths := make([]string, 0, len(s.tree.ephemerals[id]))
	for path := range s.tree.ephemerals[id] {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}
