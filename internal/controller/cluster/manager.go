package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/kube"
)

// Defaults of Election. With them a leader that stops is followed within three seconds, and one that dies within LeaseDuration and two
// attempts.
const (
	DefaultLeaseDuration = 15 * time.Second
	DefaultRenewDeadline = 10 * time.Second
	DefaultRetryPeriod   = time.Second
)

// stopTimeout is how long the leader's parts may take to stop before the lease is given up.
const stopTimeout = 6 * time.Second

// ErrLost says that another replica may be the leader now. The process has to end, and be started again as a standby.
var ErrLost = errors.New("the lease was lost; another replica leads now")

// Election says how replicas agree on a leader. Zero values stand for the defaults.
type Election struct {
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
}

// Options say which installation this is, and where.
type Options struct {
	Config *rest.Config
	// Namespace and Name are those of the installation: its Lease has them, and its ConfigMap that freezes Name + FreezeSuffix.
	Namespace, Name string
	// Namespaces are those whose Registries are read; all when empty.
	Namespaces []string
	Election   Election
	Logger     *slog.Logger
	// StatusWrites counts the writes of the status of Registries by result; nil counts nothing.
	StatusWrites *prometheus.CounterVec
}

// Manager connects the bridge with an API server: Registries and freeze come in, status and Events go out, and only the leader works.
type Manager struct {
	opts       Options
	manager    manager.Manager
	lease      *Lease
	secrets    *Secrets
	registries *Registries
}

// Parts are what a Manager runs.
type Parts struct {
	// Apply gets the Registries in use, on the leader only.
	Apply func(ctx context.Context, registries []v1alpha1.Registry, frozen bool)
	// State is that of the engine.
	State func() *engine.State
	// Cluster is what the output knows of the API server, Workloads what is known of pods; nil for nothing.
	Cluster   Cluster
	Workloads func(namespace string) Workloads
	// Always run on every replica, Leading on the leader only. Each returns when its context ends.
	Always, Leading []func(ctx context.Context) error
}

// New connects to an API server. It does no I/O yet.
func New(opts Options) (*Manager, error) {
	e := &opts.Election
	e.LeaseDuration = cmp.Or(e.LeaseDuration, DefaultLeaseDuration)
	e.RenewDeadline = cmp.Or(e.RenewDeadline, DefaultRenewDeadline)
	e.RetryPeriod = cmp.Or(e.RetryPeriod, DefaultRetryPeriod)
	lease, err := newLease(&opts)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("set the client up: %w", err)
	}
	namespaces := map[string]cache.Config{}
	for _, namespace := range opts.Namespaces {
		namespaces[namespace] = cache.Config{}
	}
	m, err := manager.New(opts.Config, manager.Options{
		Scheme: scheme,
		Logger: logr.FromSlogHandler(opts.Logger.Handler()),
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.Registry{}: {Namespaces: namespaces},
			&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{opts.Namespace: {
				FieldSelector: fields.OneTermEqualSelector("metadata.name", opts.Name+FreezeSuffix),
			}}},
		}},
		NewClient: func(config *rest.Config, options client.Options) (client.Client, error) {
			options.HTTPClient = nil // That of the caches is not fenced.
			c, err := client.New(kube.Fenced(config, lease.Until), options)
			return leased{Client: c, until: lease.Until}, err
		},
		LeaderElection:                      true,
		LeaderElectionResourceLockInterface: lease,
		LeaderElectionReleaseOnCancel:       true,
		LeaseDuration:                       &e.LeaseDuration,
		RenewDeadline:                       &e.RenewDeadline,
		RetryPeriod:                         &e.RetryPeriod,
		GracefulShutdownTimeout:             new(stopTimeout),
		Metrics:                             server.Options{BindAddress: "0"},
		HealthProbeBindAddress:              "0",
		// The name of a controller need only be unique where metrics of controller-runtime are shown; they are not.
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		return nil, fmt.Errorf("set the connection to the API server up: %w", err)
	}
	return &Manager{
		opts: opts, manager: m, lease: lease, secrets: NewSecrets(m.GetAPIReader()),
		registries: &Registries{
			Client:     m.GetClient(),
			FreezeName: types.NamespacedName{Namespace: opts.Namespace, Name: opts.Name + FreezeSuffix},
			Logger:     opts.Logger,
		},
	}, nil
}

