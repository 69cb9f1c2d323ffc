package tree

import (
	"slices"
	"strings"
	"time"
)

// kind is what is read of a node.
type kind uint8

const (
	list kind = iota
	data
)

type key struct {
	kind kind
	path string
}

// entry is one thing that somebody looks at. Its content outlives connections.
type entry struct {
	key
	users []*View
	// known says that it was read once; present that the node existed then.
	known, present bool
	names          []string
	value          any
	// sum stands for the data.
	sum uint64
	// err is why it could not be read the last time.
	err error

	link
}

// link is where an entry stands on the current connection.
type link struct {
	// fresh says that it was read on this connection, so that events keep it true.
	fresh          bool
	queued, isOpen bool
	// again says that it has to be read once more when its answer has come.
	again bool
	// stale says that a one-shot watch has fired since it was asked for, so a difference is no drift.
	stale   bool
	readAt  time.Time
	retries int
}

func (e *entry) changed() {
	for _, v := range e.users {
		v.Changed()
	}
}

// add adds a child to the list.
func (e *entry) add(name string) {
	at, known := slices.BinarySearch(e.names, name)
	if known {
		return
	}
	e.names = slices.Insert(e.names, at, strings.Clone(name))
	e.changed()
}

func (e *entry) remove(name string) {
	at, known := slices.BinarySearch(e.names, name)
	if !known {
		return
	}
	e.names = slices.Delete(e.names, at, at+1)
	e.changed()
}

// View is somebody who looks at nodes, and hears when one of them changes. List and Data may be called within Evaluate only.
type View struct {
	// Changed is called when something that the last evaluation has looked at is not the same any more. It must not evaluate.
	Changed func()

	tree    *Tree
	entries map[*entry]struct{}
	before  map[*entry]struct{}
	pending bool
	err     error
}

// View returns a new View that has not looked at anything.
func (t *Tree) View(changed func()) *View { return &View{Changed: changed, tree: t} }

// Evaluate calls look, and remembers what it looks at. It returns ErrPending when something of that has never been read, or why something
// cannot be read; then what look has made of it is worth nothing.
func (v *View) Evaluate(look func()) error {
	v.before, v.entries = v.entries, make(map[*entry]struct{}, len(v.entries))
	v.pending, v.err = false, nil
	look()
	v.release(v.before)
	v.before = nil
	if v.err != nil {
		return v.err
	}
	if v.pending {
		return ErrPending
	}
	return nil
}

// Close forgets everything that the View looked at.
func (v *View) Close() {
	old := v.entries
	v.entries = nil
	v.release(old)
}

// release leaves those of old that are not in use any more.
func (v *View) release(old map[*entry]struct{}) {
	for e := range old {
		if _, used := v.entries[e]; used {
			continue
		}
		e.users = slices.DeleteFunc(e.users, func(u *View) bool { return u == v })
		if len(e.users) == 0 && !e.queued && !e.isOpen {
			delete(v.tree.entries, e.key)
			delete(v.tree.waiting, e)
		}
	}
}

// List returns the names of the children of a node, sorted, none when the node does not exist. They must
// not be changed, nor kept beyond the evaluation.
func (v *View) List(path string) []string { return v.entry(key{list, path}).names }

// Data returns what was parsed of the data of a node, nil when the node does not exist.
func (v *View) Data(path string) any { return v.entry(key{data, path}).value }

func (v *View) entry(k key) *entry {
	t := v.tree
	e := t.entries[k]
	if e == nil {
		e = &entry{key: k}
		t.entries[k] = e
		t.enqueue(e)
	}
	if _, seen := v.entries[e]; !seen {
		v.entries[e] = struct{}{}
		if _, had := v.before[e]; !had {
			e.users = append(e.users, v)
		}
	}
	switch {
	case e.err != nil && v.err == nil:
		v.err = e.err
	case e.err == nil && !e.known:
		v.pending = true
	}
	return e
}
