package translate

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

func TestVIPRanges(t *testing.T) {
	for _, c := range []struct {
		within string
		hosts  int
		want   []string // all that are given out, sorted
	}{
		{"10.0.0.0/32", 1, nil},
		{"10.0.0.0/31", 1, nil},
		{"10.0.0.4/30", 3, []string{"10.0.0.5", "10.0.0.6"}},
		{"10.0.0.7/29", 9, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}},
		{"fd00::4/126", 3, []string{"fd00::5", "fd00::6"}},
		{"fd00::/127", 1, nil},
	} {
		t.Run(c.within, func(t *testing.T) {
			v := vips{}
			var got []string
			for i := range c.hosts {
				if vip, ok := v.take(fmt.Sprintf("host-%d", i), netip.MustParsePrefix(c.within)); ok {
					got = append(got, vip)
				} else if vip != "" {
					t.Errorf("no address, but %s", vip)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestVIPInLargeRanges(t *testing.T) {
	for _, within := range []string{"240.239.0.0/16", "0.0.0.0/0", "2001:db8::/32", "fd00::/64", "fd00::/65"} {
		prefix := netip.MustParsePrefix(within)
		v := vips{}
		seen := map[string]bool{}
		for i := range 200 {
			vip, ok := v.take(fmt.Sprintf("host-%d", i), prefix)
			if !ok || !prefix.Contains(netip.MustParseAddr(vip)) || seen[vip] {
				t.Fatalf("%s: %q, %v", within, vip, ok)
			}
			seen[vip] = true
		}
	}
}

func TestVIPWithoutRange(t *testing.T) {
	if vip, ok := (vips{}).take("a.b", netip.Prefix{}); ok || vip != "" {
		t.Errorf("got %q", vip)
	}
}

func TestVIPIsTheHashOfTheHost(t *testing.T) {
	within := netip.MustParsePrefix("240.239.0.0/16")
	first, _ := vips{}.take("com.acme.greeter", within)
	second, _ := vips{}.take("com.acme.greeter", within)
	other, _ := vips{}.take("com.acme.other", within)
	if first != second || first == other || first != "240.239.105.108" {
		t.Errorf("%s, %s, %s", first, second, other)
	}
	v := vips{netip.MustParseAddr(first): "somebody"}
	if next, _ := v.take("com.acme.greeter", within); next != "240.239.105.109" {
		t.Errorf("behind %s is %s", first, next)
	}
}

func TestVIPsThatAreKept(t *testing.T) {
	v := newVIPs(map[Key]Prior{
		{Name: "b"}:   {Host: "b", Addresses: []string{"10.0.0.1"}},
		{Name: "b-2"}: {Host: "b", Addresses: []string{"10.0.0.1"}},
		{Name: "a"}:   {Host: "a", Addresses: []string{"10.0.0.1", "10.0.0.2", "nonsense"}},
		{Name: "c"}:   {Host: "c", Addresses: []string{"10.0.0.3", "fd00::1"}},
	})
	for _, c := range []struct {
		host string
		live []string
		want []string
	}{
		{"b", []string{"10.0.0.1"}, nil},
		{"a", []string{"10.0.0.1", "10.0.0.2"}, []string{"10.0.0.1", "10.0.0.2"}},
		{"a", []string{"10.0.0.1", "nonsense"}, nil},
		{"c", []string{"10.0.0.3", "fd00::1"}, []string{"10.0.0.3", "fd00::1"}},
		{"c", []string{"0.0.0.0"}, nil},
		{"c", nil, nil},
	} {
		if got := v.keep(c.host, c.live); !slices.Equal(got, c.want) {
			t.Errorf("%s keeps %s of %s", c.host, got, c.live)
		}
	}
	if len(v) != 4 {
		t.Errorf("%d addresses are taken", len(v))
	}
}
