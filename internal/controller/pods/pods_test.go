package pods

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// made is a pod shop/<name> at 10.0.0.1 with a sidecar, on node n1, as changed.
func made(name string, change ...func(p *corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, CreationTimestamp: metav1.Unix(1000, 0),
			Annotations: map[string]string{annotationStatus: `{"containers":["istio-proxy"]}`},
		},
		Spec:   corev1.PodSpec{NodeName: "n1", ServiceAccountName: "cart"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func plain(p *corev1.Pod) { p.Annotations = nil }
func later(p *corev1.Pod) { p.CreationTimestamp = metav1.Unix(2000, 0) }
func going(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(3000, 0)} }
func native(p *corev1.Pod) {
	p.Annotations, p.Labels = nil, map[string]string{labelTLSMode: tlsModeIstio}
}

func node(name, region, zone string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		corev1.LabelTopologyRegion: region, corev1.LabelTopologyZone: zone,
	}}}
}

// watched is Pods with what its watches would tell.
type watched struct {
	*Pods
	t           *testing.T
	pods, nodes *feed
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	p := empty("", nil)
	return &watched{Pods: p, t: t, pods: &feed{pods: p, name: feedPods, stop: func() {}}, nodes: &feed{pods: p, name: feedNodes, stop: func() {}}}
}

func (w *watched) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) list(pods ...any) {
	w.t.Helper()
	w.must(w.pods.Replace(pods, "1"))
}

// news reports whether a change was told.
func (w *watched) news() bool {
	select {
	case <-w.changed:
		return true
	default:
		return false
	}
}

func (w *watched) want(address string, want translate.Pod) {
	w.t.Helper()
	if got, found := w.Pods.Pods().At(address); got != want || found != (want != translate.Pod{}) {
		w.t.Errorf("%s is %+v, want %+v", address, got, want)
	}
}

func cart() translate.Pod {
	return translate.Pod{Identity: "spiffe://cluster.local/ns/shop/sa/cart", Locality: "eu/eu-1"}
}

func TestWhichAddressIsAPod(t *testing.T) {
	for _, c := range []struct {
		name string
		pods []any
		want translate.Pod
	}{
		{"with a sidecar", []any{made("a")}, cart()},
		{"with a native sidecar", []any{made("a", native)}, cart()},
		{"without", []any{made("a", plain)}, translate.Pod{}},
		{"whose label says no", []any{made("a", func(p *corev1.Pod) { p.Labels = map[string]string{labelTLSMode: "disabled"} })}, translate.Pod{}},
		{"that speaks gRPC without a proxy", []any{made("a", func(p *corev1.Pod) { p.Annotations[annotationTemplates] = "grpc-agent" })}, translate.Pod{}},
		{"that asks for a revision only", []any{made("a", plain, func(p *corev1.Pod) { p.Labels = map[string]string{"istio.io/rev": "x"} })}, translate.Pod{}},
		{"at the address of its node", []any{made("a", func(p *corev1.Pod) { p.Spec.HostNetwork = true })}, translate.Pod{}},
		{"that has succeeded", []any{made("a", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })}, translate.Pod{}},
		{"that has failed", []any{made("a", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })}, translate.Pod{}},
		{"that is being deleted", []any{made("a", going)}, cart()},
		{"that starts", []any{made("a", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending })}, cart()},
		{"of a default account", []any{made("a", func(p *corev1.Pod) { p.Spec.ServiceAccountName = "" })}, translate.Pod{
			Identity: "spiffe://cluster.local/ns/shop/sa/default", Locality: "eu/eu-1",
		}},
		{"on a node without locality", []any{made("a", func(p *corev1.Pod) { p.Spec.NodeName = "n2" })}, translate.Pod{Identity: cart().Identity}},
		{"by its second address", []any{made("a", func(p *corev1.Pod) {
			p.Status.PodIP, p.Status.PodIPs = "FD00::1", []corev1.PodIP{{IP: "FD00::1"}, {IP: "10.0.0.1"}}
		})}, cart()},
		{"that was reused by one without", []any{made("a"), made("b", later, plain)}, translate.Pod{}},
		{"that was reused by one with", []any{made("a", plain), made("b", later)}, cart()},
		{"that one is leaving", []any{made("a", later, plain, going), made("b")}, cart()},
		{"that nobody has", nil, translate.Pod{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWatched(t)
			w.must(w.nodes.Replace([]any{node("n1", "eu", "eu-1"), node("n2", "", "")}, "1"))
			w.list(c.pods...)
			w.want("10.0.0.1", c.want)
		})
	}
}

