package translate

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func route(service ...string) DubboRoute {
	return DubboRoute{Interface: service[0], Group: service[1], Version: service[2], Matches: []DubboMatch{{To: []DubboTarget{{Host: "a.b", Port: 20880}}}}}
}

func TestRoutesAreInOrder(t *testing.T) {
	want := []DubboRoute{
		route("A", "blue", "1"), route("A", "blue", ""), route("A", "green", "1"), route("A", "", "1"), route("A", "", "2"), route("A", "", ""), route("B", "", ""),
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b DubboRoute) int { return a.Compare(&b) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTablesAreCutAndJoined(t *testing.T) {
	full := &EnvoyFilter{Port: 20880, Routes: []DubboRoute{route("A", "blue", "1"), route("A", "", ""), route("B", "", "")}}
	none := full.Keep(func(*DubboRoute) bool { return false })
	if len(none.Routes) != 0 || none.Port != 20880 || none.Same(full) {
		t.Errorf("without routes: %+v", none)
	}
	some := full.Keep(func(r *DubboRoute) bool { return r.Interface == "B" })
	if len(some.Routes) != 1 || some.Find(&full.Routes[0]) != nil || some.Find(&full.Routes[2]) == nil {
		t.Errorf("some: %+v", some)
	}
	if full.Keep(func(*DubboRoute) bool { return true }) != full || full.With(some.Routes) != full {
		t.Error("what did not change is another table")
	}
	if back := some.With(full.Routes); !back.Same(full) {
		t.Errorf("joined: %+v", back)
	}
	other := route("B", "", "")
	other.Matches = []DubboMatch{{Tag: "gray", To: []DubboTarget{{Host: "c.d"}}}}
	if got := some.With([]DubboRoute{other}); got != some {
		t.Errorf("its own route went: %+v", got)
	}
}

func TestTablesOfAnEntry(t *testing.T) {
	ports := []ServicePort{{"tcp-dubbo-20880", 20880, TCP}, {"grpc-tri-50051", 50051, GRPC}, {"tcp-dubbo-20990", 20990, TCP}}
	for _, c := range []struct {
		name     string
		to, vips []string
		want     []Key
	}{
		{"mesh", []string{"*"}, nil, []Key{TableKey("root", 20880), TableKey("root", 20990)}},
		{"namespaces", []string{"b", "."}, nil, []Key{TableKey("b", 20880), TableKey("b", 20990), TableKey("own", 20880), TableKey("own", 20990)}},
		{"with an address", []string{"*"}, []string{"240.239.0.1"}, nil},
		{"hidden", []string{"~"}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &Object{Key: Key{KindServiceEntry, "own", "a.b"}, ServiceEntry: &ServiceEntry{Host: "a.b", Ports: ports, ExportTo: c.to, Addresses: c.vips}}
			got := o.Tables("root")
			slices.SortFunc(c.want, Key.Compare)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if keys := (&Object{EnvoyFilter: &EnvoyFilter{}}).Tables("root"); keys != nil {
		t.Errorf("a table needs %v", keys)
	}
}

func TestTargets(t *testing.T) {
	se := &ServiceEntry{Host: "a.b", Ports: []ServicePort{{Number: 20880}}}
	rule := &DestinationRule{Host: "a.b", Subsets: []Subset{{Name: "tag-gray"}}}
	for _, c := range []struct {
		target  DubboTarget
		cluster string
		rule    *DestinationRule
		want    bool
	}{
		{DubboTarget{Host: "a.b", Port: 20880}, "outbound|20880||a.b", nil, true},
		{DubboTarget{Host: "a.b", Port: 20881}, "outbound|20881||a.b", nil, false},
		{DubboTarget{Host: "c.d", Port: 20880}, "outbound|20880||c.d", nil, false},
		{DubboTarget{Host: "a.b", Port: 20880, Subset: "tag-gray"}, "outbound|20880|tag-gray|a.b", rule, true},
		{DubboTarget{Host: "a.b", Port: 20880, Subset: "tag-gray"}, "outbound|20880|tag-gray|a.b", nil, false},
		{DubboTarget{Host: "a.b", Port: 20880, Subset: "untagged"}, "outbound|20880|untagged|a.b", rule, false},
	} {
		if got := se.Has(c.target, c.rule); got != c.want || c.target.Cluster() != c.cluster {
			t.Errorf("%s: %v", c.target.Cluster(), got)
		}
	}
	var all []DubboTarget
	r := DubboRoute{Matches: []DubboMatch{{To: []DubboTarget{{Host: "a"}, {Host: "b"}}}, {To: []DubboTarget{{Host: "c"}}}}}
	for target := range r.Targets {
		all = append(all, target)
		if len(all) == 2 {
			break
		}
	}
	if len(all) != 2 || all[1].Host != "b" {
		t.Errorf("targets %v", all)
	}
}
