package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
	"github.com/registry-bridge/registry-bridge/internal/controller/pods"
	"github.com/registry-bridge/registry-bridge/internal/status"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/kube"
)

// defaultName is the name of an installation when nothing is said.
const defaultName = "registry-bridge"

// clusterFlags say which installation this is, and which Registries of the API server it has.
type clusterFlags struct {
	namespace, name string
	namespaces      []string
	election        cluster.Election
	// pods is podsAuto or podsOff.
	pods, trustDomain string
}

// The values of --pods.
const (
	podsAuto = "auto"
	podsOff  = "off"
)

// podsPatience is how long a new leader waits for the pods before it writes without knowing them.
const podsPatience = 10 * time.Second

func (f *clusterFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.namespace, "namespace", "", "`NAMESPACE` of this installation, where its Lease is; by default the pod's, or that of the kubeconfig")
	flags.StringVar(&f.name, "name", defaultName, "`NAME` of this installation and of its Lease; its replicas share it")
	flags.StringSliceVar(&f.namespaces, "watch-namespaces", nil, "`NAMESPACES` whose Registries are read, separated by commas; by default all")
	flags.StringVar(&f.pods, "pods", podsAuto,
		"`WHEN` to recognise addresses that are pods with a sidecar: auto (when pods may be listed) or off; they get mutual TLS, locality and identity")
	flags.StringVar(&f.trustDomain, "trust-domain", pods.DefaultTrustDomain, "`NAME` of the mesh's trust domain, which is in the identity of each pod")
	flags.DurationVar(&f.election.LeaseDuration, "lease-duration", cluster.DefaultLeaseDuration, "how long others wait for a leader that is silent")
	flags.DurationVar(&f.election.RenewDeadline, "renew-deadline", cluster.DefaultRenewDeadline, "how long the leader tries to renew its lease before it gives up")
	flags.DurationVar(&f.election.RetryPeriod, "retry-period", cluster.DefaultRetryPeriod, "how often replicas look at the lease")
}

// check reports what is wrong with the flags.
func (f *clusterFlags) check() error {
	if len(validation.IsDNS1123Subdomain(f.name)) > 0 {
		return fmt.Errorf("--name %q needs lower-case letters, digits, '-' and '.', e.g. %s", f.name, defaultName)
	}
	if f.pods != podsAuto && f.pods != podsOff {
		return fmt.Errorf("unknown --pods %q; use %s or %s", f.pods, podsAuto, podsOff)
	}
	if len(validation.IsDNS1123Subdomain(f.trustDomain)) > 0 {
		return fmt.Errorf("--trust-domain %q needs lower-case letters, digits, '-' and '.', e.g. %s", f.trustDomain, pods.DefaultTrustDomain)
	}
	e := f.election
	// The rules of client-go, which would only say so after the start.
	if e.RetryPeriod <= 0 || e.RenewDeadline <= e.RetryPeriod*6/5 || e.LeaseDuration <= e.RenewDeadline {
		return fmt.Errorf("--lease-duration %s needs to be longer than --renew-deadline %s, and that 1.2 times longer than --retry-period %s",
			e.LeaseDuration, e.RenewDeadline, e.RetryPeriod)
	}
	return nil
}

// runCluster runs the bridge with the Registries of the API server until the command's context ends, or the lease is lost.
func runCluster(cmd *cobra.Command, f *runFlags, log *slog.Logger) error {
	config, namespace, err := f.output.kubeConfig()
	if err != nil {
		return err
	}
	if f.cluster.namespace != "" {
		namespace = f.cluster.namespace
	}
	statusWrites := newStatusWrites()
	manager, err := cluster.New(cluster.Options{
		Config: config, Namespace: namespace, Name: f.cluster.name, Namespaces: f.cluster.namespaces, Election: f.cluster.election, Logger: log,
		StatusWrites: statusWrites,
	})
	if err != nil {
		return err
	}
	out, err := kube.New(kube.Options{
		Config: config, Instance: f.instance, Routing: f.output.routing, Until: manager.Until, Logger: log, QPS: f.output.qps, Burst: f.output.burst,
	})
	if err != nil {
		return err
	}
	options := bridgeOptions{
		output: out, secrets: manager.Secrets(), instance: f.instance, root: f.output.root, announced: true, log: log,
	}
	var known *pods.Pods
	if f.cluster.pods == podsAuto {
		if known, err = pods.New(pods.Options{Config: config, TrustDomain: f.cluster.trustDomain, Logger: log}); err != nil {
			return err
		}
		options.pods = known
	}
	b := newBridge(options)
	group, ctx := errgroup.WithContext(cmd.Context())
	replica := &replica{bridge: b, manager: manager, output: out, pods: known, life: ctx}
	if f.listen != "" {
		b.metrics.MustRegister(configMetrics(replica.configuration)...)
		b.metrics.MustRegister(leaderMetric(manager.Leads), statusWrites)
		if err := b.listen(ctx, group, f.listen, status.Options{
			State: b.engine.State, LastTurn: replica.lastTurn, Configuration: replica.configuration, Ready: replica.ready,
		}); err != nil {
			return err
		}
	}
	group.Go(func() error {
		return manager.Run(ctx, &cluster.Parts{
			Apply: replica.apply, State: b.engine.State, Cluster: out, Workloads: replica.workloads,
			Always:  []func(context.Context) error{replica.watchOutput, replica.watchCache, replica.watchPods},
			Leading: []func(context.Context) error{replica.runEngine, replica.stop},
		})
	})
	return wait(ctx, group, log)
}

