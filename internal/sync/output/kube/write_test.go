package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
)

// api is as much of an API server as a test of its failures needs: it lists nothing, and stores what is applied.
type api struct {
	*httptest.Server
	// answer, when it is set, may answer a request about one object itself; it reports whether it did.
	answer func(w http.ResponseWriter, r *http.Request, body map[string]any) bool
	// versions are those of networking.istio.io, newest first.
	versions []string

	mu       sync.Mutex
	version  int
	requests []string
	bodies   []map[string]any
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{version: 100, versions: []string{"v1", "v1beta1"}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const list = `{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"50"},"items":[]}`
	w.Header().Set("Content-Type", "application/json")
	switch path := r.URL.Path; {
	case path == "/apis":
		fmt.Fprintf(w, `{"groups":[{"name":"networking.istio.io","versions":[{"version":"%s"}]}]}`, strings.Join(a.versions, `"},{"version":"`))
	case path == "/apis/networking.istio.io/v2":
		fmt.Fprint(w, `{"resources":[{"name":"gateways"}]}`)
	case strings.HasPrefix(path, "/apis/") && strings.Count(path, "/") == 3:
		fmt.Fprint(w, `{"resources":[{"name":"serviceentries"},{"name":"workloadentries"},{"name":"destinationrules"},{"name":"envoyfilters"}]}`)
	case r.URL.Query().Has("sendInitialEvents"):
		fail(w, http.StatusUnprocessableEntity, "Invalid", "not supported")
	case r.URL.Query().Has("watch"):
		w.(http.Flusher).Flush() //nolint:errcheck // It is one.
		<-r.Context().Done()
	case slices.Contains([]string{entries, workloads, rules, filters, "services"}, path[strings.LastIndex(path, "/")+1:]):
		fmt.Fprint(w, list)
	default:
		a.object(w, r)
	}
}

// object serves a request about one object.
func (a *api) object(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	a.mu.Lock()
	a.requests = append(a.requests, r.Method+" "+name)
	a.bodies = append(a.bodies, body)
	a.version++
	version := a.version
	a.mu.Unlock()
	switch {
	case a.answer != nil && a.answer(w, r, body):
	case r.Method == http.MethodPatch:
		metadata := body["metadata"].(map[string]any) //nolint:errcheck // Else the test fails, as it should.
		metadata["resourceVersion"], metadata["uid"] = strconv.Itoa(version), "uid-"+name
		_ = json.NewEncoder(w).Encode(body)
	case r.Method == http.MethodDelete:
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
	default:
		fail(w, http.StatusNotFound, "NotFound", "not found")
	}
}

func (a *api) seen() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// fail answers as an API server does.
func fail(w http.ResponseWriter, code int, reason, message string) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":%q,"details":{"name":"a","kind":"serviceentries"}}`,
		code, reason, message)
}

// open returns a running output over the API server.
func (a *api) open(t *testing.T) *Kube {
	t.Helper()
	return a.openWith(t, Options{})
}

// openWith starts an output with more options.
func (a *api) openWith(t *testing.T, opts Options) *Kube {
	t.Helper()
	opts.Config, opts.Instance = &rest.Config{Host: a.URL}, outputtest.Instance
	k, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		k.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	if live, err := k.Live(t.Context()); err != nil || len(live) > 0 {
		t.Fatalf("live is %v, %v", live, err)
	}
	return k
}

// create is a plan that creates objects of these names.
func create(names ...string) plan.Plan {
	var p plan.Plan
	for _, name := range names {
		o := outputtest.Object(name, "10.0.0.1")
		p.Apply = append(p.Apply, plan.Change{Op: plan.Create, Key: o.Key, Object: o})
	}
	return p
}

// names returns n names.
func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("s%03d.acme", i)
	}
	return list
}

