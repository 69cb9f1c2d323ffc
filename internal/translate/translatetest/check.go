// Package translatetest says whether generated objects are valid: for istiod, by the rules of its validating webhook, stated again in
// Go; and for the mesh, by the rules that keep an object from taking somebody else's traffic. The rules of the API server are in
// package crd. It is for tests; nothing of it is in the program.
package translatetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// maxBytes is what an object may have as JSON: etcd refuses requests over 1.5 MiB.
const maxBytes = 1 << 20

// Check returns everything that is wrong with objects, each by itself and all together; nil when they are valid.
func Check(objects []*translate.Object) error {
	var errs []error
	for _, o := range objects {
		if err := check(o); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.Key, err))
		}
	}
	return errors.Join(append(errs, together(objects))...)
}

// check checks the object and each piece in which it is stored.
func check(o *translate.Object) error {
	var errs []error
	stored := []plan.Live{}
	for _, piece := range split(o) {
		back, err := checkPiece(piece)
		if err != nil {
			errs = append(errs, err)
		}
		if back != nil {
			stored = append(stored, plan.Live{Object: back})
		}
	}
	if len(stored) == 0 || !sameContent(o, pieces.Join(stored, nil).Object) {
		errs = append(errs, errors.New("the object is another when it is read back"))
	}
	return errors.Join(append(errs, own(o)...)...)
}

// checkPiece checks one stored object, and returns it as it is read back.
func checkPiece(o *translate.Object) (*translate.Object, error) {
	m, err := manifest.Map(o)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	var errs []error
	if len(text) > maxBytes {
		errs = append(errs, fmt.Errorf("the object has %d bytes, %d are allowed", len(text), maxBytes))
	}
	switch o.Key.Kind {
	case translate.KindWorkloadEntry:
		err = webhookWorkload(manifest.RenderWorkload(o))
	case translate.KindDestinationRule:
		err = webhookRule(o)
	case translate.KindEnvoyFilter:
		err = webhookFilter(o)
	default:
		err = webhook(manifest.Render(o))
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("refused by istiod: %w", err))
	}
	back, err := manifest.Parse(m)
	return back, errors.Join(append(errs, err)...)
}

func sameContent(o, p *translate.Object) bool {
	if !plan.Satisfies(o, p) || !plan.Satisfies(p, o) {
		return false
	}
	a, err := manifest.YAML(o)
	if err != nil {
		return false
	}
	b, err := manifest.YAML(p)
	return err == nil && slices.Equal(a, b)
}

// own returns which of the rules that this program sets itself the object breaks.
func own(o *translate.Object) []error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Labels[translate.LabelManagedBy] != translate.ManagedBy || o.Labels[translate.LabelInstance] == "" {
		fail("the owner labels are missing")
	}
	if o.EnvoyFilter == nil && (o.Annotations[translate.AnnotationService] == "" || o.Annotations[translate.AnnotationRegistry] == "") {
		fail("the annotations of the origin are missing")
	}
	se := o.ServiceEntry
	if se == nil {
		return append(errs, ownRouting(o)...)
	}
	if ports := se.TablePorts(); len(ports) > 0 && o.Labels[translate.LabelAutoAllocate] != translate.AutoAllocateOff {
		fail("ports %v have no address and capture the port of the mesh", ports)
	}
	if !slices.IsSortedFunc(se.Ports, func(a, b translate.ServicePort) int { return int(a.Number) - int(b.Number) }) {
		fail("the ports are not sorted")
	}
	if !slices.IsSortedFunc(se.Endpoints, func(a, b translate.Endpoint) int { return a.Compare(&b) }) {
		fail("the endpoints are not sorted")
	}
	return append(append(errs, ownSelector(se)...), ownEndpoints(se)...)
}

func ownSelector(se *translate.ServiceEntry) []error {
	want := ""
	if se.Mode == translate.WorkloadEntries {
		want = translate.HostLabel(se.Host)
	}
	if se.Selector != want {
		return []error{fmt.Errorf("mode %s has the selector %q", se.Mode, se.Selector)}
	}
	return nil
}

func ownEndpoints(se *translate.ServiceEntry) []error {
	var errs []error
	for i := range se.Endpoints {
		e := &se.Endpoints[i]
		switch {
		case e.Source() == "":
			errs = append(errs, fmt.Errorf("endpoint %s has no provenance", e.Address))
		case len(e.Ports) != len(se.Ports):
			errs = append(errs, fmt.Errorf("endpoint %s has %d of %d ports", e.Address, len(e.Ports), len(se.Ports)))
		case e.Weight > 10_000:
			errs = append(errs, fmt.Errorf("endpoint %s has weight %d", e.Address, e.Weight))
		case se.Mode == translate.WorkloadEntries && slices.ContainsFunc(e.Labels, selectable):
			errs = append(errs, fmt.Errorf("endpoint %s can be selected by its labels: %v", e.Address, e.Labels))
		case i > 0 && se.Endpoints[i-1].Address == e.Address && se.Endpoints[i-1].Port() == e.Port():
			errs = append(errs, fmt.Errorf("endpoint %s:%d is there twice", e.Address, e.Port()))
		}
	}
	return errs
}

// selectable reports whether somebody else may select a WorkloadEntry by a label that has another meaning to them.
func selectable(l translate.Label) bool {
	prefix, _, _ := strings.Cut(l.Key, "/")
	return !slices.Contains([]string{"registry-bridge.io", "label.registry-bridge.io", "security.istio.io"}, prefix)
}

// together returns which rules objects break together: names are unique, a host is in one namespace, objects of one host differ in
// endpoints only, and no two hosts share an address.
func together(objects []*translate.Object) error {
	var errs []error
	keys := map[translate.Key]bool{}
	hosts := map[string]*translate.Object{}
	addresses := map[string]string{}
	for _, o := range objects {
		if keys[o.Key] {
			errs = append(errs, fmt.Errorf("%s is there twice", o.Key))
		}
		keys[o.Key] = true
		se := o.ServiceEntry
		if se == nil {
			continue
		}
		if other := hosts[se.Host]; other == nil {
			hosts[se.Host] = o
		} else if a, b := *other.ServiceEntry, *se; o.Key.Namespace != other.Key.Namespace || !slices.Equal(a.Ports, b.Ports) ||
			!slices.Equal(a.Addresses, b.Addresses) || !slices.Equal(a.ExportTo, b.ExportTo) {
			errs = append(errs, fmt.Errorf("%s and %s disagree about %s", other.Key, o.Key, se.Host))
		}
		for _, a := range se.Addresses {
			if host := addresses[a]; host != "" && host != se.Host {
				errs = append(errs, fmt.Errorf("%s and %s have the address %s", host, se.Host, a))
			}
			addresses[a] = se.Host
		}
	}
	return errors.Join(append(errs, routing(objects)...)...)
}

// CheckManifest is Check of one object in YAML, as an output has stored it, by itself. The name does not matter.
func CheckManifest(_ string, data []byte) error {
	object, err := manifest.ParseYAML(data)
	if err != nil {
		return err
	}
	return check(object)
}
