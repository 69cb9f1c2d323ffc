package v1alpha1

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Validate returns everything that is wrong with a Registry whose defaults are filled in, each with the path of the field, its value
// and a hint. The details are complete sentences without a subject ("needs host:port, e.g. zk:2181").
func Validate(r *Registry) field.ErrorList {
	errs := validateMeta(r)
	spec := field.NewPath("spec")
	s := &r.Spec
	errs = append(errs, oneOf(spec.Child("mode"), s.Mode, ModeActive, ModeObserve, ModePaused)...)
	errs = append(errs, oneOf(spec.Child("deletionPolicy"), s.DeletionPolicy, DeletionRetain, DeletionDelete)...)
	errs = append(errs, validateSource(&s.Source, spec.Child("source"))...)
	errs = append(errs, validateServices(&s.Services, spec.Child("services"))...)
	errs = append(errs, validateHosts(&s.Hosts, spec.Child("hosts"))...)
	errs = append(errs, validateRules(s.Rules, spec.Child("rules"))...)
	errs = append(errs, validateEndpoints(&s.Endpoints, spec.Child("endpoints"))...)
	errs = append(errs, validateDubbo(&s.Dubbo, spec.Child("dubbo"))...)
	errs = append(errs, validateOutput(&s.Output, spec.Child("output"))...)
	errs = append(errs, validateGuards(&s.Guards, spec.Child("guards"))...)
	return errs
}

func validateMeta(r *Registry) field.ErrorList {
	var errs field.ErrorList
	if r.APIVersion != APIVersion {
		errs = append(errs, field.Invalid(field.NewPath("apiVersion"), r.APIVersion, "needs to be "+APIVersion))
	}
	if r.Kind != KindRegistry {
		errs = append(errs, field.Invalid(field.NewPath("kind"), r.Kind, "needs to be "+KindRegistry))
	}
	meta := field.NewPath("metadata")
	switch name := r.Name; {
	case name == "":
		errs = append(errs, field.Required(meta.Child("name"), "needs a name, e.g. dubbo-prod"))
	case len(name) > validation.DNS1123LabelMaxLength:
		errs = append(errs, field.Invalid(meta.Child("name"), name, fmt.Sprintf("has %d characters; at most 63 are allowed", len(name))))
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		errs = append(errs, field.Invalid(meta.Child("name"), name, "needs lower-case letters, digits, '-' and '.', e.g. dubbo-prod"))
	}
	switch ns := r.Namespace; {
	case ns == "":
		errs = append(errs, field.Required(meta.Child("namespace"), "needs the namespace that the objects are written into, e.g. dubbo-registry"))
	case len(validation.IsDNS1123Label(ns)) > 0:
		errs = append(errs, field.Invalid(meta.Child("namespace"), ns, "needs at most 63 lower-case letters, digits and '-', e.g. dubbo-registry"))
	}
	for _, id := range r.Released() {
		if !holdID.MatchString(id) {
			errs = append(errs, field.Invalid(meta.Child("annotations").Key(AnnotationRelease), id,
				"needs ids of holds, separated by commas, e.g. h-3f2a91c0; to release all that will ever be held, set spec.guards"))
		}
	}
	return errs
}

// holdID is the form of the ids of holds.
var holdID = regexp.MustCompile(`^h-[0-9a-f]{4,8}$`)

