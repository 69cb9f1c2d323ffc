package oracle_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

const host = "demo.orders"

func endpoint(n int) oracle.Endpoint {
	return oracle.Endpoint{Host: host, Address: fmt.Sprintf("10.0.0.%d", n), Port: 20880}
}

// manifest renders what a bridge would write for the endpoints with these numbers.
func manifest(numbers ...int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: %s\nspec:\n  hosts: [%s]\n", host, host)
	if len(numbers) > 0 {
		b.WriteString("  endpoints:\n")
	}
	for _, n := range numbers {
		fmt.Fprintf(&b, "  - {address: %s, ports: {tcp: 20880}}\n", endpoint(n).Address)
	}
	return []byte(b.String())
}

// story is a run under a clock that the test moves.
type story struct {
	t        *testing.T
	now      time.Time
	journal  *oracle.Journal
	versions []oracle.Version
}

func newStory(t *testing.T) *story {
	t.Helper()
	return &story{t: t, now: time.Now(), journal: &oracle.Journal{}}
}

func (s *story) write(after time.Duration, data []byte) {
	s.now = s.now.Add(after)
	s.versions = append(s.versions, oracle.Version{File: "demo.yaml", At: s.now, Data: data})
}

// registered enters endpoints into the journal; its clock is the real one, so a story starts with them.
func (s *story) registered(numbers ...int) {
	s.t.Helper()
	for _, n := range numbers {
		if err := s.journal.Register(endpoint(n), func() error { return nil }); err != nil {
			s.t.Fatal(err)
		}
	}
	s.now = time.Now()
}

func (s *story) deregistered(within time.Duration, numbers ...int) {
	s.t.Helper()
	for _, n := range numbers {
		if err := s.journal.Deregister(endpoint(n), within, func() error { return nil }); err != nil {
			s.t.Fatal(err)
		}
	}
	s.now = time.Now()
}

