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
			findings = append(findings, fmt.Sprintf("%s wrote %s at %s before anybody led", w.writer(), w.Name, w.At))
		case leases[at].writer() != w.writer():
			findings = append(findings, fmt.Sprintf("%s wrote %s at %s, when %s led", w.writer(), w.Name, w.At, leases[at].writer()))
		case w.At.Sub(leases[at].Asked) > duration && !renewed(leases[at+1:], &w):
			findings = append(findings, fmt.Sprintf("%s wrote %s at %s, %s after its last renewal",
				w.writer(), w.Name, w.At, w.At.Sub(leases[at].Asked)))
		}
	}
	return findings
}

// renewed reports whether the writer renewed its lease before its write was answered.
func renewed(later []Request, w *Request) bool {
	return len(later) > 0 && later[0].writer() == w.writer() && later[0].Asked.Before(w.At)
}
