package audit

import (
	"fmt"
	"slices"
	"time"
)

// Usurped returns what is wrong with requests for one Lease and for what only its holder may write: every write by somebody whose lease was
// over, or who had been followed by another leader. A lease counts from when its request came, to the end of its duration, or to when the
// request of another holder was answered.
func Usurped(requests []Request, duration time.Duration) []string {
	var findings []string
	var leases []Request
	for _, w := range requests {
		if w.Resource == "leases" && w.Code < 300 {
			leases = append(leases, w)
		}
	}
	slices.SortFunc(leases, func(a, b Request) int { return a.At.Compare(b.At) })
	for _, w := range requests {
		if w.Resource == "leases" || w.Code >= 300 {
			continue
		}
		// The last one who held the lease before the write came.
		at := len(leases) - 1
		for at >= 0 && leases[at].At.After(w.Asked) {
			at--
		}
		switch {
		case at < 0:
			findings = append(findings, fmt.Sprintf("%s wrote %s before anybody led", w.writer(), &w))
		case leases[at].writer() != w.writer():
			findings = append(findings, fmt.Sprintf("%s wrote %s, when %s had led since %s", w.writer(), &w, leases[at].writer(), clock(leases[at].At)))
		case w.At.Sub(leases[at].Asked) > duration && !renewed(leases[at+1:], &w):
			findings = append(findings, fmt.Sprintf("%s wrote %s, %s after its last renewal", w.writer(), &w, w.At.Sub(leases[at].Asked)))
		}
	}
	return findings
}

// renewed reports whether the writer renewed its lease before its write was answered.
func renewed(later []Request, w *Request) bool {
	return len(later) > 0 && later[0].writer() == w.writer() && later[0].Asked.Before(w.At)
}

// String says what was written, and when.
func (r *Request) String() string {
	return fmt.Sprintf("%s %s/%s (%s at %s)", r.Resource, r.Namespace, r.Name, r.Verb, clock(r.At))
}

func clock(at time.Time) string { return at.Format("15:04:05.000") }
