// Package tree keeps a copy of those nodes of a ZooKeeper that somebody looks at.
//
// What is looked at is read; what was read is kept true by watches, and read again on a new connection; what nobody looks at any more is
// forgotten. A View is who looks: an evaluation asks for lists and data as if all of the ZooKeeper were here, and when something that it
// needs has not been read yet, it is repeated later.
//
//	ask ─▶ queued ─▶ open ─▶ known ─▶ (watch fires) ─▶ queued …
//	                   └───▶ failed ─▶ (backoff) ─▶ queued …
//
// A Tree belongs to one goroutine, on which also the answers and the events must arrive, in the order in which the server sent them:
// then an answer is the truth at its place, and the events behind it are what happened since.
package tree

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

const (
	// inFlight is how many requests are open at once.
	inFlight = 64
	// reread is how long one-shot watches let changes gather, because each costs a whole answer again.
	reread = 300 * time.Millisecond
	// minRetry and maxRetry bound the wait before a node that could not be read is read again.
	minRetry = time.Second
	maxRetry = time.Minute
)

// ErrPending is the result of an evaluation that needs something that has not been read yet.
var ErrPending = errors.New("not read yet")

// Conn is what a Tree needs of a connection, see package client.
type Conn interface {
	Children(path string, watch bool, reply func(names []string, err error))
	Data(path string, watch bool, reply func(data []byte, err error))
	WatchExists(path string, reply func(err error))
}

// Connection is one connection, and how it is watched.
type Connection struct {
	Conn
	// Post runs a function on the goroutine of the Tree, in the order of the answers.
	Post func(func())
	// Plain says that each request leaves a one-shot watch, because there is none on the whole.
	Plain bool
	// Broken says whether an error is that of the connection and not of a node.
	Broken func(error) bool
}

// Tree is the copy. Its methods and those of its Views are for one goroutine.
type Tree struct {
	// parse makes what is kept of the data of a node. It must be pure.
	parse   func(path string, data []byte) any
	conn    Connection
	entries map[key]*entry
	queue   []*entry
	open    int
	waiting map[*entry]struct{}
	seed    maphash.Seed
	failed  error
	// checking says that everything is read again beside the watches; drift is how many nodes differed.
	checking bool
	drift    int
}

// New returns an empty Tree without a connection. Parse makes what Views are given of the data of a node; it is called once for each
// content, must be pure, and what it returns is never changed.
func New(parse func(path string, data []byte) any) *Tree {
	return &Tree{parse: parse, entries: map[key]*entry{}, waiting: map[*entry]struct{}{}, seed: maphash.MakeSeed()}
}

// Connect begins to use a connection, and reads everything again. What is known stays until its answer comes.
func (t *Tree) Connect(c Connection) {
	t.conn, t.failed, t.open, t.queue, t.checking = c, nil, 0, nil, false
	clear(t.waiting)
	for _, e := range t.entries {
		e.link = link{}
		t.enqueue(e)
	}
}

// Check reads everything again beside the watches. CheckEnd says what it found, once Settled.
func (t *Tree) Check() {
	t.checking, t.drift = true, 0
	for _, e := range t.entries {
		t.enqueue(e)
	}
}

// CheckEnd ends a check and returns in how many nodes the watches had missed something.
func (t *Tree) CheckEnd() (drift int) {
	t.checking = false
	return t.drift
}

// Settled says that nothing is being read, or about to be. What failed, or waits for changes to gather, does not count.
func (t *Tree) Settled() bool { return t.open == 0 && len(t.queue) == 0 }

// Err is why the connection is of no use any more, nil while it is.
func (t *Tree) Err() error { return t.failed }

// Pump sends what is queued, as far as there is room.
func (t *Tree) Pump() {
	for t.open < inFlight && len(t.queue) > 0 {
		e := t.queue[0]
		t.queue[0], t.queue = nil, t.queue[1:]
		e.queued = false
		if len(e.users) == 0 {
			delete(t.entries, e.key)
			continue
		}
		t.read(e)
	}
}

// Due queues what its time has come for.
func (t *Tree) Due(now time.Time) {
	for e := range t.waiting {
		if !now.Before(e.readAt) {
			t.enqueue(e)
		}
	}
}

// Next is when Due has something to do, zero for never.
func (t *Tree) Next() time.Time {
	var next time.Time
	for e := range t.waiting {
		if next.IsZero() || e.readAt.Before(next) {
			next = e.readAt
		}
	}
	return next
}

func (t *Tree) enqueue(e *entry) {
	delete(t.waiting, e)
	switch {
	case e.isOpen:
		e.again = true
	case !e.queued:
		e.queued = true
		t.queue = append(t.queue, e)
	}
}

// delay has an entry read soon.
func (t *Tree) delay(e *entry, d time.Duration) {
	if _, ok := t.waiting[e]; !ok && !e.queued {
		e.readAt = time.Now().Add(d)
		t.waiting[e] = struct{}{}
	}
}

func (t *Tree) read(e *entry) {
	e.isOpen, e.stale = true, false
	t.open++
	if e.kind == list {
		t.conn.Children(e.path, t.conn.Plain, func(names []string, err error) {
			t.conn.Post(func() { t.answered(e, content{names: names}, err) })
		})
		return
	}
	t.conn.Data(e.path, t.conn.Plain, func(data []byte, err error) {
		t.conn.Post(func() { t.answered(e, content{data: data}, err) })
	})
}

// content is an answer.
type content struct {
	names []string
	data  []byte
}

