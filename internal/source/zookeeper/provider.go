package zookeeper

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"maps"
	"net"
	"strconv"
	"strings"
	"unique"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source/dubboprovider"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/dubbourl"
)

const (
	maxPort = 65535
	// maxMetadata bounds the parameters of one provider, in bytes of keys and values.
	maxMetadata = 64 << 10
)

// nodeKey stands for a node name: names are about 600 bytes long, and 100,000 of them need not stay in memory to tell which of them
// were added or removed.
type nodeKey [16]byte

func keyOf(node string) nodeKey {
	sum := sha256.Sum256([]byte(node))
	return nodeKey(sum[:16])
}

// provider is what is kept of one provider node.
type provider struct {
	key              nodeKey
	scheme, host     string
	group, version   string
	application, pid string
	port             int
	weight           uint32
	disabled         bool
	// timestamp is when the provider started, in milliseconds: of two nodes for one address the newer one counts.
	timestamp int64
	meta      map[string]string
	problem   string
}

// newerThan decides between two nodes for one address. It is a total order, so that every reader picks the same.
func (p *provider) newerThan(o *provider) bool {
	return cmp.Or(cmp.Compare(p.timestamp, o.timestamp), bytes.Compare(p.key[:], o.key[:])) > 0
}

// parseProvider reads a provider node. It returns nil for what is no provider: consumers, rules, in-JVM services.
func parseProvider(node string, pool *metaPool) *provider {
	key := keyOf(node)
	u, err := dubbourl.Parse(node)
	if err != nil {
		return &provider{key: key, host: hex.EncodeToString(key[:4]), problem: reason.Problem(reason.MalformedURL, err.Error())}
	}
	scheme := strings.ToLower(u.Scheme)
	if !dubboprovider.Is(scheme, u.Params) {
		return nil
	}
	p := &provider{
		key:         key,
		scheme:      unique.Make(scheme).Value(),
		host:        unique.Make(u.Host).Value(),
		port:        u.Port,
		group:       unique.Make(u.Params["group"]).Value(),
		version:     unique.Make(dubboprovider.Version(u.Params["version"])).Value(),
		application: unique.Make(u.Params["application"]).Value(),
		pid:         strings.Clone(u.Params["pid"]),
		weight:      dubboprovider.Weight(u.Params["weight"], dubboprovider.DefaultWeight),
		disabled:    dubboprovider.Disabled(u.Params),
	}
	p.timestamp, _ = strconv.ParseInt(u.Params["timestamp"], 10, 64)
	if p.port < 1 || p.port > maxPort {
		p.problem = reason.Problem(reason.PortOutOfRange, "port "+strconv.Itoa(p.port)+" is not between 1 and "+strconv.Itoa(maxPort))
	}
	if size := dubboprovider.Metadata(u.Params); size > maxMetadata {
		p.problem = reason.Problem(reason.MetadataTooLarge, strconv.Itoa(size)+" bytes of parameters, at most "+strconv.Itoa(maxMetadata))
		return p
	}
	p.meta = pool.share(u.Params)
	return p
}

// id names the provider among all of its service. It survives a restart at the same place.
func (p *provider) id() string {
	if p.scheme == "" {
		return "malformed:" + p.host
	}
	return p.scheme + "://" + net.JoinHostPort(p.host, strconv.Itoa(p.port))
}

// metaPool shares equal metadata between the providers of a unit: the instances of a service differ in their address only. The
// zero value is ready for use. A pool has one owner.
type metaPool struct {
	seed maphash.Seed
	maps map[uint64]map[string]string
}

// share returns a map equal to params that is never changed.
func (m *metaPool) share(params map[string]string) map[string]string {
	if len(params) == 0 {
		return nil
	}
	if m.maps == nil {
		m.seed, m.maps = maphash.MakeSeed(), make(map[uint64]map[string]string, 1)
	}
	var sum uint64
	for key, value := range params { // A sum does not depend on the order.
		sum += maphash.Comparable(m.seed, [2]string{key, value})
	}
	if known, ok := m.maps[sum]; ok && maps.Equal(known, params) {
		return known
	}
	own := make(map[string]string, len(params))
	for key, value := range params { // The originals would keep the whole URL in memory.
		own[unique.Make(key).Value()] = unique.Make(value).Value()
	}
	m.maps[sum] = own
	return own
}

// trim forgets what was shared once more of it has gathered than there are users.
func (m *metaPool) trim(users int) {
	if len(m.maps) > 2*users+8 {
		m.maps = nil
	}
}
