package zookeeper

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source/dubboprovider"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/dubboapp"
)

// applicationNodes is where the nodes of an application are.
type applicationNodes struct {
	// app is its name, node the node of its instances, metadata that of the metadata of all applications.
	app, node, metadata string
	// interfaces are mapped to it, sorted.
	interfaces []string
}

// convertApplication turns the nodes of an application into what it has of each unit. It is pure. An error is about the description of a
// revision, without which nothing is known of its instances; a node that makes no sense becomes an instance with a Problem, in every
// service of the application, because nobody knows in which.
func convertApplication(l lookup, at applicationNodes) (map[string][]*model.Service, error) {
	c := applicationConverter{lookup: l, applicationNodes: at, services: map[model.Ref]*model.Service{}}
	nodes := registrations(l, at.node, true)
	var nowhere []model.Instance
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		r := nodes[node]
		if r.err != nil {
			nowhere = append(nowhere, malformed(node, r.err))
			continue
		}
		endpoints, err := endpointsOf(r)
		if err != nil {
			nowhere = append(nowhere, malformed(node, err))
			continue
		}
		if !c.addNode(node, r, endpoints) {
			nowhere = append(nowhere, model.Instance{
				ID: node, Address: r.Address, Problem: reason.Problem(reason.InterfacesUnknown, "neither its revision nor the mapping says which interfaces it offers"),
			})
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.units(nowhere), nil
}

type applicationConverter struct {
	lookup
	applicationNodes
	pool     metaPool
	services map[model.Ref]*model.Service
	// err is the first revision that cannot be understood.
	err error
}

// endpointsOf returns the ports of an instance.
func endpointsOf(r registration) ([]dubboapp.Endpoint, error) {
	text, ok := r.Metadata[dubboapp.KeyEndpoints]
	if !ok || text == "" {
		return []dubboapp.Endpoint{{Protocol: "dubbo", Port: r.Port}}, nil
	}
	return dubboapp.ParseEndpoints(text)
}

// addNode adds what a node offers to the services. It says false when nobody knows what that is.
func (c *applicationConverter) addNode(node string, r registration, endpoints []dubboapp.Endpoint) bool {
	id := r.Metadata[dubboapp.KeyRevision]
	if id == dubboapp.NoServices {
		return true
	}
	offered, exact := c.offered(id)
	byKey := map[[3]string][]dubboapp.Service{}
	for _, s := range offered {
		key := [3]string{s.Interface, s.Group, s.Version}
		byKey[key] = append(byKey[key], s)
	}
	for _, same := range byKey {
		inst := c.instance(node, r, same, endpoints)
		svc := c.service(same[0])
		svc.Instances = append(svc.Instances, inst)
	}
	return exact || len(offered) > 0
}

// offered returns what a revision offers; exact says that its own description says so.
func (c *applicationConverter) offered(id string) (list []dubboapp.Service, exact bool) {
	if id != "" && !strings.ContainsAny(id, "/\x00") {
		switch r, published := c.Data(c.metadata + "/" + c.app + "/" + id).(revision); {
		case published && r.err != nil:
			if c.err == nil {
				c.err = fmt.Errorf("revision %q of %q: %w", id, c.app, r.err)
			}
			return nil, true
		case published:
			return r.services, true
		}
	}
	for _, iface := range c.interfaces {
		found := c.definitions(iface)
		if len(found) == 0 {
			found = []dubboapp.Service{{Interface: iface}}
		}
		list = append(list, found...)
	}
	return list, false
}

// definitions returns the versions and groups in which the application has ever offered an interface. A single part between the interface
// and the provider is either, which the definition itself says.
func (c *applicationConverter) definitions(iface string) []dubboapp.Service {
	var found []dubboapp.Service
	base := c.metadata + "/" + iface
	for _, first := range c.List(base) {
		switch first {
		case "consumer":
		case "provider":
			if c.provides(base) {
				found = append(found, dubboapp.Service{Interface: iface})
			}
		default:
			found = append(found, c.qualified(base, iface, first)...)
		}
	}
	return found
}

func (c *applicationConverter) qualified(base, iface, first string) []dubboapp.Service {
	var found []dubboapp.Service
	base += "/" + first
	for _, second := range c.List(base) {
		switch second {
		case "consumer":
		case "provider":
			if !c.provides(base) {
				continue
			}
			s := dubboapp.Service{Interface: iface, Version: first}
			if d, ok := c.Data(base + "/provider/" + c.app).(definition); ok && d.err == nil {
				s.Group, s.Version = d.group, d.version
			}
			found = append(found, s)
		default:
			if c.provides(base + "/" + second) {
				found = append(found, dubboapp.Service{Interface: iface, Version: first, Group: second})
			}
		}
	}
	return found
}

// provides says whether the definition of the application is below a node.
func (c *applicationConverter) provides(base string) bool {
	if !slices.Contains(c.List(base), "provider") {
		return false
	}
	_, found := slices.BinarySearch(c.List(base+"/provider"), c.app)
	return found
}

func (c *applicationConverter) service(s dubboapp.Service) *model.Service {
	named := dubboprovider.Service{Interface: s.Interface, Group: s.Group, Version: s.Version}
	ref := model.Ref{Unit: s.Interface, Name: named.Key()}
	svc := c.services[ref]
	if svc == nil {
		svc = &model.Service{Ref: ref, Metadata: named.Metadata()}
		c.services[ref] = svc
	}
	return svc
}

// instance describes a node as an instance of one service; same are the protocols in which it offers that.
func (c *applicationConverter) instance(node string, r registration, same []dubboapp.Service, endpoints []dubboapp.Endpoint) model.Instance {
	ports := portsOf(same, endpoints)
	s := same[0]
	meta := maps.Clone(r.Metadata)
	maps.DeleteFunc(meta, func(key, _ string) bool { return dubboapp.IsInternal(key) })
	if meta == nil {
		meta = map[string]string{}
	}
	maps.Copy(meta, s.Params)
	weight := dubboprovider.Weight(meta[keyWeight], dubboprovider.DefaultWeight)
	inst := model.Instance{ID: node, Address: r.Address, Weight: weight}
	if r.Disabled || dubboprovider.Disabled(meta) {
		inst.Health = model.Disabled
	}
	set := func(key, value string) {
		if value != "" {
			meta[key] = value
		}
	}
	set("application", c.app)
	set("interface", s.Interface)
	set("group", s.Group)
	set("version", s.Version)
	shared, size := stableMetadata(meta, &c.pool)
	inst.Metadata, inst.Problem = shared, metadataProblem(size)
	if len(ports) == 0 {
		inst.Problem = cmp.Or(inst.Problem, portProblem(0))
		return inst
	}
	inst.ID = ports[0].Protocol + "://" + hostPort(r.Address, ports[0].Port)
	for _, p := range ports {
		inst.Problem = cmp.Or(inst.Problem, portProblem(p.Port))
		inst.Ports = append(inst.Ports, model.Port{Protocol: p.Protocol, Number: uint32(p.Port)}) //nolint:gosec // with a Problem when it is too large
	}
	return inst
}

// portsOf returns where an instance offers a service. The instance's own ports count: the description of a revision may have been written
// by another instance. It decides where an instance has several of a protocol, or none.
func portsOf(same []dubboapp.Service, endpoints []dubboapp.Endpoint) []dubboapp.Endpoint {
	var ports []dubboapp.Endpoint
	for _, s := range same {
		if s.Protocol == "" {
			return endpoints
		}
		var own []dubboapp.Endpoint
		for _, e := range endpoints {
			if e.Protocol == s.Protocol {
				own = append(own, e)
			}
		}
		switch {
		case len(own) == 0 && s.Port != 0, slices.Contains(own, s.Endpoint):
			own = []dubboapp.Endpoint{s.Endpoint}
		case len(own) > 1:
			own = own[:1]
		}
		ports = append(ports, own...)
	}
	slices.SortFunc(ports, dubboapp.Endpoint.Compare)
	return slices.Compact(ports)
}

// units returns what was found by unit; nowhere are the instances that belong to no service in particular.
func (c *applicationConverter) units(nowhere []model.Instance) map[string][]*model.Service {
	if len(nowhere) > 0 && len(c.services) == 0 {
		ref := model.Ref{Unit: c.app, Name: c.app}
		c.services[ref] = &model.Service{Ref: ref}
	}
	units := map[string][]*model.Service{}
	for _, svc := range c.services {
		svc.Instances = append(svc.Instances, nowhere...)
		slices.SortFunc(svc.Instances, func(a, b model.Instance) int { return cmp.Compare(a.ID, b.ID) })
		units[svc.Ref.Unit] = append(units[svc.Ref.Unit], svc)
	}
	for _, list := range units {
		slices.SortFunc(list, func(a, b *model.Service) int { return a.Ref.Compare(b.Ref) })
	}
	return units
}
