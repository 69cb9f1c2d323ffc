package translatetest

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	networkingv1alpha3 "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1validation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// The syntax that istiod's webhook asks for (pkg/config/validation and pkg/config/labels of istio/istio).
var (
	dnsLabel   = regexp.MustCompile(`^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`)
	portName   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	labelName  = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$`)
	labelValue = regexp.MustCompile(`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`)
	digits     = regexp.MustCompile(`^\d+$`)
)

// webhook returns why the API server (for the metadata) or istiod's validating webhook would refuse se. It is stricter where istiod's
// leniency would not serve: one host, lower case, in a form that no resolver takes for an address.
func webhook(se *networkingv1.ServiceEntry) error {
	spec := &se.Spec
	errs := []error{
		metav1validation.ValidateObjectMeta(&se.ObjectMeta, true, metav1validation.NameIsDNSSubdomain, field.NewPath("metadata")).ToAggregate(),
		checkHosts(spec.Hosts),
		checkPorts(spec.Ports),
		checkExportTo(se.Namespace, spec.ExportTo),
	}
	for _, a := range spec.Addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			errs = append(errs, fmt.Errorf("address %q: %w", a, err))
		}
	}
	if spec.Resolution != networkingv1alpha3.ServiceEntry_STATIC {
		errs = append(errs, fmt.Errorf("resolution %s", spec.Resolution))
	}
	if s := spec.WorkloadSelector; s != nil {
		errs = append(errs, checkLabels(s.Labels))
		if len(s.Labels) == 0 || len(spec.Endpoints) > 0 {
			errs = append(errs, errors.New("a selector needs labels, and excludes endpoints"))
		}
	}
	for _, e := range spec.Endpoints {
		if err := checkEndpoint(e, spec.Ports); err != nil {
			errs = append(errs, fmt.Errorf("endpoint %s: %w", e.Address, err))
		}
	}
	return errors.Join(errs...)
}

// webhookWorkload is webhook for a WorkloadEntry. Beyond what istiod asks for, the labels by which it is selected have to be there.
func webhookWorkload(we *networkingv1.WorkloadEntry) error {
	errs := []error{
		metav1validation.ValidateObjectMeta(&we.ObjectMeta, true, metav1validation.NameIsDNSSubdomain, field.NewPath("metadata")).ToAggregate(),
		checkEndpoint(&we.Spec, nil),
	}
	for _, labels := range []map[string]string{we.Labels, we.Spec.Labels} {
		if labels[translate.LabelHost] == "" {
			errs = append(errs, errors.New("it cannot be selected"))
		}
	}
	return errors.Join(errs...)
}

func checkHosts(hosts []string) error {
	if len(hosts) != 1 {
		return fmt.Errorf("%d hosts", len(hosts))
	}
	host := hosts[0]
	if len(host) > 253 {
		return fmt.Errorf("host %q is too long", host)
	}
	if host != strings.ToLower(host) {
		return fmt.Errorf("host %q is not lower case: its routes lead nowhere", host)
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if len(l) > 63 || !dnsLabel.MatchString(l) {
			return fmt.Errorf("host %q: %q is no DNS label", host, l)
		}
	}
	last := labels[len(labels)-1]
	switch {
	case len(labels) < 2:
		return fmt.Errorf("host %q has no dot", host)
	case digits.MatchString(last):
		return fmt.Errorf("host %q ends in a number", host)
	case last == "local", slices.Contains(labels[1:], "svc"):
		return fmt.Errorf("host %q belongs to somebody else", host)
	}
	return nil
}

func checkPorts(ports []*networkingv1alpha3.ServicePort) error {
	if len(ports) == 0 || len(ports) > 16 {
		return fmt.Errorf("%d ports", len(ports))
	}
	names, numbers := map[string]bool{}, map[uint32]bool{}
	for _, p := range ports {
		switch {
		case len(p.Name) > 62 || !portName.MatchString(p.Name):
			return fmt.Errorf("port name %q", p.Name)
		case p.Number == 0 || p.Number > 65535:
			return fmt.Errorf("port number %d", p.Number)
		case names[p.Name] || numbers[p.Number]:
			return fmt.Errorf("port %s is there twice", p.Name)
		case !slices.Contains([]string{"TCP", "HTTP", "HTTP2", "HTTPS", "GRPC", "TLS"}, p.Protocol):
			return fmt.Errorf("protocol %q", p.Protocol)
		}
		names[p.Name], numbers[p.Number] = true, true
	}
	return nil
}

func checkExportTo(namespace string, to []string) error {
	for i, t := range to {
		switch {
		case t == "":
			return errors.New("exportTo is empty")
		case slices.Contains(to[:i], t), t == namespace && slices.Contains(to, "."):
			return fmt.Errorf("exportTo has %q twice", t)
		case (t == "~" || t == "*") && len(to) > 1:
			return fmt.Errorf("exportTo has %q and others", t)
		case t != "~" && t != "*" && t != "." && !portName.MatchString(t):
			return fmt.Errorf("exportTo %q is no namespace", t)
		}
	}
	return nil
}

func checkEndpoint(e *networkingv1alpha3.WorkloadEntry, ports []*networkingv1alpha3.ServicePort) error {
	addr, err := netip.ParseAddr(e.Address)
	if err != nil {
		return fmt.Errorf("a static endpoint needs an IP: %w", err)
	}
	if addr.IsUnspecified() || addr.IsMulticast() || addr.Zone() != "" || addr.String() != e.Address {
		return errors.New("the address names no machine, or not in its usual form")
	}
	for name, number := range e.Ports {
		if ports != nil && !slices.ContainsFunc(ports, func(p *networkingv1alpha3.ServicePort) bool { return p.Name == name }) {
			return fmt.Errorf("port %q is not among the ports", name)
		}
		if number == 0 || number > 65535 {
			return fmt.Errorf("port %d", number)
		}
	}
	if parts := strings.Split(e.Locality, "/"); len(parts) > 3 || e.Locality != "" && parts[0] == "" {
		return fmt.Errorf("locality %q", e.Locality)
	}
	return checkLabels(e.Labels)
}

func checkLabels(labels map[string]string) error {
	for key, value := range labels {
		prefix, name, prefixed := strings.Cut(key, "/")
		if !prefixed {
			prefix, name = "", key
		}
		if !labelName.MatchString(key) || len(name) > 63 || len(prefix) > 253 {
			return fmt.Errorf("label key %q", key)
		}
		if len(value) > 63 || !labelValue.MatchString(value) {
			return fmt.Errorf("label value %q", value)
		}
	}
	return nil
}
