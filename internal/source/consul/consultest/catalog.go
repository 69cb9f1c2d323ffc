package consultest

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
)

// firstIndex is where the indexes of an empty registry begin.
const firstIndex = 10

// Keys of catalog.watches beside the names of services in lower case, none of which has a space.
const (
	watchListing    = " listing"
	watchExtinction = " extinction"
	watchData       = " data" // Closed when a snapshot is restored, or the data is lost.
)

// catalog is the data of a datacenter. Its caller holds the lock of the server.
type catalog struct {
	index    uint64
	nodes    map[string]*api.Node
	services map[place]*api.AgentService
	checks   map[place]*api.HealthCheck
	// changed is the index of the last change of each service, by its name in lower case; listing that of the catalogue, extinction
	// when a service last lost its last instance.
	changed             map[string]uint64
	listing, extinction uint64
	// watches are closed when what they are about has changed.
	watches map[string]chan struct{}
}

// place names a service or a check: an ID is unique on its node only.
type place struct{ node, id string }

// newCatalog returns a catalogue that holds what every datacenter has: its server.
func newCatalog(index uint64) *catalog {
	c := &catalog{
		index: index, nodes: map[string]*api.Node{}, services: map[place]*api.AgentService{}, checks: map[place]*api.HealthCheck{},
		changed: map[string]uint64{}, watches: map[string]chan struct{}{}, listing: index, extinction: 1,
	}
	c.register(&api.CatalogRegistration{
		Node: "server-1", Address: "127.0.0.1", Service: &api.AgentService{ID: "consul", Service: "consul", Port: 8300},
		Check: &api.AgentCheck{CheckID: "serfHealth", Status: api.HealthPassing},
	})
	return c
}

func (c *catalog) watch(key string) chan struct{} {
	if c.watches[key] == nil {
		c.watches[key] = make(chan struct{})
	}
	return c.watches[key]
}

func (c *catalog) wake(key string) {
	if w := c.watches[key]; w != nil {
		close(w)
		delete(c.watches, key)
	}
}

// wakeAll ends all blocking queries, as the restoration of a snapshot does.
func (c *catalog) wakeAll() {
	for _, w := range c.watches {
		close(w)
	}
	clear(c.watches)
}

func (c *catalog) touch(service string) {
	name := strings.ToLower(service)
	c.changed[name] = c.index
	c.wake(name)
}

// register adds or changes a node, a service and checks. What is registered again as it is changes no index.
func (c *catalog) register(r *api.CatalogRegistration) {
	c.index++
	node := &api.Node{Node: r.Node, Address: r.Address, TaggedAddresses: r.TaggedAddresses, Meta: r.NodeMeta, Datacenter: "dc1", Locality: r.Locality}
	if old := c.nodes[r.Node]; !reflect.DeepEqual(old, node) {
		c.nodes[r.Node] = node
		c.touchNode(r.Node)
	}
	if r.Service != nil {
		c.registerService(r.Node, *r.Service)
	}
	checks := r.Checks
	if r.Check != nil {
		checks = append(slices.Clone(checks), &api.HealthCheck{
			CheckID: r.Check.CheckID, Name: r.Check.Name, Status: r.Check.Status, Output: r.Check.Output, ServiceID: r.Check.ServiceID,
		})
	}
	for _, check := range checks {
		c.registerCheck(r.Node, *check)
	}
}

func (c *catalog) registerService(node string, s api.AgentService) {
	at := place{node, s.ID}
	if s.Weights == (api.AgentWeights{}) {
		s.Weights = api.AgentWeights{Passing: 1, Warning: 1}
	}
	old := c.services[at]
	if old != nil && reflect.DeepEqual(*old, s) {
		return
	}
	c.services[at] = &s
	if old != nil && old.Service != s.Service {
		c.gone(old.Service)
	}
	c.touch(s.Service)
	c.listing = c.index
	c.wake(watchListing)
}

