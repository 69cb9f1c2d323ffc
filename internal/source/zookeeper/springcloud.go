package zookeeper

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/dubboprovider"
)

// springCloud reads what Spring Cloud ZooKeeper writes:
//
//	<root>/<application>/<id>     a ServiceInstance of Curator
//
// An application is a unit and a service. Other writers of ServiceInstances are understood too, apart from Dubbo.
type springCloud struct{ root string }

func newSpringCloud(cfg Config, sink source.Sink, before map[string][]*model.Service) layout {
	s := newApps(cfg, sink, before)
	s.flavour = springCloud{root: cfg.Root}
	return s
}

func (f springCloud) roots() []string { return []string{f.root} }

func (f springCloud) parse(path string, data []byte) any {
	return parseRegistration(path[strings.LastIndexByte(path, '/')+1:], data)
}

func (f springCloud) refresh() error { return nil }

func (f springCloud) expects(app string) []string { return []string{app} }

func (f springCloud) unreadable(string) error { return nil }

func (f springCloud) evaluate(l lookup, app string) (map[string][]*model.Service, error) {
	nodes := registrations(l, f.root+"/"+app, false)
	if len(nodes) == 0 {
		return nil, nil //nolint:nilnil // an application of Dubbo, or none any more
	}
	var pool metaPool
	svc := &model.Service{Ref: model.Ref{Unit: app, Name: app}, Instances: make([]model.Instance, 0, len(nodes))}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		svc.Instances = append(svc.Instances, springInstance(node, nodes[node], &pool))
	}
	slices.SortFunc(svc.Instances, func(a, b model.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return map[string][]*model.Service{app: {svc}}, nil
}

// Keys of the metadata of an instance.
const (
	keyStatus = "instance_status"
	keyWeight = "weight"
	keyRegion = "region"
	keyZone   = "zone"
	keySub    = "subzone"
)

// springInstance makes an instance of a node. A port for TLS is the one that clients call, as in Spring Cloud.
func springInstance(node string, r registration, pool *metaPool) model.Instance {
	if r.err != nil {
		return malformed(node, r.err)
	}
	protocol, port := "http", r.Port
	if r.SSLPort != 0 {
		protocol, port = "https", r.SSLPort
	}
	meta, size := stableMetadata(r.Metadata, pool)
	inst := model.Instance{
		ID: node, Address: r.Address, Weight: dubboprovider.Weight(r.Metadata[keyWeight], 1), Health: springHealth(r),
		Locality: model.Locality{Region: r.Metadata[keyRegion], Zone: r.Metadata[keyZone], Subzone: r.Metadata[keySub]},
		Metadata: meta, Problem: cmp.Or(portProblem(port), metadataProblem(size)),
	}
	if inst.Problem == "" {
		inst.Ports = []model.Port{{Protocol: protocol, Number: uint32(port)}} //nolint:gosec // between 1 and 65535
	}
	return inst
}

// springHealth: what says nothing is up; of what is said, only UP is.
func springHealth(r registration) model.Health {
	status := strings.TrimSpace(r.Metadata[keyStatus])
	switch {
	case r.Disabled:
		return model.Disabled
	case status == "", strings.EqualFold(status, "UP"):
		return model.Healthy
	case strings.EqualFold(status, "OUT_OF_SERVICE"):
		return model.OutOfService
	case strings.EqualFold(status, "STARTING"):
		return model.Starting
	}
	return model.Unhealthy
}
