// Package documenttest is a registry in memory that is written as documents, for tests.
package documenttest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
)

// Registry is a registry. The zero value is empty.
type Registry struct {
	mu       sync.Mutex
	services map[string]*service
	changed  chan struct{}
}

// service has instances by place, and what makes no sense.
type service struct {
	instances map[string]model.Instance
	// corrupt has an instance that makes no sense, broken is no service.
	corrupt, broken bool
}

// Update changes services under the lock, and wakes those who wait for a change.
func (r *Registry) update(name string, change func(s *service)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.services == nil {
		r.services = map[string]*service{}
	}
	if r.services[name] == nil {
		r.services[name] = &service{instances: map[string]model.Instance{}}
	}
	change(r.services[name])
	r.tell()
}

func (r *Registry) tell() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Changed is closed at the next change.
func (r *Registry) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

// Put registers an instance in place of the one at the same address and port.
func (r *Registry) Put(name string, inst model.Instance) {
	r.update(name, func(s *service) { s.instances[place(inst)] = inst })
}

// Remove takes away the instance at the same address and port.
func (r *Registry) Remove(name string, inst model.Instance) {
	r.update(name, func(s *service) { delete(s.instances, place(inst)) })
}

// RemoveService takes away a service.
func (r *Registry) RemoveService(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.services, name)
	r.tell()
}

// Wipe takes away everything.
func (r *Registry) Wipe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.services)
	r.tell()
}

// CorruptInstance adds an instance that makes no sense.
func (r *Registry) CorruptInstance(name string) {
	r.update(name, func(s *service) { s.corrupt = true })
}

// Break makes a service, new or not, one whose content makes no sense; it returns what takes that back.
func (r *Registry) Break(name string) (heal func()) {
	r.update(name, func(s *service) { s.broken = true })
	return func() { r.update(name, func(s *service) { s.broken = false }) }
}

// Names are those of the services, sorted.
func (r *Registry) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.services))
}

// Document writes the named services, all of them when none is named.
func (r *Registry) Document(format document.Format, names ...string) []byte {
	if len(names) == 0 {
		names = r.Names()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []any{}
	for _, name := range names {
		s := r.services[name]
		if s == nil {
			continue
		}
		if format == document.PrometheusSD {
			list = append(list, s.groups(name)...)
		} else {
			list = append(list, s.native(name))
		}
	}
	var whole any = map[string]any{"services": list}
	if format == document.PrometheusSD {
		whole = list
	}
	data, err := json.Marshal(whole)
	if err != nil {
		panic(fmt.Sprintf("marshal maps and lists: %v", err)) // It cannot fail.
	}
	return data
}

func (s *service) native(name string) map[string]any {
	if s.broken {
		return map[string]any{"name": name, "instances": 7}
	}
	words := map[model.Health]string{}
	for word, health := range document.Healths() {
		words[health] = word
	}
	list := []any{}
	for _, key := range slices.Sorted(maps.Keys(s.instances)) {
		inst := s.instances[key]
		out := document.Instance{
			Address: inst.Address, Weight: new(float64(inst.Weight)), Health: words[inst.Health], Metadata: inst.Metadata,
			Locality: &document.Locality{Region: inst.Locality.Region, Zone: inst.Locality.Zone, Subzone: inst.Locality.Subzone},
		}
		for _, p := range inst.Ports {
			out.Ports = append(out.Ports, document.Port{Name: p.Name, Protocol: p.Protocol, Number: float64(p.Number)})
		}
		list = append(list, out)
	}
	if s.corrupt {
		list = append(list, map[string]any{"address": 7})
	}
	return map[string]any{"name": name, "instances": list}
}

// groups writes one group for each instance, because labels are those of a group.
func (s *service) groups(name string) []any {
	group := func(targets any, metadata map[string]string) any {
		labels := maps.Clone(metadata)
		if labels == nil {
			labels = map[string]string{}
		}
		labels[document.DefaultServiceLabel] = name
		return map[string]any{"targets": targets, "labels": labels}
	}
	if s.broken {
		return []any{group(7, nil)}
	}
	list := []any{group([]string{}, nil)} // A service without instances is one, too.
	for _, key := range slices.Sorted(maps.Keys(s.instances)) {
		list = append(list, group([]string{key}, s.instances[key].Metadata))
	}
	if s.corrupt {
		list = append(list, group([]string{"nonsense"}, nil))
	}
	return list
}

func place(inst model.Instance) string {
	return net.JoinHostPort(inst.Address, strconv.FormatUint(uint64(inst.Ports[0].Number), 10))
}
