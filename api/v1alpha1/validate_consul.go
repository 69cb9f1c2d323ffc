package v1alpha1

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateConsul(c *Consul, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.Address == "" {
		errs = append(errs, field.Required(path.Child("address"), "needs the URL of an agent, e.g. https://consul:8501"))
	} else if problem := consulAddressProblem(c.Address); problem != "" {
		errs = append(errs, field.Invalid(path.Child("address"), c.Address, problem))
	}
	for _, name := range []struct{ field, value, example string }{
		{"datacenter", c.Datacenter, "dc1"}, {"namespace", c.Namespace, "shop"}, {"partition", c.Partition, "retail"},
	} {
		if name.value != "" && len(validation.IsDNS1123Label(strings.ReplaceAll(strings.ToLower(name.value), "_", "-"))) > 0 {
			errs = append(errs, field.Invalid(path.Child(name.field), name.value, "needs to be one name in Consul, e.g. "+name.example))
		}
	}
	if c.Filter != "" && strings.TrimSpace(c.Filter) == "" {
		errs = append(errs, field.Invalid(path.Child("filter"), c.Filter, `needs an expression, e.g. Service.Meta.env == "prod"; or remove filter`))
	}
	if ref := c.TokenSecretRef; ref != nil {
		errs = append(errs, validateSecretKeyRef(ref, path.Child("tokenSecretRef"), "consul")...)
	}
	if c.TLS != nil {
		if strings.HasPrefix(c.Address, "http://") {
			errs = append(errs, field.Invalid(path.Child("address"), c.Address, "needs https, because tls is set; or remove tls"))
		}
		errs = append(errs, validateTLS(c.TLS, path.Child("tls"))...)
	}
	errs = append(errs, oneOf(path.Child("warning"), c.Warning, ConsulWarningPublish, ConsulWarningDrop)...)
	return append(errs, validateAddressFrom(c.AddressFrom, path.Child("addressFrom"))...)
}

// consulAddressProblem says what is wrong with the address of an agent, empty for nothing.
func consulAddressProblem(address string) string {
	const example = "https://consul:8501"
	if problem := urlProblem(address, example, "the token goes into spec.source.consul.tokenSecretRef"); problem != "" {
		return problem
	}
	if strings.HasSuffix(strings.TrimRight(address, "/"), "/v1") {
		return "needs to be a URL, e.g. " + example + ", without /v1"
	}
	return ""
}

// validateAddressFrom accepts any name of a tagged address but those of virtual addresses, which are no place where an instance is.
func validateAddressFrom(name string, path *field.Path) field.ErrorList {
	problem := ""
	switch {
	case name != ConsulAddressFromService && strings.EqualFold(name, ConsulAddressFromService):
		problem = "needs to be written " + ConsulAddressFromService
	case name == "virtual" || strings.HasPrefix(name, "consul-virtual"):
		problem = "is the virtual address of a service in Consul's own mesh, not that of an instance; e.g. wan"
	case strings.TrimSpace(name) != name || name == "":
		problem = "needs to be Service, or the name of a tagged address, e.g. wan"
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, problem)}
}
