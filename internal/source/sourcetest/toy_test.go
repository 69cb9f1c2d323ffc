package sourcetest_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const toyToken = "toy-s3cret"

// toyRegistry is a fake of the registry that speaks its protocol.
type toyRegistry struct {
	mu sync.Mutex
	// services have a line for each instance, by host and port.
	services map[string]map[string]string
	// failing cuts every answer off.
	failing bool

	addr     string
	listener net.Listener
	wg       sync.WaitGroup
}

func newToyRegistry(t *testing.T) *toyRegistry {
	t.Helper()
	r := &toyRegistry{services: map[string]map[string]string{}, addr: "127.0.0.1:0"}
	r.start(t)
	t.Cleanup(r.stop)
	return r
}

func (r *toyRegistry) start(t *testing.T) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	r.listener, r.addr = listener, listener.Addr().String()
	r.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.serve(conn) })
		}
	})
}

func (r *toyRegistry) stop() {
	_ = r.listener.Close()
	r.wg.Wait()
}

func (r *toyRegistry) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	question, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	if question != "LIST "+toyToken+"\n" {
		_, _ = fmt.Fprintln(conn, "DENIED")
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintln(conn, "OK")
	for _, lines := range r.services {
		for _, line := range lines {
			_, _ = fmt.Fprintln(conn, line)
		}
	}
	if !r.failing {
		_, _ = fmt.Fprintln(conn, "END")
	}
}

// set replaces the line of an instance, "" for none.
func (r *toyRegistry) set(service, place, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.services[service] == nil {
		r.services[service] = map[string]string{}
	}
	r.services[service][place] = line
	if line == "" {
		delete(r.services[service], place)
	}
}

func (r *toyRegistry) fail(failing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failing = failing
}

// toyFixture tells the suite how to change the registry.
func toyFixture(t *testing.T) *sourcetest.Fixture {
	t.Helper()
	r := newToyRegistry(t)
	place := func(i model.Instance) string { return fmt.Sprint(i.Address, " ", i.Ports[0].Number) }
	return &sourcetest.Fixture{
		Addr: r.addr,
		New: func(o sourcetest.SourceOptions) source.Source {
			token := toyToken
			if o.BadCredentials {
				token = "wrong-" + token
			}
			return &toySource{id: sourcetest.ID, addr: o.Addr, token: token, interval: 20 * time.Millisecond}
		},
		Put: func(_ *testing.T, service string, i model.Instance) {
			r.set(service, place(i), fmt.Sprintf("%s %s %d", service, place(i), i.Weight))
		},
		Remove: func(_ *testing.T, service string, i model.Instance) { r.set(service, place(i), "") },
		RemoveService: func(_ *testing.T, service string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.services, service)
		},
		CorruptInstance: func(_ *testing.T, service string) { r.set(service, "corrupt", service+" 10.0.0.7 http 1") },
		FailListing: func(*testing.T) func() {
			r.fail(true)
			return func() { r.fail(false) }
		},
		Restart: func(t *testing.T) {
			t.Helper()
			r.stop()
			r.start(t)
		},
		Wipe: func(*testing.T) {
			r.mu.Lock()
			defer r.mu.Unlock()
			clear(r.services)
		},
		Secret: toyToken,
	}
}

// TestToy is what docs/contributing/sources.md shows.
func TestToy(t *testing.T) {
	t.Parallel()
	sourcetest.Suite{
		Setup: func(t *testing.T, _ bool) *sourcetest.Fixture {
			t.Helper()
			return toyFixture(t)
		},
		OptOut: map[sourcetest.Feature]string{
			sourcetest.Health:       "what is registered is up",
			sourcetest.Metadata:     "a line has no room for it",
			sourcetest.Locality:     "a line has no room for it",
			sourcetest.SeveralPorts: "a line has one port",
			sourcetest.BadUnits:     "all services come in one answer, of which each line is an instance",
			sourcetest.FailingUnits: "all services come in one answer",
		},
		Parallel: true,
	}.Run(t)
}

// TestToyIsDocumented: the page shows the code as it is, and the example is as short as the page says.
func TestToyIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/contributing/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	code := map[string]string{}
	for _, name := range []string{"toy_source_test.go", "toy_test.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code[name] = string(text)
	}
	if lines := strings.Count(code["toy_source_test.go"], "\n"); lines >= 150 {
		t.Errorf("the example has %d lines", lines)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 {
		t.Error("the page shows no code")
	}
	for _, block := range blocks {
		if !strings.Contains(code["toy_source_test.go"], block[1]) && !strings.Contains(code["toy_test.go"], block[1]) {
			t.Errorf("the page shows code that is another one now:\n%s", block[1])
		}
	}
}
