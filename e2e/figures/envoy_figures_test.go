package figures_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
	"github.com/registry-bridge/registry-bridge/e2e/lab/envoy"
)

// consumers is the namespace of the workloads whose calls are routed.
const consumers = "shop"

// wire is a scene with an istiod, and an Envoy that nobody calls.
type wire struct {
	*scene
	istiod  *lab.Istiod
	sidecar *envoy.Envoy
	proxy   *ads.Proxy
}

func newWire(b *testing.B, population providers.Population) *wire {
	b.Helper()
	s := newScene(b, newZooKeeper(b, population), population, "--envoy-filters")
	options := s.registry.options()
	options.Spec = "dubbo: {dataPlanes: [Envoy], consumers: {namespaces: [" + consumers + "]}, rollout: {stage: All}}"
	s.bridge.Configure(b, options)
	w := &wire{scene: s, istiod: lab.StartIstiod(b, s.cluster.kube, lab.IstiodOptions{Envoy: true})}
	s.cluster.kube.MakeNamespace(b, consumers)
	of := func(ip string) ads.Options { return ads.Options{Addr: w.istiod.Addr, Namespace: consumers, IP: ip} }
	w.sidecar = envoy.Start(b, envoy.Options{Options: of("10.9.0.1")})
	w.proxy = ads.Connect(b, of("10.9.0.2"))
	return w
}

// clusterOf is the name of the cluster of a provider's service.
func clusterOf(p providers.Provider) string {
	return fmt.Sprintf("outbound|%d||%s", p.Port, p.Endpoint().Host)
}

// awaitRoutes waits until Envoy has a route to each service.
func (w *wire) awaitRoutes() {
	w.tb.Helper()
	var names []string
	for i := range w.population.Interfaces {
		names = append(names, clusterOf(w.population.Instance(i, 0)))
	}
	awaitRoutes(w.tb, w.sidecar, names...)
}

func awaitRoutes(tb testing.TB, sidecar *envoy.Envoy, names ...string) {
	tb.Helper()
	lab.Await(tb, patience, "Envoy has all routes", func(ctx context.Context) error {
		clusters, err := sidecar.DubboClusters(ctx)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !clusters[name] {
				return fmt.Errorf("not to %s", name)
			}
		}
		return nil
	})
}

// steps is how long a change took from one place to the next.
type steps struct{ object, push, envoy, all time.Duration }

// change is the i-th single change, until Envoy sends calls to where the registry says.
func (w *wire) change(i int) steps {
	w.tb.Helper()
	p := w.population.Instance(i/2%w.population.Interfaces, i/2/w.population.Interfaces)
	n, begin, come := len(w.proxy.Pushes(0)), time.Now(), i%2 == 1
	shown := w.scene.change(i)
	object := begin.Add(shown.call + shown.shown)
	w.awaitEnvoy(p, come)
	end := time.Now()
	push := end
	for _, pushed := range w.proxy.Pushes(n) {
		if slices.Contains(pushed.Names, clusterOf(p)) && pushed.At.Before(push) {
			push = pushed.At
		}
	}
	acknowledged := begin.Add(shown.call)
	return steps{object.Sub(acknowledged), push.Sub(object), end.Sub(push), end.Sub(acknowledged)}
}

func (w *wire) awaitEnvoy(p providers.Provider, want bool) {
	w.tb.Helper()
	name, address := clusterOf(p), fmt.Sprintf("%s:%d", p.Address, p.Port)
	ctx, cancel := context.WithTimeout(w.tb.Context(), patience)
	defer cancel()
	for {
		got, err := w.sidecar.Endpoints(ctx, name)
		if err == nil && slices.Contains(got, address) == want {
			return
		}
		if ctx.Err() != nil {
			w.tb.Fatalf("Envoy has %q: %v", got, err)
		}
	}
}

