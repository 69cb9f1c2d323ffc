package translate_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// withPods is opts with these addresses as pods; none are known when it is nil.
func withPods(opts *translate.Options, addresses map[string]string) *translate.Options {
	next := *opts
	if next.Pods = translate.UnknownPods(); addresses == nil {
		return &next
	}
	pods := map[string]translate.Pod{}
	for address, account := range addresses {
		pods[address] = translate.Pod{Identity: "spiffe://cluster.local/ns/shop/sa/" + account, Locality: "eu/eu-1"}
	}
	next.Pods = translate.NewPods(pods)
	return &next
}

// TestAPodTranslatesItsServicesOnly changes pods one after the other.
func TestAPodTranslatesItsServicesOnly(t *testing.T) {
	snap, opts := population(20, 3)
	one := snap.Sources[0].Services[7]
	address, host := one.Instances[1].Address, "v-1.0.0.com.acme.shop00007.orderservice"
	tr := translate.NewTranslator()
	last := tr.Translate(snap, nil, withPods(opts, map[string]string{}))
	for _, c := range []struct {
		name    string
		pods    map[string]string
		changes bool
	}{
		{"one that nobody registered", map[string]string{"192.0.2.1": "a"}, false},
		{"one of a service", map[string]string{"192.0.2.1": "a", address: "a"}, true},
		{"the other goes", map[string]string{address: "a"}, false},
		{"another account", map[string]string{address: "b"}, true},
		{"the same again", map[string]string{address: "b"}, false},
		{"gone", map[string]string{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := withPods(opts, c.pods)
			next := tr.Translate(snap, nil, now)
			before, after := byKey(last), byKey(next)
			for name, o := range after {
				if same := o == before[name]; same == (c.changes && name == host) {
					t.Errorf("%s: same pointer %v", name, same)
				}
			}
			if diff := cmp.Diff(translate.Translate(snap, nil, now), next); diff != "" {
				t.Errorf("the Translator's memory changes the result: -fresh +remembering:\n%s", diff)
			}
			last = next
		})
	}
}

// TestPodsThatAreNotKnownYetChangeNothing restarts over what was made with pods.
func TestPodsThatAreNotKnownYetChangeNothing(t *testing.T) {
	snap, opts := population(5, 3)
	pods := map[string]string{}
	for _, svc := range snap.Sources[0].Services[:3] {
		pods[svc.Instances[0].Address] = svc.Ref.Unit
	}
	known := withPods(opts, pods)
	before := translate.Translate(snap, nil, known)
	tr := translate.NewTranslator()
	waiting := tr.Translate(snap, applied(before), withPods(opts, nil))
	if diff := cmp.Diff(before.Objects, waiting.Objects); diff != "" {
		t.Fatalf("what is live does not stay: -live +waiting:\n%s", diff)
	}
	seen := tr.Translate(snap, applied(before), known)
	if !slices.Equal(waiting.Objects, seen.Objects) {
		t.Error("pods that are what is live make other objects")
	}
	// Somebody takes a name away while the pods are not known: what is live is what counts.
	edited := applied(before)
	for key := range edited {
		p := edited[key]
		p.SubjectAltNames = nil
		edited[key] = p
	}
	tr = translate.NewTranslator()
	tr.Translate(snap, applied(before), withPods(opts, nil))
	now := withPods(opts, nil)
	if diff := cmp.Diff(translate.Translate(snap, edited, now), tr.Translate(snap, edited, now)); diff != "" {
		t.Errorf("the Translator's memory changes the result: -fresh +remembering:\n%s", diff)
	}
}

func TestNewLocality(t *testing.T) {
	for want, parts := range map[string][3]string{
		"eu/eu-1/rack-7": {"eu", "eu-1", "rack-7"}, "eu/eu-1": {"eu", "eu-1", ""}, "": {"", "eu-1", ""}, "eu": {"eu", "", ""},
	} {
		if got := translate.NewLocality(parts[0], parts[1], parts[2]); got != want {
			t.Errorf("%v: %q, want %q", parts, got, want)
		}
	}
}

// podsOf makes a pod of every n-th instance, and as many again that nobody registered.
func podsOf(b *testing.B, opts *translate.Options, services, n int) *translate.Options {
	b.Helper()
	pods := map[string]string{}
	for i := range services {
		for j, inst := range populated(i, 20, 0).Instances {
			if j%n == 0 {
				pods[inst.Address] = fmt.Sprintf("account-%d", i%100)
				pods[fmt.Sprintf("172.%d.%d.%d", i%250, j, i/250)] = "other"
			}
		}
	}
	return withPods(opts, pods)
}

func BenchmarkPods5000x20(b *testing.B) {
	snap, opts := population(5000, 20)
	opts = podsOf(b, opts, 5000, 2)
	prior := applied(translate.Translate(snap, nil, opts))
	with := func(address string, pod *translate.Pod) *translate.Options {
		next := *opts
		next.Pods = opts.Pods.With(map[string]*translate.Pod{address: pod})
		return &next
	}
	for name, address := range map[string]string{"unrelated": "172.7.0.0", "related": snap.Sources[0].Services[7].Instances[0].Address} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			pod, _ := opts.Pods.At(address)
			versions := []*translate.Options{with(address, nil), with(address, &pod)}
			t := translate.NewTranslator()
			t.Translate(snap, prior, versions[1])
			i := 0
			for b.Loop() {
				t.Translate(snap, prior, versions[i%2])
				i++
			}
		})
	}
	b.Run("restart", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			translate.Translate(snap, prior, opts)
		}
	})
}