// Released returns the ids of the holds that the Registry's annotation releases.
func (r *Registry) Released() []string {
	return strings.FieldsFunc(r.Annotations[AnnotationRelease], func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
}

func validateServices(s *Services, path *field.Path) field.ErrorList {
	errs := validateGlobs(s.Include, path.Child("include"))
	errs = append(errs, validateGlobs(s.Exclude, path.Child("exclude"))...)
	if s.Max != nil && *s.Max < 1 {
		errs = append(errs, field.Invalid(path.Child("max"), *s.Max, "needs to be at least 1; to publish nothing use spec.mode: Observe"))
	}
	return errs
}

// hostPlaceholders are what Hosts.Template may contain in braces.
func hostPlaceholders() []string {
	return []string{"service", "interface", "group", "version", "registry", "namespace"}
}

func validateHosts(h *Hosts, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if problem := templateProblem(h.Template); problem != "" {
		errs = append(errs, field.Invalid(path.Child("template"), h.Template, problem))
	}
	if problem := suffixProblem(h.Suffix); problem != "" {
		errs = append(errs, field.Invalid(path.Child("suffix"), h.Suffix, problem))
	}
	return errs
}

// templateProblem says what is wrong with a host template, empty for nothing.
func templateProblem(template string) string {
	if template == "" {
		return ""
	}
	placeholders := 0
	for rest := template; ; placeholders++ {
		before, after, found := strings.Cut(rest, "{")
		if strings.ContainsAny(before, "}") || strings.Trim(strings.ToLower(before), "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
			return "has characters that no host has; outside of {…} use letters, digits, '-' and '.'"
		}
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed || !slices.Contains(hostPlaceholders(), name) {
			return "has an unknown placeholder {" + name + "}; use {" + strings.Join(hostPlaceholders(), "}, {") + "}"
		}
		rest = tail
	}
	if !strings.Contains(template, "{service}") && !strings.Contains(template, "{interface}") {
		return "gives every service the same host; use {service} or {interface}, e.g. {interface}.dubbo"
	}
	return ""
}

func suffixProblem(suffix string) string {
	switch {
	case suffix == "":
		return ""
	case len(validation.IsDNS1123Subdomain(suffix)) > 0:
		return "needs to be a lower-case domain without a leading dot, e.g. dubbo"
	case reservedHost(suffix):
		return "belongs to Kubernetes; choose a domain that is not under .local or svc, e.g. dubbo"
	}
	return ""
}

func hostProblem(host string) string {
	switch {
	case host == "":
		return ""
	case len(validation.IsDNS1123Subdomain(host)) > 0 || !strings.Contains(host, "."):
		return "needs to be a lower-case host with a dot, e.g. legacy.example.com"
	case reservedHost(host):
		return "belongs to Kubernetes; choose a host that is not under .local or svc"
	}
	return ""
}

// reservedHost reports hosts that belong to Kubernetes: whoever published one would take the traffic of a Service.
func reservedHost(host string) bool {
	labels := strings.Split(host, ".")
	return slices.Contains(labels, "svc") || labels[len(labels)-1] == "local"
}

func validateRules(rules []Rule, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := make([]string, len(rules))
	for i := range rules {
		names[i] = rules[i].Name
		errs = append(errs, validateRule(&rules[i], path.Index(i))...)
	}
	return append(errs, uniqueNames(names, path)...)
}

func validateRule(r *Rule, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if r.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), "needs a name that messages can refer to, e.g. legacy"))
	}
	globs := path.Child("match", "services")
	if len(r.Match.Services) == 0 {
		errs = append(errs, field.Required(globs, `needs at least one glob, e.g. ["com.acme.*"]`))
	}
	errs = append(errs, validateGlobs(r.Match.Services, globs)...)
	if r.Protocol != "" {
		errs = append(errs, oneOf(path.Child("protocol"), r.Protocol,
			ProtocolTCP, ProtocolHTTP, ProtocolHTTP2, ProtocolHTTPS, ProtocolGRPC, ProtocolTLS)...)
	}
	if p := r.ServicePort; p != nil && (*p < 1 || *p > 65535) {
		errs = append(errs, field.Invalid(path.Child("servicePort"), *p, "needs to be between 1 and 65535"))
	}
	if problem := hostProblem(r.Host); problem != "" {
		errs = append(errs, field.Invalid(path.Child("host"), r.Host, problem))
	}
	if r.TLSMode != "" {
		errs = append(errs, oneOf(path.Child("tlsMode"), r.TLSMode, TLSIstio, TLSDisabled)...)
	}
	if r.Protocol == "" && r.ServicePort == nil && r.Host == "" && r.TLSMode == "" {
		errs = append(errs, field.Required(path, "sets nothing; add protocol, servicePort, host or tlsMode"))
	}
	return errs
}

func validateEndpoints(e *Endpoints, path *field.Path) field.ErrorList {
	errs := oneOf(path.Child("mode"), e.Mode, EndpointsInline, EndpointsWorkloadEntry)
	errs = append(errs, oneOf(path.Child("hostnames"), e.Hostnames, HostnamesReject)...)
	errs = append(errs, validateCIDRs(e.AllowCIDRs, path.Child("allowCIDRs"))...)
	errs = append(errs, validateCIDRs(e.DenyCIDRs, path.Child("denyCIDRs"))...)
	for i, key := range e.CopyLabels {
		p := path.Child("copyLabels").Index(i)
		switch {
		case strings.EqualFold(key, "token"):
			errs = append(errs, field.Invalid(p, key, "is a secret of Dubbo and is never published; remove it"))
		case reservedLabel(key):
			errs = append(errs, field.Invalid(p, key, "means something to Istio or to the bridge; registries must not set it"))
		case len(validation.IsQualifiedName(key)) > 0:
			errs = append(errs, field.Invalid(p, key, "cannot be a label's key; use letters, digits, '-', '_' and '.', e.g. version"))
		}
	}
	return append(errs, unique(e.CopyLabels, path.Child("copyLabels"))...)
}

