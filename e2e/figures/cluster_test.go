package figures_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// cluster is an API server, and a watch of its ServiceEntries that shares no code with the bridge.
type cluster struct {
	tb   testing.TB
	kube *lab.Kube
	http *http.Client

	mu       sync.Mutex
	versions []version
	changed  chan struct{}
}

// version is one version of an object, as the watch told of it at a time. No object is deleted here.
type version struct {
	at        time.Time
	name      string
	addresses []string
}

func (v *version) has(address string) bool { return slices.Contains(v.addresses, address) }

// newCluster starts an API server with the bridge's namespace.
func newCluster(tb testing.TB) *cluster {
	tb.Helper()
	c := &cluster{tb: tb, kube: lab.StartKube(tb), changed: make(chan struct{})}
	var err error
	if c.http, err = rest.HTTPClientFor(c.kube.Config()); err != nil {
		tb.Fatal(err)
	}
	namespace := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": bridge.Namespace},
	}}
	namespaces := c.kube.Client(tb).Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	if _, err := namespaces.Create(tb.Context(), namespace, metav1.CreateOptions{}); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	ended := make(chan error)
	go func() { ended <- c.watch(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			tb.Errorf("watch ServiceEntries: %v", err)
		}
	})
	return c
}

// watch follows all versions until its context ends. The API server ends a watch from time to time, and once when it has just learned of
// the CRDs.
func (c *cluster) watch(ctx context.Context) error {
	from := ""
	for {
		body, err := c.ask(ctx, "/apis/networking.istio.io/v1/serviceentries?watch=true&resourceVersion="+from)
		if err == nil {
			err = c.follow(body, &from)
			_ = body.Close()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
	}
}

// ask sends a request to the API server.
func (c *cluster) ask(ctx context.Context, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.kube.Config().Host+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return response.Body, nil
}

// follow reads one watch to its end, and notes from where to go on.
func (c *cluster) follow(body io.Reader, from *string) error {
	decoder := json.NewDecoder(body)
	for {
		var event struct {
			Type   string
			Object struct {
				Metadata struct{ Name, ResourceVersion string }
				Spec     struct{ Endpoints []struct{ Address string } }
			}
		}
		if err := decoder.Decode(&event); err != nil {
			return err
		}
		if event.Type != "ADDED" && event.Type != "MODIFIED" {
			return fmt.Errorf("an event of type %s", event.Type)
		}
		*from = event.Object.Metadata.ResourceVersion
		v := version{at: time.Now(), name: event.Object.Metadata.Name}
		for _, e := range event.Object.Spec.Endpoints {
			v.addresses = append(v.addresses, e.Address)
		}
		c.mu.Lock()
		c.versions = append(c.versions, v)
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

// after returns the versions behind the first n, and a channel that is closed when there are more.
func (c *cluster) after(n int) ([]version, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.versions[min(n, len(c.versions)):], c.changed
}

// count returns how many versions there were so far.
func (c *cluster) count() int {
	versions, _ := c.after(0)
	return len(versions)
}

// await returns the first version behind the first n that is what the caller waits for.
func (c *cluster) await(n int, what string, is func(*version) bool) version {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), patience)
	defer cancel()
	for {
		versions, changed := c.after(n)
		for i := range versions {
			if is(&versions[i]) {
				return versions[i]
			}
		}
		n += len(versions)
		select {
		case <-changed:
		case <-ctx.Done():
			c.tb.Fatalf("%s did not show", what)
		}
	}
}

// awaitAddress waits until an object has an address, or lacks it, in a version behind the first n.
func (c *cluster) awaitAddress(n int, object, address string, want bool) version {
	c.tb.Helper()
	return c.await(n, address+" of "+object, func(v *version) bool { return v.name == object && v.has(address) == want })
}

// awaitEndpoints waits until so many endpoints are published in all, and returns when they were.
func (c *cluster) awaitEndpoints(all int) time.Time {
	c.tb.Helper()
	published, addresses := 0, map[string]int{}
	return c.await(0, "the last endpoint", func(v *version) bool {
		published += len(v.addresses) - addresses[v.name]
		addresses[v.name] = len(v.addresses)
		return published == all
	}).at
}

// writes returns how many requests have changed ServiceEntries so far, refused ones included, as the API server counts them.
func (c *cluster) writes() int {
	c.tb.Helper()
	body, err := c.ask(c.tb.Context(), "/metrics")
	if err != nil {
		c.tb.Fatal(err)
	}
	defer body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(body)
	if err != nil {
		c.tb.Fatal(err)
	}
	var sum float64
	for _, series := range families["apiserver_request_total"].GetMetric() {
		labels := map[string]string{}
		for _, pair := range series.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		if labels["resource"] == "serviceentries" && !slices.Contains([]string{"GET", "LIST", "WATCH"}, labels["verb"]) {
			sum += series.GetCounter().GetValue()
		}
	}
	return int(sum)
}
