package zookeeper

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/dubboprovider"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/dubbourl"
)

// errInterfaceName: an interface node whose name cannot be the name of an interface.
var errInterfaceName = errors.New("not an interface name")

// Convert turns the content of one interface node into its services, sorted by name: the names of the interface node, of the
// children of its providers node and of those of its configurators node, as ZooKeeper gives them. It is pure. The error, which wraps
// source.ErrMalformed, is about the interface's own name; a provider that makes no sense becomes an instance with a Problem.
func Convert(id model.SourceID, node string, providers, configurators []string) ([]*model.Service, error) {
	unit, err := interfaceName(node)
	if err != nil {
		return nil, err
	}
	var pool metaPool
	list := make([]*provider, 0, len(providers))
	for _, name := range providers {
		if p := parseProvider(name, &pool); p != nil {
			list = append(list, p)
		}
	}
	var rules []*override
	for _, name := range configurators {
		if o := parseOverride(name); o != nil {
			rules = append(rules, o)
		}
	}
	sortOverrides(rules)
	return assemble(model.Ref{Source: id, Unit: unit}, list, rules), nil
}

// interfaceName decodes the name of an interface node once. It may hold any bytes but a slash, which no interface has and which
// would make service keys ambiguous.
func interfaceName(node string) (string, error) {
	name, err := dubbourl.Decode(node)
	if err != nil {
		return "", fmt.Errorf("%w: interface node: %w", source.ErrMalformed, err)
	}
	if name == "" || strings.Contains(name, "/") {
		return "", fmt.Errorf("%w: %w", source.ErrMalformed, errInterfaceName)
	}
	return name, nil
}

// assemble builds the services of a unit from its parsed providers; rules are in order.
func assemble(unit model.Ref, providers []*provider, rules []*override) []*model.Service {
	type key struct{ group, version string }
	split := make(map[key][]*provider, 1)
	for _, p := range providers {
		k := key{p.group, p.version}
		split[k] = append(split[k], p)
	}
	services := make([]*model.Service, 0, len(split))
	for k, list := range split {
		named := dubboprovider.Service{Interface: unit.Unit, Group: k.group, Version: k.version}
		svc := &model.Service{
			Ref:       model.Ref{Source: unit.Source, Unit: unit.Unit, Name: named.Key()},
			Instances: instances(list, rules),
			Metadata:  named.Metadata(),
		}
		services = append(services, svc)
	}
	slices.SortFunc(services, func(a, b *model.Service) int { return a.Ref.Compare(b.Ref) })
	return services
}

// instances makes one instance of what one process offers.
//
// Dubbo writes a node per protocol. Those of one host belong together by their pid when all have one, else by order: the first port
// of each protocol, then the second. An address that is registered twice, as it is for a while after a crash and a restart, counts
// once, with its newest node.
func instances(list []*provider, rules []*override) []model.Instance {
	newest := make(map[string]*provider, len(list))
	for _, p := range list {
		if old := newest[p.id()]; old == nil || p.newerThan(old) {
			newest[p.id()] = p
		}
	}
	byHost := make(map[string][]*provider, len(newest))
	out := make([]model.Instance, 0, len(newest))
	for _, p := range newest {
		if p.problem != "" {
			out = append(out, instance([]*provider{p}, rules))
			continue
		}
		byHost[p.host] = append(byHost[p.host], p)
	}
	for _, offers := range byHost {
		for _, process := range processes(offers, rules) {
			out = append(out, instance(process, rules))
		}
	}
	slices.SortFunc(out, func(a, b model.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// processes groups the providers of one host by the process that offers them.
func processes(offers []*provider, rules []*override) [][]*provider {
	return dubboprovider.Processes(offers, func(p *provider) dubboprovider.Offer {
		o := dubboprovider.Offer{Scheme: p.scheme, Port: p.port, PID: p.pid}
		if _, disabled := apply(p, rules); disabled {
			o.State = 1
		}
		return o
	})
}

// instance describes one process; weight, state and metadata are those of its first port.
func instance(process []*provider, rules []*override) model.Instance {
	first := process[0]
	inst := model.Instance{ID: first.id(), Problem: first.problem, Metadata: first.meta}
	if first.scheme == "" {
		return inst
	}
	weight, disabled := apply(first, rules)
	inst.Address, inst.Weight = first.host, weight
	if disabled {
		inst.Health = model.Disabled
	}
	inst.Ports = make([]model.Port, 0, len(process))
	for _, p := range process {
		inst.Ports = append(inst.Ports, model.Port{Protocol: p.scheme, Number: uint32(p.port)}) //nolint:gosec // parsed as 31 bits
	}
	return inst
}
