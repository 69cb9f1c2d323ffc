package zktest

import (
	"crypto/sha1" //nolint:gosec // The digest scheme of ZooKeeper is SHA-1.
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// The authentication schemes that the server knows.
const (
	schemeWorld  = "world"
	schemeAuth   = "auth"
	schemeDigest = "digest"
	schemeIP     = "ip"
)

// identity is one id that a connection has shown.
type identity struct{ scheme, id string }

// Digest is the id that the scheme digest gives to a user: what an ACL holds for the credentials "user:password".
func Digest(credentials string) string {
	user, _, _ := strings.Cut(credentials, ":")
	sum := sha1.Sum([]byte(credentials)) //nolint:gosec // The digest scheme of ZooKeeper is SHA-1.
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

// permits says whether one of the identities has one of the permissions. A node without an ACL is open to all.
func permits(acl []wire.ACL, perm int32, ids []identity) bool {
	if len(acl) == 0 {
		return true
	}
	return slices.ContainsFunc(acl, func(a wire.ACL) bool {
		if a.Perms&perm == 0 {
			return false
		}
		if a.Scheme == schemeWorld && a.ID == "anyone" {
			return true
		}
		return slices.ContainsFunc(ids, func(i identity) bool { return i.scheme == a.Scheme && matches(i, a.ID) })
	})
}

// matches compares an identity with the id of an ACL of the same scheme.
func matches(i identity, id string) bool {
	if i.scheme != schemeIP {
		return i.id == id
	}
	addr, err := netip.ParseAddr(i.id)
	if err != nil {
		return false
	}
	net, ok := parseNet(id)
	return ok && net.Contains(addr)
}

// parseNet reads an address or a network.
func parseNet(id string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(id); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	net, err := netip.ParsePrefix(id)
	return net, err == nil
}

// expand checks the ACL of a request and replaces the scheme auth by the identities of the connection.
func expand(acl []wire.ACL, ids []identity) ([]wire.ACL, wire.Code) {
	var out []wire.ACL
	for i, a := range acl {
		if slices.Contains(acl[:i], a) {
			continue
		}
		if a.Scheme != schemeAuth {
			if !validID(a) {
				return nil, wire.CodeInvalidACL
			}
			out = append(out, a)
			continue
		}
		before := len(out)
		for _, id := range ids {
			if id.scheme == schemeDigest {
				out = append(out, wire.ACL{Perms: a.Perms, Scheme: id.scheme, ID: id.id})
			}
		}
		if len(out) == before {
			return nil, wire.CodeInvalidACL
		}
	}
	if len(out) == 0 {
		return nil, wire.CodeInvalidACL
	}
	return out, wire.CodeOK
}

// validID says whether the id of an ACL is one of its scheme.
func validID(a wire.ACL) bool {
	switch a.Scheme {
	case schemeWorld:
		return a.ID == "anyone"
	case schemeDigest:
		user, hash, ok := strings.Cut(a.ID, ":")
		return ok && user != "" && hash != "" && !strings.Contains(hash, ":")
	case schemeIP:
		_, ok := parseNet(a.ID)
		return ok
	default:
		return false
	}
}

// masked hides the hashes of the scheme digest from those who may not administer the node.
func masked(acl []wire.ACL) []wire.ACL {
	out := slices.Clone(acl)
	for i, a := range out {
		if a.Scheme == schemeDigest {
			user, _, _ := strings.Cut(a.ID, ":")
			out[i].ID = user + ":x"
		}
	}
	return out
}
