package translate

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
)

// vips knows which addresses are taken, and by which host.
type vips map[netip.Addr]string

// newVIPs takes the addresses that are live. Where two live hosts have the same, by somebody's hand, the smaller keeps it.
func newVIPs(prior map[Key]Prior) vips {
	v := make(vips, len(prior))
	for key := range prior {
		p := prior[key]
		for _, text := range p.Addresses {
			addr, err := netip.ParseAddr(text)
			if holder, ok := v[addr]; err == nil && (!ok || p.Host < holder) {
				v[addr] = p.Host
			}
		}
	}
	return v
}

// keep returns the live addresses of a host that are still fit to be published; none when one of them is not.
func (v vips) keep(host string, live []string) []string {
	for _, text := range live {
		addr, f := parseAddress(text)
		if f != nil || v[addr] != host {
			return nil
		}
	}
	return live
}

// take returns the address of a host that has none: the hash of the host says where in the range the search for a free one begins. The
// first and the last address of the range belong to the network. It reports false when no address is free.
func (v vips) take(host string, within netip.Prefix) (string, bool) {
	if !within.IsValid() {
		return "", false
	}
	within = within.Masked()
	size := uint64(1) << min(within.Addr().BitLen()-within.Bits(), 62)
	if size < 4 {
		return "", false
	}
	h := fnv.New64a()
	h.Write([]byte(host))
	start := mix(h.Sum64())
	usable := size - 2
	for i := range min(usable, uint64(len(v))+1) {
		addr := plus(within.Addr(), 1+(start%usable+i)%usable)
		if _, taken := v[addr]; !taken {
			v[addr] = host
			return addr.String(), true
		}
	}
	return "", false
}

// plus returns the address n behind base, the first of a range with room for n.
func plus(base netip.Addr, n uint64) netip.Addr {
	if base.Is4() {
		b := base.As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(n)) //nolint:gosec // an IPv4 range has at most 2^32
		return netip.AddrFrom4(b)
	}
	b := base.As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+n)
	return netip.AddrFrom16(b)
}
