package oracle

import (
	"maps"
	"time"
)

// moment is the state of one host from a time on.
type moment struct {
	at   time.Time
	file string
	// endpoints is the union over all files of the host; hosts are sharded over several.
	endpoints Endpoints
}

// contents is what one file publishes.
type contents struct {
	hosts     []string
	endpoints Endpoints
}

// timeline is the history of a folder, by host.
type timeline struct {
	hosts map[string][]moment
	files map[string]contents
	// writes counts the versions of each host that were written and not merely found or removed.
	writes map[string]int
}

// newTimeline follows versions, which are in the order of time, and reports each that cannot be read.
func newTimeline(versions []Version, invalid func(Version, error)) *timeline {
	t := &timeline{hosts: map[string][]moment{}, files: map[string]contents{}, writes: map[string]int{}}
	for _, v := range versions {
		next := contents{}
		if v.Data != nil {
			hosts, endpoints, err := v.parse()
			if err != nil {
				// Istio keeps what it had when it cannot read a file, and so do we.
				invalid(v, err)
				continue
			}
			next = contents{hosts: hosts, endpoints: endpoints}
		}
		t.advance(v, next)
	}
	return t
}

func (t *timeline) advance(v Version, next contents) {
	touched := map[string]bool{}
	for _, h := range t.files[v.File].hosts {
		touched[h] = true
	}
	for _, h := range next.hosts {
		touched[h] = true
		if !v.Found {
			t.writes[h]++
		}
	}
	if v.Data == nil {
		delete(t.files, v.File)
	} else {
		t.files[v.File] = next
	}
	for h := range touched {
		t.hosts[h] = append(t.hosts[h], moment{at: v.At, file: v.File, endpoints: t.of(h)})
	}
}

// of returns what all files together publish for a host now.
func (t *timeline) of(host string) Endpoints {
	union := Endpoints{}
	for _, c := range t.files {
		for e, weight := range c.endpoints {
			if e.Host == host {
				union[e] = weight
			}
		}
	}
	return union
}

// now returns the endpoints of all hosts together.
func (t *timeline) now() Endpoints {
	all := Endpoints{}
	for _, c := range t.files {
		maps.Copy(all, c.endpoints)
	}
	return all
}
