package audit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestUsurped: what would be a finding is one.
func TestUsurped(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	write := func(resource, user string, second int) Request {
		at := begin.Add(time.Duration(second) * time.Second)
		return Request{Resource: resource, User: user, Name: "x", Code: 200, Asked: at, At: at.Add(100 * time.Millisecond)}
	}
	const object, held = "serviceentries", "leases"
	refused := write(object, "b", 3)
	refused.Code = 409
	for _, tt := range []struct {
		name  string
		audit []Request
		want  int
	}{
		{"the leader writes", []Request{write(held, "a", 0), write(object, "a", 1), write(held, "a", 2), write(object, "a", 5)}, 0},
		{"the next leader writes", []Request{write(held, "a", 0), write(held, "b", 5), write(object, "b", 6)}, 0},
		{"nobody leads", []Request{write(object, "a", 1), write(held, "a", 2)}, 1},
		{"another one leads", []Request{write(held, "a", 0), write(object, "b", 1)}, 1},
		{"the last leader goes on", []Request{write(held, "a", 0), write(held, "b", 5), write(object, "a", 6)}, 1},
		{"the lease is over", []Request{write(held, "a", 0), write(object, "a", 5)}, 1},
		{"it was refused", []Request{write(held, "a", 0), refused}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Usurped(tt.audit, 4*time.Second); len(got) != tt.want {
				t.Errorf("findings are %q, want %d", got, tt.want)
			}
		})
	}
}

// TestRead: what a request says is read, and what is no write, or only half there, is left out.
func TestRead(t *testing.T) {
	got, err := Read("testdata/audit.log")
	if err != nil {
		t.Fatal(err)
	}
	want := []Request{{
		Group: "networking.istio.io", Resource: "serviceentries", Verb: "patch", User: "system:serviceaccount:install:bridge", Pod: "bridge-1", Namespace: "shop", Name: "web",
		Code: 200, Asked: time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC), At: time.Date(2026, 1, 1, 0, 0, 1, 5_000_000, time.UTC),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestPods: replicas in pods have one user, and are told apart.
func TestPods(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	requests := []Request{
		{Resource: "leases", User: "bridge", Pod: "bridge-1", Code: 200, Asked: at, At: at},
		{Resource: "serviceentries", User: "bridge", Pod: "bridge-2", Code: 200, Asked: at.Add(time.Second), At: at.Add(time.Second)},
	}
	if got := Usurped(requests, 4*time.Second); len(got) != 1 {
		t.Errorf("findings are %q, want one", got)
	}
}
