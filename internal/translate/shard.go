package translate

import (
	"hash/fnv"
	"strconv"
)

const (
	// defaultPerObject is the number of endpoints from which a host is sharded, where the configuration does not say.
	defaultPerObject = 1000
	// maxPerObject keeps the largest shard, which the hash makes larger than the average, below hardPerObject.
	maxPerObject = 3000
	// hardPerObject is the limit of the CRD.
	hardPerObject = 4096
	// bytesPerObject keeps objects below 1 MiB: beyond 1.5 MiB the API server refuses them.
	bytesPerObject     = 700 << 10
	hardBytesPerObject = 960 << 10
)

// shard distributes endpoints over objects. Which object an endpoint is in depends on its place and the number of objects only, and
// one object more takes away from each as few as possible. The number of live objects stays until it is too small, or much too large,
// so that a host at the limit does not move to and fro.
func shard(endpoints []Endpoint, limit, live int) [][]Endpoint {
	size := 0
	for i := range endpoints {
		size += endpoints[i].size()
	}
	n := max(live, 1)
	if needed := shards(len(endpoints), size, limit, bytesPerObject); needed > n {
		n = needed
	} else if enough := shards(len(endpoints), size, limit/2, bytesPerObject/2); enough < n {
		n = enough
	}
	for {
		parts := distribute(endpoints, n)
		if fits(parts) {
			return parts
		}
		n++
	}
}

// shards returns how many objects are needed.
func shards(count, size, limit, bytes int) int {
	limit = max(limit, 1)
	return max(1, (count+limit-1)/limit, (size+bytes-1)/bytes)
}

func fits(parts [][]Endpoint) bool {
	for _, p := range parts {
		size := 0
		for i := range p {
			size += p[i].size()
		}
		if len(p) > 1 && (len(p) > hardPerObject || size > hardBytesPerObject) {
			return false
		}
	}
	return true
}

// size estimates the bytes of the endpoint in the object's JSON, upwards.
func (e *Endpoint) size() int {
	n := len(`{"address":"","ports":{},"labels":{},"weight":10000,"locality":"","network":""},`) + len(e.Address) + len(e.Locality) + len(e.Network)
	for _, p := range e.Ports {
		n += len(p.Name) + len(`"":65535,`)
	}
	for _, l := range e.Labels {
		n += len(l.Key) + len(l.Value) + len(`"":"",`)
	}
	return n
}

// distribute hashes endpoints into n lists that keep their order.
func distribute(endpoints []Endpoint, n int) [][]Endpoint {
	parts := make([][]Endpoint, n)
	if n == 1 {
		parts[0] = endpoints
		return parts
	}
	for i := range endpoints {
		at := rendezvous(&endpoints[i], n)
		parts[at] = append(parts[at], endpoints[i])
	}
	return parts
}

// rendezvous returns which of n objects the endpoint prefers.
func rendezvous(e *Endpoint, n int) int {
	h := fnv.New64a()
	h.Write([]byte(e.Address + "|" + strconv.FormatUint(uint64(e.Port()), 10)))
	place := h.Sum64()
	best, most := 0, uint64(0)
	for i := range n {
		if score := mix(place + uint64(i)*0x9e3779b97f4a7c15); i == 0 || score > most {
			best, most = i, score
		}
	}
	return best
}

// mix spreads every bit of x over all bits (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// shardName returns the name of the k-th object of a host, k ≥ 2. The plain name may be another host's; the other never is.
func shardName(host string, k int, plain bool) string {
	suffix := "-" + strconv.Itoa(k)
	if plain && len(host)+len(suffix) <= maxHost {
		return host + suffix
	}
	suffix += "-" + hash(host, hashLen)
	return host[:min(len(host), maxHost-len(suffix))] + suffix
}
