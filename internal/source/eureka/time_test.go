package eureka_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/eureka"
	"github.com/registry-bridge/registry-bridge/internal/source/eureka/eurekatest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// network connects a source with servers in memory, so that time can be that of the test.
type network struct {
	mu        sync.Mutex
	listeners map[string]*listener
}

// listener is where one server accepts.
type listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: net.ErrClosed}
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve lets a server be reached at an address, until it is told to stop.
func (n *network) serve(address string, s *eurekatest.Server) (stop func()) {
	l := &listener{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[address] = l
	return func() {
		n.mu.Lock()
		delete(n.listeners, address)
		n.mu.Unlock()
		_ = server.Close()
		<-done
	}
}

// run runs a source of the servers with these addresses until the end of the test.
func (n *network) run(t *testing.T, poll time.Duration, addresses ...string) *sourcetest.Recorder {
	t.Helper()
	cfg := eureka.Config{SourceID: sourcetest.ID, PollInterval: poll, DialContext: n.dial}
	for _, a := range addresses {
		cfg.Servers = append(cfg.Servers, eureka.Server{URL: "http://" + a + "/eureka"})
	}
	ctx, cancel := context.WithCancel(t.Context())
	rec := sourcetest.NewRecorder(t, sourcetest.ID)
	done := make(chan struct{})
	go func() {
		defer close(done)
		sink, end := rec.Begin()
		if err := eureka.New(cfg).Run(ctx, sink); err != nil {
			t.Errorf("Run ended: %v", err)
		}
		end()
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return rec
}

func inBubble(t *testing.T, test func(t *testing.T, n *network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, &network{listeners: map[string]*listener{}}) })
}

// pass lets time pass.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
}

// TestIntervals: changes are asked for at least every interval, and everything every five minutes, give or take a tenth. What a change hid
// from the hash shows then at the latest.
func TestIntervals(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, n *network) {
		t.Helper()
		s := eurekatest.New(eurekatest.Options{})
		two(s)
		defer n.serve("e:1", s)()
		rec := n.run(t, 30*time.Second, "e:1")
		pass(t, time.Second)
		if !both(rec.State()) || s.Requests()["GET /apps"] != 1 {
			t.Fatalf("at the start: %s, %v", rec.State(), s.Requests())
		}
		pass(t, 4*time.Minute)
		if got := s.Requests(); got["GET /apps"] != 1 || got["GET /apps/delta"] < 8 || got["GET /apps/delta"] > 9 {
			t.Errorf("after four minutes: %v", got)
		}
		i := eurekatest.NewInstance("A", "10.0.0.1", 80)
		i.IPAddr = "10.0.0.9"
		s.Register(i)
		s.DropChanges()
		pass(t, 2*time.Minute) // Five minutes and a tenth, and one interval.
		if !has("A 10.0.0.9", "B 10.0.0.2")(rec.State()) || s.Requests()["GET /apps"] != 2 {
			t.Errorf("after six minutes: %s, %v", rec.State(), s.Requests())
		}
	})
}

// TestChangeWithinInterval: a change shows one interval after the server tells of it, at most.
func TestChangeWithinInterval(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, n *network) {
		t.Helper()
		s := eurekatest.New(eurekatest.Options{})
		two(s)
		defer n.serve("e:1", s)()
		rec := n.run(t, 30*time.Second, "e:1")
		pass(t, time.Minute)
		for range 20 {
			s.Deregister("A", "10.0.0.1:A:80")
			pass(t, 30*time.Second)
			if !has("B 10.0.0.2")(rec.State()) {
				t.Fatalf("after 30 s: %s", rec.State())
			}
			s.Register(eurekatest.NewInstance("A", "10.0.0.1", 80))
			pass(t, 30*time.Second)
		}
	})
}

// TestGap: after more than 150 s without a good answer, changes do not tell everything, whatever the hash says.
func TestGap(t *testing.T) {
	t.Parallel()
	for poll, want := range map[time.Duration]int{2 * time.Minute: 2, 3 * time.Minute: 4} {
		inBubble(t, func(t *testing.T, n *network) {
			t.Helper()
			s := eurekatest.New(eurekatest.Options{})
			two(s)
			defer n.serve("e:1", s)()
			n.run(t, poll, "e:1")
			pass(t, 9*time.Minute)
			if got := s.Requests(); got["GET /apps"] < want || got["GET /apps"] > want+1 {
				t.Errorf("polls every %s: %v", poll, got)
			}
		})
	}
}

// TestOutage: while no server answers nothing is removed, and they are asked every few seconds. What an outage shorter than half a minute
// hid is read as a whole.
func TestOutage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, n *network) {
		t.Helper()
		s := eurekatest.New(eurekatest.Options{})
		two(s)
		stop := n.serve("e:1", s)
		rec := n.run(t, 10*time.Second, "e:1")
		pass(t, time.Minute)
		whole := s.Requests()["GET /apps"]
		stop()
		i := eurekatest.NewInstance("A", "10.0.0.1", 80)
		i.IPAddr = "10.0.0.9"
		s.Register(i)
		s.DropChanges()
		pass(t, 20*time.Second)
		if state := rec.State(); !both(state) || state.Interruption == nil {
			t.Errorf("during the outage: %s, %v", state, state.Interruption)
		}
		defer n.serve("e:1", s)()
		pass(t, 6*time.Second)
		if state := rec.State(); !has("A 10.0.0.9", "B 10.0.0.2")(state) || state.Interruption != nil || s.Requests()["GET /apps"] != whole+1 {
			t.Errorf("after the outage: %s, %v", state, s.Requests())
		}
	})
}

// TestQuarantine: a server that has failed is asked after the others for five minutes, however often those fail.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, n *network) {
		t.Helper()
		servers := map[string]*eurekatest.Server{}
		for _, name := range []string{"a:1", "b:1", "c:1"} {
			servers[name] = eurekatest.New(eurekatest.Options{})
			two(servers[name])
			t.Cleanup(n.serve(name, servers[name]))
		}
		failing := eurekatest.Answer(http.StatusServiceUnavailable, "text/plain", "")
		heal := []func(){servers["a:1"].Intercept("/apps", failing), servers["a:1"].Intercept("/apps/delta", failing)}
		rec := n.run(t, 30*time.Second, "a:1", "b:1", "c:1")
		pass(t, time.Minute)
		for _, f := range heal {
			f()
		}
		asked := servers["a:1"].Requests()["GET /apps"]
		servers["b:1"].Intercept("/apps", failing)
		servers["b:1"].Intercept("/apps/delta", failing)
		pass(t, time.Minute)
		if n := servers["a:1"].Requests()["GET /apps"]; n != asked || servers["c:1"].Requests()["GET /apps"] != 1 {
			t.Errorf("the first was asked again: %d, %d", asked, n)
		}
		if !both(rec.State()) {
			t.Errorf("something was lost: %s", rec.State())
		}
	})
}