func TestWrittenFields(t *testing.T) {
	a := newAPI(t)
	k := a.open(t)
	results := k.Write(t.Context(), create("a.acme"))
	if len(results) != 1 || results[0].Err != nil || results[0].Live.ResourceVersion != "101" || results[0].Live.UID != "uid-a.acme" {
		t.Fatalf("results are %+v", results)
	}
	p := plan.Plan{Delete: []plan.Change{{Op: plan.Delete, Key: results[0].Key, Live: results[0].Live}}}
	if results := k.Write(t.Context(), p); len(results) != 1 || results[0].Err != nil || results[0].Live != nil {
		t.Fatalf("results are %+v", results)
	}
	if got := slices.Sorted(maps.Keys(a.bodies[0])); !slices.Equal(got, []string{"apiVersion", "kind", "metadata", "spec"}) {
		t.Errorf("an apply has the fields %v", got)
	}
	want := map[string]any{"uid": "uid-a.acme", "resourceVersion": "101"}
	if diff := cmp.Diff(want, a.bodies[1]["preconditions"]); diff != "" {
		t.Errorf("preconditions of a delete (-want +got):\n%s", diff)
	}
	if live, err := k.Live(t.Context()); err != nil || len(live) > 0 {
		t.Errorf("live is %v, %v", live, err)
	}
}

func TestServedVersion(t *testing.T) {
	for want, versions := range map[string][]string{
		"v1":       {"v2", "v1", "v1beta1"},
		"v1beta1":  {"v2", "v1beta1", "v1alpha3"},
		"v1alpha3": {"v1alpha3"},
	} {
		a := newAPI(t)
		a.versions = versions
		k := a.open(t)
		results := k.Write(t.Context(), create("a.acme"))
		if got := a.bodies[0]["apiVersion"]; got != "networking.istio.io/"+want || results[0].Err != nil {
			t.Errorf("of %v, %v was chosen; results %+v", versions, got, results)
		}
	}
	a := newAPI(t)
	a.versions = []string{"v2"}
	k, err := New(Options{Config: &rest.Config{Host: a.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.disconnect()
	if version, err := k.servedVersion(t.Context()); !errors.Is(err, errNotServed) {
		t.Errorf("without ServiceEntries: %q, %v", version, err)
	}
}

func TestFailures(t *testing.T) {
	always := func(code int, reason, message string) func(http.ResponseWriter, *http.Request, map[string]any) bool {
		return func(w http.ResponseWriter, r *http.Request, _ map[string]any) bool {
			if r.Method == http.MethodPatch {
				fail(w, code, reason, message)
			}
			return r.Method == http.MethodPatch
		}
	}
	for _, test := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request, map[string]any) bool
		want   error
		after  time.Duration
		// most is the most requests for 40 objects; 0 means each of them.
		most int
	}{
		{
			name: "too many requests", want: output.ErrOutput, after: 7 * time.Second, most: inFlight,
			answer: func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
				w.Header().Set("Retry-After", "7")
				http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
				return true
			},
		},
		{name: "unavailable", want: output.ErrOutput, most: inFlight, answer: always(503, "ServiceUnavailable", "apiserver is shutting down")},
		{name: "time-out of etcd", want: output.ErrOutput, most: inFlight, answer: always(504, "Timeout", "etcdserver: request timed out")},
		{
			name: "webhook is down", want: output.ErrOutput, most: inFlight + maxServerErrors,
			answer: always(500, "InternalError", `failed calling webhook "validation.istio.io": connection refused`),
		},
		{name: "not logged in", want: output.ErrOutput, most: inFlight, answer: always(401, "Unauthorized", "Unauthorized")},
		{
			name: "not a Kubernetes answer", want: output.ErrOutput, most: inFlight,
			answer: func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(http.StatusBadGateway)
				fmt.Fprint(w, "<html>bad gateway</html>")
				return true
			},
		},
		{
			name: "kind is not served any more", want: output.ErrOutput, most: inFlight,
			answer: func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
				http.Error(w, "404 page not found", http.StatusNotFound)
				return true
			},
		},
		{name: "no such namespace", want: output.ErrRefused, answer: always(404, "NotFound", `namespaces "registry" not found`)},
		{name: "invalid", want: output.ErrRefused, answer: always(422, "Invalid", "spec.ports is wrong")},
		{name: "webhook refuses", want: output.ErrRefused, answer: always(403, "Forbidden", `admission webhook "x" denied the request`)},
		{name: "too large", want: output.ErrRefused, answer: always(413, "RequestEntityTooLarge", "too large")},
		{name: "conflict", want: output.ErrConflict, answer: always(409, "Conflict", "the object has been modified")},
		{
			name: "a webhook changes what we write", want: output.ErrRefused,
			answer: func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
				body["spec"].(map[string]any)["location"] = "MESH_EXTERNAL"  //nolint:errcheck // Else the test fails, as it should.
				body["metadata"].(map[string]any)["resourceVersion"] = "123" //nolint:errcheck // As above.
				_ = json.NewEncoder(w).Encode(body)
				return true
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			k := a.open(t)
			a.answer = test.answer
			results := k.Write(t.Context(), create(names(40)...))
			if sent := len(a.seen()); test.most > 0 && sent > test.most || test.most == 0 && len(results) != 40 {
				t.Errorf("%d requests, %d results", sent, len(results))
			}
			if len(results) == 0 {
				t.Fatal("no results")
			}
			for _, r := range results {
				if !errors.Is(r.Err, test.want) || r.RetryAfter != test.after || r.Live != nil {
					t.Errorf("result is %+v", r)
				}
			}
		})
	}
}

