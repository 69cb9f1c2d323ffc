package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

const (
	group     = "networking.istio.io"
	entries   = "serviceentries"
	workloads = "workloadentries"
	rules     = "destinationrules"
	filters   = "envoyfilters"
	// filterVersion is the only version of EnvoyFilters.
	filterVersion = "v1alpha3"
	// preferred is the version of the group that is used when it is served.
	preferred = "v1"
	// The waits between attempts to find out what the API server serves.
	minDiscovery = time.Second
	maxDiscovery = 30 * time.Second
)

var errNotServed = errors.New("the API server does not serve all kinds of " + group + " that are written; install the CRDs of Istio")

// resourceOf returns the name under which objects of a kind are served.
func resourceOf(kind translate.Kind) string {
	switch kind {
	case translate.KindWorkloadEntry:
		return workloads
	case translate.KindDestinationRule:
		return rules
	case translate.KindEnvoyFilter:
		return filters
	case translate.KindServiceEntry:
	}
	return entries
}

// feedName names one of the watches.
type feedName string

const (
	feedOwn       feedName = "own ServiceEntries"
	feedWorkloads feedName = "own WorkloadEntries"
	feedOthers    feedName = "other ServiceEntries"
	feedServices  feedName = "Services"

	feedRules        feedName = "own DestinationRules"
	feedFilters      feedName = "own EnvoyFilters"
	feedOtherRules   feedName = "other DestinationRules"
	feedOtherFilters feedName = "other EnvoyFilters"
)

// feeds returns the watches that run.
func (k *Kube) feeds() []feedName {
	all := []feedName{feedOwn, feedWorkloads, feedOthers, feedServices}
	if k.opts.Routing {
		all = append(all, feedRules, feedFilters, feedOtherRules, feedOtherFilters)
	}
	return all
}

// kind returns the kind of the objects that a feed tells of; "" for Services.
func (n feedName) kind() translate.Kind {
	switch n {
	case feedWorkloads:
		return translate.KindWorkloadEntry
	case feedRules, feedOtherRules:
		return translate.KindDestinationRule
	case feedFilters, feedOtherFilters:
		return translate.KindEnvoyFilter
	case feedServices:
		return ""
	case feedOwn, feedOthers:
	}
	return translate.KindServiceEntry
}

// ours returns the kind of the objects that a feed tells of when it feeds the mirror, "" for any other.
func (n feedName) ours() translate.Kind {
	switch n {
	case feedOwn, feedWorkloads, feedRules, feedFilters:
		return n.kind()
	case feedOthers, feedServices, feedOtherRules, feedOtherFilters:
	}
	return ""
}

// quiet drops the words of client-go: what matters to a person is in a Result, or logged by failed and works.
func quiet(ctx context.Context) context.Context { return klog.NewContext(ctx, logr.Discard()) }

// Run keeps the mirror up to date until ctx ends, and returns when all that it started has ended.
func (k *Kube) Run(ctx context.Context) {
	ctx = quiet(ctx)
	defer k.disconnect()
	if !k.awaitServed(ctx) {
		return
	}
	var group sync.WaitGroup
	for _, name := range k.feeds() {
		group.Go(func() { k.watch(ctx, &feed{kube: k, name: name}) })
	}
	group.Wait()
}

// awaitServed finds out which version is served, and asks until there is one. It reports false when ctx has ended.
func (k *Kube) awaitServed(ctx context.Context) bool {
	for pause := minDiscovery; ; pause = min(2*pause, maxDiscovery) {
		version, err := k.servedVersion(ctx)
		if err == nil {
			k.mu.Lock()
			k.resource = schema.GroupVersionResource{Group: group, Version: version, Resource: entries}
			k.mu.Unlock()
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		k.failed(feedOwn, err)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// servedVersion returns the version to use of all kinds but EnvoyFilters: v1, else the newest.
func (k *Kube) servedVersion(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var served metav1.APIGroupList
	if err := k.ask(ctx, &served, "/apis"); err != nil {
		return "", err
	}
	versions := []string{}
	for _, g := range served.Groups {
		if g.Name != group {
			continue
		}
		for _, v := range g.Versions { // The API server sorts them, newest first.
			if v.Version == preferred {
				versions = append([]string{preferred}, versions...)
			} else {
				versions = append(versions, v.Version)
			}
		}
	}
	for _, version := range versions {
		wanted := []string{entries, workloads}
		if k.opts.Routing {
			wanted = append(wanted, rules)
		}
		served, err := k.serves(ctx, version, wanted...)
		if err == nil && served && k.opts.Routing {
			served, err = k.serves(ctx, filterVersion, filters)
		}
		if err != nil {
			return "", err
		}
		if served {
			return version, nil
		}
	}
	return "", errNotServed
}

// serves reports whether a version of the group has all these resources.
func (k *Kube) serves(ctx context.Context, version string, wanted ...string) (bool, error) {
	var list metav1.APIResourceList
	if err := k.ask(ctx, &list, "/apis", group, version); err != nil {
		return false, err
	}
	missing := func(name string) bool {
		return !slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == name })
	}
	return !slices.ContainsFunc(wanted, missing), nil
}

// ask reads a JSON document.
func (k *Kube) ask(ctx context.Context, into any, path ...string) error {
	text, err := k.rest.Get().AbsPath(path...).MaxRetries(0).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("ask what is served: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("ask what is served: %w", err)
	}
	return nil
}

// feed takes what one watch tells. Its reflector alone uses it.
type feed struct {
	kube *Kube
	name feedName
}

// watch runs one watch until ctx ends.
func (k *Kube) watch(ctx context.Context, f *feed) {
	var expected any = &unstructured.Unstructured{}
	if f.byMetadata() {
		expected = &metav1.PartialObjectMetadata{}
	}
	cache.NewReflectorWithOptions(f.listWatch(), expected, f, cache.ReflectorOptions{
		Name: string(f.name),
		// The reflector sits such a wait out even when it should end, so none may be long.
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 20, Cap: 3 * time.Second},
	}).RunWithContext(ctx)
}

