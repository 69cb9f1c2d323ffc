package zktest

import (
	"slices"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// handler serves one operation. It runs while the server is locked; a record is sent only with CodeOK.
type handler struct {
	// since is the first release that knows the operation.
	since Version
	serve func(s *Server, c *conn, body []byte) (wire.Record, wire.Code)
}

// on makes a handler of a function that takes the decoded request.
func on[R any, P interface {
	*R
	wire.Record
}](since Version, serve func(s *Server, c *conn, r *R) (wire.Record, wire.Code)) handler {
	return handler{since: since, serve: func(s *Server, c *conn, body []byte) (wire.Record, wire.Code) {
		var r R
		if _, err := wire.Decode(body, P(&r)); err != nil {
			return nil, wire.CodeMarshallingError
		}
		return serve(s, c, &r)
	}}
}

// handlers are all operations that are known; auth, ping and closeSession have a way of their own.
func handlers() map[wire.Op]handler {
	return map[wire.Op]handler{
		wire.OpCreate:               on(Before36, create(wire.OpCreate)),
		wire.OpCreate2:              on(Before36, create(wire.OpCreate2)),
		wire.OpCreateContainer:      on(Before36, create(wire.OpCreateContainer)),
		wire.OpCreateTTL:            on(Before36, (*Server).createTTL),
		wire.OpDelete:               on(Before36, (*Server).delete),
		wire.OpSetData:              on(Before36, (*Server).setData),
		wire.OpSetACL:               on(Before36, (*Server).setACL),
		wire.OpMulti:                {since: Before36, serve: (*Server).multi},
		wire.OpExists:               on(Before36, (*Server).exists),
		wire.OpGetData:              on(Before36, (*Server).getData),
		wire.OpGetACL:               on(Before36, (*Server).getACL),
		wire.OpGetChildren:          on(Before36, (*Server).getChildren),
		wire.OpGetChildren2:         on(Before36, (*Server).getChildren2),
		wire.OpSync:                 on(Before36, (*Server).sync),
		wire.OpSetWatches:           on(Before36, (*Server).setWatches1),
		wire.OpCheckWatches:         on(Before36, (*Server).checkWatches),
		wire.OpRemoveWatches:        on(Before36, (*Server).removeWatches),
		wire.OpMultiRead:            on(V36, (*Server).multiRead),
		wire.OpGetEphemerals:        on(V36, (*Server).getEphemerals),
		wire.OpGetAllChildrenNumber: on(V36, (*Server).getAllChildrenNumber),
		wire.OpSetWatches2:          on(V36, (*Server).setWatches2),
		wire.OpAddWatch:             on(V36, (*Server).addWatchOp),
		wire.OpWhoAmI:               {since: V39, serve: (*Server).whoAmI},
	}
}

// handle serves one request and queues the answer.
func (s *Server) handle(c *conn, h wire.RequestHeader, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.deaf || c.session.conn != c || s.sessions[c.session.id] == nil {
		return
	}
	s.stats.Requests[h.Op]++
	c.session.touch()
	fault := s.fault(h.Op, pathOf(h.Op, body))
	reply := wire.ReplyHeader{Xid: h.Xid}
	var record wire.Record
	known := true
	if fault.Code != wire.CodeOK {
		reply.Err = fault.Code
	} else {
		record, reply.Err, known = s.answer(c, h.Op, body)
	}
	switch {
	case !known:
		reply.Zxid = -1
	case h.Op == wire.OpPing:
		reply.Xid, reply.Zxid = wire.XidPing, s.zxid
	case h.Op != wire.OpAuth:
		reply.Zxid = s.zxid
	}
	records := []wire.Record{&reply}
	if record != nil && reply.Err == wire.CodeOK {
		records = append(records, record)
	}
	fault.deliver(c, wire.AppendFrame(nil, records...))
	if !known || h.Op == wire.OpCloseSession || (h.Op == wire.OpAuth && reply.Err != wire.CodeOK) {
		c.hangUp()
	}
}

// answer serves one request. Operations that are not known to this release are CodeUnimplemented and end the connection.
func (s *Server) answer(c *conn, op wire.Op, body []byte) (record wire.Record, code wire.Code, known bool) {
	switch op {
	case wire.OpPing:
		return nil, wire.CodeOK, true
	case wire.OpAuth:
		return nil, s.auth(c, body), true
	case wire.OpCloseSession:
		s.closeSession(c.session)
		return nil, wire.CodeOK, true
	}
	h, ok := s.handlers[op]
	if !ok || s.opts.Version < h.since {
		return nil, wire.CodeUnimplemented, false
	}
	record, code = h.serve(s, c, body)
	return record, code, true
}

// pathOf is the path that a request begins with, if it does.
func pathOf(op wire.Op, body []byte) string {
	switch op {
	case wire.OpPing, wire.OpAuth, wire.OpCloseSession, wire.OpMulti, wire.OpMultiRead, wire.OpSetWatches, wire.OpSetWatches2:
		return ""
	default:
		var p wire.PathRecord
		if _, err := wire.Decode(body, &p); err != nil {
			return ""
		}
		return p.Path
	}
}

// auth adds an identity to the connection. There is no wrong password here: it is a wrong identity.
func (s *Server) auth(c *conn, body []byte) wire.Code {
	var r wire.AuthRequest
	if _, err := wire.Decode(body, &r); err != nil {
		return wire.CodeAuthFailed
	}
	switch r.Scheme {
	case schemeDigest:
		if id := (identity{schemeDigest, Digest(string(r.Auth))}); !slices.Contains(c.ids, id) {
			c.ids = append(c.ids, id)
		}
	case schemeIP:
	default:
		return wire.CodeAuthFailed
	}
	return wire.CodeOK
}

// whoAmI lists the identities of the connection.
func (s *Server) whoAmI(c *conn, _ []byte) (wire.Record, wire.Code) {
	out := &wire.WhoAmIResponse{}
	for _, i := range c.ids {
		user := i.id
		if i.scheme == schemeDigest {
			user, _, _ = strings.Cut(i.id, ":")
		}
		out.Identities = append(out.Identities, wire.ClientInfo{Scheme: i.scheme, User: user})
	}
	return out, wire.CodeOK
}

func (s *Server) sync(_ *conn, r *wire.PathRecord) (wire.Record, wire.Code) { return r, wire.CodeOK }

// setWatches1 is setWatches, the form without watches that stay.
func (s *Server) setWatches1(c *conn, r *wire.SetWatches) (wire.Record, wire.Code) {
	s.setWatches(c, &wire.SetWatches2{SetWatches: *r})
	return nil, wire.CodeOK
}

func (s *Server) setWatches2(c *conn, r *wire.SetWatches2) (wire.Record, wire.Code) {
	s.setWatches(c, r)
	return nil, wire.CodeOK
}

func (s *Server) addWatchOp(c *conn, r *wire.AddWatchRequest) (wire.Record, wire.Code) {
	return &wire.ErrorResponse{}, s.addWatch(c, r.Path, r.Mode)
}

func (s *Server) checkWatches(c *conn, r *wire.WatchesRequest) (wire.Record, wire.Code) {
	return nil, s.watchQuery(c, r, (*watchTable).hasAny)
}

func (s *Server) removeWatches(c *conn, r *wire.WatchesRequest) (wire.Record, wire.Code) {
	return nil, s.watchQuery(c, r, (*watchTable).remove)
}

// create is the handler of the three operations with the same request.
func create(op wire.Op) func(*Server, *conn, *wire.CreateRequest) (wire.Record, wire.Code) {
	return func(s *Server, c *conn, r *wire.CreateRequest) (wire.Record, wire.Code) {
		return s.writing(c, wire.MultiOp{Op: op, Request: r})
	}
}

func (s *Server) createTTL(c *conn, r *wire.CreateTTLRequest) (wire.Record, wire.Code) {
	return s.writing(c, wire.MultiOp{Op: wire.OpCreateTTL, Request: r})
}

func (s *Server) delete(c *conn, r *wire.VersionRequest) (wire.Record, wire.Code) {
	return s.writing(c, wire.MultiOp{Op: wire.OpDelete, Request: r})
}

func (s *Server) setData(c *conn, r *wire.SetDataRequest) (wire.Record, wire.Code) {
	return s.writing(c, wire.MultiOp{Op: wire.OpSetData, Request: r})
}

func (s *Server) setACL(c *conn, r *wire.SetACLRequest) (wire.Record, wire.Code) {
	var out wire.Stat
	code := s.apply(c, func(ch *change) wire.Code {
		n, code := s.tree.setACL(ch, r.Path, r.ACL, r.Version)
		if code == wire.CodeOK {
			out = n.status()
		}
		return code
	})
	return &out, code
}

// writing runs one operation as a transaction.
func (s *Server) writing(c *conn, op wire.MultiOp) (record wire.Record, code wire.Code) {
	code = s.apply(c, func(ch *change) wire.Code {
		record, code = s.step(ch, op)
		return code
	})
	return record, code
}

// multi runs several operations as one transaction. One that makes no sense counts as a transaction too.
func (s *Server) multi(c *conn, body []byte) (wire.Record, wire.Code) {
	var r wire.MultiRequest
	_, err := wire.Decode(body, &r)
	if err != nil || slices.ContainsFunc(r.Ops, reads) {
		s.zxid++
		return nil, wire.CodeMarshallingError
	}
	out := &wire.MultiResponse{Results: make([]wire.MultiResult, len(r.Ops))}
	_ = s.apply(c, func(ch *change) wire.Code { // What failed is in the results.
		for i, op := range r.Ops {
			record, code := s.step(ch, op)
			out.Results[i] = wire.MultiResult{Op: op.Op, Response: record}
			if _, made := record.(*wire.Create2Response); made {
				out.Results[i].Op = wire.OpCreate2 // Whatever form of create it was.
			}
			if code != wire.CodeOK {
				failed(out.Results, i, code)
				return code
			}
		}
		return wire.CodeOK
	})
	return out, wire.CodeOK
}

func reads(op wire.MultiOp) bool {
	_, ok := op.Request.(*wire.ReadRequest)
	return ok
}

// failed turns the results of a multi into those of one whose operation at failed.
func failed(results []wire.MultiResult, at int, code wire.Code) {
	for i := range results {
		c := code
		if i < at {
			c = wire.CodeOK
		} else if i > at {
			c = wire.CodeRuntimeInconsistency
		}
		results[i] = wire.MultiResult{Op: wire.OpError, Response: &wire.ErrorResponse{Code: c}}
	}
}

// step does one operation within a transaction.
func (s *Server) step(ch *change, op wire.MultiOp) (wire.Record, wire.Code) {
	switch r := op.Request.(type) {
	case *wire.CreateRequest:
		in := newNode{path: r.Path, data: r.Data, acl: r.ACL, mode: r.Mode, container: op.Op == wire.OpCreateContainer}
		return s.stepCreate(ch, op.Op, in)
	case *wire.CreateTTLRequest:
		ttl := time.Duration(r.TTL) * time.Millisecond
		return s.stepCreate(ch, op.Op, newNode{path: r.Path, data: r.Data, acl: r.ACL, mode: r.Mode, ttl: ttl})
	case *wire.SetDataRequest:
		n, code := s.tree.setData(ch, r.Path, r.Data, r.Version)
		if code != wire.CodeOK {
			return nil, code
		}
		stat := n.status()
		return &stat, code
	case *wire.VersionRequest:
		if op.Op == wire.OpCheck {
			return nil, s.tree.check(ch, r.Path, r.Version)
		}
		return nil, s.tree.remove(ch, r.Path, r.Version)
	default:
		return nil, wire.CodeMarshallingError
	}
}

// stepCreate makes a node within a transaction.
func (s *Server) stepCreate(ch *change, op wire.Op, in newNode) (wire.Record, wire.Code) {
	switch {
	case in.mode < wire.ModePersistent || in.mode > wire.ModePersistentSequentialTTL:
		return nil, wire.CodeBadArguments
	case in.mode.TTL() && !s.opts.ExtendedTypes:
		return nil, wire.CodeUnimplemented
	case in.mode.TTL() != (in.ttl > 0):
		return nil, wire.CodeBadArguments
	}
	path, code := s.tree.create(ch, in)
	if code != wire.CodeOK {
		return nil, code
	}
	if op == wire.OpCreate {
		return &wire.PathRecord{Path: path}, code
	}
	return &wire.Create2Response{Path: path, Stat: s.tree.get(path).status()}, code
}
