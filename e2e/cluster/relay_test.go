package cluster_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// relay passes bytes on between clients and a server, until its connections are made half open: then both sides hear nothing more, and are
// not told so. Toxiproxy does this to all connections or to none.
type relay struct {
	listener net.Listener
	upstream string
	group    sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	// silent is closed when the present connections become half open.
	silent chan struct{}
}

func newRelay(t *testing.T, kube *lab.Kube) *relay {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, upstream: kube.Addr(), silent: make(chan struct{})}
	r.group.Go(r.accept)
	t.Cleanup(func() {
		listener.Close()
		r.mu.Lock()
		for _, conn := range r.conns {
			conn.Close()
		}
		r.mu.Unlock()
		r.group.Wait()
	})
	return r
}

// url is where clients find the relay.
func (r *relay) url() string { return "https://" + r.listener.Addr().String() }

// halfOpen lets nothing pass any more on the present connections. New ones are not concerned.
func (r *relay) halfOpen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.silent)
	r.silent = make(chan struct{})
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		var dialer net.Dialer
		server, err := dialer.Dial("tcp", r.upstream)
		if err != nil {
			client.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, client, server)
		silent := r.silent
		r.mu.Unlock()
		r.group.Go(func() { pass(server, client, silent) })
		r.group.Go(func() { pass(client, server, silent) })
	}
}

// pass copies until one side ends, which it tells the other one unless the connection is silent by then.
func pass(to, from net.Conn, silent <-chan struct{}) {
	_, _ = io.Copy(writer{to, silent}, from) // How it ends does not matter.
	select {
	case <-silent:
	default:
		to.Close()
	}
}

// writer drops everything once it is silent.
type writer struct {
	net.Conn
	silent <-chan struct{}
}

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) {
	select {
	case <-w.silent:
		return len(p), nil
	default:
		return w.Conn.Write(p)
	}
}
