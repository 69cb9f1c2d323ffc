package plan

import (
	"slices"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// meshed makes the object of a host whose endpoints speak mutual TLS, with these identities.
func (w *world) meshed(name string, endpoints, identities []string) *translate.Object {
	o := w.object(name, endpoints)
	for i := range o.ServiceEntry.Endpoints {
		e := &o.ServiceEntry.Endpoints[i]
		e.Labels = append(slices.Clone(e.Labels), translate.Label{Key: "security.istio.io/tlsMode", Value: "istio"})
	}
	o.ServiceEntry.SubjectAltNames = identities
	return o
}

// TestIdentitiesOfHeldEndpointsStay lets a source be unsynced whose endpoints are live beside those of another one.
func TestIdentitiesOfHeldEndpointsStay(t *testing.T) {
	for _, c := range []struct {
		name                string
		live, desired, want []string
	}{
		{"those that are live are added", []string{"x"}, []string{"y"}, []string{"x", "y"}},
		{"those that are desired alone", []string{"x", "y"}, []string{"y"}, []string{"x", "y"}},
		{"any stays any", nil, []string{"y"}, nil},
		{"none desired is any", []string{"x"}, nil, nil},
		{"the same", []string{"y"}, []string{"y"}, []string{"y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(w.meshed("a", []string{"s/1", "t/9"}, c.live))
			w.desired["a"] = w.meshed("a", []string{"t/9"}, c.desired)
			w.line("0s sync t")
			got := w.live[key("a")].Object.ServiceEntry
			if len(got.Endpoints) != 2 || !slices.Equal(got.SubjectAltNames, c.want) {
				t.Errorf("held: %d endpoints, identities %q, want 2 and %q", len(got.Endpoints), got.SubjectAltNames, c.want)
			}
			w.line("0s sync s")
			w.sleepUntil(start().Add(time.Hour))
			got = w.live[key("a")].Object.ServiceEntry
			if len(got.Endpoints) != 1 || !slices.Equal(got.SubjectAltNames, c.desired) {
				t.Errorf("released: %d endpoints, identities %q, want 1 and %q", len(got.Endpoints), got.SubjectAltNames, c.desired)
			}
		})
	}
}

func TestIdentitiesOfHeldEndpointsWithoutMutualTLSGo(t *testing.T) {
	w := newWorld(t)
	live := w.object("a", []string{"s/1", "t/9"})
	live.ServiceEntry.SubjectAltNames = []string{"x"}
	w.put(live)
	w.desired["a"] = w.meshed("a", []string{"t/9"}, []string{"y"})
	w.line("0s sync t")
	if got := w.live[key("a")].Object.ServiceEntry; len(got.Endpoints) != 2 || !slices.Equal(got.SubjectAltNames, []string{"y"}) {
		t.Errorf("%d endpoints, identities %q", len(got.Endpoints), got.SubjectAltNames)
	}
}

// TestIdentitiesAreTheSameInAllShards has a held endpoint in one shard only: istiod takes the identities of one of them for the host.
func TestIdentitiesAreTheSameInAllShards(t *testing.T) {
	w := newWorld(t)
	w.put(w.meshed("a", []string{"s/1", "t/8"}, []string{"x"}))
	w.put(w.meshed("a#2", []string{"t/9"}, []string{"x"}))
	w.desired["a"] = w.meshed("a", []string{"t/8"}, []string{"y"})
	w.desired["a#2"] = w.meshed("a#2", []string{"t/9"}, []string{"y"})
	w.line("0s sync t")
	for _, name := range []string{"a", "a-2"} {
		if got := w.live[key(name)].Object.ServiceEntry.SubjectAltNames; !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("%s: identities %q", name, got)
		}
	}
}
