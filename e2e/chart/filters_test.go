package chart_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/registry-bridge/registry-bridge/e2e/audit"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/kube"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// TestEnvoyFilterRights writes EnvoyFilters and DestinationRules under the ServiceAccount of the chart: each right that dubbo.envoyFilters
// gives is used, and there is none in other namespaces, nor without it.
func TestEnvoyFilterRights(t *testing.T) {
	s := install(t, map[string]any{"dubbo": map[string]any{"envoyFilters": map[string]any{"enabled": true, "namespaces": []any{shop}}}})
	args, account := podArgs(t, s.installed, "Deployment")
	if !slices.Contains(args, "--envoy-filters") {
		t.Errorf("arguments are %v", args)
	}
	s.kubectl.Run(s, "create", "namespace", "registry")
	s.kubectl.Run(s, "create", "namespace", "elsewhere")
	w := &writer{scene: s, out: s.output(account)}
	for _, o := range []*translate.Object{outputtest.Table(shop), outputtest.Rule("a.acme", "gray")} {
		w.must(plan.Create, o)
		w.mustConflict(o)
		w.must(plan.Delete, o)
	}
	var about []right
	for _, r := range rightsOf(t, s.installed, account) {
		if isRouting(r.resource) {
			about = append(about, r)
		}
	}
	compareRights(t, about, slices.DeleteFunc(s.kube.Requests(s, home, account), func(r audit.Request) bool { return !isRouting(r.Resource) }))

	elsewhere := outputtest.Table("elsewhere")
	if err := w.write(plan.Change{Op: plan.Create, Key: elsewhere.Key, Object: elsewhere}); !errors.Is(err, output.ErrRefused) || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("an EnvoyFilter where the chart allows none: %v", err)
	}
}

func isRouting(resource string) bool {
	return resource == "envoyfilters" || resource == "destinationrules"
}

// output runs the program's output with the rights of a service account, until the test ends.
func (s *scene) output(account string) *kube.Kube {
	s.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.kube.AccountKubeconfig(s, home, account))
	if err != nil {
		s.Fatal(err)
	}
	k, err := kube.New(kube.Options{Config: config, Instance: outputtest.Instance, Routing: true})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	done := make(chan struct{})
	go func() {
		k.Run(ctx)
		close(done)
	}()
	s.Cleanup(func() {
		cancel()
		<-done
	})
	return k
}

// writer writes single changes.
type writer struct {
	*scene
	out *kube.Kube
}

// live returns a live object.
func (w *writer) live(key translate.Key) *plan.Live {
	w.Helper()
	var found *plan.Live
	lab.Await(w, settleLimit, "what is live can be read", func(ctx context.Context) error {
		live, err := w.out.Live(ctx)
		if i := slices.IndexFunc(live, func(l plan.Live) bool { return l.Object.Key == key }); i >= 0 {
			found = &live[i]
		}
		return err
	})
	return found
}

func (w *writer) write(c plan.Change) error {
	w.Helper()
	p := plan.Plan{Apply: []plan.Change{c}}
	if c.Op == plan.Delete {
		c.Object = nil
		p = plan.Plan{Delete: []plan.Change{c}}
	}
	results := w.out.Write(w.Context(), p)
	if len(results) != 1 {
		w.Fatalf("results are %v", results)
	}
	return results[0].Err
}

func (w *writer) must(op plan.Op, o *translate.Object) {
	w.Helper()
	if err := w.write(plan.Change{Op: op, Key: o.Key, Object: o, Live: w.live(o.Key)}); err != nil {
		w.Fatal(err)
	}
}

// mustConflict creates what is there already, which the output then looks at: that needs the right to get it.
func (w *writer) mustConflict(o *translate.Object) {
	w.Helper()
	if err := w.write(plan.Change{Op: plan.Create, Key: o.Key, Object: o}); !errors.Is(err, output.ErrConflict) {
		w.Errorf("creating it again: %v", err)
	}
}
