package oracle

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Case is what a verdict rests on.
type Case struct {
	// Versions is what a Recorder kept, in the order of time.
	Versions []Version
	Journal  *Journal
	// Until is when the recording ended; removals that are due later are not judged.
	Until time.Time
	// Missed is how many versions the recorder knows that it missed.
	Missed int
	// Valid says why a file is not what Istio accepts; nil accepts every file that can be parsed.
	Valid func(file string, data []byte) error
	// OneWritePerCause says that no guard and no emptied object was at work, so a host may have been written once when it
	// appeared and once for each operation on it, and not more often.
	OneWritePerCause bool
}

// Judge returns every broken promise, in the order of time.
func Judge(c Case) []Finding {
	j := judge{Case: c, stays: c.Journal.stays()}
	j.line = newTimeline(c.Versions, func(v Version, err error) {
		j.add(Finding{Fault: Invalid, At: v.At, File: v.File, Detail: err.Error()})
	})
	if c.Missed > 0 {
		j.add(Finding{Fault: Blind, At: c.Until, Detail: fmt.Sprintf("%d versions were replaced before they could be read", c.Missed)})
	}
	j.files()
	idle, agreed := c.Journal.quiet()
	j.windows(idle)
	for e, list := range j.stays {
		j.endpoint(e, list, agreed)
	}
	j.invented()
	if c.OneWritePerCause {
		j.writes()
	}
	slices.SortStableFunc(j.findings, func(a, b Finding) int {
		return cmp.Or(a.At.Compare(b.At), a.Endpoint.Compare(b.Endpoint))
	})
	return j.findings
}

type judge struct {
	Case
	line     *timeline
	stays    map[Endpoint][]stay
	findings []Finding
}

func (j *judge) add(f Finding) { j.findings = append(j.findings, f) }

// files judges each version by itself and against the one before.
func (j *judge) files() {
	last := map[string][]byte{}
	for _, v := range j.Versions {
		if v.InPlace {
			j.add(Finding{Fault: InPlace, At: v.At, File: v.File})
		}
		if v.Data == nil {
			delete(last, v.File)
			continue
		}
		if before, ok := last[v.File]; ok && bytes.Equal(before, v.Data) {
			j.add(Finding{Fault: Unchanged, At: v.At, File: v.File})
		}
		last[v.File] = v.Data
		if j.Valid == nil {
			continue
		}
		if err := j.Valid(v.File, v.Data); err != nil {
			j.add(Finding{Fault: Invalid, At: v.At, File: v.File, Detail: err.Error()})
		}
	}
}

// windows reports what was written while nothing happened.
func (j *judge) windows(idle []window) {
	for _, v := range j.Versions {
		for _, w := range idle {
			if !v.Found && v.At.After(w.from) && !v.At.After(w.to) {
				j.add(Finding{Fault: Uncaused, At: v.At, File: v.File, Detail: "the system was idle"})
			}
		}
	}
}

// writes reports hosts that were written more often than there was cause.
func (j *judge) writes() {
	operations := j.Journal.operations()
	for host, n := range j.line.writes {
		if most := 1 + operations[host]; n > most {
			j.add(Finding{
				Fault: Uncaused, At: j.Until, Endpoint: Endpoint{Host: host},
				Detail: fmt.Sprintf("written %d times, with cause for %d at most", n, most),
			})
		}
	}
}

