package translate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate/dubbo"
)

const maxPort = 65535

// maxPorts is the number of ports that an object has at most.
const maxPorts = 16

// metaProtocol is the key of an instance's metadata that names its protocol where its ports do not.
const metaProtocol = "protocol"

// class is a kind of port: ports of one class, over all instances of a host, are one port of the host.
type class struct {
	// prefix stands before the number in the port's name and identifies the class.
	prefix   string
	protocol Protocol
	// stated is false where neither the configuration nor the registry says what the port speaks.
	stated bool
}

// offer is a port of an instance.
type offer struct {
	class
	number uint32
}

// opaque reports whether a proxy can tell hosts apart only by their addresses: such a port needs a VIP.
func (p Protocol) opaque() bool { return p == TCP || p == TLS }

// standardPort is the port that a protocol has where the instances do not agree on one; 0 for none.
func (p Protocol) standardPort() uint32 {
	switch p {
	case HTTP, HTTP2, GRPC:
		return 80
	case HTTPS:
		return 443
	}
	return 0
}

// parseProtocol reads a registry's word.
func parseProtocol(word string) (Protocol, bool) {
	switch word {
	case "tcp":
		return TCP, true
	case "http", "http1", "http/1.1":
		return HTTP, true
	case "http2", "h2", "h2c":
		return HTTP2, true
	case "https":
		return HTTPS, true
	case "grpc":
		return GRPC, true
	case "tls":
		return TLS, true
	}
	return "", false
}

func plainClass(p Protocol, stated bool) class {
	return class{prefix: strings.ToLower(string(p)), protocol: p, stated: stated}
}

// classOf says what a port is: by rule, then by the registry's words, then by the Registry's default, else TCP.
func (d *draft) classOf(inst *model.Instance, p *model.Port) class {
	word := strings.ToLower(p.Protocol)
	if d.settings.protocol != "" {
		return plainClass(d.settings.protocol, true)
	}
	if word != "" && d.ofDubbo() {
		port := dubbo.TCP().Port(word)
		return class{prefix: port.Prefix, protocol: Protocol(port.Protocol), stated: true}
	}
	if protocol, ok := parseProtocol(word); ok {
		return plainClass(protocol, true)
	}
	if protocol, ok := parseProtocol(strings.ToLower(inst.Metadata[metaProtocol])); ok {
		return plainClass(protocol, true)
	}
	if word == "" && d.reg.DefaultProtocol != "" {
		return plainClass(d.reg.DefaultProtocol, false)
	}
	return plainClass(TCP, word != "")
}

// maxPortsRead is how many ports of an instance are looked at.
const maxPortsRead = 64

// offersOf returns the ports of an instance, sorted by class, in the buffer that it is given, and what is wrong with the others.
// Ports of one protocol are told apart by the registry's name, or else by their place.
func (d *draft) offersOf(inst *model.Instance, buffer []offer) (offers []offer, faults []fault) {
	offers = buffer[:0]
	var places [maxPortsRead]int
	for i := range inst.Ports[:min(len(inst.Ports), maxPortsRead)] {
		p := &inst.Ports[i]
		if p.Number == 0 || p.Number > maxPort {
			faults = append(faults, fault{reason.PortOutOfRange, fmt.Sprintf("port %d is not between 1 and %d", p.Number, maxPort)})
			continue
		}
		places[len(offers)] = i
		offers = append(offers, offer{class: d.classOf(inst, p), number: p.Number})
	}
	var repeated [maxPortsRead]bool
	for i := range offers {
		repeated[i] = slices.ContainsFunc(offers[:i], offers[i].alike) || slices.ContainsFunc(offers[i+1:], offers[i].alike)
	}
	for i := range offers {
		if repeated[i] {
			offers[i].prefix += "-" + portWord(inst.Ports[places[i]].Name, places[i])
		}
	}
	if len(offers) > maxPorts || len(inst.Ports) > maxPortsRead {
		faults = append(faults, fault{reason.TooManyPorts, fmt.Sprintf("only %d of its %d ports are published", maxPorts, len(inst.Ports))})
		offers = offers[:min(len(offers), maxPorts)]
	}
	slices.SortStableFunc(offers, func(a, b offer) int { return strings.Compare(a.prefix, b.prefix) })
	offers = slices.CompactFunc(offers, offer.alike)
	return offers, faults
}

func (o offer) alike(p offer) bool { return o.prefix == p.prefix }

// maxPortWord keeps the names of ports below the 63 characters that Kubernetes allows, with prefix and number.
const maxPortWord = 20

// portWord makes a part of a port's name of the registry's name of the port, the i-th of its instance.
func portWord(name string, i int) string {
	word := strings.ToLower(name)
	if word == "" || len(word) > maxPortWord || !dnsLabel.MatchString(word) || allDigits(word) {
		return "p" + strconv.Itoa(i+1)
	}
	return word
}
