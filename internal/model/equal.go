package model

import (
	"maps"
	"slices"
)

// Equal reports whether two services have the same content. What a registry sends again without a difference (heartbeats, listings) is
// no change.
func (s *Service) Equal(o *Service) bool {
	return s == o || s.Ref == o.Ref && s.HealthUnknown == o.HealthUnknown &&
		maps.Equal(s.Metadata, o.Metadata) &&
		slices.EqualFunc(s.Instances, o.Instances, Instance.equal)
}

func (i Instance) equal(o Instance) bool {
	return i.ID == o.ID && i.Address == o.Address && i.Weight == o.Weight && i.Health == o.Health &&
		i.Locality == o.Locality && i.Problem == o.Problem &&
		slices.Equal(i.Ports, o.Ports) && maps.Equal(i.Metadata, o.Metadata)
}