// BenchmarkChangeToEnvoy makes single changes among 200 services, and measures each from when the registry has acknowledged it until
// Envoy's set of endpoints has changed: to the object, from there to istiod's push (as another proxy of the namespace sees it), and from
// there to Envoy.
func BenchmarkChangeToEnvoy(b *testing.B) {
	const changes = 300
	for b.Loop() {
		w := newWire(b, providers.Population{Interfaces: 200, Instances: 5})
		w.firstSync()
		w.awaitRoutes()
		pass(b, 10*time.Second)
		all := make([]steps, 0, changes)
		for i := range changes {
			all = append(all, w.change(i))
		}
		for name, of := range map[string]func(steps) time.Duration{
			"object": func(s steps) time.Duration { return s.object }, "istiod": func(s steps) time.Duration { return s.push },
			"envoy": func(s steps) time.Duration { return s.envoy }, "all": func(s steps) time.Duration { return s.all },
		} {
			var times []time.Duration
			for _, s := range all {
				times = append(times, of(s))
			}
			slices.Sort(times)
			b.ReportMetric(milliseconds(times[changes/2]), name+"-p50-ms")
			b.ReportMetric(milliseconds(times[changes*99/100]), name+"-p99-ms")
		}
		w.sidecar.CheckAccepted(b)
	}
}

// BenchmarkManyInterfaces publishes 5,000 interfaces, and measures what they cost a proxy and istiod.
func BenchmarkManyInterfaces(b *testing.B) {
	const connections = 20
	for b.Loop() {
		w := newWire(b, providers.Population{Interfaces: 5000, Instances: 2})
		before := w.envoyMemory()
		w.bridge.Start(b)
		w.cluster.awaitEndpoints(w.population.Interfaces * w.population.Instances)
		w.awaitRoutes()
		pass(b, 30*time.Second)
		b.ReportMetric(before, "envoy-MiB-before")
		b.ReportMetric(w.envoyMemory(), "envoy-MiB")
		w.reportFilters(b)
		sum, count := w.listenerTime()
		for i := range connections {
			p := ads.Connect(b, ads.Options{Addr: w.istiod.Addr, Namespace: consumers, IP: fmt.Sprintf("10.9.1.%d", i)})
			p.Await(b, patience, "istiod has sent listeners", func(c *ads.Config) error {
				if len(c.Listeners) == 0 {
					return errors.New("none yet")
				}
				return nil
			})
		}
		sumAfter, countAfter := w.listenerTime()
		b.ReportMetric(1000*(sumAfter-sum)/(countAfter-count), "lds-ms")
		w.sidecar.CheckAccepted(b)
	}
}

// envoyMemory returns what Envoy has resident, in MiB.
func (w *wire) envoyMemory() float64 {
	w.tb.Helper()
	proc, err := procfs.NewProc(w.sidecar.Pid())
	if err != nil {
		w.tb.Fatal(err)
	}
	status, err := proc.NewStatus()
	if err != nil {
		w.tb.Fatal(err)
	}
	return float64(status.VmRSS) / (1 << 20)
}

// reportFilters reports how many EnvoyFilters there are and how large they are.
func (w *wire) reportFilters(b *testing.B) {
	b.Helper()
	filters := schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"}
	list, err := w.cluster.kube.Client(b).Resource(filters).Namespace(consumers).List(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	total, largest := 0, 0
	for i := range list.Items {
		text, err := list.Items[i].MarshalJSON()
		if err != nil {
			b.Fatal(err)
		}
		total, largest = total+len(text), max(largest, len(text))
	}
	b.ReportMetric(float64(len(list.Items)), "filters")
	b.ReportMetric(float64(total), "filter-bytes")
	b.ReportMetric(float64(largest), "largest-filter-bytes")
}

// listenerTime returns how long istiod has made and sent listeners so far, in seconds, and how often.
func (w *wire) listenerTime() (sum, count float64) {
	w.tb.Helper()
	sum, count, err := w.istiod.Histogram(w.tb.Context(), "pilot_xds_push_time", "lds")
	if err != nil {
		w.tb.Fatal(err)
	}
	return sum, count
}

// quantiles returns the median and the 99th of hundred, in microseconds.
func quantiles(calls []lab.DubboCall) (p50, p99 float64) {
	var times []time.Duration
	for _, call := range calls {
		times = append(times, call.Took)
	}
	slices.Sort(times)
	return float64(times[len(times)/2].Microseconds()), float64(times[len(times)*99/100].Microseconds())
}
