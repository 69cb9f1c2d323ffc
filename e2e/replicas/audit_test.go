package replicas_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// usurped returns what is wrong with an audit log: every write of an object by somebody whose lease was over, or who had been followed by
// another leader. A lease counts from when its request came, to the end of its duration, or to when the request of another holder
// was answered.
func usurped(audit []lab.KubeWrite, duration time.Duration) []string {
	var findings []string
	var leases []lab.KubeWrite
	for _, w := range audit {
		if w.Resource == "leases" && w.Code < 300 {
			leases = append(leases, w)
		}
	}
	slices.SortFunc(leases, func(a, b lab.KubeWrite) int { return a.At.Compare(b.At) })
	for _, w := range audit {
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
			findings = append(findings, fmt.Sprintf("%s wrote %s at %s before anybody led", w.User, w.Name, w.At))
		case leases[at].User != w.User:
			findings = append(findings, fmt.Sprintf("%s wrote %s at %s, when %s led", w.User, w.Name, w.At, leases[at].User))
		case w.At.Sub(leases[at].Asked) > duration && !renewed(leases[at+1:], &w):
			findings = append(findings, fmt.Sprintf("%s wrote %s at %s, %s after its last renewal",
				w.User, w.Name, w.At, w.At.Sub(leases[at].Asked)))
		}
	}
	return findings
}

// renewed reports whether the writer renewed its lease before its write was answered.
func renewed(later []lab.KubeWrite, w *lab.KubeWrite) bool {
	return len(later) > 0 && later[0].User == w.User && later[0].Asked.Before(w.At)
}

// TestUsurped: what would be a finding is one.
func TestUsurped(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	write := func(resource, user string, second int) lab.KubeWrite {
		at := begin.Add(time.Duration(second) * time.Second)
		return lab.KubeWrite{Resource: resource, User: user, Name: "x", Code: 200, Asked: at, At: at.Add(100 * time.Millisecond)}
	}
	const object, held = "serviceentries", "leases"
	refused := write(object, "b", 3)
	refused.Code = 409
	for _, tt := range []struct {
		name  string
		audit []lab.KubeWrite
		want  int
	}{
		{"the leader writes", []lab.KubeWrite{write(held, "a", 0), write(object, "a", 1), write(held, "a", 2), write(object, "a", 5)}, 0},
		{"the next leader writes", []lab.KubeWrite{write(held, "a", 0), write(held, "b", 5), write(object, "b", 6)}, 0},
		{"nobody leads", []lab.KubeWrite{write(object, "a", 1), write(held, "a", 2)}, 1},
		{"another one leads", []lab.KubeWrite{write(held, "a", 0), write(object, "b", 1)}, 1},
		{"the last leader goes on", []lab.KubeWrite{write(held, "a", 0), write(held, "b", 5), write(object, "a", 6)}, 1},
		{"the lease is over", []lab.KubeWrite{write(held, "a", 0), write(object, "a", 5)}, 1},
		{"it was refused", []lab.KubeWrite{write(held, "a", 0), refused}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := usurped(tt.audit, 4*time.Second); len(got) != tt.want {
				t.Errorf("findings are %q, want %d", got, tt.want)
			}
		})
	}
}