func TestPodsComeAndGo(t *testing.T) {
	w := newWatched(t)
	if w.Pods.Pods().Known() {
		t.Error("known before anything was listed")
	}
	w.list(made("a", plain))
	if w.Pods.Pods().Known() {
		t.Error("known before nodes were listed")
	}
	w.must(w.nodes.Replace([]any{node("n1", "eu", "eu-1")}, "1"))
	if !w.news() || !w.Pods.Pods().Known() {
		t.Error("not known")
	}
	for _, step := range []struct {
		name string
		do   func() error
		news bool
		want translate.Pod
	}{
		{"a sidecar appears later", func() error { return w.pods.Update(made("a")) }, true, cart()},
		{"the status changes", func() error {
			return w.pods.Update(made("a", func(p *corev1.Pod) { p.Status.Message, p.ResourceVersion = "x", "7" }))
		}, false, cart()},
		{"the node moves", func() error { return w.nodes.Update(node("n1", "eu", "eu-2")) }, true, translate.Pod{Identity: cart().Identity, Locality: "eu/eu-2"}},
		{"the node says so again", func() error { return w.nodes.Update(node("n1", "eu", "eu-2")) }, false, translate.Pod{Identity: cart().Identity, Locality: "eu/eu-2"}},
		{"the node goes", func() error { return w.nodes.Delete(node("n1", "eu", "eu-2")) }, true, translate.Pod{Identity: cart().Identity}},
		{"the nodes are listed anew", func() error { return w.nodes.Replace([]any{node("n1", "eu", "eu-1")}, "9") }, true, cart()},
		{"another pod has the address", func() error { return w.pods.Add(made("b", later, plain)) }, true, translate.Pod{}},
		{"it goes", func() error { return w.pods.Delete(made("b", later, plain)) }, true, cart()},
		{"a pod without address", func() error {
			return w.pods.Add(made("c", plain, func(p *corev1.Pod) { p.Status.PodIP, p.Status.PodIPs = "", nil }))
		}, false, cart()},
		{"the pods are listed anew", func() error { return w.pods.Replace([]any{made("c")}, "9") }, true, cart()},
		{"all go", func() error { return w.pods.Replace(nil, "10") }, true, translate.Pod{}},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if news := w.news(); news != step.news {
			t.Errorf("%s: news %v", step.name, news)
		}
		w.want("10.0.0.1", step.want)
		if before := w.Pods.Pods(); before != w.Pods.Pods() {
			t.Errorf("%s: another pointer without a change", step.name)
		}
	}
	if len(w.all)+len(w.byAddress)+len(w.meshed)+len(w.dirty) > 0 {
		t.Errorf("left behind: %v %v %v %v", w.all, w.byAddress, w.meshed, w.dirty)
	}
}

func TestDenied(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no"))
	w := newWatched(t)
	w.nodes.note(forbidden)
	if w.Denied() {
		t.Error("nodes that may not be read deny pods")
	}
	w.pods.note(errors.New("connection refused"))
	select {
	case <-w.Settled():
		t.Error("settled by a connection that is refused")
	default:
	}
	w.pods.note(forbidden)
	<-w.Settled()
	if !w.Denied() || w.Pods.Pods().Known() {
		t.Error("not denied")
	}
	w.pods.note(nil)
	w.list(made("a"))
	if w.Denied() {
		t.Error("still denied")
	}
	w.want("10.0.0.1", translate.Pod{Identity: cart().Identity})
	w.pods.note(forbidden) // What is known stays.
	w.want("10.0.0.1", translate.Pod{Identity: cart().Identity})
}

func TestExample(t *testing.T) {
	w := newWatched(t)
	w.list(made("b"), made("a", plain), made("c"))
	if name, found := w.Example("shop"); name != "b" || !found {
		t.Errorf("%q, %v", name, found)
	}
	if _, found := w.Example("other"); found {
		t.Error("found in another namespace")
	}
	w.must(w.pods.Update(made("b", plain)))
	if name, _ := w.Example("shop"); name != "c" {
		t.Errorf("%q", name)
	}
}

// BenchmarkMemory10000 reports what 10,000 pods cost, of which every second has a sidecar.
func BenchmarkMemory10000(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		p := empty("", nil)
		f := &feed{pods: p, name: feedPods, stop: func() {}}
		runtime.GC()
		runtime.ReadMemStats(&before)
		items := make([]any, 10_000)
		for i := range items { // Of a listing that is over nothing is left but the items.
			one := made(fmt.Sprintf("checkout-7d9c5b6f4-%05d", i))
			if one.Status.PodIP, one.Status.PodIPs = fmt.Sprintf("10.%d.%d.1", i/250, i%250), nil; i%2 == 1 {
				one.Annotations = nil
			}
			item, err := f.read(one)
			if err != nil {
				b.Fatal(err)
			}
			items[i] = item
		}
		if err := f.Replace(items, "1"); err != nil {
			b.Fatal(err)
		}
		p.feeds[feedNodes] = feedState{denied: true}
		known := p.Pods()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/10_000, "B/pod")
		runtime.KeepAlive(known)
		runtime.KeepAlive(p)
	}
}
