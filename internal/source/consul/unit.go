package consul

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

const (
	// patience is at which failure in a row a unit is skipped. A restart of the agent or an election of a leader fails one or two reads
	// of every service; that is no news of the service.
	patience = 3
	// refill and burst are the token bucket of a unit: a service with a flapping check is read twice a second.
	refill = 500 * time.Millisecond
	burst  = 2
)

// unit is one service. It belongs to Run's goroutine.
//
//	            launch                result
//	waiting ─────────────▶ asked ─────────────────▶ waiting (due now, or after a backoff)
//	   │                     │
//	   └────── removed ◀─────┘                       the listing says that it is gone
type unit struct {
	name string
	ref  model.Ref
	// index is that of the last answer; 0 asks for an answer at once, and accepts any index.
	index uint64
	// afresh asks for an answer at once although there is an index, which may be of data that is no more: after a failure, and after a
	// blocking query that was abandoned.
	afresh bool
	// again asks for an answer at once whatever the query under way brings.
	again bool
	// failures counts those in a row.
	failures int
	// told is what the sink has.
	told *model.Service
	// named says that the sink has heard of the unit in this Run, skipped that the last it heard was Skip.
	named, skipped bool
	// listed says that the last listing has it.
	listed bool
	// removed says that it is forgotten; results of its last query mean nothing.
	removed bool
	// cancel ends the query under way; nil while there is none.
	cancel context.CancelFunc
	// due is when it may be asked again.
	due time.Time
	// earned is when its bucket is full again.
	earned time.Time
}

// path is where the unit is asked for. Consul decodes a name once more than others do, so that it may hold slashes and percent signs.
func (u *unit) path() string {
	name := url.PathEscape(u.name)
	if strings.Trim(name, ".") == "" {
		name = strings.ReplaceAll(name, ".", "%2E") // A path with dots only between two slashes is another path.
	}
	return "/v1/health/service/" + name
}

// immediate says whether the next query is one that is answered at once.
func (u *unit) immediate() bool { return u.index == 0 || u.afresh }

// spend takes a token from the bucket and returns when the query may be made.
func (u *unit) spend(now time.Time) time.Time {
	if u.earned.Before(now) {
		u.earned = now
	}
	u.earned = u.earned.Add(refill)
	if at := u.earned.Add(-burst * refill); at.After(now) {
		return at
	}
	return now
}

// queue holds units by when they are due.
type queue []*unit

// Len implements heap.Interface.
func (q queue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

// Swap implements heap.Interface.
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	if u, ok := x.(*unit); ok {
		*q = append(*q, u)
	}
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	u := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return u
}
