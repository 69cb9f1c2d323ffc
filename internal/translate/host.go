package translate

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate/dubbo"
)

const (
	maxHost  = 253 // RFC 1035, without the trailing dot; also the limit of Kubernetes for metadata.name.
	maxLabel = 63
	hashLen  = 8
)

// fault is why something is not published as it is.
type fault struct {
	reason reason.Reason
	detail string
}

// hostOf names the host of svc, as its rule, the template or the default scheme of the registry's type wants it. The host is legal,
// or there is a fault.
func (r *Registry) hostOf(svc *model.Service, src *Source, ruleHost string) (string, *fault) {
	var host string
	switch name, suffix := r.hostText(svc, src); {
	case ruleHost != "":
		host = strings.ToLower(ruleHost)
	case svc.Ref.Name == "":
		return "", &fault{reason.HostInvalid, "the service has no name"}
	default:
		host = encodeHost(name, suffix)
	}
	if detail := illegalHost(host); detail != "" {
		return "", &fault{reason.HostInvalid, detail}
	}
	if reservedHost(host) {
		return "", &fault{reason.HostReserved, fmt.Sprintf("%s belongs to Kubernetes or to multicast DNS", host)}
	}
	return host, nil
}

// hostText returns the host before it is made legal, as what stands before the suffix and the suffix.
func (r *Registry) hostText(svc *model.Service, src *Source) (name, suffix string) {
	switch {
	case r.Hosts.Template != "":
		return r.expand(svc), r.Hosts.Suffix
	case src.Dubbo || dubbo.Named(svc):
		name, suffix = dubbo.Host(svc)
	default:
		name, suffix = src.HostPrefix+svc.Ref.Name, defaultSuffix(r.Type)
	}
	if r.Hosts.Suffix != "" {
		suffix = r.Hosts.Suffix
	}
	return name, suffix
}

// defaultSuffix keeps the hosts of each type of registry apart.
func defaultSuffix(registryType string) string {
	if registryType == "consul" {
		return "service.consul"
	}
	return registryType
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// expand fills in the template. A label of the template whose placeholders are all empty is left out with its dot, so that
// "v-{version}.{interface}" also suits services without a version.
func (r *Registry) expand(svc *model.Service) string {
	values := map[string]string{
		"{service}": svc.Ref.Name, "{interface}": dubbo.Interface(svc), "{registry}": r.Name, "{namespace}": r.Namespace,
		"{group}": svc.Metadata[model.MetaDubboGroup], "{version}": svc.Metadata[model.MetaDubboVersion],
	}
	var labels []string
	for label := range strings.SplitSeq(r.Hosts.Template, ".") {
		has, filled := false, false
		text := placeholder.ReplaceAllStringFunc(label, func(p string) string {
			has, filled = true, filled || values[p] != ""
			return values[p]
		})
		if filled || !has {
			labels = append(labels, text)
		}
	}
	return strings.Join(labels, ".")
}

// encodeHost makes a legal host of any name. Names that differ in case or in "_" against "-" only meet on one host, which is told as a
// collision; every other change adds a hash of what was changed, so that names stay apart.
func encodeHost(name, suffix string) string {
	labels := strings.Split(name, ".")
	for i, label := range labels {
		labels[i] = encodeLabel(label)
	}
	tail := ""
	if suffix != "" {
		tail = "." + suffix
	} else if last := len(labels) - 1; allDigits(labels[last]) {
		labels[last] = hashed(labels[last], labels[last])
	}
	head := strings.Join(labels, ".")
	if len(head)+len(tail) > maxHost {
		head = shorten(labels, name, maxHost-len(tail))
	}
	return head + tail
}

// shorten keeps as many of the leading labels as fit into limit with a label that holds the hash of name.
func shorten(labels []string, name string, limit int) string {
	last := hashed("x", name)
	kept := 0
	size := len(last)
	for kept < len(labels) && size+1+len(labels[kept]) <= limit {
		size += 1 + len(labels[kept])
		kept++
	}
	return strings.Join(append(labels[:kept:kept], last), ".")
}

// encodeLabel makes a DNS label of any text.
func encodeLabel(text string) string {
	label := []byte(text)
	lossy := len(label) == 0
	for i, c := range label {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
		case c >= 'A' && c <= 'Z':
			label[i] = c + 'a' - 'A'
		case c == '_':
			label[i] = '-'
		default:
			label[i], lossy = '-', true
		}
	}
	legal := strings.Trim(string(label), "-")
	if lossy || len(legal) != len(label) || len(legal) > maxLabel {
		return hashed(legal, text)
	}
	return legal
}

// hashed returns label, cut where necessary, with the hash of original behind it.
func hashed(label, original string) string {
	label = strings.TrimRight(label[:min(len(label), maxLabel-1-hashLen)], "-")
	if label == "" {
		label = "x"
	}
	return label + "-" + hash(original, hashLen)
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// illegalHost says why a host cannot be published, or nothing.
func illegalHost(host string) string {
	if len(host) > maxHost {
		return fmt.Sprintf("the host has %d characters, %d are allowed", len(host), maxHost)
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !dnsLabel.MatchString(label) {
			return fmt.Sprintf("%q is no legal part of a host", label)
		}
	}
	switch {
	case len(labels) < 2:
		return fmt.Sprintf("the host %q needs a dot", host)
	case allDigits(labels[len(labels)-1]):
		return fmt.Sprintf("the last part of the host %q is a number", host)
	}
	return ""
}

// reservedHost reports whether the host is in the domain of Kubernetes Services, whatever the cluster's domain is, or in that of
// multicast DNS.
func reservedHost(host string) bool {
	return strings.Contains(host, ".svc.") || strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".local")
}
