// Package explain says what became of one thing that is registered or published: which record of which registry it comes from, which rule
// decided what, where it stands in the output, and why not, or until when. It is a pure function of what the engine last saw.
package explain

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
)

// Outcome is what became of something.
type Outcome string

// The outcomes. What exactly, and why, is in the Reason that stands beside it.
const (
	// Published: it is in the output, because a registry has it.
	Published Outcome = "published"
	// Held: it is in the output only because a guard keeps it.
	Held Outcome = "held"
	// Dropped: a registry has it, and it is not published.
	Dropped Outcome = "dropped"
	// Waiting: it will be published, or will be removed, as soon as something that is named allows it.
	Waiting Outcome = "waiting"
)

// The limits of an answer. Left says what was left off.
const (
	maxSubjects  = 20
	maxEndpoints = 200
	maxSimilar   = 5
)

// Answer is everything that is known about what was asked.
type Answer struct {
	Query string `json:"query"`
	// Found says that something is known; without it, Similar are names that look like the query, and Unselected Registries that would
	// leave out a service of that name.
	Found bool `json:"found"`
	// Time is when the plan was made that the answer is about.
	Time       time.Time `json:"time"`
	Subjects   []Subject `json:"subjects"`
	Similar    []string  `json:"similar,omitempty"`
	Unselected []string  `json:"unselected,omitempty"`
	// Unread are sources that have not been read in full: what is not known may be there.
	Unread []string `json:"unread,omitempty"`
	// Left counts the subjects that do not fit in.
	Left int `json:"left,omitempty"`
}

// Subject is one host with everything that belongs to it; or one record of a registry that has no host.
type Subject struct {
	Namespace string        `json:"namespace"`
	Host      string        `json:"host,omitempty"`
	Outcome   Outcome       `json:"outcome"`
	Reason    reason.Reason `json:"reason,omitempty"`
	// Detail says what it is in this case, Advice what to do about it.
	Detail  string   `json:"detail,omitempty"`
	Advice  string   `json:"advice,omitempty"`
	Records []Record `json:"records"`
	// Owner is who published what is live, where no record stands for it.
	Owner string `json:"owner,omitempty"`
	// Fields are what stands in the output, or will once it is Live; empty for what has no object.
	Fields    []Field    `json:"fields,omitempty"`
	Live      bool       `json:"live"`
	Endpoints []Endpoint `json:"endpoints"`
	// Left counts the endpoints that do not fit in.
	Left  int    `json:"left,omitempty"`
	Notes []Note `json:"notes,omitempty"`
	// Routing says why a VirtualService may have no effect on the host.
	Routing []string `json:"routing,omitempty"`
}

// Record is one service in the words of a registry.
type Record struct {
	Registry string `json:"registry"`
	Source   string `json:"source"`
	// State is that of the source.
	State     string `json:"state"`
	Unit      string `json:"unit,omitempty"`
	Service   string `json:"service"`
	Instances int    `json:"instances"`
	Rules     []Rule `json:"rules,omitempty"`
}

// Rule is a field that a rule of the Registry has set.
type Rule struct {
	Rule  string `json:"rule"`
	Field string `json:"field"`
	Value string `json:"value"`
}

// Field is a field of an object in the output.
type Field struct {
	Object string `json:"object"`
	Path   string `json:"path"`
	Value  string `json:"value"`
}

// Endpoint is one address behind a host.
type Endpoint struct {
	// Address is "address:port", an IPv6 address in brackets.
	Address  string        `json:"address"`
	Instance string        `json:"instance,omitempty"`
	Outcome  Outcome       `json:"outcome"`
	Reason   reason.Reason `json:"reason,omitempty"`
	Detail   string        `json:"detail,omitempty"`
	Advice   string        `json:"advice,omitempty"`
	// Hold is the id of the hold, Until when it ends by itself.
	Hold string `json:"hold,omitempty"`
	// Release names the Registry whose hold it is, when a person can end it.
	Release string     `json:"release,omitempty"`
	Until   *time.Time `json:"until,omitempty"`
}

// Note is something else that was decided about the host.
type Note struct {
	Reason reason.Reason `json:"reason"`
	Detail string        `json:"detail"`
	Advice string        `json:"advice"`
}

// Explain answers what became of a host, a service (by the name in the registry, or by its unit) or an address with or without a port.
func Explain(state *engine.State, query string) *Answer {
	q := parse(query)
	x := newIndex(state)
	a := &Answer{Query: query, Time: state.Time, Subjects: []Subject{}, Unread: x.unread()}
	for _, key := range x.match(q) {
		if len(a.Subjects) == maxSubjects {
			a.Left++
			continue
		}
		s := x.subject(key, q)
		a.Subjects = append(a.Subjects, s)
	}
	a.Found = len(a.Subjects) > 0
	if !a.Found && q.text != "" {
		a.Similar, a.Unselected = x.similar(q.text), x.unselected(query)
	}
	return a
}

// query is what was asked for: an address, or a text.
type query struct {
	address netip.Addr
	port    uint16
	text    string
}

func parse(text string) query {
	text = strings.TrimSpace(text)
	if at, err := netip.ParseAddrPort(text); err == nil {
		return query{address: at.Addr().Unmap(), port: at.Port()}
	}
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return query{address: addr.Unmap()}
	}
	return query{text: text}
}

// is reports whether an address and one of its ports are what was asked for.
func (q *query) is(address string, ports ...uint32) bool {
	addr, err := netip.ParseAddr(address)
	return err == nil && addr.Unmap() == q.address && (q.port == 0 || slices.Contains(ports, uint32(q.port)))
}

// subjectKey names a subject: a host in a namespace, or a record without a host.
type subjectKey struct {
	namespace, host string
	ref             model.Ref
}

func (k subjectKey) compare(o subjectKey) int {
	return cmp.Or(cmp.Compare(k.namespace, o.namespace), cmp.Compare(k.host, o.host), k.ref.Compare(o.ref))
}

// advice returns what to do about a reason.
func advice(r reason.Reason) string {
	for _, info := range reason.All() {
		if info.Reason == r {
			return info.Advice
		}
	}
	return ""
}

// kind returns where a reason is used.
func kind(r reason.Reason) reason.Kind {
	for _, info := range reason.All() {
		if info.Reason == r {
			return info.Kind
		}
	}
	return ""
}
