package translate

import (
	"maps"
	"slices"
)

// render makes the objects of an entry. Objects that are what they were keep their pointers.
func (e *entry) render(addresses, names []string) {
	if e.names != nil && slices.Equal(addresses, e.addresses) && slices.Equal(names, e.names) {
		return
	}
	e.addresses, e.names = addresses, names
	location := "MESH_INTERNAL"
	if e.registry.Output.External {
		location = "MESH_EXTERNAL"
	}
	to := e.exportTo(len(addresses) > 0)
	objects := make([]*Object, 0, len(names))
	for i, name := range names {
		if len(e.shardsOf[i]) == 0 {
			continue
		}
		o := &Object{
			Key:    Key{KindServiceEntry, e.claim.namespace, name},
			Labels: e.labels, Annotations: e.annotations, Origins: e.origins, Registries: e.registries,
			ServiceEntry: &ServiceEntry{
				Host: e.claim.host, Addresses: addresses, Ports: e.ports, Location: location, Resolution: "STATIC", ExportTo: to,
				SubjectAltNames: e.subjectAltNames, Mode: e.mode, Selector: e.selector(),
				Endpoints: e.shardsOf[i],
			},
		}
		if i == 0 {
			o.Claims = e.claims
		}
		if at := slices.IndexFunc(e.objects, o.equal); at >= 0 {
			o = e.objects[at]
		}
		objects = append(objects, o)
	}
	e.objects = objects
}

func (o *Object) equal(p *Object) bool { return o.alike(p) && o.ServiceEntry.equal(p.ServiceEntry) }

// alike reports whether everything but the specs is equal.
func (o *Object) alike(p *Object) bool {
	return o.Key == p.Key &&
		maps.Equal(o.Labels, p.Labels) && maps.Equal(o.Annotations, p.Annotations) &&
		slices.Equal(o.Origins, p.Origins) && slices.Equal(o.Registries, p.Registries) && slices.Equal(o.Claims, p.Claims)
}

func (s *ServiceEntry) equal(o *ServiceEntry) bool {
	return s.Host == o.Host && s.Mode == o.Mode && s.Selector == o.Selector && s.Location == o.Location && s.Resolution == o.Resolution &&
		slices.Equal(s.Addresses, o.Addresses) && slices.Equal(s.Ports, o.Ports) && slices.Equal(s.ExportTo, o.ExportTo) &&
		slices.Equal(s.SubjectAltNames, o.SubjectAltNames) &&
		slices.EqualFunc(s.Endpoints, o.Endpoints, Endpoint.equal)
}

func (e Endpoint) equal(o Endpoint) bool {
	return e.Address == o.Address && e.Weight == o.Weight && e.Locality == o.Locality && e.Network == o.Network &&
		slices.Equal(e.Ports, o.Ports) && slices.Equal(e.Labels, o.Labels)
}
