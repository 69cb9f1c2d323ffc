package nacostest

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// Key names a service.
type Key struct{ Namespace, Group, Name string }

// Instance is what is registered, in the words of the wire.
type Instance struct {
	IP   string `json:"ip"`
	Port int64  `json:"port"`
	// Weight is any, so that it can be what no client would send.
	Weight      any               `json:"weight"`
	Healthy     bool              `json:"healthy"`
	Enabled     bool              `json:"enabled"`
	Ephemeral   bool              `json:"ephemeral"`
	ClusterName string            `json:"clusterName"`
	ServiceName string            `json:"serviceName"`
	Metadata    map[string]string `json:"metadata"`
}

// At is a healthy instance.
func At(ip string, port int64) Instance {
	return Instance{IP: ip, Port: port, Weight: 1.0, Healthy: true, Enabled: true, Ephemeral: true, ClusterName: "DEFAULT", Metadata: map[string]string{}}
}

// record is a service. An empty one is listed until it is removed; real servers do that after a minute.
type record struct {
	instances []any
	// threshold is the least part of the instances that has to be healthy; below zero it is never reached.
	threshold float64
}

// Registry is the data of a cluster. It may be used by several goroutines.
type Registry struct {
	mu       sync.Mutex
	services map[Key]*record
	// changed is called with each service that has changed, without the lock.
	changed map[*Server]func(Key)
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{services: map[Key]*record{}, changed: map[*Server]func(Key){}}
}

// Set replaces the instances of a service. Each is an Instance, or anything else that becomes JSON.
func (r *Registry) Set(key Key, instances ...any) {
	r.edit(key, func(s *record) { s.instances = instances })
}

// Put registers an instance, in place of the one at the same address and port.
func (r *Registry) Put(key Key, inst Instance) {
	inst.ServiceName = key.Group + "@@" + key.Name
	r.edit(key, func(s *record) { s.instances = append(without(s.instances, inst), inst) })
}

// Remove takes an instance away.
func (r *Registry) Remove(key Key, inst Instance) {
	r.edit(key, func(s *record) { s.instances = without(s.instances, inst) })
}

// Delete takes a service away; nobody is told, as by a real server, which only does that to services without instances.
func (r *Registry) Delete(key Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.services, key)
}

// SetThreshold sets the protection threshold of a service. The default of 0 is reached when no instance is healthy.
func (r *Registry) SetThreshold(key Key, threshold float64) {
	r.edit(key, func(s *record) { s.threshold = threshold })
}

// Wipe takes everything away without telling anybody.
func (r *Registry) Wipe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.services)
}

func without(list []any, inst Instance) []any {
	out := make([]any, 0, len(list)+1)
	for _, known := range list {
		if k, ok := known.(Instance); !ok || k.IP != inst.IP || k.Port != inst.Port || k.ClusterName != inst.ClusterName {
			out = append(out, known)
		}
	}
	return out
}

func (r *Registry) edit(key Key, do func(*record)) {
	r.mu.Lock()
	s := r.services[key]
	if s == nil {
		s = &record{}
		r.services[key] = s
	}
	do(s)
	listeners := slices.Collect(maps.Values(r.changed))
	r.mu.Unlock()
	for _, changed := range listeners {
		changed(key)
	}
}

// names returns the services of a group, in no useful order.
func (r *Registry) names(namespace, group string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := []string{}
	for key := range r.services {
		if key.Namespace == namespace && key.Group == group {
			names = append(names, key.Name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(reversed(a), reversed(b)) })
	return names
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// hosts returns what a service shows: not what is disabled; and when too few instances are healthy, all as healthy.
func (r *Registry) hosts(key Key) (hosts []any, protected bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hosts = []any{}
	s := r.services[key]
	if s == nil {
		return hosts, false
	}
	healthy := 0
	for _, one := range s.instances {
		inst, ok := one.(Instance)
		if ok && !inst.Enabled {
			continue
		}
		if !ok || inst.Healthy {
			healthy++
		}
		hosts = append(hosts, one)
	}
	if len(hosts) == 0 || float64(healthy)/float64(len(hosts)) > s.threshold {
		return hosts, false
	}
	for i := range hosts {
		if inst, ok := hosts[i].(Instance); ok {
			inst.Healthy = true
			hosts[i] = inst
		}
	}
	return hosts, true
}
