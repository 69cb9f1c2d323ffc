package controller

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/sync/store"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Store is where sources report to; store.Store implements it.
type Store interface {
	Configure(sources map[model.SourceID]store.Owner)
	Runs(id model.SourceID) source.Runs
}

// Deps are what a Controller works with.
type Deps struct {
	Store Store
	// Configure hands a new configuration to the engine.
	Configure func(c *engine.Config)
	// NewSource makes the source of a spec. It does no I/O.
	NewSource func(spec SourceSpec) source.Source
	// Instance is the owner id of everything that is written.
	Instance string
	// RootNamespace is that of the mesh.
	RootNamespace string
	// Announced says that a Registry whose deletion has consequences is seen with a deletion timestamp first, as an API server with
	// finalizers has it. One that is just not there any more was then let go of, and what it published stays. Without it, as with
	// files, a Registry that is gone has been deleted.
	Announced bool
	// Logger gets a line for each source that is started or stopped; nil logs nothing.
	Logger *slog.Logger
}

// Controller keeps the sources of all Registries running. Apply and Stop are called by one goroutine.
type Controller struct {
	deps Deps
	log  *slog.Logger

	registries map[key]*compiled
	// deleted are the policies of Registries that are gone, or going, with deletionPolicy Delete, so that what they published goes.
	// They are kept until a Registry of that name comes again; a restart forgets those that are gone, and what is left then is an
	// orphan.
	deleted map[key]plan.Policy
	running map[model.SourceID]*running
	frozen  bool
}

// key names a Registry.
type key struct{ namespace, name string }

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.namespace, o.namespace), cmp.Compare(k.name, o.name))
}

// running is a source that is supervised.
type running struct {
	spec   SourceSpec
	cancel context.CancelFunc
	done   chan struct{}
}

// New returns a Controller without Registries.
func New(deps Deps) *Controller {
	c := &Controller{
		deps: deps, log: deps.Logger,
		registries: map[key]*compiled{}, deleted: map[key]plan.Policy{}, running: map[model.SourceID]*running{},
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Apply makes registries, which are valid and have their defaults, the set of Registries; one with a deletion timestamp is on its way out
// of it. Exactly those sources are restarted whose
// configuration changed; edits of guards, rules and the like restart none. Sources run until they are no longer wanted, until Stop, or
// until ctx ends. It returns when what had to stop has stopped.
//
// The order matters. A source that is no longer wanted first stops, then the engine learns that its Registry does not have it any more,
// and only then its data goes: so what it published is never missing without the engine knowing that configuration is the reason. A new
// source, the other way round, is in the store, as one that has read nothing yet, before the engine hears of it.
func (c *Controller) Apply(ctx context.Context, registries []v1alpha1.Registry) {
	c.compile(registries)
	wanted := map[model.SourceID]SourceSpec{}
	owners := map[model.SourceID]store.Owner{}
	for _, r := range c.registries {
		for _, spec := range r.sources {
			wanted[spec.ID] = spec
			owners[spec.ID] = store.Owner{Namespace: spec.Namespace, Registry: spec.Registry}
		}
	}
	before := maps.Clone(owners)
	for id, r := range c.running {
		if _, stays := before[id]; !stays {
			before[id] = store.Owner{Namespace: r.spec.Namespace, Registry: r.spec.Registry}
		}
	}

	c.stop(func(r *running) bool { return !reflect.DeepEqual(r.spec, wanted[r.spec.ID]) })
	c.deps.Store.Configure(before)
	c.deps.Configure(c.config())
	c.deps.Store.Configure(owners)
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		if c.running[id] == nil {
			c.start(ctx, wanted[id])
		}
	}
}

// Freeze says whether writing is stopped altogether, from the next Apply on. Its caller is the one of Apply.
func (c *Controller) Freeze(frozen bool) { c.frozen = frozen }

// Stop stops all sources and returns when they have stopped.
func (c *Controller) Stop() { c.stop(func(*running) bool { return true }) }

// compile brings the compiled Registries up to date. Those without a change keep their pointers, which tells the translation that
// nothing changed.
func (c *Controller) compile(registries []v1alpha1.Registry) {
	next := make(map[key]*compiled, len(registries))
	leaving := map[key]bool{}
	for i := range registries {
		r := &registries[i]
		k := key{r.Namespace, r.Name}
		if r.DeletionTimestamp != nil {
			leaving[k] = true
			c.leave(k, compile(r))
			continue
		}
		if last := c.registries[k]; last != nil && reflect.DeepEqual(last.config.Spec, r.Spec) {
			same := *last
			same.policy = compilePolicy(r, last.registry.Sources) // It depends on an annotation too.
			next[k] = &same
			continue
		}
		next[k] = compile(r)
	}
	for k, last := range c.registries {
		if next[k] == nil && !leaving[k] && !c.deps.Announced {
			c.leave(k, last)
		}
	}
	for k := range next {
		delete(c.deleted, k)
	}
	c.registries = next
}

// leave notes that a Registry is gone, or going.
func (c *Controller) leave(k key, last *compiled) {
	if last.config.Spec.DeletionPolicy != v1alpha1.DeletionDelete {
		delete(c.deleted, k) // It may have changed its mind while it was going.
		return
	}
	policy := last.policy
	policy.Deleted = true
	c.deleted[k] = policy
}

// config is the configuration of the engine.
func (c *Controller) config() *engine.Config {
	options := &translate.Options{Instance: c.deps.Instance, RootNamespace: c.deps.RootNamespace}
	config := &engine.Config{Options: options, Frozen: c.frozen}
	for _, k := range slices.SortedFunc(maps.Keys(c.registries), key.compare) {
		options.Registries = append(options.Registries, c.registries[k].registry)
		config.Policies = append(config.Policies, c.registries[k].policy)
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.deleted), key.compare) {
		config.Policies = append(config.Policies, c.deleted[k])
	}
	slices.SortStableFunc(options.Registries, func(a, b *translate.Registry) int { return cmp.Compare(b.Priority, a.Priority) })
	return config
}

// start starts a source.
func (c *Controller) start(ctx context.Context, spec SourceSpec) {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{spec: spec, cancel: cancel, done: make(chan struct{})}
	c.running[spec.ID] = r
	log := c.log.With("source", spec.ID, "registry", spec.Registry, "namespace", spec.Namespace)
	log.Info("source started")
	src, runs := c.deps.NewSource(spec), c.deps.Store.Runs(spec.ID)
	go func() {
		defer close(r.done)
		defer cancel()
		source.Supervise(ctx, src, runs, source.SuperviseOptions{Logger: log})
	}()
}

// stop stops those sources that which selects, all at once, and waits for them.
func (c *Controller) stop(which func(*running) bool) {
	var wg sync.WaitGroup
	for id, r := range c.running {
		if which(r) {
			r.cancel()
			delete(c.running, id)
			wg.Go(func() {
				<-r.done
				c.log.Info("source stopped", "source", r.spec.ID, "registry", r.spec.Registry, "namespace", r.spec.Namespace)
			})
		}
	}
	wg.Wait()
}