// replica is one of several processes that are the same bridge.
type replica struct {
	bridge  *bridge
	manager *cluster.Manager
	output  *kube.Kube
	// pods is nil when nobody looks at them.
	pods *pods.Pods
	// life is the context of the process, which sources live in.
	life   context.Context
	cached atomic.Bool

	mu      sync.Mutex
	stopped bool
}

// apply makes Registries the configuration.
func (r *replica) apply(_ context.Context, registries []v1alpha1.Registry, frozen bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	r.bridge.controller.Freeze(frozen)
	r.bridge.controller.Apply(r.life, registries) //nolint:contextcheck // Sources outlive the reconciliation that starts them.
}

// stop stops the sources when this replica stops to lead.
func (r *replica) stop(ctx context.Context) error {
	<-ctx.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	r.bridge.controller.Stop()
	return nil
}

// configuration says how the configuration is doing.
func (r *replica) configuration() status.Configuration {
	set := r.manager.Set()
	c := status.Configuration{Loaded: set.Loaded}
	for i := range set.Registries {
		seen := set.Registries[i].Seen
		for _, mistake := range set.Registries[i].Mistakes {
			c.Problems = append(c.Problems, fmt.Sprintf("Registry %s/%s: %v", seen.Namespace, seen.Name, mistake))
		}
	}
	return c
}

// watchOutput keeps the cache of the output up to date on every replica, so that a new leader has it.
func (r *replica) watchOutput(ctx context.Context) error {
	r.output.Run(ctx)
	return nil
}

// watchPods keeps the pods up to date on every replica, so that a new leader has them.
func (r *replica) watchPods(ctx context.Context) error {
	if r.pods == nil {
		<-ctx.Done()
		return nil
	}
	r.pods.Run(ctx)
	return nil
}

// runEngine runs the engine once the pods are known, so that new objects are written with what they say. When that takes too long, it does
// without: what is live stays.
func (r *replica) runEngine(ctx context.Context) error {
	if r.pods != nil {
		timer := time.NewTimer(podsPatience)
		defer timer.Stop()
		select {
		case <-r.pods.Settled():
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
	return r.bridge.engine.Run(ctx)
}

// workloads says what is known of the pods in a namespace.
func (r *replica) workloads(namespace string) cluster.Workloads {
	if r.pods == nil {
		return cluster.Workloads{}
	}
	example, found := r.pods.Example(namespace)
	return cluster.Workloads{Denied: r.pods.Denied(), Found: found, Example: example}
}

// watchCache notes when the Registries can be read.
func (r *replica) watchCache(ctx context.Context) error {
	if r.manager.Cached(ctx) {
		r.cached.Store(true)
	}
	<-ctx.Done()
	return nil
}

// lastTurn is when the engine last finished a turn. One that does not lead has none to finish.
func (r *replica) lastTurn() time.Time {
	if !r.manager.Leads() {
		return time.Now()
	}
	return r.bridge.engine.LastTurn()
}

var (
	errNotCached  = errors.New("the Registries have not been read from the API server yet")
	errNotPlanned = errors.New("no plan has been made yet: the API server has not been read")
)

// ready reports whether this replica does its part: the leader has made a plan, and the others could.
func (r *replica) ready() error {
	if !r.cached.Load() {
		return errNotCached
	}
	if r.output.Missing() {
		return nil // It cannot be otherwise, and each Registry says so. A rollout that waits would not bring the CRDs.
	}
	select {
	case <-r.output.Synced():
	default:
		return r.output.Trouble()
	}
	if r.manager.Leads() && r.bridge.engine.State().Cycle == 0 {
		return errNotPlanned
	}
	return nil
}
