package zookeeper

import (
	"sync"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/client"
)

// message is one thing that the server sent: an event, or an answer as what is to be done with it.
type message struct {
	event  client.Event
	answer func()
}

// inbox carries messages from the connection's goroutine to the watcher's in the order in which the server sent them. It never
// blocks the connection; what it holds is bounded by what the watcher asked for and by the changes of the registry.
type inbox struct {
	ready chan struct{} // Holds a token while there is something to take.

	mu   sync.Mutex
	list []message
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

func (b *inbox) put(m message) {
	b.mu.Lock()
	b.list = append(b.list, m)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns everything that has come since the last take.
func (b *inbox) take() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.list
	b.list = nil
	return list
}