// byMetadata reports whether the metadata says all that is kept.
func (f *feed) byMetadata() bool { return f.name == feedServices && !f.kube.opts.Routing }

// listWatch returns how the watch lists and watches.
func (f *feed) listWatch() *cache.ListWatch {
	k := f.kube
	served, selector := k.resourceOf(f.name.kind()), translate.LabelInstance+"!="+k.opts.Instance
	switch {
	case f.name == feedServices:
		served, selector = schema.GroupVersionResource{Version: "v1", Resource: "services"}, ""
	case f.name.ours() != "":
		selector = translate.LabelInstance + "=" + k.opts.Instance
	}
	objects := k.dynamic.Resource(served)
	list := func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
		return objects.List(ctx, opts)
	}
	begin := objects.Watch
	if f.byMetadata() {
		services := k.metadata.Resource(served)
		list = func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return services.List(ctx, opts)
		}
		begin = services.Watch
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			opts.LabelSelector = selector
			result, err := list(ctx, opts)
			k.note(ctx, f.name, err)
			return result, err
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.LabelSelector = selector
			result, err := begin(ctx, opts)
			k.note(ctx, f.name, err)
			return result, err
		},
	}
}

// served returns which resource is served; it is set when Run has got that far.
func (k *Kube) served() schema.GroupVersionResource {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.resource
}

// resourceOf returns which resource objects of a kind are.
func (k *Kube) resourceOf(kind translate.Kind) schema.GroupVersionResource {
	served := k.served()
	served.Resource = resourceOf(kind)
	if kind == translate.KindEnvoyFilter {
		served.Version = filterVersion
	}
	return served
}

// note takes how a request of a watch ended.
func (k *Kube) note(ctx context.Context, name feedName, err error) {
	switch {
	case err == nil:
		k.works(name)
	case ctx.Err() == nil && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err):
		k.failed(name, err)
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
	case *unstructured.Unstructured:
		if f.name == feedServices {
			return readService(o), nil
		}
		return read(o, f.kube.opts.Instance), nil
	case *metav1.PartialObjectMetadata:
		return readService(o), nil
	}
	return nil, fmt.Errorf("unexpected %T in a watch", object)
}

// Add implements cache.ReflectorStore.
func (f *feed) Add(object any) error { return f.Update(object) }

// Update implements cache.ReflectorStore.
func (f *feed) Update(object any) error {
	i, err := f.read(object)
	if err != nil {
		return err
	}
	news := f.kube.claims[f.name].set(i.name(), i.claim)
	news = f.kube.neighbours.set(f.name, i.name(), i.facts) || news
	if f.name.ours() != "" && f.kube.mirror.saw(i) || news {
		f.kube.signal()
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (f *feed) Delete(object any) error {
	i, err := f.read(object)
	if err != nil {
		return err
	}
	news := f.kube.claims[f.name].set(i.name(), claim{})
	news = f.kube.neighbours.set(f.name, i.name(), facts{}) || news
	if f.name.ours() != "" && f.kube.mirror.gone(i) || news {
		f.kube.signal()
	}
	return nil
}

// Replace implements cache.ReflectorStore.
func (f *feed) Replace(objects []any, version string) error {
	items := make([]*item, len(objects))
	for n, object := range objects {
		i, err := f.read(object)
		if err != nil {
			return err
		}
		items[n] = i
	}
	news := f.kube.claims[f.name].reset(items)
	news = f.kube.neighbours.reset(f.name, items) || news
	if kind := f.name.ours(); kind != "" && f.kube.mirror.replace(kind, items, version) || news {
		f.kube.signal()
	}
	f.kube.listed(f.name)
	return nil
}

// Resync implements cache.ReflectorStore. Nothing is ever out of step.
func (*feed) Resync() error { return nil }
