package translate

import (
	"regexp"
	"slices"
	"strings"
)

var (
	// Kubernetes' and istiod's rule for the keys of labels, and for their values as far as they are not empty.
	labelKey   = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	labelValue = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
)

// keyPrefix is the longest that Kubernetes allows before the slash of a label's key.
const keyPrefix = 253

// copiedKeys returns the keys of the allow-list that may become labels, sorted, once each. Keys that steer istiod or this program are
// never taken from a registry, and Dubbo's token is a secret.
func copiedKeys(allowed []string) []string {
	var keys []string
	for _, key := range allowed {
		prefix, _, _ := strings.Cut(key, "/")
		if labelKey.MatchString(key) && len(prefix) <= keyPrefix && !reservedLabel(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func reservedLabel(key string) bool {
	for _, prefix := range []string{"security.istio.io/", "topology.istio.io/", "registry-bridge.io/"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return key == "istio-locality" || strings.EqualFold(key, "token")
}

// privateKey returns the key of a copied label on a WorkloadEntry, which nobody selects by accident: the key as a name below a domain of
// ours, with an underscore for its slash, and a hash behind its beginning when it is too long for a name.
func privateKey(key string) string {
	name, _ := sanitise(strings.Replace(key, "/", "_", 1))
	return LabelPrivate + name
}

// sanitise makes a label value of any text: characters that are not allowed become "-", and what is too long, or has nothing that is
// allowed, is replaced by a hash (behind its beginning). It reports whether it changed anything.
func sanitise(text string) (value string, changed bool) {
	if text == "" || len(text) <= maxLabel && labelValue.MatchString(text) {
		return text, false
	}
	value = strings.Trim(replaceOthers(text), "-_.")
	if len(value) > maxLabel || value == "" {
		value = hashed(strings.TrimRight(value[:min(len(value), maxLabel-1-hashLen)], "-_."), text)
	}
	return value, true
}

// replaceOthers replaces every byte that a label value cannot have by "-".
func replaceOthers(text string) string {
	b := []byte(text)
	for i, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			b[i] = '-'
		}
	}
	return string(b)
}

// maxLocality is what the CRD allows.
const maxLocality = 2048

// sanitiseLocality returns a locality that istiod reads as its three parts, empty when it is unknown or too long to be one.
func sanitiseLocality(region, zone, subzone string) string {
	if region == "" {
		return ""
	}
	parts := []string{region, zone, subzone}
	for i, p := range parts {
		parts[i] = strings.Trim(replaceOthers(p), "-_.")
	}
	locality := strings.TrimRight(strings.Join(parts, "/"), "/")
	if len(locality) > maxLocality || strings.HasPrefix(locality, "/") {
		return ""
	}
	return locality
}
