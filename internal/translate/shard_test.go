package translate

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func many(n int) []Endpoint {
	endpoints := make([]Endpoint, n)
	addr := netip.MustParseAddr("10.0.0.0")
	for i := range endpoints {
		addr = addr.Next()
		endpoints[i] = Endpoint{Address: addr.String(), Ports: []EndpointPort{{"http-80", 80}}}
	}
	return endpoints
}

func TestNumberOfShards(t *testing.T) {
	for _, c := range []struct{ endpoints, live, want int }{
		{endpoints: 1, want: 1},
		{endpoints: 1000, want: 1},
		{endpoints: 1001, want: 2},
		{endpoints: 2000, want: 2},
		{endpoints: 2001, want: 3},
		{endpoints: 1000, live: 1, want: 1},
		{endpoints: 1001, live: 1, want: 2},
		{endpoints: 1000, live: 2, want: 2},
		{endpoints: 501, live: 2, want: 2},
		{endpoints: 500, live: 2, want: 1},
		{endpoints: 1, live: 2, want: 1},
		{endpoints: 1001, live: 3, want: 3},
		{endpoints: 1000, live: 3, want: 2},
		{endpoints: 3000, live: 3, want: 3},
		{endpoints: 3001, live: 3, want: 4},
	} {
		t.Run(fmt.Sprintf("%d on %d", c.endpoints, c.live), func(t *testing.T) {
			parts := shard(many(c.endpoints), 1000, c.live)
			if len(parts) != c.want {
				t.Errorf("%d shards, want %d", len(parts), c.want)
			}
			total := 0
			for _, p := range parts {
				total += len(p)
			}
			if total != c.endpoints {
				t.Errorf("%d endpoints", total)
			}
		})
	}
}

func TestShardsAreSmallerWhenEndpointsAreLarge(t *testing.T) {
	endpoints := many(900)
	labels := make([]Label, 10)
	for i := range labels {
		labels[i] = Label{fmt.Sprintf("key-%d", i), strings.Repeat("v", 63)}
	}
	size := 0
	for i := range endpoints {
		endpoints[i].Labels = labels
		size += endpoints[i].size()
	}
	parts := shard(endpoints, 1000, 1)
	if want := (size + bytesPerObject - 1) / bytesPerObject; len(parts) != want || want != 2 {
		t.Errorf("%d shards of %d bytes, want %d", len(parts), size, want)
	}
	if !fits(parts) {
		t.Error("a shard is too large")
	}
}

func TestFits(t *testing.T) {
	large := Endpoint{Locality: strings.Repeat("r", hardBytesPerObject)}
	for _, c := range []struct {
		name string
		part []Endpoint
		want bool
	}{
		{"the most that the CRD allows", make([]Endpoint, hardPerObject), true},
		{"one more", make([]Endpoint, hardPerObject+1), false},
		{"two that are large", []Endpoint{large, large}, false},
		{"one that is large cannot be split", []Endpoint{large}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fits([][]Endpoint{nil, c.part}); got != c.want {
				t.Errorf("fits = %v", got)
			}
		})
	}
}

// TestShardsGrowUntilTheyFit: the hash may make one shard larger than the CRD allows.
func TestShardsGrowUntilTheyFit(t *testing.T) {
	parts := shard(many(2*hardPerObject), hardPerObject, 1)
	if len(parts) != 3 || !fits(parts) {
		t.Errorf("%d shards", len(parts))
	}
}

func TestGrowthMovesFewEndpoints(t *testing.T) {
	endpoints := many(3000)
	moved := 0
	for i := range endpoints {
		before, after := rendezvous(&endpoints[i], 3), rendezvous(&endpoints[i], 4)
		if before != after {
			moved++
			if after != 3 {
				t.Fatalf("endpoint %d moves between old shards", i)
			}
		}
	}
	if moved < 600 || moved > 900 { // A quarter is 750.
		t.Errorf("%d of 3000 endpoints move", moved)
	}
	for n, p := range distribute(endpoints, 3) {
		if len(p) < 900 || len(p) > 1100 {
			t.Errorf("shard %d has %d endpoints", n, len(p))
		}
	}
}

func TestShardDependsOnThePortToo(t *testing.T) {
	seen := map[int]bool{}
	for port := range uint32(50) {
		seen[rendezvous(&Endpoint{Address: "10.0.0.1", Ports: []EndpointPort{{"http-80", port + 1}}}, 2)] = true
	}
	if len(seen) != 2 {
		t.Error("all processes of one address are in one shard")
	}
}

func TestShardName(t *testing.T) {
	long := strings.Repeat("a", 251)
	for _, c := range []struct {
		host  string
		k     int
		plain bool
		want  string
	}{
		{"a.b", 2, true, "a.b-2"},
		{"a.b", 12, true, "a.b-12"},
		{"a.b", 2, false, "a.b-2-" + hash("a.b", 8)},
		{long, 2, true, long + "-2"},
		{long, 10, true, long[:241] + "-10-" + hash(long, 8)},
		{long + "a", 2, true, long[:242] + "-2-" + hash(long+"a", 8)},
	} {
		got := shardName(c.host, c.k, c.plain)
		if got != c.want || len(got) > 253 {
			t.Errorf("%s, %d, %v: %s (%d)", c.host, c.k, c.plain, got, len(got))
		}
	}
}

func TestLimit(t *testing.T) {
	for _, c := range []struct{ configured, want int }{{0, 1000}, {-1, 1000}, {1, 1}, {3000, 3000}, {3001, 3000}} {
		e := entry{registry: &Registry{Endpoints: Endpoints{MaxPerObject: c.configured}}}
		if got := e.limit(); got != c.want {
			t.Errorf("%d: %d, want %d", c.configured, got, c.want)
		}
	}
}

func TestShardNumberWithALimitOfOne(t *testing.T) {
	if got := len(shard(many(3), 1, 0)); got != 3 {
		t.Errorf("%d shards", got)
	}
}

// TestSizeIsNeverTooSmall compares the estimate with what is written for an endpoint.
func TestSizeIsNeverTooSmall(t *testing.T) {
	e := Endpoint{
		Address: "10.0.0.1", Ports: []EndpointPort{{"http-80", 65535}}, Labels: []Label{{"a", "b"}}, Weight: 10000, Locality: "r", Network: "n",
	}
	written := `{"address":"10.0.0.1","ports":{"http-80":65535},"labels":{"a":"b"},"weight":10000,"locality":"r","network":"n"},`
	if got := e.size(); got < len(written) || got > len(written)+10 {
		t.Errorf("%d bytes, written are %d", got, len(written))
	}
}
