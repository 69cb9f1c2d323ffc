package translatetest

import (
	"errors"
	"fmt"
	"slices"

	metav1validation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// split returns the pieces in which an object is stored.
func split(o *translate.Object) []*translate.Object {
	if o.ServiceEntry == nil {
		return []*translate.Object{o}
	}
	return pieces.Split(o)
}

func checkMetadata(o *translate.Object) error {
	meta := metav1.ObjectMeta{Name: o.Key.Name, Namespace: o.Key.Namespace, Labels: o.Labels, Annotations: o.Annotations}
	return metav1validation.ValidateObjectMeta(&meta, true, metav1validation.NameIsDNSSubdomain, field.NewPath("metadata")).ToAggregate()
}

// webhookRule returns why istiod's webhook would refuse a DestinationRule.
func webhookRule(o *translate.Object) error {
	errs := []error{checkMetadata(o), checkHosts([]string{o.DestinationRule.Host})}
	names := map[string]bool{}
	for _, s := range o.DestinationRule.Subsets {
		if len(validation.IsDNS1123Label(s.Name)) > 0 || names[s.Name] {
			errs = append(errs, fmt.Errorf("subset %q has no name of its own", s.Name))
		}
		names[s.Name] = true
		labels := make(map[string]string, len(s.Labels))
		for _, l := range s.Labels {
			labels[l.Key] = l.Value
		}
		errs = append(errs, checkLabels(labels))
	}
	return errors.Join(errs...)
}

// webhookFilter returns why istiod's webhook would refuse an EnvoyFilter. What Envoy would refuse, package manifest does not render.
func webhookFilter(o *translate.Object) error {
	errs := []error{checkMetadata(o)}
	if port := o.EnvoyFilter.Port; port == 0 || port > 65535 {
		errs = append(errs, fmt.Errorf("port number %d", port))
	}
	return errors.Join(errs...)
}

// ownRouting returns which of the rules that this program sets itself a table or a DestinationRule breaks.
func ownRouting(o *translate.Object) []error {
	var errs []error
	if f := o.EnvoyFilter; f != nil {
		if o.Key != translate.TableKey(o.Key.Namespace, f.Port) {
			errs = append(errs, fmt.Errorf("the table of port %d has another name", f.Port))
		}
		for i := range f.Routes {
			if len(f.Routes[i].Matches) == 0 || i > 0 && f.Routes[i-1].Compare(&f.Routes[i]) >= 0 {
				errs = append(errs, fmt.Errorf("route %d is empty, or not behind the one before it", i))
			}
		}
	}
	if r := o.DestinationRule; r != nil && !slices.IsSortedFunc(r.Subsets, func(a, b translate.Subset) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	}) {
		errs = append(errs, errors.New("the subsets are not sorted"))
	}
	return errs
}

// routing returns which rules tables, hosts and DestinationRules break together: whoever sees a host without an address has a table for
// each of its ports, and a route leads to what is there, and is in view.
func routing(objects []*translate.Object) []error {
	var errs []error
	keys := map[translate.Key]bool{}
	hosts := map[string]*translate.Object{}
	rules := map[string]*translate.DestinationRule{}
	for _, o := range objects {
		keys[o.Key] = true
		switch {
		case o.ServiceEntry != nil:
			hosts[o.ServiceEntry.Host] = o
		case o.DestinationRule != nil:
			rules[o.DestinationRule.Host] = o.DestinationRule
		}
	}
	root := (&translate.Options{}).Root()
	for _, o := range objects {
		for _, key := range o.Tables(root) {
			if !keys[key] {
				errs = append(errs, fmt.Errorf("%s has no address and captures its port: there is no %s", o.Key, key))
			}
		}
		if o.EnvoyFilter == nil {
			continue
		}
		for i := range o.EnvoyFilter.Routes {
			for target := range o.EnvoyFilter.Routes[i].Targets {
				host := hosts[target.Host]
				if host == nil || !host.ServiceEntry.Has(target, rules[target.Host]) || !seen(host, o.Key.Namespace, root) {
					errs = append(errs, fmt.Errorf("%s leads to %s, which its proxies do not know", o.Key, target.Cluster()))
				}
			}
		}
	}
	return errs
}

// seen reports whether all proxies of a table see a host.
func seen(host *translate.Object, namespace, root string) bool {
	all, namespaces := translate.Viewers(host.ServiceEntry.ExportTo, host.Key.Namespace)
	return all || namespace != root && slices.Contains(namespaces, namespace)
}
