package v1alpha1

import (
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateDubbo(d *Dubbo, path *field.Path) field.ErrorList {
	planes := path.Child("dataPlanes")
	var errs field.ErrorList
	for i, p := range d.DataPlanes {
		errs = append(errs, oneOf(planes.Index(i), p, DataPlaneTCP, DataPlaneEnvoy)...)
	}
	if len(d.DataPlanes) > 1 {
		errs = append(errs, field.TooMany(planes, len(d.DataPlanes), 1))
	}
	consumers := path.Child("consumers")
	switch c := &d.Consumers; {
	case c.Mesh && len(c.Namespaces) > 0:
		errs = append(errs, field.Invalid(consumers, "mesh: true", "means every namespace; remove namespaces or mesh"))
	case !c.Mesh && len(c.Namespaces) == 0 && slices.Contains(d.DataPlanes, DataPlaneEnvoy):
		errs = append(errs, field.Required(consumers, "data plane Envoy needs to know whose calls are routed, e.g. namespaces: [shop]"))
	}
	for i, ns := range d.Consumers.Namespaces {
		if len(validation.IsDNS1123Label(ns)) > 0 {
			errs = append(errs, field.Invalid(consumers.Child("namespaces").Index(i), ns, "needs at most 63 lower-case letters, digits and '-', e.g. shop"))
		}
	}
	errs = append(errs, unique(d.Consumers.Namespaces, consumers.Child("namespaces"))...)
	rollout := path.Child("rollout")
	errs = append(errs, oneOf(rollout.Child("stage"), d.Rollout.Stage, RolloutObserve, RolloutListed, RolloutAll)...)
	if d.Rollout.Stage == RolloutListed && len(d.Rollout.Interfaces) == 0 {
		errs = append(errs, field.Required(rollout.Child("interfaces"), `stage Listed needs at least one interface, e.g. ["com.acme.order.*"]`))
	}
	errs = append(errs, validateGlobs(d.Rollout.Interfaces, rollout.Child("interfaces"))...)
	errs = append(errs, oneOf(path.Child("tagRouting"), d.TagRouting, TagRoutingEnabled, TagRoutingDisabled)...)
	return append(errs, validateRoutes(d, path.Child("routes"))...)
}

func validateRoutes(d *Dubbo, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := make([]string, len(d.Routes))
	for i := range d.Routes {
		r, p := &d.Routes[i], path.Index(i)
		names[i] = r.Name
		if r.Name == "" {
			errs = append(errs, field.Required(p.Child("name"), "needs a name that messages can refer to, e.g. canary"))
		}
		if r.Interface == "" {
			errs = append(errs, field.Required(p.Child("interface"), "needs the interface that is called, e.g. com.acme.OrderService"))
		}
		if r.Method != nil {
			errs = append(errs, validateMethod(r.Method, p.Child("method"))...)
		}
		errs = append(errs, validateSplit(r.Split, d.TagRouting, p.Child("split"))...)
	}
	return append(errs, uniqueNames(names, path)...)
}

func validateMethod(m *MethodMatch, path *field.Path) field.ErrorList {
	set := 0
	for _, text := range []string{m.Exact, m.Prefix, m.Suffix, m.Regex} {
		if text != "" {
			set++
		}
	}
	if set != 1 {
		return field.ErrorList{field.Invalid(path, set, "needs exactly one of exact, prefix, suffix and regex, e.g. prefix: get")}
	}
	if _, err := regexp.Compile(m.Regex); err != nil {
		return field.ErrorList{field.Invalid(path.Child("regex"), m.Regex, "is no regular expression (RE2): "+err.Error())}
	}
	return nil
}

// maxSplitWeight keeps the sum of all weights far below what Envoy can add up.
const maxSplitWeight = 10_000

func validateSplit(split []DubboSplit, tags TagRouting, path *field.Path) field.ErrorList {
	if len(split) == 0 {
		return field.ErrorList{field.Required(path, "needs at least one place where the calls go, e.g. [{version: 2.0.0, weight: 1}]")}
	}
	var errs field.ErrorList
	some := false
	for i := range split {
		s, p := &split[i], path.Index(i)
		some = some || s.Weight > 0
		if s.Weight < 0 || s.Weight > maxSplitWeight {
			errs = append(errs, field.Invalid(p.Child("weight"), s.Weight, "needs to be between 0 and 10000, e.g. 10"))
		}
		if s.Tag != "" && tags != TagRoutingEnabled {
			errs = append(errs, field.Invalid(p.Child("tag"), s.Tag, "needs tagRouting: Enabled"))
		}
	}
	if !some && len(errs) == 0 {
		errs = append(errs, field.Invalid(path, 0, "needs a weight above 0; remove the route to send calls where they belong"))
	}
	return errs
}
