package proxy

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// The names under which toxiproxy knows the toxics of this package.
const (
	answersType  = "zookeeper_answers"
	requestsType = "zookeeper_requests"
)

// Reserved transaction ids of ZooKeeper's protocol; an answer to a request has a positive one.
const xidEvent = -1

// moment is an armed fault.
type moment struct {
	fault Fault
	fired chan struct{}

	mu   sync.Mutex
	left int
	over bool
}

// strikes reports whether the harm is to be done to this frame; once.
func (m *moment) strikes(l *link, xid int32) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over || !m.concerns(l, xid) {
		return false
	}
	if m.left > 0 {
		m.left--
		return false
	}
	m.over = true
	close(m.fired)
	return true
}

func (m *moment) concerns(l *link, xid int32) bool {
	switch m.fault.Phase {
	case Watch:
		return xid == xidEvent
	case Read:
		return xid > 0 && l.eventsUnder == m
	default:
		return xid > 0
	}
}

// link is what the two directions of one connection share.
type link struct {
	// silent says that the connection is half open.
	silent atomic.Bool
	// eventsUnder is the moment during which the last event passed. Only the answers' goroutine uses it.
	eventsUnder *moment
	// pending is the beginning of a frame. Only the answers' goroutine uses it.
	pending []byte
	// open says that the server has accepted the session: its first frame, which has no transaction id, has passed.
	open bool
}

// links pairs the directions of a connection: toxiproxy makes both, one after the other, before it accepts the next connection, and
// always the one to the server first.
type links struct {
	done <-chan struct{}

	mu   sync.Mutex
	half *link
}

func (ls *links) first() *link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.half = &link{}
	return ls.half
}

func (ls *links) second() *link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.half
}

// send hands a chunk on, unless everything ends.
func (ls *links) send(stub *toxics.ToxicStub, data []byte) {
	select {
	case stub.Output <- &stream.StreamChunk{Data: data, Timestamp: time.Now()}:
	case <-ls.done:
	}
}

// requests passes on what the client says, until the connection is half open.
type requests struct{ links *links }

// NewState is called by toxiproxy for each connection.
func (t *requests) NewState() any { return t.links.first() }

// Pipe is run by toxiproxy for each connection.
func (t *requests) Pipe(stub *toxics.ToxicStub) {
	l := stub.State.(*link) //nolint:forcetypeassert,errcheck // NewState made it
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			if !l.silent.Load() {
				t.links.send(stub, c.Data)
			}
		}
	}
}

// answers passes on what the server says, frame by frame, and does the harm when its moment has come.
type answers struct {
	links  *links
	moment atomic.Pointer[moment]
}

func (t *answers) arm(m *moment) { t.moment.Store(m) }

// NewState is called by toxiproxy for each connection.
func (t *answers) NewState() any { return t.links.second() }

// Pipe is run by toxiproxy for each connection.
func (t *answers) Pipe(stub *toxics.ToxicStub) {
	l := stub.State.(*link) //nolint:forcetypeassert,errcheck // NewState made it
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			if !t.carry(stub, l, c.Data) {
				stub.Close()
				drain(stub)
				return
			}
		}
	}
}

// drain lets the toxic in front of a closed one finish.
func drain(stub *toxics.ToxicStub) {
	for c := range stub.Input {
		_ = c // what comes behind the harm is lost
	}
}

// carry passes on each frame that is complete now, and reports false when the connection is to be closed.
func (t *answers) carry(stub *toxics.ToxicStub, l *link, data []byte) bool {
	l.pending = append(l.pending, data...)
	for len(l.pending) >= 4 {
		size := 4 + int(binary.BigEndian.Uint32(l.pending))
		if len(l.pending) < size {
			break
		}
		frame := append([]byte(nil), l.pending[:size]...)
		l.pending = l.pending[size:]
		if !t.frame(stub, l, frame) {
			return false
		}
	}
	return true
}

func (t *answers) frame(stub *toxics.ToxicStub, l *link, frame []byte) bool {
	if l.silent.Load() {
		return true
	}
	m := t.moment.Load()
	if !l.open || len(frame) < 8 {
		l.open = true
		t.links.send(stub, frame)
		return true
	}
	xid := int32(binary.BigEndian.Uint32(frame[4:])) //nolint:gosec // a signed number by the protocol
	if xid == xidEvent {
		defer func() { l.eventsUnder = m }()
	}
	if !m.strikes(l, xid) {
		t.links.send(stub, frame)
		return true
	}
	return t.harm(stub, l, m.fault, frame)
}

// harm does it, and reports false when the connection is to be closed.
func (t *answers) harm(stub *toxics.ToxicStub, l *link, f Fault, frame []byte) bool {
	switch f.Harm {
	case Delay:
		timer := time.NewTimer(f.Hold)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-t.links.done:
		}
		t.links.send(stub, frame)
		return true
	case Reset, Truncate:
		t.links.send(stub, frame[:len(frame)/2])
		return false
	case HalfOpen:
		l.silent.Store(true)
		return true
	case Short:
		half := frame[:4+(len(frame)-4)/2]
		binary.BigEndian.PutUint32(half, uint32(len(half)-4)) //nolint:gosec // shorter than it was
		t.links.send(stub, half)
		return true
	default:
		return false
	}
}
