// Package pods watches the pods of a cluster, and says which addresses are pods with a sidecar, whose they are, and where.
//
//	pods  ─ watch ─▶ cut down ─▶ by address ─┐
//	nodes ─ watch ─▶ locality ───────────────┴─▶ translate.Pods ─▶ engine
//
// Without the right to list pods nothing is known, and what is live stays; without the right
// to list nodes localities are left out. What was once known stays known while the API server cannot be reached.
package pods

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// DefaultTrustDomain is that of a mesh where nobody has chosen another.
const DefaultTrustDomain = "cluster.local"

// Options say where the pods are.
type Options struct {
	Config *rest.Config
	// TrustDomain is that of the mesh, DefaultTrustDomain when empty.
	TrustDomain string
	// Logger gets a line when access is denied, and when it is granted; nil logs nothing.
	Logger *slog.Logger
}

// Pods watches the pods of a cluster. Its methods may be called from any goroutine.
type Pods struct {
	trustDomain string
	log         *slog.Logger
	core        corev1client.CoreV1Interface
	nodes       metadata.ResourceInterface
	changed     chan struct{}
	// settled is closed when the pods are known, or may not be known.
	settled     chan struct{}
	settledOnce sync.Once

	mu    sync.Mutex
	feeds map[feedName]feedState
	// all are the pods that matter (readPod), byAddress those that say they have an address.
	all       map[types.NamespacedName]*pod
	byAddress map[string][]*pod
	// meshed are the names of those with a sidecar, by namespace.
	meshed map[string]map[string]struct{}
	// localities are those of nodes that have one.
	localities map[string]string
	// dirty are the addresses whose pods changed since current was made.
	dirty   map[string]struct{}
	current *translate.Pods
}

// New returns a watch that has not begun. It does no I/O.
func New(opts Options) (*Pods, error) {
	config := rest.CopyConfig(opts.Config)
	config.ContentType, config.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("set the watch of pods up: %w", err)
	}
	partial, err := metadata.NewForConfig(opts.Config)
	if err != nil {
		return nil, fmt.Errorf("set the watch of nodes up: %w", err)
	}
	p := empty(opts.TrustDomain, opts.Logger)
	p.core, p.nodes = core, partial.Resource(schema.GroupVersionResource{Version: "v1", Resource: "nodes"})
	return p, nil
}

func empty(trustDomain string, log *slog.Logger) *Pods {
	if trustDomain == "" {
		trustDomain = DefaultTrustDomain
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Pods{
		trustDomain: trustDomain, log: log,
		changed: make(chan struct{}, 1), settled: make(chan struct{}), feeds: map[feedName]feedState{},
		all: map[types.NamespacedName]*pod{}, byAddress: map[string][]*pod{}, meshed: map[string]map[string]struct{}{},
		localities: map[string]string{},
		dirty:      map[string]struct{}{}, current: translate.UnknownPods(),
	}
}

// Pods returns what is known: the same pointer as long as nothing changes.
func (p *Pods) Pods() *translate.Pods {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known() {
		return p.current
	}
	changes := map[string]*translate.Pod{}
	for address := range p.dirty {
		now := p.at(address)
		if then, ok := p.current.At(address); now == nil && !ok || now != nil && ok && *now == then {
			continue
		}
		changes[address] = now
	}
	clear(p.dirty)
	if len(changes) > 0 || !p.current.Known() {
		p.current = p.current.With(changes)
	}
	return p.current
}

// known reports whether all pods and nodes have been listed; nodes that may not be listed are not waited for.
func (p *Pods) known() bool {
	return p.feeds[feedPods].listed && (p.feeds[feedNodes].listed || p.feeds[feedNodes].denied)
}

// at returns the pod at an address, nil for none. Of several, the one that the address was given to last is it: a pod that has ended may
// go on to say that it has an address.
func (p *Pods) at(address string) *translate.Pod {
	claimants := p.byAddress[address]
	if len(claimants) == 0 {
		return nil
	}
	last := slices.MaxFunc(claimants, (*pod).compare)
	if !last.sidecar {
		return nil
	}
	return &translate.Pod{Identity: last.identity, Locality: p.localities[last.node]}
}

// Changed receives a value when Pods may return something else. Several changes may be one value.
func (p *Pods) Changed() <-chan struct{} { return p.changed }

// Denied reports whether pods may not be listed or watched.
func (p *Pods) Denied() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.feeds[feedPods].denied
}

// Example returns the name of a pod with a sidecar in a namespace, the first by name, and whether there is one.
func (p *Pods) Example(namespace string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, found := "", false
	for name := range p.meshed[namespace] {
		if !found || name < first {
			first, found = name, true
		}
	}
	return first, found
}

// Settled is closed when the pods are known, or when it is known that they may not be read.
func (p *Pods) Settled() <-chan struct{} { return p.settled }

// Run watches until ctx ends, and returns when all that it started has ended.
func (p *Pods) Run(ctx context.Context) {
	ctx = quiet(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	for _, name := range []feedName{feedPods, feedNodes} {
		group.Go(func() { p.follow(ctx, &feed{pods: p, name: name}) })
	}
}

// put takes a pod, or what is left of one that is gone or of no interest, and reports whether that is news.
func (p *Pods) put(name types.NamespacedName, now *pod) (news bool) {
	then := p.all[name]
	if now.equal(then) {
		return false
	}
	if then != nil {
		for _, address := range then.addresses {
			p.byAddress[address] = slices.DeleteFunc(p.byAddress[address], func(o *pod) bool { return o == then })
			if len(p.byAddress[address]) == 0 {
				delete(p.byAddress, address)
			}
			p.dirty[address] = struct{}{}
		}
		delete(p.all, name)
		delete(p.meshed[name.Namespace], name.Name)
		if len(p.meshed[name.Namespace]) == 0 {
			delete(p.meshed, name.Namespace)
		}
	}
	if now == nil {
		return true
	}
	p.all[name] = now
	if now.sidecar {
		if p.meshed[name.Namespace] == nil {
			p.meshed[name.Namespace] = map[string]struct{}{}
		}
		p.meshed[name.Namespace][name.Name] = struct{}{}
	}
	for _, address := range now.addresses {
		p.byAddress[address] = append(p.byAddress[address], now)
		p.dirty[address] = struct{}{}
	}
	return true
}

// locate takes the locality of a node, "" for none, and reports whether that is news.
func (p *Pods) locate(node, locality string) (news bool) {
	if p.localities[node] == locality {
		return false
	}
	if p.localities[node] = locality; locality == "" {
		delete(p.localities, node)
	}
	for _, one := range p.all {
		if one.node != node {
			continue
		}
		for _, address := range one.addresses {
			p.dirty[address] = struct{}{}
		}
		news = news || len(one.addresses) > 0
	}
	return news
}

// locateAll takes the localities of all nodes, by name.
func (p *Pods) locateAll(listed map[string]string) (news bool) {
	for _, node := range slices.Collect(maps.Keys(p.localities)) {
		if _, there := listed[node]; !there {
			news = p.locate(node, "") || news
		}
	}
	for node, locality := range listed {
		news = p.locate(node, locality) || news
	}
	return news
}

// replaceAll takes a whole listing of pods, by name.
func (p *Pods) replaceAll(listed map[types.NamespacedName]*pod) (news bool) {
	for _, name := range slices.Collect(maps.Keys(p.all)) {
		if _, there := listed[name]; !there {
			news = p.put(name, nil) || news
		}
	}
	for name, one := range listed {
		news = p.put(name, one) || news
	}
	return news
}

// signal tells of news.
func (p *Pods) signal() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}