// endpoint walks through the history of its host. From the moment an endpoint has been seen published in its present stay, each
// version must have it until its deregistration begins:
//
//	registered   seen in a version                deregistered
//	    │────────────│══════════ required ══════════│
//
// A stay that follows another counts as seen only when a version without the endpoint came in between, or when output and
// registry have been compared and found equal: what is seen right after a quick restart may still be the former stay, whose removal
// is yet to come.
func (j *judge) endpoint(e Endpoint, list []stay, agreed []time.Time) {
	history := j.line.hosts[e.Host]
	for i, s := range list {
		fresh := i == 0
		seen := false
		for k, m := range history {
			_, has := m.endpoints[e]
			over := !s.gone.IsZero() && !m.at.Before(s.gone)
			if over {
				break
			}
			if i > 0 && !m.at.Before(list[i-1].gone) && !has {
				fresh = true
			}
			if m.at.Before(s.before) {
				continue
			}
			seen = seen || has && fresh || agreedBefore(agreed, s, m.at)
			if seen && !has {
				j.add(Finding{Fault: Lost, At: m.at, File: m.file, Endpoint: e, Detail: surroundings(history, k)})
				break
			}
		}
		j.removal(e, list, i)
	}
}

// agreedBefore reports whether output and registry were found equal within the stay and before t.
func agreedBefore(agreed []time.Time, s stay, t time.Time) bool {
	return slices.ContainsFunc(agreed, func(a time.Time) bool { return a.After(s.after) && a.Before(t) })
}

// surroundings says how many endpoints the host had before and in version k, to tell a wipe from a single loss.
func surroundings(history []moment, k int) string {
	if k == 0 {
		return fmt.Sprintf("the first version has %d endpoints", len(history[0].endpoints))
	}
	return fmt.Sprintf("%d endpoints before, %d now", len(history[k-1].endpoints), len(history[k].endpoints))
}

// removal reports an endpoint that is still there when the end of its i-th stay is due.
func (j *judge) removal(e Endpoint, list []stay, i int) {
	s := list[i]
	if s.gone.IsZero() || s.within == 0 {
		return
	}
	due := s.goneAfter.Add(s.within)
	if due.After(j.Until) || i+1 < len(list) && !list[i+1].before.After(due) {
		return
	}
	if m, ok := at(j.line.hosts[e.Host], due); ok {
		if _, has := m.endpoints[e]; has {
			j.add(Finding{
				Fault: Stale, At: due, File: m.file, Endpoint: e,
				Detail: fmt.Sprintf("%s after it was deregistered", due.Sub(s.goneAfter)),
			})
		}
	}
}

// at returns the state of a host at t; false if it had not appeared yet.
func at(history []moment, t time.Time) (moment, bool) {
	k, _ := slices.BinarySearchFunc(history, t, func(m moment, t time.Time) int {
		if m.at.After(t) {
			return 1
		}
		return -1
	})
	if k == 0 {
		return moment{}, false
	}
	return history[k-1], true
}

// invented reports the first appearance of what nobody had registered by then.
func (j *judge) invented() {
	for _, history := range j.line.hosts {
		reported := map[Endpoint]bool{}
		for _, m := range history {
			for e := range m.endpoints {
				list := j.stays[e]
				known := len(list) > 0 && !m.at.Before(list[0].before)
				if !known && !reported[e] {
					reported[e] = true
					j.add(Finding{Fault: Invented, At: m.at, File: m.file, Endpoint: e})
				}
			}
		}
	}
}

// Diff compares the output with what the registry's own client says, endpoint by endpoint and weight by weight.
func Diff(output, registered Endpoints, at time.Time) []Finding {
	var findings []Finding
	for e, weight := range registered {
		got, ok := output[e]
		switch {
		case !ok:
			findings = append(findings, Finding{Fault: Differs, At: at, Endpoint: e, Detail: "registered, not published"})
		case got != weight:
			findings = append(findings, Finding{Fault: Differs, At: at, Endpoint: e, Detail: fmt.Sprintf("weight is %d, not %d", got, weight)})
		}
	}
	for e := range output {
		if _, ok := registered[e]; !ok {
			findings = append(findings, Finding{Fault: Differs, At: at, Endpoint: e, Detail: "published, not registered"})
		}
	}
	slices.SortFunc(findings, func(a, b Finding) int { return a.Endpoint.Compare(b.Endpoint) })
	return findings
}
