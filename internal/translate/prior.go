package translate

import "slices"

// PriorOf returns what makes the next translation sticky to o, which is live. The slices and maps are shared with o.
func PriorOf(o *Object) Prior {
	p := Prior{
		Labels:   o.Labels,
		Service:  o.Annotations[AnnotationService],
		Unit:     o.Annotations[AnnotationUnit],
		Registry: o.Annotations[AnnotationRegistry],
	}
	if se := o.ServiceEntry; se != nil {
		p.Host, p.Ports, p.Addresses, p.Mode = se.Host, se.Ports, se.Addresses, se.Mode
		p.Endpoints, p.SubjectAltNames = se.Endpoints, se.SubjectAltNames
	}
	return p
}

// equal reports whether both say the same about everything that translation always looks at.
func (p *Prior) equal(o *Prior) bool {
	return p.Host == o.Host && p.Service == o.Service && p.Unit == o.Unit && p.Registry == o.Registry && p.Mode == o.Mode &&
		slices.Equal(p.Ports, o.Ports) && slices.Equal(p.Addresses, o.Addresses)
}
