package zktest

import (
	"maps"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// readable finds a node that the connection may read.
func (s *Server) readable(c *conn, path string) (*node, wire.Code) {
	n := s.tree.get(path)
	switch {
	case n == nil:
		return nil, wire.CodeNoNode
	case !permits(n.acl, wire.PermRead, c.ids):
		return nil, wire.CodeNoAuth
	default:
		return n, wire.CodeOK
	}
}

// exists leaves its watch on a node that does not exist too.
func (s *Server) exists(c *conn, r *wire.ReadRequest) (wire.Record, wire.Code) {
	if strings.ContainsRune(r.Path, 0) {
		return nil, wire.CodeBadArguments
	}
	n, code := s.readable(c, r.Path)
	if r.Watch && code != wire.CodeNoAuth {
		s.dataWatches.add(r.Path, c, oneShot)
	}
	if code != wire.CodeOK {
		return nil, code
	}
	stat := n.status()
	return &stat, code
}

func (s *Server) getData(c *conn, r *wire.ReadRequest) (wire.Record, wire.Code) {
	n, code := s.readable(c, r.Path)
	if code != wire.CodeOK {
		return nil, code
	}
	if r.Watch {
		s.dataWatches.add(r.Path, c, oneShot)
	}
	return &wire.GetDataResponse{Data: n.data, Stat: n.status()}, code
}

func (s *Server) getChildren(c *conn, r *wire.ReadRequest) (wire.Record, wire.Code) {
	n, code := s.listed(c, r)
	if code != wire.CodeOK {
		return nil, code
	}
	return &wire.ChildrenResponse{Children: slices.Collect(maps.Keys(n.children))}, code
}

func (s *Server) getChildren2(c *conn, r *wire.ReadRequest) (wire.Record, wire.Code) {
	n, code := s.listed(c, r)
	if code != wire.CodeOK {
		return nil, code
	}
	return &wire.Children2Response{Children: slices.Collect(maps.Keys(n.children)), Stat: n.status()}, code
}

// listed finds a node whose children are read. Their order is any, as with the real server.
func (s *Server) listed(c *conn, r *wire.ReadRequest) (*node, wire.Code) {
	n, code := s.readable(c, r.Path)
	if code == wire.CodeOK && r.Watch {
		s.childWatches.add(r.Path, c, oneShot)
	}
	return n, code
}

// getACL needs READ or ADMIN, and hides hashes from those without ADMIN.
func (s *Server) getACL(c *conn, r *wire.PathRecord) (wire.Record, wire.Code) {
	n := s.tree.get(r.Path)
	switch {
	case n == nil:
		return nil, wire.CodeNoNode
	case !permits(n.acl, wire.PermRead|wire.PermAdmin, c.ids):
		return nil, wire.CodeNoAuth
	case permits(n.acl, wire.PermAdmin, c.ids):
		return &wire.GetACLResponse{ACL: n.acl, Stat: n.status()}, wire.CodeOK
	default:
		return &wire.GetACLResponse{ACL: masked(n.acl), Stat: n.status()}, wire.CodeOK
	}
}

func (s *Server) getAllChildrenNumber(c *conn, r *wire.PathRecord) (wire.Record, wire.Code) {
	if _, code := s.readable(c, r.Path); code != wire.CodeOK {
		return nil, code
	}
	return &wire.CountResponse{Count: int32(s.tree.below(r.Path))}, wire.CodeOK //nolint:gosec // a test's tree is small
}

// getEphemerals lists the nodes of the session whose path begins with the prefix.
func (s *Server) getEphemerals(c *conn, r *wire.PathRecord) (wire.Record, wire.Code) {
	paths := s.ephemerals(c.session.id)
	if prefix := strings.TrimSpace(r.Path); prefix != "" && prefix != "/" {
		paths = slices.DeleteFunc(paths, func(p string) bool { return !strings.HasPrefix(p, r.Path) })
	}
	return &wire.ChildrenResponse{Children: paths}, wire.CodeOK
}

// multiRead answers several reads, each on its own.
func (s *Server) multiRead(c *conn, r *wire.MultiRequest) (wire.Record, wire.Code) {
	out := &wire.MultiResponse{}
	for _, op := range r.Ops {
		read, ok := op.Request.(*wire.ReadRequest)
		if !ok {
			return nil, wire.CodeMarshallingError
		}
		serve := s.getData
		if op.Op == wire.OpGetChildren {
			serve = s.getChildren
		}
		result := wire.MultiResult{Op: op.Op}
		var code wire.Code
		if result.Response, code = serve(c, read); code != wire.CodeOK {
			result = wire.MultiResult{Op: wire.OpError, Response: &wire.ErrorResponse{Code: code}}
		}
		out.Results = append(out.Results, result)
	}
	return out, wire.CodeOK
}