// TestJudge shows that the oracle catches each fault, and that it says nothing of a bridge that does what it should.
func TestJudge(t *testing.T) {
	tests := []struct {
		name string
		play func(s *story) oracle.Case
		want []oracle.Fault
	}{
		{name: "a bridge that follows is innocent", play: func(s *story) oracle.Case {
			s.registered(1, 2, 3)
			s.write(0, manifest(1, 2, 3))
			s.deregistered(time.Second, 3)
			s.write(time.Millisecond, manifest(1, 2))
			s.registered(3)
			s.write(0, manifest(1, 2, 3))
			return oracle.Case{OneWritePerCause: true}
		}},
		{name: "a file that is wiped", want: []oracle.Fault{oracle.Lost, oracle.Lost}, play: func(s *story) oracle.Case {
			s.registered(1, 2)
			s.write(0, manifest(1, 2))
			s.write(time.Second, nil)
			return oracle.Case{}
		}},
		{name: "a service that is emptied", want: []oracle.Fault{oracle.Lost, oracle.Lost}, play: func(s *story) oracle.Case {
			s.registered(1, 2)
			s.write(0, manifest(1, 2))
			s.write(time.Second, manifest())
			return oracle.Case{}
		}},
		{name: "an endpoint that is lost for one version", want: []oracle.Fault{oracle.Lost}, play: func(s *story) oracle.Case {
			s.registered(1, 2, 3)
			s.write(0, manifest(1, 2, 3))
			s.write(time.Second, manifest(1, 3))
			s.write(time.Second, manifest(1, 2, 3))
			return oracle.Case{}
		}},
		{name: "a stale endpoint that is kept for ever", want: []oracle.Fault{oracle.Stale}, play: func(s *story) oracle.Case {
			s.registered(1, 2)
			s.write(0, manifest(1, 2))
			s.deregistered(time.Second, 2)
			s.write(time.Minute, manifest(2, 1))
			return oracle.Case{}
		}},
		{name: "a removal that shows in time", play: func(s *story) oracle.Case {
			s.registered(1, 2)
			s.write(0, manifest(1, 2))
			s.deregistered(time.Second, 2)
			s.write(900*time.Millisecond, manifest(1))
			s.now = s.now.Add(time.Minute)
			return oracle.Case{}
		}},
		{name: "a rewrite with the same bytes", want: []oracle.Fault{oracle.Unchanged}, play: func(s *story) oracle.Case {
			s.registered(1)
			s.write(0, manifest(1))
			s.write(time.Second, manifest(1))
			return oracle.Case{}
		}},
		{name: "a write while the system is idle", want: []oracle.Fault{oracle.Uncaused}, play: func(s *story) oracle.Case {
			s.registered(1, 2)
			s.write(0, manifest(1, 2))
			from := s.now
			s.write(time.Second, manifest(2, 1))
			s.journal.Idle(from, s.now.Add(time.Second))
			return oracle.Case{}
		}},
		{name: "an object that is written again and again", want: []oracle.Fault{oracle.Uncaused}, play: func(s *story) oracle.Case {
			s.registered(1, 2)
			for range 3 {
				s.write(time.Second, manifest(1, 2))
				s.write(time.Second, manifest(2, 1))
			}
			return oracle.Case{OneWritePerCause: true}
		}},
		{name: "an endpoint that nobody registered", want: []oracle.Fault{oracle.Invented}, play: func(s *story) oracle.Case {
			s.registered(1)
			s.write(0, manifest(1, 7))
			return oracle.Case{}
		}},
		{name: "a file that is half written", want: []oracle.Fault{oracle.Invalid}, play: func(s *story) oracle.Case {
			s.registered(1)
			s.write(0, manifest(1)[:70])
			return oracle.Case{}
		}},
		{name: "an object that Istio refuses", want: []oracle.Fault{oracle.Invalid}, play: func(s *story) oracle.Case {
			s.registered(1)
			s.write(0, manifest(1))
			return oracle.Case{Valid: func(string, []byte) error { return errors.New("refused") }}
		}},
		{name: "a recorder that missed something proves nothing", want: []oracle.Fault{oracle.Blind}, play: func(*story) oracle.Case {
			return oracle.Case{Missed: 1}
		}},
		{name: "a quick restart may still show the former stay", play: func(s *story) oracle.Case {
			s.registered(1, 2)
			s.write(0, manifest(1, 2))
			s.deregistered(time.Second, 2)
			s.registered(2)
			s.write(0, manifest(2, 1))
			s.write(time.Millisecond, manifest(1))
			s.write(time.Millisecond, manifest(1, 2))
			return oracle.Case{}
		}},
		{name: "after a quick restart the second stay counts once it was seen", want: []oracle.Fault{oracle.Lost}, play: func(s *story) oracle.Case {
			s.registered(1, 2)
			s.write(0, manifest(1, 2))
			s.deregistered(time.Second, 2)
			s.registered(2)
			s.write(0, manifest(1))
			s.write(time.Millisecond, manifest(1, 2))
			s.write(time.Millisecond, manifest(1))
			return oracle.Case{}
		}},
		{name: "after an agreement every stay counts", want: []oracle.Fault{oracle.Lost}, play: func(s *story) oracle.Case {
			s.registered(1, 2)
			s.write(0, manifest(1, 2))
			s.deregistered(time.Second, 2)
			s.registered(2)
			s.journal.Agreed()
			s.write(time.Second, manifest(1))
			return oracle.Case{}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			c := tt.play(s)
			c.Versions, c.Journal, c.Until = s.versions, s.journal, s.now.Add(time.Second)
			var got []oracle.Fault
			findings := oracle.Judge(c)
			for _, f := range findings {
				got = append(got, f.Fault)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s\n%v", diff, findings)
			}
		})
	}
}

// TestDiff shows what the comparison with the registry's own client catches.
func TestDiff(t *testing.T) {
	registered := oracle.Endpoints{endpoint(1): 0, endpoint(2): 10, endpoint(3): 20}
	output := oracle.Endpoints{endpoint(1): 0, endpoint(2): 20, endpoint(4): 0}
	var got []string
	for _, f := range oracle.Diff(output, registered, time.Now()) {
		got = append(got, f.Endpoint.Address+": "+f.Detail)
	}
	want := []string{
		"10.0.0.2: weight is 20, not 10",
		"10.0.0.3: registered, not published",
		"10.0.0.4: published, not registered",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
