package translate

import (
	"fmt"
	"net/netip"

	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// parseAddress reads the address of an instance. IPv4 addresses in IPv6 form become IPv4.
func parseAddress(text string) (netip.Addr, *fault) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, &fault{reason.AddressNotIP, fmt.Sprintf("%.100q is not an IP address", text)}
	}
	if addr.Zone() != "" {
		return netip.Addr{}, &fault{
			reason.AddressNotIP, fmt.Sprintf("%.100q has a zone, which means something on one machine only", text),
		}
	}
	addr = addr.Unmap()
	if addr.IsUnspecified() || addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.Addr{}, &fault{reason.AddressUnspecified, fmt.Sprintf("%s is not the address of one machine", addr)}
	}
	return addr, nil
}

// denied says why the configuration keeps an address out, or nothing.
func (e *Endpoints) denied(addr netip.Addr) *fault {
	for _, p := range e.DenyCIDRs {
		if p.Contains(addr) {
			return &fault{reason.AddressDenied, fmt.Sprintf("%s is in the denied range %s", addr, p)}
		}
	}
	if len(e.AllowCIDRs) == 0 {
		return nil
	}
	for _, p := range e.AllowCIDRs {
		if p.Contains(addr) {
			return nil
		}
	}
	return &fault{reason.AddressDenied, fmt.Sprintf("%s is in none of the allowed ranges", addr)}
}

// canonical returns the text of addr, and text itself where that is the same, so that nothing is held twice.
func canonical(addr netip.Addr, text string) string {
	var buffer [64]byte
	if b := addr.AppendTo(buffer[:0]); string(b) != text {
		return string(b)
	}
	return text
}