func TestPoisonousObjectStopsOnlyItself(t *testing.T) {
	a := newAPI(t)
	k := a.open(t)
	a.answer = func(w http.ResponseWriter, r *http.Request, _ map[string]any) bool {
		poison := strings.HasSuffix(r.URL.Path, "/s000.acme")
		if poison {
			fail(w, 500, "InternalError", "this object breaks a webhook")
		}
		return poison
	}
	for _, r := range k.Write(t.Context(), create(names(20)...)) {
		if poison := r.Key.Name == "s000.acme"; poison != errors.Is(r.Err, output.ErrFailed) || errors.Is(r.Err, output.ErrOutput) {
			t.Errorf("%s: %v", r.Key, r.Err)
		}
	}
	if got := len(a.seen()); got != 20 {
		t.Errorf("%d requests, want 20", got)
	}
	// Nor does it when there is nothing else to write.
	if r := k.Write(t.Context(), create("s000.acme"))[0]; !errors.Is(r.Err, output.ErrFailed) || errors.Is(r.Err, output.ErrOutput) {
		t.Errorf("alone: %v", r.Err)
	}
}

func TestUnreachable(t *testing.T) {
	a := newAPI(t)
	k := a.open(t)
	a.CloseClientConnections()
	a.Listener.Close()
	results := k.Write(t.Context(), create("a.acme"))
	if len(results) != 1 || !errors.Is(results[0].Err, output.ErrOutput) {
		t.Errorf("results are %+v", results)
	}
	if live, err := k.Live(t.Context()); err != nil || live == nil {
		t.Errorf("live is %v, %v: what is cached must do", live, err)
	}
}

func TestHangingServer(t *testing.T) {
	a := newAPI(t)
	k := a.open(t)
	a.answer = func(_ http.ResponseWriter, r *http.Request, _ map[string]any) bool {
		<-r.Context().Done()
		return true
	}
	hang := func(names ...string) []output.Result {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		return k.Write(ctx, create(names...))
	}
	results := hang(names(20)...)
	if len(results) != inFlight {
		t.Errorf("%d results, want %d", len(results), inFlight)
	}
	for _, r := range results {
		if !errors.Is(r.Err, output.ErrOutput) {
			t.Errorf("result is %+v", r)
		}
	}
	// One alone may be an object over which a webhook hangs.
	if r := hang("a.acme")[0]; !errors.Is(r.Err, output.ErrFailed) || errors.Is(r.Err, output.ErrOutput) {
		t.Errorf("alone: %+v", r)
	}
}