// reservedLabel reports keys of labels that change how Istio treats an object or an endpoint, and those that are ours.
func reservedLabel(key string) bool {
	prefix, _, found := strings.Cut(key, "/")
	return key == "istio-locality" || found && (prefix == "security.istio.io" || prefix == "topology.istio.io" || prefix == Group)
}

func validateOutput(o *Output, path *field.Path) field.ErrorList {
	errs := oneOf(path.Child("location"), o.Location, MeshInternal, MeshExternal)
	errs = append(errs, validateExportTo(o.ExportTo, path.Child("exportTo"))...)
	for _, key := range slices.Sorted(maps.Keys(o.Labels)) {
		value := o.Labels[key]
		p := path.Child("labels").Key(key)
		switch {
		case reservedLabel(key) || key == "app.kubernetes.io/managed-by" || strings.HasPrefix(key, "networking.istio.io/"):
			errs = append(errs, field.Invalid(p, value, "means something to Istio or to the bridge; choose another key"))
		case len(validation.IsQualifiedName(key)) > 0:
			errs = append(errs, field.Invalid(p, value, "is not the key of a label; use letters, digits, '-', '_' and '.', e.g. team"))
		case len(validation.IsValidLabelValue(value)) > 0:
			errs = append(errs, field.Invalid(p, value, "is not the value of a label; use at most 63 letters, digits, '-', '_' and '.'"))
		}
	}
	if len(validation.IsValidLabelValue(o.Network)) > 0 {
		errs = append(errs, field.Invalid(path.Child("network"), o.Network, "needs at most 63 letters, digits, '-', '_' and '.', e.g. datacenter-1"))
	}
	if o.VIPCIDR != nil && *o.VIPCIDR != "" {
		errs = append(errs, validateVIPCIDR(*o.VIPCIDR, path.Child("vipCIDR"))...)
	}
	return errs
}

// maxVIPBits leaves at least 2¹⁰ addresses in the range of virtual IPs.
const maxVIPBits = 22

func validateVIPCIDR(text string, path *field.Path) field.ErrorList {
	if problem := cidrProblem(text); problem != "" {
		return field.ErrorList{field.Invalid(path, text, problem)}
	}
	prefix := netip.MustParsePrefix(text)
	switch {
	case !prefix.Addr().Is4():
		return field.ErrorList{field.Invalid(path, text, "needs to be a range of IPv4 addresses, e.g. "+DefaultVIPCIDR)}
	case prefix.Bits() > maxVIPBits:
		return field.ErrorList{field.Invalid(path, text, "is too small to give every service an address; needs /22 or larger, e.g. "+DefaultVIPCIDR)}
	}
	return nil
}

func validateExportTo(exportTo []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, ns := range exportTo {
		special := ns == "*" || ns == "." || ns == "~"
		switch {
		case !special && len(validation.IsDNS1123Label(ns)) > 0:
			errs = append(errs, field.Invalid(path.Index(i), ns, `needs to be a namespace, "*" (all), "." (the Registry's own) or "~" (none)`))
		case (ns == "*" || ns == "~") && len(exportTo) > 1:
			errs = append(errs, field.Invalid(path.Index(i), ns, "cannot be combined with anything else; Istio refuses it"))
		}
	}
	return append(errs, unique(exportTo, path)...)
}

func validateGuards(g *Guards, path *field.Path) field.ErrorList {
	errs := atLeast(path.Child("emptyGrace"), g.EmptyGrace, time.Second, "3m")
	errs = append(errs, atLeast(path.Child("deleteAfter"), g.DeleteAfter, time.Second, "10m")...)
	errs = append(errs, atLeast(path.Child("maxHold"), g.MaxHold, 0, "24h")...)
	mass := path.Child("massRemoval")
	if p := g.MassRemoval.MaxPercent; p != nil && (*p < 1 || *p > 100) {
		errs = append(errs, field.Invalid(mass.Child("maxPercent"), *p, "needs to be between 1 and 100, e.g. 30"))
	}
	return append(errs, atLeast(mass.Child("holdFor"), g.MassRemoval.HoldFor, time.Second, "10m")...)
}

func atLeast(path *field.Path, d *metav1.Duration, least time.Duration, example string) field.ErrorList {
	if d == nil || d.Duration >= least {
		return nil
	}
	return field.ErrorList{field.Invalid(path, d.Duration.String(), fmt.Sprintf("needs to be at least %s, e.g. %s", least, example))}
}
