package pods

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// deniedRetry is how long after a refusal the right is tried again.
const deniedRetry = 30 * time.Second

// feedName names one of the watches.
type feedName string

const (
	feedPods  feedName = "pods"
	feedNodes feedName = "nodes"
)

// feedState is how a watch is doing.
type feedState struct {
	// listed says that everything was listed once, denied that the last request was refused.
	listed, denied bool
}

// quiet drops the words of client-go.
func quiet(ctx context.Context) context.Context { return klog.NewContext(ctx, logr.Discard()) }

// feed takes what one watch tells. Its reflector alone uses it.
type feed struct {
	pods *Pods
	name feedName
	// stop ends the reflector.
	stop context.CancelFunc
}

// item is a cut-down pod or node.
type item struct {
	// name is that of the pod; a node has no namespace.
	name types.NamespacedName
	pod  *pod
	// locality is that of a node.
	locality string
}

// follow watches until ctx ends. A watch that is refused begins anew after a while: a reflector would ask every few seconds.
func (p *Pods) follow(ctx context.Context, f *feed) {
	for {
		f.run(ctx)
		timer := time.NewTimer(deniedRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// run watches until ctx ends, or a request is refused.
func (f *feed) run(ctx context.Context) {
	ctx, f.stop = context.WithCancel(ctx)
	defer f.stop()
	var expected any = &corev1.Pod{}
	if f.name == feedNodes {
		expected = &metav1.PartialObjectMetadata{}
	}
	cache.NewReflectorWithOptions(f.listWatch(), expected, f, cache.ReflectorOptions{
		Name: string(f.name),
		// The reflector sits such a wait out even when it should end, so none may be long.
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 20, Cap: 3 * time.Second},
	}).RunWithContext(ctx)
}

// listWatch returns how the watch lists and watches.
func (f *feed) listWatch() *cache.ListWatch {
	list := func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
		return f.pods.core.Pods("").List(ctx, opts)
	}
	begin := func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
		return f.pods.core.Pods("").Watch(ctx, opts)
	}
	if f.name == feedNodes {
		list = func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return f.pods.nodes.List(ctx, opts)
		}
		begin = f.pods.nodes.Watch
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			result, err := list(ctx, opts)
			f.note(err)
			return result, err
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			result, err := begin(ctx, opts)
			f.note(err)
			return result, err
		},
	}
}

// note takes how a request ended.
func (f *feed) note(err error) {
	denied := apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
	if err != nil && !denied {
		return // The reflector tries again, and what is known stays.
	}
	if denied {
		f.stop()
	}
	f.update(func(state *feedState) bool {
		if state.denied == denied {
			return false
		}
		state.denied = denied
		if denied {
			f.pods.log.Warn("access is denied; allow to list and watch", "resource", string(f.name), "error", err)
		} else {
			f.pods.log.Info("access is granted", "resource", string(f.name))
		}
		return true
	})
}

// update changes what is known, and tells whoever waits.
func (f *feed) update(change func(state *feedState) (news bool)) {
	p := f.pods
	p.mu.Lock()
	state := p.feeds[f.name]
	news := change(&state)
	p.feeds[f.name] = state
	settled := p.known() || p.feeds[feedPods].denied
	p.mu.Unlock()
	if settled {
		p.settledOnce.Do(func() { close(p.settled) })
	}
	if news {
		p.signal()
	}
}

var _ cache.TransformingStore = (*feed)(nil)

// Transformer implements cache.TransformingStore: everything is cut down at once, so that a long listing is never held in full.
func (f *feed) Transformer() cache.TransformFunc {
	return func(object any) (any, error) {
		i, err := f.read(object)
		return i, err
	}
}

// read cuts an object down, unless it was before.
func (f *feed) read(object any) (*item, error) {
	switch o := object.(type) {
	case *item:
		return o, nil
	case *corev1.Pod:
		i := &item{name: types.NamespacedName{Namespace: o.Namespace, Name: o.Name}}
		if i.pod = readPod(o, f.pods.trustDomain); i.pod != nil {
			i.name = i.pod.name
		}
		return i, nil
	case *metav1.PartialObjectMetadata:
		return &item{name: types.NamespacedName{Name: o.Name}, locality: readNode(o)}, nil
	}
	return nil, fmt.Errorf("unexpected %T in a watch", object)
}

// take takes one pod or node.
func (f *feed) take(i *item) (news bool) {
	if f.name == feedNodes {
		return f.pods.locate(i.name.Name, i.locality)
	}
	return f.pods.put(i.name, i.pod)
}

// Add implements cache.ReflectorStore.
func (f *feed) Add(object any) error { return f.Update(object) }

// Update implements cache.ReflectorStore.
func (f *feed) Update(object any) error {
	i, err := f.read(object)
	if err != nil {
		return err
	}
	f.update(func(*feedState) bool { return f.take(i) })
	return nil
}

// Delete implements cache.ReflectorStore.
func (f *feed) Delete(object any) error {
	i, err := f.read(object)
	if err != nil {
		return err
	}
	f.update(func(*feedState) bool { return f.take(&item{name: i.name}) })
	return nil
}

// Replace implements cache.ReflectorStore.
func (f *feed) Replace(objects []any, _ string) error {
	listed, localities := map[types.NamespacedName]*pod{}, map[string]string{}
	for _, object := range objects {
		i, err := f.read(object)
		if err != nil {
			return err
		}
		if f.name == feedNodes {
			localities[i.name.Name] = i.locality
		} else if i.pod != nil {
			listed[i.name] = i.pod
		}
	}
	f.update(func(state *feedState) bool {
		news := !state.listed
		state.listed = true
		if f.name == feedNodes {
			return f.pods.locateAll(localities) || news
		}
		return f.pods.replaceAll(listed) || news
	})
	return nil
}

// Resync implements cache.ReflectorStore. Nothing is ever out of step.
func (*feed) Resync() error { return nil }