func TestTooManyRequestsAreFewerNextTime(t *testing.T) {
	a := newAPI(t)
	k := a.open(t)
	var running atomic.Int32
	a.answer = func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		defer running.Add(-1)
		if running.Add(1) == 1 {
			<-time.After(5 * time.Millisecond)
			return false
		}
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
		return true
	}
	for range 3 {
		k.Write(t.Context(), create(names(10)...))
	}
	for _, r := range k.Write(t.Context(), create(names(10)...)) {
		if r.Err != nil {
			t.Errorf("%s: %v", r.Key, r.Err)
		}
	}
	for range inFlight {
		k.Write(t.Context(), plan.Plan{})
	}
	if k.parallel != inFlight {
		t.Errorf("%d in flight for ever", k.parallel)
	}
}

func TestEndOfAClaimIsTold(t *testing.T) {
	a := newAPI(t)
	k := a.open(t)
	told := func() bool {
		select {
		case <-k.Changed():
			return true
		default:
			return false
		}
	}
	told()
	mine := create("a.acme").Apply[0]
	for _, theirs := range []*item{
		{ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "x"}, claim: claim{hosts: []string{"a.acme"}}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: mine.Key.Namespace, Name: "a.acme"}, claim: claim{hosts: []string{"b.acme"}}},
	} {
		feed := &feed{kube: k, name: feedOthers}
		if err := feed.Add(theirs); err != nil {
			t.Fatal(err)
		}
		if told() {
			t.Error("a claim that is in nobody's way is told")
		}
		if err := k.Check(mine); !errors.Is(err, output.ErrTaken) || !errors.Is(err, output.ErrRefused) {
			t.Errorf("check: %v", err)
		}
		if err := feed.Delete(theirs); err != nil {
			t.Fatal(err)
		}
		if err := k.Check(mine); err != nil || !told() {
			t.Errorf("the end of a claim is not told, or %v", err)
		}
	}
}

func TestClassesInOrder(t *testing.T) {
	a := newAPI(t)
	k := a.open(t)
	var p plan.Plan
	for i, r := range k.Write(t.Context(), create(names(30)...)) {
		o := outputtest.Object(r.Key.Name, fmt.Sprintf("10.0.0.%d", i%3+1))
		switch i % 3 {
		case 0:
			p.Delete = append(p.Delete, plan.Change{Op: plan.Delete, Key: r.Key, Live: r.Live})
		default:
			p.Apply = append(p.Apply, plan.Change{Op: plan.Op(i%3 - 1), Key: r.Key, Object: o, Live: r.Live})
		}
	}
	p.Apply = append(p.Apply, create("new.acme").Apply...)
	slices.SortStableFunc(p.Apply, func(a, b plan.Change) int { return int(a.Op) - int(b.Op) })
	op := map[string]plan.Op{}
	for _, c := range slices.Concat(p.Apply, p.Delete) {
		op[c.Key.Name] = c.Op
	}
	var running [4]atomic.Int32
	a.answer = func(_ http.ResponseWriter, r *http.Request, _ map[string]any) bool {
		mine := op[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
		if n := running[mine].Add(1); n > inFlight {
			t.Errorf("%d in flight", n)
		}
		for other := range running {
			if n := running[other].Load(); other != int(mine) && n > 0 {
				t.Errorf("%s begins while %d of %s run", mine, n, plan.Op(other))
			}
		}
		running[mine].Add(-1)
		return false
	}
	results := k.Write(t.Context(), p)
	if len(results) != 31 || !slices.IsSortedFunc(results, func(a, b output.Result) int { return int(a.Op) - int(b.Op) }) {
		t.Errorf("%d results: %v", len(results), results)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Errorf("%+v", r)
		}
	}
}

func TestBudget(t *testing.T) {
	a := newAPI(t)
	k := a.open(t)
	results := k.Write(t.Context(), create(names(300)...))
	if got := len(results); got < DefaultBurst || got > DefaultBurst+2*DefaultQPS {
		t.Errorf("%d written in one go, want the burst and what a second allows", got)
	}
	if len(results) != len(a.seen()) {
		t.Errorf("%d results of %d requests", len(results), len(a.seen()))
	}
}
