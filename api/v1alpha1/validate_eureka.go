package v1alpha1

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateEureka(e *Eureka, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	servers := path.Child("servers")
	if len(e.Servers) == 0 {
		errs = append(errs, field.Required(servers, `needs at least one server, e.g. [{url: "http://eureka:8761/eureka"}]`))
	}
	urls := make([]string, len(e.Servers))
	for i, s := range e.Servers {
		p := servers.Index(i)
		urls[i] = strings.TrimRight(s.URL, "/")
		if problem := eurekaURLProblem(s.URL); problem != "" {
			errs = append(errs, field.Invalid(p.Child("url"), s.URL, problem))
		}
		if e.TLS != nil && strings.HasPrefix(s.URL, "http://") {
			errs = append(errs, field.Invalid(p.Child("url"), s.URL, "needs https, because tls is set; or remove tls"))
		}
		if s.AuthSecretRef != nil {
			errs = append(errs, validateRefName(s.AuthSecretRef.Name, p.Child("authSecretRef", "name"), "eureka")...)
		}
	}
	errs = append(errs, unique(urls, servers)...)
	if d := e.PollInterval; d != nil && (d.Duration < time.Second || d.Duration > 10*time.Minute) {
		errs = append(errs, field.Invalid(path.Child("pollInterval"), d.Duration.String(), "needs to be between 1s and 10m, e.g. 30s"))
	}
	if e.TLS != nil {
		errs = append(errs, validateTLS(e.TLS, path.Child("tls"))...)
	}
	if strings.ContainsAny(e.Region, "/ \t\n") {
		errs = append(errs, field.Invalid(path.Child("region"), e.Region, "needs to be one name without slashes, e.g. north"))
	}
	return errs
}

// eurekaURLProblem says what is wrong with the URL of a server, empty for nothing.
func eurekaURLProblem(address string) string {
	const example = "http://eureka:8761/eureka"
	if problem := urlProblem(address, example, "they go into authSecretRef"); problem != "" {
		return problem
	}
	if strings.Contains(address, ",") {
		return "needs to be one URL, e.g. " + example + "; each server is an entry of its own"
	}
	if path := strings.TrimRight(address, "/"); strings.HasSuffix(path, "/apps") || strings.HasSuffix(path, "/apps/delta") {
		return "needs to be a URL, e.g. " + example + ", without /apps"
	}
	return ""
}
