package oracle

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// RecordServer is RecordCluster for a cluster whose etcd is out of reach: it watches the API server, and goes on where it was when a
// connection ends. Where the API server does not know that point any more, the recording ends, and says that it has missed something.
func RecordServer(ctx context.Context, client dynamic.Interface, namespace string) (*Recorder, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	entries := client.Resource(schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}).Namespace(namespace)
	there, err := entries.List(ctx, metav1.ListOptions{})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("list ServiceEntries: %w", err)
	}
	w := &clusterWatch{Recorder: newRecorder(), cluster: Cluster{Namespace: namespace}}
	for i := range there.Items {
		w.noteObject(&there.Items[i], false, true)
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, there.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return entries.Watch(ctx, options)
		},
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch ServiceEntries: %w", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range watcher.ResultChan() {
			if object, ok := event.Object.(*unstructured.Unstructured); ok && event.Type != watch.Bookmark {
				w.noteObject(object, event.Type == watch.Deleted, false)
			}
		}
		if ctx.Err() == nil {
			w.miss(fmt.Errorf("the watch of ServiceEntries in %s has ended", namespace))
		}
	}()
	w.end = func() error {
		cancel()
		<-done
		return nil
	}
	return w.Recorder, nil
}

// noteObject keeps one version of one object.
func (w *clusterWatch) noteObject(object *unstructured.Unstructured, deleted, found bool) {
	text, err := json.Marshal(object)
	if err != nil {
		w.miss(fmt.Errorf("read %s: %w", object.GetName(), err))
		return
	}
	w.note(keyValue{Key: []byte(w.cluster.prefix() + object.GetName()), Value: text}, deleted, found)
}
