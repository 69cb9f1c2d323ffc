package dubbo

import "strings"

// maxScheme keeps port names below the 63 characters that Kubernetes allows.
const maxScheme = 20

// TCP returns the rendering of the data plane TCP: Dubbo's own protocol is opaque, each host has an address of its own, so nothing
// that works without the mesh is captured. Thousands of listeners cost every proxy that sees them, so by default only the Registry's
// own namespace does.
func TCP() Rendering {
	return Rendering{Port: tcpPort, ExportTo: []string{"."}}
}

func tcpPort(scheme string) Port {
	switch scheme {
	case "dubbo":
		return Port{Prefix: protocolPrefix, Protocol: "TCP"}
	case "tri":
		return Port{Prefix: "grpc-tri", Protocol: "GRPC"}
	case "grpc":
		return Port{Prefix: "grpc", Protocol: "GRPC"}
	case "rest", "http":
		return Port{Prefix: "http", Protocol: "HTTP"}
	case "bolt":
		return Port{Prefix: "tcp-bolt", Protocol: "TCP"}
	}
	if word(scheme) {
		return Port{Prefix: "tcp-" + scheme, Protocol: "TCP"}
	}
	return Port{Prefix: "tcp", Protocol: "TCP"}
}

// word reports whether scheme can be part of a port's name as it is. Schemes that cannot share the plain prefix.
func word(scheme string) bool {
	return scheme != "" && len(scheme) <= maxScheme &&
		strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789") == "" && scheme[len(scheme)-1] > '9'
}
