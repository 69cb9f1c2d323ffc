package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// routing says why a VirtualService (or a DestinationRule) may have no effect on a host: what its configuration has to name, what its
// consumers have to dial, which of its routes apply, and who sees it.
func routing(o *translate.Object, dubbo bool, q query) []string {
	s := o.ServiceEntry
	return slices.Concat(naming(s, q), dialling(s, dubbo), protocols(s), visibility(o))
}

// naming is about the host in the configuration.
func naming(s *translate.ServiceEntry, q query) []string {
	text := fmt.Sprintf("The host in it has to be %s, in full and in lower case.", s.Host)
	switch {
	case q.text == "" || q.text == s.Host:
	case strings.Contains(q.text, "."):
		text += fmt.Sprintf(" %s is the name in the registry, and no host.", q.text)
	default:
		text += fmt.Sprintf(" Istio completes %s, which has no dot, to a Service of the namespace of the VirtualService.", q.text)
	}
	return []string{text}
}

// dialling is about what consumers call.
func dialling(s *translate.ServiceEntry, dubbo bool) []string {
	target := s.Host
	if len(s.Addresses) > 0 {
		target += " or " + strings.Join(s.Addresses, ", ")
	}
	text := "It applies to consumers that call " + target + "; one that dials the IP of an instance passes it by."
	if dubbo && opaque(s) {
		text += " Dubbo consumers do that: they get the addresses from the registry."
	}
	return []string{text}
}

// protocols is about which routes apply.
func protocols(s *translate.ServiceEntry) []string {
	var out []string
	for _, p := range s.Ports {
		switch p.Protocol {
		case translate.TCP:
			out = append(out, fmt.Sprintf("Port %d is TCP: routes under tcp: apply to it, those under http: do not. A rule of the Registry can set another protocol.", p.Number))
		case translate.TLS, translate.HTTPS:
			out = append(out, fmt.Sprintf("Port %d is %s: routes under tls: apply to it, those under http: do not.", p.Number, p.Protocol))
		}
	}
	return out
}

func opaque(s *translate.ServiceEntry) bool {
	return slices.ContainsFunc(s.Ports, func(p translate.ServicePort) bool { return p.Protocol == translate.TCP })
}

// visibility is about who sees the host at all.
func visibility(o *translate.Object) []string {
	export := o.ServiceEntry.ExportTo
	switch {
	case len(export) == 0 || slices.Contains(export, "*"):
		return nil
	case slices.Contains(export, "~"):
		return []string{"The host is exported to nobody (exportTo: ~), so no proxy knows it."}
	}
	seen := make([]string, len(export))
	for i, to := range export {
		if seen[i] = to; to == "." {
			seen[i] = o.Key.Namespace
		}
	}
	return []string{"The host is exported to namespace " + strings.Join(seen, ", ") + " only; proxies elsewhere do not know it (output.exportTo of the Registry)."}
}
