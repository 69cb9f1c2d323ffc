package translate

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

func TestLivePorts(t *testing.T) {
	good := ServicePort{Name: "http-80", Number: 80, Protocol: HTTP}
	sixteen := make([]ServicePort, 16)
	for i := range sixteen {
		sixteen[i] = ServicePort{Name: fmt.Sprintf("tcp-p%d-%d", i, i+1), Number: uint32(i + 1), Protocol: TCP}
	}
	for _, c := range []struct {
		name  string
		ports []ServicePort
		want  int
	}{
		{"none", nil, 0},
		{"good", []ServicePort{good}, 1},
		{"sixteen", sixteen, 16},
		{"seventeen", append(sixteen[:16:16], ServicePort{Name: "http-80", Number: 80, Protocol: HTTP}), 0},
		{"highest port", []ServicePort{{Name: "tcp-65535", Number: 65535, Protocol: TCP}}, 1},
		{"too high a port", []ServicePort{{Name: "tcp-65536", Number: 65536, Protocol: TCP}}, 0},
		{"port 0", []ServicePort{{Name: "tcp-0", Number: 0, Protocol: TCP}}, 0},
		{"another name", []ServicePort{{Name: "web", Number: 80, Protocol: HTTP}}, 0},
		{"a name of another number", []ServicePort{{Name: "http-81", Number: 80, Protocol: HTTP}}, 0},
		{"an illegal name", []ServicePort{{Name: "Http-80", Number: 80, Protocol: HTTP}}, 0},
		{"a long name", []ServicePort{{Name: strings.Repeat("a", 59) + "-80", Number: 80, Protocol: HTTP}}, 1},
		{"too long a name", []ServicePort{{Name: strings.Repeat("a", 60) + "-80", Number: 80, Protocol: HTTP}}, 0},
		{"an unknown protocol", []ServicePort{{Name: "http-80", Number: 80, Protocol: "dubbo"}}, 0},
		{"a number twice", []ServicePort{good, {Name: "grpc-80", Number: 80, Protocol: GRPC}}, 0},
		{"a class twice", []ServicePort{good, {Name: "http-81", Number: 81, Protocol: HTTP}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := livePorts(c.ports); len(got) != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func offersFor(text string) []offer {
	var offers []offer
	for word := range strings.FieldsSeq(text) {
		name, number := word, uint32(0)
		if before, after, ok := strings.Cut(word, ":"); ok {
			name = before
			if _, err := fmt.Sscan(after, &number); err != nil {
				panic(err)
			}
		}
		stated := !strings.HasSuffix(name, "?")
		name = strings.TrimSuffix(name, "?")
		protocol, ok := parseProtocol(name)
		if !ok {
			protocol = TCP
		}
		offers = append(offers, offer{class{name, protocol, stated}, number})
	}
	return offers
}

func slotsFor(text string) []slot {
	var slots []slot
	for _, o := range offersFor(text) {
		slots = append(slots, slot{class: o.class, number: o.number, name: o.prefix})
	}
	return slots
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		offers, slots string
		want          []uint32 // nil: no match
	}{
		{"http:8080", "http", []uint32{8080}},
		{"grpc:1 http:2", "http grpc", []uint32{2, 1}},
		{"grpc:1 http:2", "http", []uint32{2}},
		{"grpc:1", "http", nil},
		{"tcp?:1", "http", []uint32{1}},
		{"http:1 tcp?:2", "http grpc", []uint32{1, 2}},
		{"http?:1 tcp?:2", "http grpc", []uint32{1, 2}},
		{"a?:1 b?:2", "http", nil},
		{"tcp?:1", "http grpc", nil},
		{"http:1", "http grpc", nil},
		{"", "http", nil},
	} {
		t.Run(c.offers+" for "+c.slots, func(t *testing.T) {
			var numbers [maxPorts]uint32
			slots := slotsFor(c.slots)
			ok := match(offersFor(c.offers), slots, numbers[:])
			if ok != (c.want != nil) {
				t.Fatalf("match = %v", ok)
			}
			if diff := cmp.Diff(c.want, numbers[:len(slots)]); ok && diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func partFor(sets map[string]int) *part {
	p := &part{drafts: []*draft{{reg: &Registry{}}}}
	for text, n := range sets {
		for range n {
			p.drafts[0].candidates = append(p.drafts[0].candidates, candidate{offers: offersFor(text)})
		}
	}
	parts := partsOf([]*draft{p.drafts[0]})
	return &parts[0]
}

func TestCommonProtocols(t *testing.T) {
	for _, c := range []struct {
		sets map[string]int
		want string
	}{
		{map[string]int{"http": 1}, "http"},
		{map[string]int{"http": 2, "grpc": 3}, "grpc"},
		{map[string]int{"http": 2, "grpc": 2}, "grpc"},
		{map[string]int{"a": 1, "a b": 1}, "a"},
		{map[string]int{"a": 1, "a b": 9}, "a"},
		{map[string]int{"a b": 2, "c": 2}, "a b"},
		{map[string]int{"a b": 2, "a c": 2, "d": 3}, "d"},
		{map[string]int{"a b": 2, "a c": 2}, "a b"},
	} {
		t.Run(c.want, func(t *testing.T) {
			var got []string
			for _, o := range partFor(c.sets).common() {
				got = append(got, o.prefix)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%v: %s", c.sets, got)
			}
		})
	}
}

func TestChoosePorts(t *testing.T) {
	for _, c := range []struct {
		name, live string
		sets       map[string]int
		rule       settings
		want       string
		faults     int
	}{
		{name: "first publication", sets: map[string]int{"http:8080": 1}, want: "http-8080"},
		{name: "opaque ports choose first", sets: map[string]int{"grpc:1000 zz:1000": 1}, want: "zz-1000 grpc-80"},
		{name: "two that want one port", sets: map[string]int{"a:1000 b:1000": 1}, want: "a-1000 b-1001"},
		{name: "two that want the last port", sets: map[string]int{"a:65535 b:65535": 1}, want: "a-65535 b-1"},
		{name: "the second takes what others use", sets: map[string]int{"a:1000 b:1000": 2, "a:1000 b:7": 1}, want: "a-1000 b-7"},
		{name: "live ports stay", live: "http:80", sets: map[string]int{"http:80": 1}, want: "http-80"},
		{name: "drift is told", live: "http:80", sets: map[string]int{"http:81": 1}, want: "http-80", faults: 1},
		{name: "no drift without agreement", live: "http:81", sets: map[string]int{"http:1": 1, "http:2": 1, "http:3": 1}, want: "http-81"},
		{name: "drift to half of the instances", live: "http:81", sets: map[string]int{"http:1": 1, "http:2": 1}, want: "http-81", faults: 1},
		{name: "no drift with half on the live port", live: "http:2", sets: map[string]int{"http:2": 2, "http:1": 1}, want: "http-2"},
		{name: "a class that all have joins", live: "http:80", sets: map[string]int{"http:80 grpc:90": 2}, want: "http-80 grpc-90"},
		{name: "a class that some have does not", live: "http:80", sets: map[string]int{"http:80 grpc:90": 2, "http:80": 1}, want: "http-80"},
		{name: "nor when some are left out", live: "http:80", sets: map[string]int{"http:80 grpc:90": 2, "grpc:90": 1}, want: "http-80"},
		{name: "nor one of which nobody says what it is", live: "http:80", sets: map[string]int{"http:80 tcp?:90": 2}, want: "http-80"},
		{name: "another protocol", live: "http:80", sets: map[string]int{"grpc:80": 1}, want: "http-80", faults: 1},
		{name: "other protocols", live: "http:80", sets: map[string]int{"grpc:80 zz:9": 1}, want: "zz-9 grpc-80", faults: 1},
		{name: "one port for two", live: "a:80 b:90", sets: map[string]int{"grpc:80": 1}, want: "grpc-80", faults: 1},
		{name: "rule: port", sets: map[string]int{"http:8080": 1}, rule: settings{servicePort: 99}, want: "http-99"},
		{name: "rule: port, live", live: "http:80", sets: map[string]int{"http:8080": 1}, rule: settings{servicePort: 99}, want: "http-99"},
		{name: "rule: port that another has", live: "a:80 b:90", sets: map[string]int{"a:1 b:90": 1}, rule: settings{servicePort: 90}, want: "a-91 b-90"},
		{name: "rule: protocol agrees", live: "http:80", sets: map[string]int{"http:81": 1}, rule: settings{protocol: HTTP}, want: "http-80", faults: 1},
		{name: "rule: protocol differs", live: "http:80", sets: map[string]int{"grpc:81": 1}, rule: settings{protocol: GRPC}, want: "grpc-81"},
		{name: "rule: protocol under another name", live: "a:80", sets: map[string]int{"tcp:81": 1}, rule: settings{protocol: TCP}, want: "tcp-81"},
	} {
		t.Run(c.name, func(t *testing.T) {
			owner := partFor(c.sets)
			owner.drafts[0].settings = c.rule
			live := slotsFor(c.live)
			for i := range live {
				live[i].name = fmt.Sprintf("%s-%d", live[i].prefix, live[i].number)
			}
			got := choosePorts(live, owner)
			var names []string
			for _, s := range got.slots {
				names = append(names, s.name)
				if !strings.HasSuffix(s.name, fmt.Sprintf("-%d", s.number)) {
					t.Errorf("%s is %d", s.name, s.number)
				}
			}
			if strings.Join(names, " ") != c.want || len(got.faults) != c.faults {
				t.Errorf("got %s, want %s; %v", names, c.want, got.faults)
			}
		})
	}
}

func TestChoosePortsWithoutOwner(t *testing.T) {
	live := slotsFor("http:80")
	if got := choosePorts(live, nil); len(got.slots) != 1 || got.slots[0].number != 80 || len(got.faults) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestAtMostSixteenPortsJoin(t *testing.T) {
	var live, offers []string
	for i := range 20 {
		word := fmt.Sprintf("c%c:%d", 'a'+i, i+1)
		if i < 15 {
			live = append(live, word)
		}
		if i < 17 {
			offers = append(offers, word)
		}
	}
	p := partFor(map[string]int{strings.Join(offers, " "): 1})
	if got := p.everywhere(slotsFor(strings.Join(live, " "))); len(got) != 1 || got[0].prefix != "cp" {
		t.Errorf("%v", got)
	}
}

func TestOffers(t *testing.T) {
	d := &draft{reg: &Registry{}, src: &Source{}}
	ports := func(n int) []model.Port {
		all := make([]model.Port, n)
		for i := range all {
			all[i] = model.Port{Name: fmt.Sprintf("n%d", i), Protocol: "http", Number: uint32(i + 1)}
		}
		return all
	}
	for _, c := range []struct {
		name           string
		ports          []model.Port
		offers, faults int
	}{
		{"one", ports(1), 1, 0},
		{"sixteen", ports(16), 16, 0},
		{"seventeen", ports(17), 16, 1},
		{"sixty-four", ports(64), 16, 1},
		{"sixty-five", ports(65), 16, 1},
		{"only bad ones behind the sixty-fourth", append(make([]model.Port, 64), ports(1)...), 0, 65},
		{"a name twice", []model.Port{{Name: "a", Number: 1}, {Name: "a", Number: 2}}, 1, 0},
		{"the limits", []model.Port{{Name: "a", Number: 1}, {Name: "b", Number: 65535}}, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			offers, faults := d.offersOf(&model.Instance{Ports: c.ports}, nil)
			if len(offers) != c.offers || len(faults) != c.faults {
				t.Errorf("%d offers, %d faults", len(offers), len(faults))
			}
		})
	}
}

func TestPortWord(t *testing.T) {
	for name, want := range map[string]string{
		"admin": "admin", "Admin": "admin", "": "p3", "a b": "p3", "-a": "p3", "80": "p3", "a1": "a1",
		strings.Repeat("a", 20): strings.Repeat("a", 20), strings.Repeat("a", 21): "p3",
	} {
		if got := portWord(name, 2); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestProtocolWords(t *testing.T) {
	for word, want := range map[string]Protocol{
		"tcp": TCP, "http": HTTP, "http1": HTTP, "http/1.1": HTTP, "http2": HTTP2, "h2": HTTP2, "h2c": HTTP2, "https": HTTPS, "grpc": GRPC, "tls": TLS,
		"": "", "udp": "",
	} {
		if got, ok := parseProtocol(word); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", word, got, ok)
		}
	}
	for protocol, opaque := range map[Protocol]bool{TCP: true, TLS: true, HTTP: false, HTTP2: false, HTTPS: false, GRPC: false} {
		if protocol.opaque() != opaque || (protocol.standardPort() == 0) != opaque {
			t.Errorf("%s", protocol)
		}
	}
}

func TestWeights(t *testing.T) {
	for _, c := range []struct{ weight, unit, want, clamped uint32 }{
		{weight: 100, unit: 100, want: 10, clamped: 0},
		{weight: 1, unit: 1, want: 10, clamped: 0},
		{weight: 1, unit: 0, want: 10, clamped: 0},
		{weight: 5, unit: 100, want: 1, clamped: 0},
		{weight: 4, unit: 100, want: 1, clamped: 1},
		{weight: 14, unit: 100, want: 1, clamped: 0},
		{weight: 15, unit: 100, want: 2, clamped: 0},
		{weight: 100000, unit: 100, want: 10000, clamped: 0},
		{weight: 100010, unit: 100, want: 10000, clamped: 1},
		{weight: 1000, unit: 1, want: 10000, clamped: 0},
		{weight: 1001, unit: 1, want: 10000, clamped: 1},
		{weight: 4294967295, unit: 1, want: 10000, clamped: 1},
		{weight: 4294967295, unit: 4294967295, want: 10, clamped: 0},
		{weight: 1, unit: 3, want: 3, clamped: 0},
		{weight: 1, unit: 20, want: 1, clamped: 0},
	} {
		d := &draft{svc: &model.Service{}, reg: &Registry{}, src: &Source{DefaultWeight: c.unit}}
		if got := d.weightOf(&model.Instance{Weight: c.weight}); got != c.want || len(d.diagnostics) != int(c.clamped) {
			t.Errorf("%d of %d: %d, %v; want %d", c.weight, c.unit, got, d.diagnostics, c.want)
		}
	}
}

func TestPool(t *testing.T) {
	var p pool[int]
	first := p.share([]int{0})
	for i := range 3 * poolSize {
		if got := p.share([]int{i}); len(got) != 1 || got[0] != i || len(p.seen) > poolSize {
			t.Fatalf("%d: %v, %d remembered", i, got, len(p.seen))
		}
	}
	if again := p.share([]int{0}); &again[0] == &first[0] || p.share(nil) != nil {
		t.Error("the pool remembers too much, or something of nothing")
	}
	buffer := []int{7}
	kept := p.share(buffer)
	buffer[0] = 8
	if kept[0] != 7 || &p.share([]int{7})[0] != &kept[0] {
		t.Error("the pool keeps the caller's slice, or does not share")
	}
}

func TestCanonical(t *testing.T) {
	text := "10.0.0.1"
	if got := canonical(netip.MustParseAddr(text), text); got != text {
		t.Errorf("got %s", got)
	}
	if got := canonical(netip.MustParseAddr("FD00:0::1"), "FD00:0::1"); got != "fd00::1" {
		t.Errorf("got %s", got)
	}
}

func TestEndpointCompareAndSource(t *testing.T) {
	base := Endpoint{
		Address: "10.0.0.1", Ports: []EndpointPort{{"a", 2}, {"b", 1}}, Labels: []Label{{LabelSource, "zk.1"}}, Weight: 1, Locality: "a", Network: "a",
	}
	if base.Source() != "zk.1" || (&Endpoint{Labels: []Label{{"a", "b"}}}).Source() != "" || base.Port() != 1 || (&Endpoint{}).Port() != 0 {
		t.Error("source or port")
	}
	for i, change := range []func(e *Endpoint){
		func(e *Endpoint) { e.Address = "10.0.0.2" },
		func(e *Endpoint) { e.Ports = []EndpointPort{{"a", 2}, {"b", 2}} },
		func(e *Endpoint) { e.Ports = []EndpointPort{{"a", 3}, {"b", 1}} },
		func(e *Endpoint) { e.Ports = []EndpointPort{{"a", 2}, {"c", 1}} },
		func(e *Endpoint) { e.Labels = []Label{{LabelSource, "zk.2"}} },
		func(e *Endpoint) { e.Labels = []Label{{"z", "zk.1"}} },
		func(e *Endpoint) { e.Weight = 2 },
		func(e *Endpoint) { e.Locality = "b" },
		func(e *Endpoint) { e.Network = "b" },
	} {
		larger := base
		change(&larger)
		if base.Compare(&larger) != -1 || larger.Compare(&base) != 1 || larger.Compare(&larger) != 0 || base.equal(larger) || !larger.equal(larger) {
			t.Errorf("change %d", i)
		}
	}
}
