package plan

import "slices"

// claims counts how many hosts want each endpoint of a source. It is immutable; edit makes the next version, which shares every
// bucket that did not change. (Addresses are counted once however many services they carry: one Dubbo process has a hundred.)
type claims struct {
	buckets  [][]claim
	distinct int
}

type claim struct {
	id endpointID
	n  int
}

// claimBuckets makes a bucket of a source with 100,000 endpoints cheap to copy.
const claimBuckets = 1024

// bucketOf spreads ids with FNV-1a.
func bucketOf(id endpointID) int {
	h := uint32(2166136261)
	for i := range len(id.address) {
		h = (h ^ uint32(id.address[i])) * 16777619
	}
	h = (h ^ id.port) * 16777619
	return int((h ^ h>>16) % claimBuckets)
}

// of returns how many hosts want the endpoint.
func (c claims) of(id endpointID) int {
	if c.buckets == nil {
		return 0
	}
	bucket := c.buckets[bucketOf(id)]
	if i, ok := findClaim(bucket, id); ok {
		return bucket[i].n
	}
	return 0
}

func findClaim(bucket []claim, id endpointID) (int, bool) {
	return slices.BinarySearchFunc(bucket, id, func(c claim, id endpointID) int { return c.id.compare(id) })
}

// claimsEdit is the next version of claims in the making.
type claimsEdit struct {
	claims
	owned [claimBuckets]bool
}

func (c claims) edit() *claimsEdit {
	e := &claimsEdit{claims: c}
	if c.buckets == nil {
		e.buckets = make([][]claim, claimBuckets)
	} else {
		e.buckets = slices.Clone(c.buckets)
	}
	return e
}

// add changes the number of hosts that want the endpoint by delta.
func (e *claimsEdit) add(id endpointID, delta int) {
	b := bucketOf(id)
	if !e.owned[b] {
		e.owned[b] = true
		e.buckets[b] = slices.Clone(e.buckets[b])
	}
	bucket := e.buckets[b]
	i, ok := findClaim(bucket, id)
	if !ok {
		e.buckets[b] = slices.Insert(bucket, i, claim{id, delta})
		e.distinct++
		return
	}
	bucket[i].n += delta
	if bucket[i].n == 0 {
		e.buckets[b] = slices.Delete(bucket, i, i+1)
		e.distinct--
	}
}
