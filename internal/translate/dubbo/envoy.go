package dubbo

import (
	"strings"
	"unicode/utf8"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// protocolPrefix begins the name of each port of Dubbo's own protocol.
const protocolPrefix = "tcp-dubbo"

// Routable reports whether the calls to ports of a prefix can be routed by what they say: those of Dubbo's own protocol.
func Routable(prefix string) bool {
	return prefix == protocolPrefix || strings.HasPrefix(prefix, protocolPrefix+"-")
}

// KeyTag is the parameter of a provider's URL, and the attachment of a call, that has the tag.
const KeyTag = "dubbo.tag"

// noVersion is how Java writes that there is no version.
const noVersion = "0.0.0"

// Service is what a call names. Group and Version are empty for none.
type Service struct{ Interface, Group, Version string }

// ServiceOf returns what calls of a service name. It reports false for what a route cannot name: to Envoy a star is a wildcard, and
// a table holds text only.
func ServiceOf(svc *model.Service) (Service, bool) {
	s := Service{Interface(svc), svc.Metadata[model.MetaDubboGroup], svc.Metadata[model.MetaDubboVersion]}
	if s.Version == noVersion {
		s.Version = ""
	}
	ok := s.Interface != "" && !strings.HasPrefix(s.Interface, "*") && !strings.HasSuffix(s.Interface, "*")
	for _, text := range []string{s.Interface, s.Group, s.Version} {
		ok = ok && utf8.ValidString(text)
	}
	return s, ok
}
