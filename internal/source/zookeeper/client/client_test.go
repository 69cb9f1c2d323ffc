package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/client"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long what must come may take.
const patience = 10 * time.Second

func serve(t *testing.T, opts zktest.Options) *zktest.Server {
	t.Helper()
	if opts.Tick == 0 {
		opts.Tick = 100 * time.Millisecond
	}
	s := zktest.New(opts)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func create(t *testing.T, s *zktest.Server, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := s.Create(p, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// stream keeps what a connection says, in order.
type stream struct {
	mu    sync.Mutex
	lines []string
	grown chan struct{}
}

func newStream() *stream { return &stream{grown: make(chan struct{}, 1)} }

func (s *stream) add(line string) {
	s.mu.Lock()
	s.lines = append(s.lines, line)
	s.mu.Unlock()
	select {
	case s.grown <- struct{}{}:
	default:
	}
}

func (s *stream) event(e client.Event) { s.add(fmt.Sprintf("%s %s", e.Type, e.Path)) }

func (s *stream) children(names []string, err error) {
	slices.Sort(names)
	s.add(fmt.Sprintf("children %v %v", names, err))
}

func (s *stream) await(t *testing.T, want ...string) {
	t.Helper()
	limit := time.After(patience)
	for {
		s.mu.Lock()
		got := slices.Clone(s.lines)
		s.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-s.grown:
		case <-limit:
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func connect(t *testing.T, opts client.Options, zxid int64, watch func(client.Event)) *client.Conn {
	t.Helper()
	c, err := client.Connect(t.Context(), opts, zxid, watch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// children reads a list and waits for it.
func children(t *testing.T, c *client.Conn, path string) ([]string, error) {
	t.Helper()
	type answer struct {
		names []string
		err   error
	}
	answers := make(chan answer, 1)
	c.Children(path, false, func(names []string, err error) { answers <- answer{names, err} })
	select {
	case a := <-answers:
		return a.names, a.err
	case <-time.After(patience):
		t.Fatal("no answer")
		return nil, nil
	}
}

func TestAnswersAndEventsAreInOrder(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{})
	create(t, s, "/base/root/a")
	log := newStream()
	c := connect(t, client.Options{Servers: []string{s.Addr()}, Chroot: "/base/"}, 0, log.event)
	c.WatchTree("/root", func(err error) { log.add(fmt.Sprintf("watched %v", err)) })
	c.Children("/root", false, log.children)
	log.await(t, "watched <nil>", "children [a] <nil>")
	create(t, s, "/base/root/b", "/base/root/b/c", "/base/elsewhere")
	if err := s.Delete("/base/root/a"); err != nil {
		t.Fatal(err)
	}
	c.Children("/root", false, log.children)
	log.await(
		t, "watched <nil>", "children [a] <nil>",
		"NodeCreated /root/b", "NodeCreated /root/b/c", "NodeDeleted /root/a", "children [b] <nil>",
	)
	if c.Zxid() == 0 {
		t.Error("no transaction id was kept")
	}
}

func TestOneShotWatches(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{Version: zktest.Before36})
	create(t, s, "/root")
	log := newStream()
	c := connect(t, client.Options{Servers: []string{s.Addr()}}, 0, log.event)
	c.Children("/", true, func([]string, error) { log.add("listed") })
	c.WatchExists("/later", func(err error) { log.add(err.Error()) })
	log.await(t, "listed", wire.CodeNoNode.Error())
	create(t, s, "/later")
	log.await(t, "listed", wire.CodeNoNode.Error(), "NodeCreated /later", "NodeChildrenChanged /")
}

func TestServersBefore36CannotWatchTrees(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{Version: zktest.Before36})
	c := connect(t, client.Options{Servers: []string{s.Addr()}}, 0, nil)
	answer := make(chan error, 1)
	c.WatchTree("/", func(err error) { answer <- err })
	if err := <-answer; !client.CannotWatchTree(err) {
		t.Errorf("error %v, want one that says it cannot be", err)
	}
	if client.CannotWatchTree(source.ErrUnavailable) {
		t.Error("a lost connection counts as a refusal")
	}
}

func TestFailedConnectionAnswersEverything(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{})
	c := connect(t, client.Options{Servers: []string{s.Addr()}}, 0, nil)
	defer s.Inject(zktest.Fault{Op: wire.OpGetChildren, Drop: true})()
	answers := make(chan error, 3)
	c.Children("/", false, func(_ []string, err error) { answers <- err })
	c.Children("/", false, func(_ []string, err error) { answers <- err })
	s.Stop()
	<-c.Done()
	c.Children("/", false, func(_ []string, err error) { answers <- err })
	for range 3 {
		if err := <-answers; !errors.Is(err, source.ErrUnavailable) {
			t.Errorf("error %v, want source.ErrUnavailable", err)
		}
	}
	if !errors.Is(c.Err(), source.ErrUnavailable) {
		t.Errorf("the connection ended with %v", c.Err())
	}
}

func TestCloseAnswersEverything(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{})
	c := connect(t, client.Options{Servers: []string{s.Addr()}}, 0, nil)
	defer s.Inject(zktest.Fault{Op: wire.OpGetChildren, Drop: true})()
	answer := make(chan error, 1)
	c.Children("/", false, func(_ []string, err error) { answer <- err })
	if err := c.Err(); err != nil {
		t.Errorf("a living connection has the error %v", err)
	}
	c.Close()
	if err := <-answer; !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestSilentConnectionIsGivenUp(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{})
	c := connect(t, client.Options{Servers: []string{s.Addr()}, SessionTimeout: 300 * time.Millisecond}, 0, nil)
	defer s.Inject(zktest.Fault{Op: wire.OpPing, Drop: true})()
	select {
	case <-c.Done():
		if !errors.Is(c.Err(), source.ErrUnavailable) {
			t.Errorf("error %v, want source.ErrUnavailable", c.Err())
		}
	case <-time.After(patience):
		t.Error("the connection lives on")
	}
}

func TestPingsKeepAQuietConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{})
	c := connect(t, client.Options{Servers: []string{s.Addr()}, SessionTimeout: 300 * time.Millisecond}, 0, nil)
	limit := time.After(patience)
	for s.Stats().Requests[wire.OpPing] < 10 {
		select {
		case <-c.Done():
			t.Fatalf("the connection ended: %v", c.Err())
		case <-limit:
			t.Fatal("no pings")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestLargeAnswerFailsAlone(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{})
	for i := range 100 {
		create(t, s, fmt.Sprintf("/big/%0100d", i))
	}
	create(t, s, "/small/a")
	c := connect(t, client.Options{Servers: []string{s.Addr()}, MaxReply: 5000}, 0, nil)
	if _, err := children(t, c, "/big"); !errors.Is(err, client.ErrReplyTooLarge) {
		t.Errorf("error %v, want ErrReplyTooLarge", err)
	}
	if names, err := children(t, c, "/small"); err != nil || len(names) != 1 {
		t.Errorf("the next answer is %v, %v", names, err)
	}
}

func TestMalformedFrames(t *testing.T) {
	t.Parallel()
	tests := map[string]func([]byte) []byte{
		"too short":   func([]byte) []byte { return []byte{0, 0, 0, 3, 1, 2, 3} },
		"negative":    func(f []byte) []byte { return append([]byte{0xff, 0xff, 0xff, 0xff}, f[4:]...) },
		"out of turn": func(f []byte) []byte { return append(append(slices.Clone(f[:4]), 0, 0, 0x7f, 1), f[8:]...) },
	}
	for name, corrupt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, zktest.Options{})
			c := connect(t, client.Options{Servers: []string{s.Addr()}}, 0, nil)
			defer s.Inject(zktest.Fault{Op: wire.OpGetChildren, Corrupt: corrupt})()
			if _, err := children(t, c, "/"); !errors.Is(err, source.ErrMalformed) {
				t.Errorf("error %v, want source.ErrMalformed", err)
			}
		})
	}
}

func TestNewerClientIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{})
	_, err := client.Connect(t.Context(), client.Options{Servers: []string{s.Addr()}}, 1<<40, nil)
	if !errors.Is(err, client.ErrHandshakeRefused) || !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("error %v, want ErrHandshakeRefused and source.ErrUnavailable", err)
	}
}

func TestOneServerOfSeveralIsEnough(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{})
	servers := []string{"127.0.0.1:1", "no port", "name.invalid:2181", s.Addr()}
	for range 5 {
		connect(t, client.Options{Servers: servers, ConnectTimeout: 2 * time.Second}, 0, nil).Close()
	}
	if _, err := client.Connect(t.Context(), client.Options{}, 0, nil); !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("without servers: error %v", err)
	}
	_, err := client.Connect(t.Context(), client.Options{Servers: servers[:2]}, 0, nil)
	if !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("with dead servers: error %v", err)
	}
}

func TestNamesAreResolvedAtEveryConnect(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{})
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	var dialed []string
	opts := client.Options{
		Servers: []string{net.JoinHostPort("localhost", port)},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed = append(dialed, address)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	connect(t, opts, 0, nil).Close()
	if !slices.Contains(dialed, s.Addr()) {
		t.Errorf("dialed %v, want the address behind the name", dialed)
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{})
	create(t, s, "/hidden/a")
	if err := s.SetACL("/hidden", wire.ACL{Perms: wire.PermAll, Scheme: "digest", ID: zktest.Digest("u:s3cret")}); err != nil {
		t.Fatal(err)
	}
	password := "wrong-s3cret"
	opts := client.Options{
		Servers:     []string{s.Addr()},
		Credentials: func(context.Context) (string, string, error) { return "u", password, nil },
	}
	if _, err := children(t, connect(t, opts, 0, nil), "/hidden"); !errors.Is(err, wire.CodeNoAuth) {
		t.Errorf("wrong password: error %v, want NoAuth", err)
	}
	password = "s3cret" // Rotated.
	if names, err := children(t, connect(t, opts, 0, nil), "/hidden"); err != nil || len(names) != 1 {
		t.Errorf("right password: %v, %v", names, err)
	}
	heal := s.Inject(zktest.Fault{Op: wire.OpAuth, Code: wire.CodeAuthFailed})
	_, err := client.Connect(t.Context(), opts, 0, nil)
	heal()
	if !errors.Is(err, source.ErrUnauthorized) || strings.Contains(err.Error(), password) {
		t.Errorf("refused: error %v, want source.ErrUnauthorized without the password", err)
	}
	opts.Credentials = func(context.Context) (string, string, error) { return "", "", errors.New("no file") }
	if _, err := client.Connect(t.Context(), opts, 0, nil); !errors.Is(err, source.ErrUnauthorized) {
		t.Errorf("unreadable credentials: error %v, want source.ErrUnauthorized", err)
	}
}

func TestTLSFailures(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.Options{}) // Speaks plain TCP.
	opts := client.Options{
		Servers: []string{s.Addr()}, ConnectTimeout: time.Second,
		TLS: func(context.Context) (*tls.Config, error) { return &tls.Config{MinVersion: tls.VersionTLS12}, nil },
	}
	if _, err := client.Connect(t.Context(), opts, 0, nil); !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("plain server: error %v, want source.ErrUnavailable", err)
	}
	opts.TLS = func(context.Context) (*tls.Config, error) { return nil, errors.New("no file") }
	if _, err := client.Connect(t.Context(), opts, 0, nil); err == nil {
		t.Error("unreadable certificates gave a connection")
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	silent, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0") // Accepts and never answers.
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := client.Connect(ctx, client.Options{Servers: []string{silent.Addr().String()}, ConnectTimeout: time.Hour}, 0, nil)
		done <- err
	}()
	if conn, err := silent.Accept(); err == nil {
		defer func() { _ = conn.Close() }()
	}
	cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Error("a cancelled connect succeeded")
		}
	case <-time.After(patience):
		t.Error("Connect does not end")
	}
}
