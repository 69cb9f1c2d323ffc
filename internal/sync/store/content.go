package store

import (
	"maps"
	"slices"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// resolveHealth gives svc, if its registry distrusts its own health checks now, the health that counts meanwhile, so that nobody
// behind the store needs to know the past. Known instances keep their last health: neither a mass failure nor a recovery is believed.
// New ones count as healthy. What an operator or the instance itself has said (disabled, in maintenance, …) is no health check and is
// taken as it is.
func resolveHealth(svc, last *model.Service) *model.Service {
	if !svc.HealthUnknown {
		return svc
	}
	known := map[string]model.Health{}
	if last != nil {
		for i := range last.Instances {
			known[last.Instances[i].ID] = last.Instances[i].Health
		}
	}
	resolved := *svc
	resolved.Instances = slices.Clone(svc.Instances)
	for i := range resolved.Instances {
		inst := &resolved.Instances[i]
		if inst.Health > model.Unhealthy {
			continue
		}
		// The zero value is Healthy, which is what a new instance counts as.
		inst.Health = known[inst.ID]
	}
	return &resolved
}

// compact returns svc with equal parts of neighbouring instances shared: most instances of a service differ in their address only, and
// what a registry holds stays in memory for as long as the program runs.
func compact(svc *model.Service) *model.Service {
	shared := *svc
	shared.Instances = slices.Clone(svc.Instances)
	for i := 1; i < len(shared.Instances); i++ {
		last, inst := &shared.Instances[i-1], &shared.Instances[i]
		if maps.Equal(last.Metadata, inst.Metadata) {
			inst.Metadata = last.Metadata
		}
		if slices.Equal(last.Ports, inst.Ports) {
			inst.Ports = last.Ports
		}
	}
	return &shared
}