func (t *Tree) answered(e *entry, c content, err error) {
	e.isOpen = false
	t.open--
	switch {
	case len(e.users) == 0:
		delete(t.entries, e.key)
		return
	case errors.Is(err, wire.CodeNoNode):
		t.gone(e)
	case err != nil && t.conn.Broken(err):
		if t.failed == nil {
			t.failed = fmt.Errorf("read %q: %w", e.path, err)
		}
		return
	case err != nil:
		t.unreadable(e, err)
	case e.kind == list:
		t.listed(e, c.names)
	default:
		t.loaded(e, c.data)
	}
	if e.again {
		e.again = false
		t.enqueue(e)
	}
}

// unreadable notes that a node cannot be read, and has it read again later.
func (t *Tree) unreadable(e *entry, err error) {
	if errors.Is(err, wire.CodeNoAuth) {
		err = fmt.Errorf("%w: %w", source.ErrUnauthorized, err)
	} else if errors.Is(err, wire.ErrMalformed) {
		err = fmt.Errorf("%w: %w", source.ErrMalformed, err)
	}
	wasRead := e.err == nil
	e.err, e.fresh = fmt.Errorf("read %q: %w", e.path, err), false
	wait := minRetry << min(e.retries, 10)
	e.retries++
	t.delay(e, min(wait, maxRetry)/2+rand.N(min(wait, maxRetry)+1)) //nolint:gosec // spreads load, guards nothing
	if wasRead {
		e.changed()
	}
}

// settle notes that an entry has been read; differs says that it is not what was known.
func (t *Tree) settle(e *entry, differs bool) {
	if t.checking && differs && e.fresh && !e.stale && !e.again {
		t.drift++
	}
	first := !e.known || e.err != nil
	e.known, e.fresh, e.err, e.retries = true, true, nil, 0
	if differs || first {
		e.changed()
	}
}

// gone notes that the node of an entry does not exist. Whoever lists its parent hears when it is made; otherwise it is watched for.
func (t *Tree) gone(e *entry) {
	differs := e.present
	e.present, e.names, e.value, e.sum = false, nil, nil, 0
	t.settle(e, differs)
	parent, _ := split(e.path)
	if !t.conn.Plain || t.entries[key{list, parent}] != nil {
		return
	}
	t.conn.WatchExists(e.path, func(err error) {
		if err == nil { // It was created meanwhile.
			t.conn.Post(func() { t.enqueue(e) })
		}
	})
}

func (t *Tree) listed(e *entry, names []string) {
	next := make([]string, len(names))
	for i, name := range names {
		next[i] = strings.Clone(name) // The names share the memory of the whole answer.
	}
	slices.Sort(next)
	before := e.names
	e.names = next
	differs := !e.present || !slices.Equal(before, next)
	e.present = true
	if differs {
		t.reconcile(e.path, before, next)
	}
	t.settle(e, differs)
}

// reconcile applies what a list says of the children that somebody looks at; both lists are sorted.
func (t *Tree) reconcile(parent string, before, now []string) {
	for _, name := range before {
		if _, still := slices.BinarySearch(now, name); !still {
			t.removed(join(parent, name))
		}
	}
	for _, name := range now {
		if _, had := slices.BinarySearch(before, name); !had {
			t.created(join(parent, name))
		}
	}
}

func (t *Tree) loaded(e *entry, data []byte) {
	sum := maphash.Bytes(t.seed, data)
	differs := !e.present || e.sum != sum
	if differs {
		e.value = t.parse(e.path, data)
	}
	e.present, e.sum = true, sum
	t.settle(e, differs)
}

// created reads the entries of a node that was made.
func (t *Tree) created(path string) {
	for _, k := range [...]kind{list, data} {
		if e := t.entries[key{k, path}]; e != nil && !e.present {
			t.enqueue(e)
		}
	}
}

// removed notes that a node is gone.
func (t *Tree) removed(path string) {
	for _, k := range [...]kind{list, data} {
		if e := t.entries[key{k, path}]; e != nil && e.present {
			e.present, e.names, e.value, e.sum = false, nil, nil, 0
			e.changed()
		}
	}
}

// Handle takes an event. ChildrenChanged of a recursive watch, which servers before 3.9.0 may add (ZOOKEEPER-4475), says nothing that
// Created and Deleted do not.
func (t *Tree) Handle(event wire.EventType, path string) {
	if t.conn.Plain {
		t.fired(event, path)
		return
	}
	parent, name := split(path)
	siblings := t.entries[key{list, parent}]
	if siblings != nil && (!siblings.fresh || !siblings.present) {
		siblings = nil // Its answer is still to come, and contains the event.
	}
	switch event {
	case wire.EventNodeCreated:
		if siblings != nil {
			siblings.add(name)
		}
		t.created(path)
	case wire.EventNodeDeleted:
		if siblings != nil {
			siblings.remove(name)
		}
		t.removed(path)
	case wire.EventNodeDataChanged:
		if e := t.entries[key{data, path}]; e != nil {
			t.enqueue(e)
		}
	}
}

// fired takes the event of a one-shot watch, which says where to look again and nothing more.
func (t *Tree) fired(event wire.EventType, path string) {
	for _, k := range [...]kind{list, data} {
		e := t.entries[key{k, path}]
		if e == nil || event == wire.EventNodeChildrenChanged && k != list || event == wire.EventNodeDataChanged && k != data {
			continue
		}
		e.stale = true
		if e.isOpen {
			e.again = true
			continue
		}
		t.delay(e, reread)
	}
}

func split(path string) (parent, name string) {
	at := strings.LastIndexByte(path, '/')
	if at <= 0 {
		return "/", strings.TrimPrefix(path, "/")
	}
	return path[:at], path[at+1:]
}

func join(parent, name string) string { return strings.TrimSuffix(parent, "/") + "/" + name }
