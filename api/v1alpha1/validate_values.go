package v1alpha1

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// oneOf checks an enumeration. A value that differs in case only is named in the hint.
func oneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	words := make([]string, len(allowed))
	for i, a := range allowed {
		if value == a {
			return nil
		}
		words[i] = string(a)
	}
	hint := "needs to be one of " + strings.Join(words, ", ")
	if len(words) == 1 {
		hint = "needs to be " + words[0] + ", the only choice in this version"
	}
	for _, w := range words {
		if strings.EqualFold(w, string(value)) {
			hint = "needs to be written " + w
		}
	}
	return field.ErrorList{field.Invalid(path, string(value), hint)}
}

// unique reports every value that is in the list before; empty ones are somebody else's error.
func unique[T ~string](values []T, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[T]bool{}
	for i, v := range values {
		if v != "" && seen[v] {
			errs = append(errs, field.Duplicate(path.Index(i), string(v)))
		}
		seen[v] = true
	}
	return errs
}

// uniqueNames is unique for a list of objects with a field name; empty names are somebody else's error.
func uniqueNames(names []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, name := range names {
		if name != "" && seen[name] {
			errs = append(errs, field.Duplicate(path.Index(i).Child("name"), name))
		}
		seen[name] = true
	}
	return errs
}

func validateGlobs(globs []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, g := range globs {
		if problem := globProblem(g); problem != "" {
			errs = append(errs, field.Invalid(path.Index(i), g, problem))
		}
	}
	return append(errs, unique(globs, path)...)
}

// globProblem says what is wrong with a glob, empty for nothing. Characters with a meaning in other dialects of globs are refused
// rather than taken literally: no registry has them in names, and taking "{a,b}" literally would silently match nothing.
func globProblem(glob string) string {
	switch {
	case glob == "":
		return "is empty; use * to match everything"
	case strings.ContainsAny(glob, `[]{}\^|`):
		return "has characters without a meaning here; use * for any characters and ? for one, e.g. com.acme.*"
	case strings.ContainsFunc(glob, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return "has white space, which no service name has, e.g. com.acme.*"
	}
	return ""
}

func validateCIDRs(cidrs []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, c := range cidrs {
		if problem := cidrProblem(c); problem != "" {
			errs = append(errs, field.Invalid(path.Index(i), c, problem))
		}
	}
	return append(errs, unique(cidrs, path)...)
}

// cidrProblem says what is wrong with a range of addresses, empty for nothing.
func cidrProblem(text string) string {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			return "needs a prefix length, e.g. " + netip.PrefixFrom(addr, addr.BitLen()).String()
		}
		return "needs to be a range of addresses, e.g. 10.0.0.0/8"
	}
	if prefix.Addr().Is4In6() {
		return "needs to be written as IPv4, e.g. 10.0.0.0/8"
	}
	if prefix.Masked() != prefix {
		return "has bits behind its prefix; write " + prefix.Masked().String()
	}
	return ""
}

// urlProblem says what is wrong with the URL of a registry, empty for nothing. The example is what is shown; secret says where credentials
// go, which a URL must not hold.
func urlProblem(address, example, secret string) string {
	hint := "needs to be a URL, e.g. " + example
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https":
		return hint
	case u.Hostname() == "":
		return hint + ", with a host"
	case u.User != nil:
		return "must not hold credentials; " + secret
	case u.RawQuery != "" || u.Fragment != "":
		return hint + ", without anything behind the path"
	}
	return ""
}
