package v1alpha1

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateHTTP(h *HTTP, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	const example = "https://cmdb.example/api/services"
	if h.URL == "" {
		errs = append(errs, field.Required(at.Child("url"), "needs the URL of a document, e.g. "+example))
	} else if problem := documentURLProblem(h.URL, example); problem != "" {
		errs = append(errs, field.Invalid(at.Child("url"), h.URL, problem))
	}
	errs = append(errs, validateFormat(h.Format, h.ServiceLabel, at)...)
	if d := h.PollInterval; d != nil && (d.Duration < time.Second || d.Duration > time.Hour) {
		errs = append(errs, field.Invalid(at.Child("pollInterval"), d.Duration.String(), "needs to be between 1s and 1h, e.g. 10s"))
	}
	if d := h.LongPoll; d != nil && d.Duration != 0 && (d.Duration < time.Second || d.Duration > 10*time.Minute) {
		errs = append(errs, field.Invalid(at.Child("longPoll"), d.Duration.String(), "needs to be between 1s and 10m, e.g. 55s, or 0s for none"))
	}
	if ref := h.BearerSecretRef; ref != nil {
		errs = append(errs, validateSecretKeyRef(ref, at.Child("bearerSecretRef"), "cmdb")...)
	}
	if ref := h.BasicSecretRef; ref != nil {
		errs = append(errs, validateRefName(ref.Name, at.Child("basicSecretRef", "name"), "cmdb")...)
		if h.BearerSecretRef != nil {
			errs = append(errs, field.Forbidden(at.Child("basicSecretRef"), "stands beside bearerSecretRef; a request has room for one of them"))
		}
	}
	errs = append(errs, validateHeaders(h, at.Child("headers"))...)
	if h.TLS != nil {
		if strings.HasPrefix(h.URL, "http://") {
			errs = append(errs, field.Invalid(at.Child("url"), h.URL, "needs https, because tls is set; or remove tls"))
		}
		errs = append(errs, validateTLS(h.TLS, at.Child("tls"))...)
	}
	return errs
}

func validateFile(f *File, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case f.Path == "":
		errs = append(errs, field.Required(at.Child("path"), "needs a file or a folder, e.g. /etc/registry-bridge/services"))
	case !strings.HasPrefix(f.Path, "/"):
		errs = append(errs, field.Invalid(at.Child("path"), f.Path, "needs to begin with a slash, e.g. /etc/registry-bridge/services"))
	case f.Path == "/" || path.Clean(f.Path) != f.Path:
		errs = append(errs, field.Invalid(at.Child("path"), f.Path, "needs names between its slashes, and none at its end, e.g. /etc/registry-bridge/services"))
	}
	return append(errs, validateFormat(f.Format, f.ServiceLabel, at)...)
}

func validateFormat(format DocumentFormat, label string, at *field.Path) field.ErrorList {
	errs := oneOf(at.Child("format"), format, DocumentNative, DocumentPrometheusSD)
	if strings.TrimSpace(label) != label || label == "" {
		errs = append(errs, field.Invalid(at.Child("serviceLabel"), label, "needs to be the name of a label, e.g. job"))
	}
	return errs
}

// documentURLProblem says what is wrong with the URL of a document, empty for nothing. Unlike that of a registry it may have a query.
func documentURLProblem(address, example string) string {
	before, _, _ := strings.Cut(address, "?")
	return urlProblem(before, example, "they go into spec.source.http.basicSecretRef")
}

// ownHeaders are those that the bridge, or the connection, sets.
func ownHeaders() []string {
	return []string{
		"Accept", "Accept-Encoding", "Connection", "Content-Length", "Host", "If-Modified-Since", "If-None-Match", "Prefer", "Range",
		"Trailer", "Transfer-Encoding", "Upgrade",
	}
}

func validateHeaders(source *HTTP, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := make([]string, len(source.Headers))
	for i := range source.Headers {
		h, p := &source.Headers[i], at.Index(i)
		names[i] = http.CanonicalHeaderKey(h.Name)
		switch {
		case len(validation.IsHTTPHeaderName(h.Name)) > 0:
			errs = append(errs, field.Invalid(p.Child("name"), h.Name, "needs to be the name of a header, e.g. X-Tenant"))
		case slices.Contains(ownHeaders(), names[i]):
			errs = append(errs, field.Invalid(p.Child("name"), h.Name, "is set by the bridge itself; remove it"))
		case names[i] == "Authorization" && (source.BearerSecretRef != nil || source.BasicSecretRef != nil):
			errs = append(errs, field.Invalid(p.Child("name"), h.Name, "is what bearerSecretRef and basicSecretRef set; remove one of the two"))
		}
		switch ref := h.SecretRef; {
		case (h.Value == "") == (ref == nil):
			errs = append(errs, field.Invalid(p, h.Name, "needs either value or secretRef"))
		case ref != nil:
			errs = append(errs, validateSecretKeyRef(ref, p.Child("secretRef"), "cmdb")...)
		case strings.ContainsFunc(h.Value, func(r rune) bool { return r < ' ' || r == 0x7f }):
			errs = append(errs, field.Invalid(p.Child("value"), h.Value, "has characters that no header has, a line end for example"))
		}
	}
	return append(errs, uniqueNames(names, at)...)
}
