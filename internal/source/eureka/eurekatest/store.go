package eurekatest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// retention is how long a server tells a change by default.
const retention = 3 * time.Minute

// store is the registry of one server, or of several that share it.
type store struct {
	mu sync.Mutex
	// apps has the applications in the order of their first registration, leases their instances.
	apps   []string
	leases map[string][]*Instance
	queue  []queued
	// version counts answers about changes.
	version   int
	retention time.Duration
	// skew is by how much the server's clock is wrong.
	skew time.Duration
}

// queued is a change that is told for a while: of whom, and in the state that he is in when it is told.
type queued struct {
	instance *Instance
	at       time.Time
}

func newStore(kept time.Duration) *store {
	if kept == 0 {
		kept = retention
	}
	return &store{leases: map[string][]*Instance{}, retention: kept}
}

func (s *store) now() time.Time { return time.Now().Add(s.skew) }

func (s *store) find(app, id string) *Instance {
	for _, i := range s.leases[strings.ToUpper(app)] {
		if i.InstanceID == id {
			return i
		}
	}
	return nil
}

func (s *store) changed(i *Instance, action string) {
	i.ActionType, i.LastUpdated = action, s.now().UnixMilli()
	s.queue = append(s.queue, queued{i, time.Now()})
}

func (s *store) register(given Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := normalise(given, s.now())
	list, known := s.leases[i.App]
	if !known {
		s.apps = append(s.apps, i.App)
	}
	if old := s.find(i.App, i.InstanceID); old != nil {
		i.OverriddenStatus = old.OverriddenStatus
		settled := old.Status == "UP" || old.Status == "OUT_OF_SERVICE"
		switch {
		case i.Status == "DOWN" || i.Status == "STARTING":
		case old.OverriddenStatus != "UNKNOWN":
			i.Status = old.OverriddenStatus
		case settled:
			// What the server has heard before is believed, not what an instance says that registers again.
			i.Status = old.Status
		}
		list = slices.DeleteFunc(slices.Clone(list), func(known *Instance) bool { return known == old })
	}
	s.leases[i.App] = append(list, i)
	s.changed(i, "ADDED")
}

func (s *store) deregister(app, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(app, id)
	if i == nil {
		return false
	}
	s.leases[i.App] = slices.DeleteFunc(slices.Clone(s.leases[i.App]), func(old *Instance) bool { return old == i })
	s.changed(i, "DELETED")
	return true
}

// override lets the server say another status than the instance does; without a status it takes that back and says the given one.
func (s *store) override(app, id, status, otherwise string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(app, id)
	if i == nil {
		return false
	}
	i.OverriddenStatus, i.Status = status, status
	if status == "" {
		i.OverriddenStatus, i.Status = "UNKNOWN", otherwise
	}
	s.changed(i, "MODIFIED")
	return true
}

// renew renews the lease, which is no change.
func (s *store) renew(app, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(app, id)
	if i != nil {
		i.LeaseInfo.LastRenewal = s.now().UnixMilli()
	}
	return i != nil
}

// all returns copies of everything.
func (s *store) all() []*application {
	var out []*application
	for _, name := range s.apps {
		if list := s.leases[name]; len(list) > 0 {
			out = append(out, &application{Name: name, Instances: copies(list)})
		}
	}
	return out
}

// changes returns copies of what has changed lately, each instance once, at the place of its last change.
func (s *store) changes() []*application {
	s.queue = slices.DeleteFunc(s.queue, func(q queued) bool { return time.Since(q.at) > s.retention })
	s.version++
	var out []*application
	for _, q := range s.queue {
		at := slices.IndexFunc(out, func(a *application) bool { return a.Name == q.instance.App })
		if at < 0 {
			at = len(out)
			out = append(out, &application{Name: q.instance.App})
		}
		out[at].Instances = append(slices.DeleteFunc(out[at].Instances, func(i *Instance) bool {
			return i.InstanceID == q.instance.InstanceID
		}), q.instance)
	}
	for _, a := range out {
		a.Instances = copies(a.Instances)
	}
	return out
}

func copies(list []*Instance) []*Instance {
	out := make([]*Instance, len(list))
	for i, inst := range list {
		out[i] = new(*inst)
	}
	return out
}

// hash counts instances by status.
func (s *store) hash() string {
	counts := map[string]int{}
	for _, list := range s.leases {
		for _, i := range list {
			counts[i.Status]++
		}
	}
	var text strings.Builder
	for _, status := range []string{"DOWN", "OUT_OF_SERVICE", "STARTING", "UNKNOWN", "UP"} {
		if counts[status] > 0 {
			fmt.Fprintf(&text, "%s_%d_", status, counts[status])
		}
	}
	return text.String()
}
