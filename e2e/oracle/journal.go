package oracle

import (
	"slices"
	"sync"
	"time"
)

// Journal keeps what a test did to the registry. The zero value is ready; it may be used by several goroutines.
type Journal struct {
	mu     sync.Mutex
	ops    []op
	idle   []window
	agreed []time.Time
}

// op is one registration or deregistration. The registry carried it out at some moment between before and after.
type op struct {
	endpoint      Endpoint
	register      bool
	before, after time.Time
	// failed says that the call ended with an error, so nobody knows whether it was carried out.
	failed bool
	// within is how soon a deregistration has to show; 0 means that nothing is promised.
	within time.Duration
}

// window is a span of time.
type window struct{ from, to time.Time }

// Register runs call, which registers e, and keeps when that was.
func (j *Journal) Register(e Endpoint, call func() error) error {
	return j.do(op{endpoint: e, register: true}, call)
}

// Deregister runs call, which deregisters e, and keeps when that was. The removal has to show in the output at the latest within
// after call returned; 0 promises nothing, for times at which the bridge cannot see the registry or has to hold the endpoint.
func (j *Journal) Deregister(e Endpoint, within time.Duration, call func() error) error {
	return j.do(op{endpoint: e, within: within}, call)
}

func (j *Journal) do(o op, call func() error) error {
	o.before = time.Now()
	// The entry exists before the call is made: a bridge may be quicker than the journal.
	j.mu.Lock()
	i := len(j.ops)
	j.ops = append(j.ops, o)
	j.mu.Unlock()

	err := call()

	j.mu.Lock()
	defer j.mu.Unlock()
	j.ops[i].after, j.ops[i].failed = time.Now(), err != nil
	return err
}

// Idle says that nothing happened between from and to that could cause a write.
func (j *Journal) Idle(from, to time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.idle = append(j.idle, window{from: from, to: to})
}

// Agreed says that output and registry were equal at this moment, so everything registered now has been published.
func (j *Journal) Agreed() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.agreed = append(j.agreed, time.Now())
}

// stay is one stay of an endpoint in the registry. It began between before and after, and ended between gone and goneAfter; a zero
// gone means that it lasts.
type stay struct {
	before, after   time.Time
	gone, goneAfter time.Time
	// within is how soon after goneAfter the end has to show; 0 promises nothing.
	within time.Duration
}

// stays arranges the journal by endpoint, each in the order of time.
func (j *Journal) stays() map[Endpoint][]stay {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := map[Endpoint][]stay{}
	for _, o := range j.ops {
		list := all[o.endpoint]
		last := len(list) - 1
		switch {
		case o.register && (last < 0 || !list[last].gone.IsZero()):
			list = append(list, stay{before: o.before, after: o.after})
		case o.register: // a second try of the same registration
			list[last].after = o.after
		case last >= 0:
			if list[last].gone.IsZero() {
				list[last].gone = o.before
			}
			list[last].goneAfter, list[last].within = o.after, o.within
			if o.failed {
				list[last].within = 0
			}
		}
		all[o.endpoint] = list
	}
	return all
}

// operations counts the operations on each host.
func (j *Journal) operations() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := map[string]int{}
	for _, o := range j.ops {
		n[o.endpoint.Host]++
	}
	return n
}

// quiet returns the idle windows and the moments of agreement.
func (j *Journal) quiet() ([]window, []time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.idle), slices.Clone(j.agreed)
}
