package nacostest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	grpcapi "github.com/nacos-group/nacos-sdk-go/v2/api/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
)

// connection is a client that has set itself up.
type connection struct {
	id string
	// ended is closed when the server is to end it.
	ended chan struct{}
	end   func()
	// out has what is to be sent; wake says that there is something.
	mu         sync.Mutex
	out        []*grpcapi.Payload
	wake       chan struct{}
	subscribed map[Key]bool
	pending    map[Key]bool
	own        map[Key][]Instance
}

func newConnection(id string) *connection {
	c := &connection{
		id: id, ended: make(chan struct{}), wake: make(chan struct{}, 1),
		subscribed: map[Key]bool{}, pending: map[Key]bool{}, own: map[Key][]Instance{},
	}
	c.end = sync.OnceFunc(func() { close(c.ended) })
	return c
}

// peerOf names the connection that a request came by.
func peerOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	return p.Addr.String()
}

func (c *connection) subscribe(key Key) (added bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	added = !c.subscribed[key]
	c.subscribed[key] = true
	return added
}

func (c *connection) unsubscribe(key Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subscribed, key)
}

// published replaces what the client has registered of a service, and returns what that was.
func (c *connection) published(key Key, list []Instance) []Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.own[key]
	c.own[key] = list
	return before
}

// send sends without waiting.
func (c *connection) send(p *grpcapi.Payload) {
	c.mu.Lock()
	c.out = append(c.out, p)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *connection) take() []*grpcapi.Payload {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.out
	c.out = nil
	return out
}

func (s *Server) connection(id string) *connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[id]
}

func (s *Server) all() []*connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.conns))
}

// RequestBiStream implements the stream of the server's requests.
func (v service) RequestBiStream(stream grpc.BidiStreamingServer[grpcapi.Payload, grpcapi.Payload]) error {
	s := v.server
	first, err := stream.Recv()
	if err != nil || first.GetMetadata().GetType() != "ConnectionSetupRequest" {
		return errStopped
	}
	c := newConnection(peerOf(stream.Context()))
	s.mu.Lock()
	s.conns[c.id] = c
	s.counts["ConnectionSetupRequest"]++
	s.mu.Unlock()
	if s.opts.Version >= 3 {
		c.send(payload("SetupAckRequest", map[string]any{"requestId": "0", "abilityTable": map[string]bool{}}))
	}
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		for {
			p, err := stream.Recv()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.counts[p.GetMetadata().GetType()]++
			s.mu.Unlock()
		}
	}()
	err = c.serve(stream, answers)
	s.mu.Lock()
	delete(s.conns, c.id)
	s.mu.Unlock()
	c.mu.Lock()
	own := c.own
	c.own = map[Key][]Instance{}
	c.mu.Unlock()
	for key, list := range own { // What a client registered goes with it.
		for _, inst := range list {
			s.registry.Remove(key, inst)
		}
	}
	return err
}

// serve sends until the client has gone, or the server ends it.
func (c *connection) serve(stream grpc.BidiStreamingServer[grpcapi.Payload, grpcapi.Payload], answers <-chan struct{}) error {
	for {
		select {
		case <-c.wake:
			for _, p := range c.take() {
				if err := stream.Send(p); err != nil {
					return err
				}
			}
		case <-c.ended:
			return errStopped
		case <-answers:
			return nil
		}
	}
}

// push tells a change to everybody who has subscribed.
func (s *Server) push(key Key) {
	for _, c := range s.all() {
		c.mu.Lock()
		wanted := c.subscribed[key]
		c.mu.Unlock()
		if wanted {
			s.pushTo(c, key)
		}
	}
}

// pushTo pushes a service, once for all changes within the delay.
func (s *Server) pushTo(c *connection, key Key) {
	send := func() {
		c.mu.Lock()
		delete(c.pending, key)
		c.mu.Unlock()
		c.send(s.notification(key))
	}
	if s.opts.PushDelay == 0 {
		send()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pending[key] {
		c.pending[key] = true
		time.AfterFunc(s.opts.PushDelay, send)
	}
}

func (s *Server) notification(key Key) *grpcapi.Payload {
	s.mu.Lock()
	s.counts["push"]++
	id := s.counts["push"]
	s.mu.Unlock()
	return payload("NotifySubscriberRequest", map[string]any{
		"requestId": strconv.Itoa(id), "module": "naming", "namespace": key.Namespace, "serviceName": key.Name, "groupName": key.Group, "serviceInfo": s.info(key),
	})
}

// Send sends a request of the server to all clients, whatever it is.
func (s *Server) Send(kind, body string) {
	for _, c := range s.all() {
		c.send(payload(kind, body))
	}
}

// Drop ends all connections.
func (s *Server) Drop() {
	for _, c := range s.all() {
		c.end()
	}
}