// newLease returns the lock that replicas compete for.
func newLease(opts *Options) (*Lease, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find a name for this replica: %w", err)
	}
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, opts.Namespace, opts.Name,
		resourcelock.ResourceLockConfig{Identity: host + "_" + uuid.NewString()}, opts.Config, opts.Election.RenewDeadline)
	if err != nil {
		return nil, fmt.Errorf("set the Lease %s/%s up: %w", opts.Namespace, opts.Name, err)
	}
	return NewLease(lock, opts.Election.LeaseDuration), nil
}

// Secrets reads what Registries refer to.
func (m *Manager) Secrets() *Secrets { return m.secrets }

// Set returns what was last made the configuration.
func (m *Manager) Set() Set { return m.registries.Set() }

// Until returns until when this process may write, the zero time when it does not lead.
func (m *Manager) Until() time.Time { return m.lease.Until() }

// Leads reports whether this process leads.
func (m *Manager) Leads() bool { return time.Now().Before(m.lease.Until()) }

// Cached waits until the Registries can be read from the cache, and reports whether that has happened before ctx ended.
func (m *Manager) Cached(ctx context.Context) bool { return m.manager.GetCache().WaitForCacheSync(ctx) }

// Run runs the parts until ctx ends, and gives the lease up then. It returns ErrLost when the lease was lost before.
func (m *Manager) Run(ctx context.Context, parts *Parts) error {
	m.registries.Apply = parts.Apply
	statuses := &Statuses{
		Client: m.manager.GetClient(), Events: m.manager.GetEventRecorder(FieldManager), Logger: m.opts.Logger,
		State: parts.State, Set: m.Set, Cluster: parts.Cluster, Workloads: parts.Workloads, Writes: m.opts.StatusWrites,
	}
	if err := m.watch(); err != nil {
		return err
	}
	runnables := []manager.Runnable{statuses, manager.RunnableFunc(m.tell)}
	for _, part := range parts.Always {
		runnables = append(runnables, always(part))
	}
	for _, part := range parts.Leading {
		runnables = append(runnables, manager.RunnableFunc(part))
	}
	for _, r := range runnables {
		if err := m.manager.Add(r); err != nil {
			return fmt.Errorf("add a part: %w", err)
		}
	}
	err := m.manager.Start(ctx)
	if err != nil && ctx.Err() == nil && !m.Leads() && m.led() {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

// tell tells the operator who leads.
func (m *Manager) tell(ctx context.Context) error {
	m.opts.Logger.Info("this replica leads now", "identity", m.lease.Identity())
	<-ctx.Done()
	m.opts.Logger.Info("this replica leads no more", "identity", m.lease.Identity())
	return nil
}

// led reports whether this process was elected.
func (m *Manager) led() bool {
	select {
	case <-m.manager.Elected():
		return true
	default:
		return false
	}
}

// watch makes the reconciler run after each change of a Registry that is not one of its status, and of what freezes.
func (m *Manager) watch() error {
	all := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request { return []reconcile.Request{{}} })
	err := builder.ControllerManagedBy(m.manager).Named("registries").
		Watches(&v1alpha1.Registry{}, all, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Watches(&corev1.ConfigMap{}, all).
		WatchesRawSource(source.Func(once)).
		Complete(m.registries)
	if err != nil {
		return fmt.Errorf("watch the Registries: %w", err)
	}
	return nil
}

// once makes the reconciler run when there is no Registry either: that is a configuration too.
func once(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	queue.Add(reconcile.Request{})
	return nil
}

// always is a part that needs no lease.
type always func(ctx context.Context) error

// Start implements manager.Runnable.
func (a always) Start(ctx context.Context) error { return a(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (always) NeedLeaderElection() bool { return false }
