// Package proxy stands between a ZooKeeper client and its server and does one harm at a chosen moment: while the client lists, on the
// answer to a single read, or on the event of a watch. It is toxiproxy with two toxics of its own, which know where a frame of
// ZooKeeper's protocol begins and what it is.
//
//	client ──▶ noop ──▶ requests ──────────────────▶ server      drops everything of a connection that is half open
//	client ◀── answers ◀── (reset_peer, idle) ◀── noop ◀── server     waits for its moment, then does the harm
//
// A reset_peer toxic with toxicity 0 does nothing by itself, but toxiproxy closes the connections of such a chain with a TCP reset.
package proxy

import (
	"fmt"
	"strings"
	"sync"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// Harm is what happens to an answer of the server.
type Harm string

// The harms.
const (
	// Cut closes the connection instead of answering.
	Cut Harm = "cut"
	// Delay holds the answer, and what comes behind it, for Fault.Hold.
	Delay Harm = "delay"
	// Reset sends half of the answer and then a TCP reset.
	Reset Harm = "reset mid-answer"
	// Truncate sends half of the answer and then closes the connection in order.
	Truncate Harm = "truncated answer"
	// HalfOpen lets nothing pass any more in either direction, and closes nothing. Other connections are not concerned.
	HalfOpen Harm = "half-open"
	// Short sends a whole frame that holds half of the answer.
	Short Harm = "short answer"
)

// Phase is what the client does when the harm is done.
type Phase string

// The phases.
const (
	// Listing is an answer on a connection that was opened after the fault was armed.
	Listing Phase = "listing"
	// Watch is the event that a watch sends.
	Watch Phase = "watch"
	// Read is an answer behind such an event.
	Read Phase = "single read"
)

// Fault is one harm at one moment.
type Fault struct {
	Harm  Harm
	Phase Phase
	// Skip is how many frames of the phase pass before the harm is done.
	Skip int
	// Hold is how long Delay holds an answer.
	Hold time.Duration
}

// String names the fault for a log.
func (f Fault) String() string {
	s := fmt.Sprintf("%s during %s", f.Harm, f.Phase)
	if f.Skip > 0 {
		s += fmt.Sprintf(", after %d frames", f.Skip)
	}
	return s
}

// Proxy is one listening port before one server.
type Proxy struct {
	server *toxiproxy.ApiServer
	// listen is the address, with the port that the first start chose.
	listen, upstream string
	// done ends what may still wait for a connection that is gone.
	done chan struct{}

	mu      sync.Mutex
	current *toxiproxy.Proxy
	answers *answers
	resets  bool
	moment  *moment
}

// Start listens on a free port of the loopback interface and passes everything on to upstream.
func Start(upstream string) (*Proxy, error) {
	toxics.Register(answersType, new(answers))
	toxics.Register(requestsType, new(requests))
	p := &Proxy{
		server:   toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()),
		listen:   "127.0.0.1:0",
		upstream: upstream,
		done:     make(chan struct{}),
	}
	if err := p.start(); err != nil {
		return nil, err
	}
	p.listen = p.current.Listen
	return p, nil
}

// start opens the port with fresh chains of toxics. The caller holds mu, or nobody else knows the proxy yet.
func (p *Proxy) start() error {
	p.current = toxiproxy.NewProxy(p.server, "zookeeper", p.listen, p.upstream)
	links := &links{done: p.done}
	if p.resets {
		if _, err := p.current.Toxics.AddToxicJson(strings.NewReader(`{"type": "reset_peer", "toxicity": 0}`)); err != nil {
			return fmt.Errorf("add toxic reset_peer: %w", err)
		}
	}
	up, err := p.current.Toxics.AddToxicJson(strings.NewReader(`{"type": "` + requestsType + `", "stream": "upstream"}`))
	if err != nil {
		return fmt.Errorf("add toxic %s: %w", requestsType, err)
	}
	down, err := p.current.Toxics.AddToxicJson(strings.NewReader(`{"type": "` + answersType + `"}`))
	if err != nil {
		return fmt.Errorf("add toxic %s: %w", answersType, err)
	}
	//nolint:forcetypeassert,errcheck // these are the types that were registered under these names
	p.answers, up.Toxic.(*requests).links = down.Toxic.(*answers), links
	p.answers.links = links
	p.answers.arm(p.moment)
	if err := p.current.Start(); err != nil {
		return fmt.Errorf("listen on %s: %w", p.listen, err)
	}
	return nil
}

// Addr returns the address to which clients connect.
func (p *Proxy) Addr() string { return p.listen }

// Prepare makes the proxy ready for a fault. Where the connections that exist are not fit for it, it closes them, so the caller waits
// until its client is at rest again before it arms the fault.
func (p *Proxy) Prepare(f Fault) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resets == (f.Harm == Reset) {
		return nil
	}
	p.resets = f.Harm == Reset
	return p.restart()
}

// Arm waits for the moment of a fault, which must have been prepared, and closes the channel when the harm is done. For the phase
// Listing it closes the present connections, so that the client has to list again. It replaces a fault that is still armed.
func (p *Proxy) Arm(f Fault) (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := &moment{fault: f, left: f.Skip, fired: make(chan struct{})}
	p.moment = m
	if f.Phase == Listing {
		return m.fired, p.restart()
	}
	p.answers.arm(m)
	return m.fired, nil
}

// Disarm lets everything pass again. A connection that is half open stays so.
func (p *Proxy) Disarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moment = nil
	p.answers.arm(nil)
}

// CutAll closes all connections now. New ones are accepted.
func (p *Proxy) CutAll() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.restart()
}

// restart closes port and connections and opens the port again. The caller holds mu.
func (p *Proxy) restart() error {
	p.current.Stop()
	return p.start()
}

// Close closes port and connections.
func (p *Proxy) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current.Stop()
	close(p.done)
}
