package zktest

import (
	"slices"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// Fault is something wrong with the answers to one operation. What is named first of Code, Drop, Corrupt and Truncate is done; a
// Delay may come before it.
type Fault struct {
	// Op is the operation. OpNotification means events, OpCreateSession the answer to the handshake.
	Op wire.Op
	// Path limits the fault to this node and those below; empty means all, and requests without a path.
	Path string
	// Times is how many answers are affected; 0 means all until the fault is removed.
	Times int
	// Delay is the time before the answer. Everything behind it on the connection waits too.
	Delay time.Duration
	// Code is answered, and the request is not served.
	Code wire.Code
	// Drop serves the request and sends no answer.
	Drop bool
	// Corrupt returns what is sent instead of the frame, whose first four bytes are its length.
	Corrupt func(frame []byte) []byte
	// Truncate sends only so many bytes of the frame, its length of four bytes included, and then cuts the connection.
	Truncate int
}

// Inject adds a fault and returns the function that removes it. Of several that fit, the oldest is used.
func (s *Server) Inject(f Fault) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := &f
	s.faults = append(s.faults, fault)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.removeFault(fault)
	}
}

func (s *Server) removeFault(f *Fault) {
	s.faults = slices.DeleteFunc(s.faults, func(o *Fault) bool { return o == f })
}

// fault finds the fault for an answer, and uses it up. Without one it is the zero value.
func (s *Server) fault(op wire.Op, path string) Fault {
	for _, f := range s.faults {
		if f.Op != op || (f.Path != "" && f.Path != path && !strings.HasPrefix(path, f.Path+"/")) {
			continue
		}
		found := *f
		if f.Times == 1 {
			s.removeFault(f)
		}
		f.Times = max(f.Times-1, 0)
		return found
	}
	return Fault{}
}

// deliver queues a frame that is subject to the faults.
func (s *Server) deliver(c *conn, op wire.Op, path string, frame []byte) {
	f := s.fault(op, path)
	f.deliver(c, frame)
}

// deliver queues a frame as the fault wants it.
func (f *Fault) deliver(c *conn, frame []byte) {
	o := outgoing{frame: frame, delay: f.Delay}
	switch {
	case f.Drop:
		return
	case f.Corrupt != nil:
		o.frame = f.Corrupt(frame)
	case f.Truncate > 0 && f.Truncate < len(frame):
		o.frame, o.last = frame[:f.Truncate], true
	}
	c.push(o)
}