func (c *catalog) registerCheck(node string, check api.HealthCheck) {
	check.Node = node
	if s := c.services[place{node, check.ServiceID}]; s != nil {
		check.ServiceName = s.Service
	}
	at := place{node, check.CheckID}
	if old := c.checks[at]; old != nil && reflect.DeepEqual(*old, check) {
		return
	}
	c.checks[at] = &check
	c.touchCheck(&check)
}

// touchCheck wakes the service of a check, or all services of its node.
func (c *catalog) touchCheck(check *api.HealthCheck) {
	if check.ServiceID != "" {
		c.touch(check.ServiceName)
		return
	}
	c.touchNode(check.Node)
}

func (c *catalog) touchNode(node string) {
	for at, s := range c.services {
		if at.node == node {
			c.touch(s.Service)
		}
	}
}

// deregister removes a service, a check, or a node with everything on it.
func (c *catalog) deregister(d *api.CatalogDeregistration) {
	c.index++
	switch {
	case d.ServiceID != "":
		c.removeService(place{d.Node, d.ServiceID})
	case d.CheckID != "":
		at := place{d.Node, d.CheckID}
		if check := c.checks[at]; check != nil {
			delete(c.checks, at)
			c.touchCheck(check)
		}
	default:
		for at := range maps.Clone(c.services) {
			if at.node == d.Node {
				c.removeService(at)
			}
		}
		maps.DeleteFunc(c.checks, func(at place, _ *api.HealthCheck) bool { return at.node == d.Node })
		delete(c.nodes, d.Node)
	}
}

func (c *catalog) removeService(at place) {
	s := c.services[at]
	if s == nil {
		return
	}
	delete(c.services, at)
	maps.DeleteFunc(c.checks, func(k place, check *api.HealthCheck) bool { return k.node == at.node && check.ServiceID == at.id })
	c.touch(s.Service)
	c.gone(s.Service)
	c.listing = c.index
	c.wake(watchListing)
}

// gone notes that a service may have lost its last instance.
func (c *catalog) gone(service string) {
	for _, s := range c.services {
		if strings.EqualFold(s.Service, service) {
			return
		}
	}
	delete(c.changed, strings.ToLower(service))
	c.extinction = c.index
	c.wake(watchExtinction)
}

// list is the answer of /v1/catalog/services.
func (c *catalog) list() map[string][]string {
	out := map[string][]string{}
	for _, s := range c.services {
		tags := slices.Concat([]string{}, out[s.Service], s.Tags)
		slices.Sort(tags)
		out[s.Service] = slices.Compact(tags)
	}
	return out
}

// health is the answer of /v1/health/service/<name>, and its index.
func (c *catalog) health(name string) (entries []*api.ServiceEntry, index uint64) {
	entries = []*api.ServiceEntry{}
	for at, s := range c.services {
		if !strings.EqualFold(s.Service, name) {
			continue
		}
		entry := &api.ServiceEntry{Node: c.nodes[at.node], Service: s, Checks: api.HealthChecks{}}
		for k, check := range c.checks {
			if k.node == at.node && (check.ServiceID == "" || check.ServiceID == at.id) {
				entry.Checks = append(entry.Checks, check)
			}
		}
		entries = append(entries, entry)
	}
	if changed, ok := c.changed[strings.ToLower(name)]; ok {
		return entries, changed
	}
	return entries, c.extinction
}

// clone returns a copy that nobody watches. What the maps hold is never changed, only replaced.
func (c *catalog) clone() *catalog {
	return &catalog{
		index: c.index, nodes: maps.Clone(c.nodes), services: maps.Clone(c.services), checks: maps.Clone(c.checks),
		changed: maps.Clone(c.changed), watches: map[string]chan struct{}{}, listing: c.listing, extinction: c.extinction,
	}
}

// rewind gives all data the indexes of a registry that has seen less.
func (c *catalog) rewind() {
	c.index, c.listing, c.extinction = firstIndex, firstIndex, 1
	for name := range c.changed {
		c.changed[name] = firstIndex
	}
	c.wakeAll()
}
