// Package kube keeps objects as ServiceEntries and WorkloadEntries of a Kubernetes API server.
//
// # What is watched
//
//	ServiceEntries with our instance label    in full, cut down to what is ours (type item): the mirror
//	WorkloadEntries with our instance label   the same
//	all other ServiceEntries                  name, hosts and exportTo: who else claims a host
//	Services                                  name: the same
//
// and, where calls are routed by what they say (Options.Routing):
//
//	DestinationRules, EnvoyFilters of ours    in full, as above
//	other DestinationRules, EnvoyFilters      hosts, ports: what is in the way (Foreign)
//	other ServiceEntries, Services            their ports, too
//
// The mirror is newer than the watch: it takes the answers to our own writes too, and of two versions of an object the newer one wins,
// in whichever order they arrive.
//
// # How it writes
//
// By server-side apply without status, as field manager "registry-bridge", forced: a field that somebody else changed comes back.
// Fields, labels and ports that somebody else added do not show in Live and stay. Updates carry the resource version and the uid that
// the plan saw. A create carries a resource version that no object has: the API server ignores it when there is no such object, and
// answers with a conflict when there is one, so a create never lands on an object that appeared meanwhile.
//
// # How it fails
//
//	409                                         output.ErrConflict; the object is read anew before Write returns
//	no connection, 401, 408, 429, 5xx           output.ErrOutput, and nothing more is sent
//	500, no answer within 3 s                   the same for 3 objects, if no other was written; else output.ErrFailed for each
//	name or host of somebody else               output.ErrTaken, without being sent when a watch has told of it
//	any other 4xx                               output.ErrRefused
//
// A webhook that is down is a 500 (or 4xx when it has failurePolicy Ignore it is none at all); one that refuses is a 4xx.
package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
)

// FieldManager is the name under which the API server notes which fields are ours.
const FieldManager = "registry-bridge"

// Defaults of Options.
const (
	DefaultQPS   = 50
	DefaultBurst = 100
)

const (
	// inFlight is how many requests are under way at a time.
	inFlight = 8
	// firstSync is how long Live waits for the first listing before it says that there is none yet.
	firstSync = 5 * time.Second
)

var errNotSynced = errors.New("the API server has not been read yet")

// Options say where and who.
type Options struct {
	// Config is how to reach the API server. Its rate limits are not used: Kube has its own.
	Config *rest.Config
	// Instance is the owner id.
	Instance string
	// Until returns the time by which every request about an object has to have ended, because another process may own the objects
	// from then on; it is asked before each. The zero time means that this process does not own them now. Nil means no limit.
	Until func() time.Time
	// Routing watches and writes DestinationRules and EnvoyFilters. Without it, they are refused.
	Routing bool
	// QPS and Burst bound how many requests are sent in a second and in a row; watches do not count. DefaultQPS and DefaultBurst when
	// they are 0.
	QPS   float64
	Burst int
	// Logger hears when the API server cannot be read, and when it can again. Nil logs nothing.
	Logger *slog.Logger
}

// Kube is an output.Output over an API server. One goroutine uses Live and Write while another one runs Run.
type Kube struct {
	opts Options
	log  *slog.Logger
	// clients are the connections: one for everything that is read, and one for objects, which ends with the lease.
	clients  []*http.Client
	rest     rest.Interface
	objects  rest.Interface
	dynamic  dynamic.Interface
	metadata metadata.Interface
	limiter  *rate.Limiter
	// parallel is how many requests of the next Write may be in flight; 429 halves it.
	parallel int

	mirror *mirror
	// claims are the hosts of others, by the watch that tells of them.
	claims map[feedName]*claims
	// neighbours is what others have that decides whether calls can be routed.
	neighbours *neighbours
	changed    chan struct{}
	synced     chan struct{}

	mu sync.Mutex
	// resource is what is served; it is set before synced is closed.
	resource schema.GroupVersionResource
	// waiting are the watches that have not listed yet.
	waiting map[feedName]bool
	// troubles are why watches do not work now.
	troubles map[feedName]error
}

var (
	_ output.Output   = (*Kube)(nil)
	_ output.Notifier = (*Kube)(nil)
	_ output.Checker  = (*Kube)(nil)
	_ output.Surveyor = (*Kube)(nil)
)

// New returns an output that knows nothing until Run runs. It does no I/O.
func New(opts Options) (*Kube, error) {
	config := dynamic.ConfigFor(opts.Config)
	config.QPS = -1
	config.GroupVersion = &schema.GroupVersion{}
	config.APIPath = "/"
	config.WarningHandler = rest.NoWarnings{}
	if config.UserAgent == rest.DefaultKubernetesUserAgent() {
		config.UserAgent = FieldManager
	}
	noticeDeadConnections(config)
	k := &Kube{
		opts: opts, log: opts.Logger,
		limiter: rate.NewLimiter(rate.Limit(cmp.Or(opts.QPS, DefaultQPS)), cmp.Or(opts.Burst, DefaultBurst)), parallel: inFlight,
		mirror: newMirror(),
		claims: map[feedName]*claims{}, neighbours: newNeighbours(),
		changed: make(chan struct{}, 1), synced: make(chan struct{}),
		waiting:  map[feedName]bool{},
		troubles: map[feedName]error{},
	}
	for _, feed := range k.feeds() {
		k.waiting[feed], k.claims[feed] = true, newClaims()
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if k.rest, err = k.connect(config); err != nil {
		return nil, err
	}
	client := k.clients[0]
	if k.objects, err = k.connect(Fenced(config, k.until)); err != nil {
		return nil, err
	}
	if k.dynamic, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return nil, fmt.Errorf("configure the connection to the API server: %w", err)
	}
	if k.metadata, err = metadata.NewForConfigAndClient(config, client); err != nil {
		return nil, fmt.Errorf("configure the connection to the API server: %w", err)
	}
	return k, nil
}

// connect opens a connection of its own. It does no I/O yet.
func (k *Kube) connect(config *rest.Config) (rest.Interface, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("configure the connection to the API server: %w", err)
	}
	k.clients = append(k.clients, client)
	r, err := rest.RESTClientForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("configure the connection to the API server: %w", err)
	}
	return r, nil
}

// disconnect closes the connections that nothing is under way on.
func (k *Kube) disconnect() {
	for _, client := range k.clients {
		client.CloseIdleConnections()
	}
}

// until is Options.Until, a time that does not come when there is none.
func (k *Kube) until() time.Time {
	if k.opts.Until == nil {
		return time.Now().Add(time.Hour)
	}
	return k.opts.Until()
}

// Changed implements output.Notifier.
func (k *Kube) Changed() <-chan struct{} { return k.changed }

// Synced is closed once everything has been listed.
func (k *Kube) Synced() <-chan struct{} { return k.synced }

// Live implements output.Output. Before the first listing has ended it waits a few seconds for it.
func (k *Kube) Live(ctx context.Context) ([]plan.Live, error) {
	timer := time.NewTimer(firstSync)
	defer timer.Stop()
	select {
	case <-k.synced:
		return k.mirror.list(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, fmt.Errorf("%w: %w", output.ErrOutput, k.Trouble())
	}
}

// Trouble says why the API server cannot be watched now; nil when it can. Before the first listing has ended it is never nil.
func (k *Kube) Trouble() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, feed := range k.feeds() {
		if err := k.troubles[feed]; err != nil {
			return err
		}
	}
	if len(k.waiting) > 0 {
		return errNotSynced
	}
	return nil
}

// Served returns the version in which objects are written, "" before the API server has told.
func (k *Kube) Served() string { return k.served().Version }

// Missing reports whether the API server, when it was last asked, had no ServiceEntries.
func (k *Kube) Missing() bool { return errors.Is(k.Trouble(), errNotServed) }

// signal says on Changed that there is something new.
func (k *Kube) signal() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// listed notes that a watch has listed everything.
func (k *Kube) listed(feed feedName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.waiting[feed] {
		return
	}
	delete(k.waiting, feed)
	if len(k.waiting) == 0 {
		close(k.synced)
		k.signal()
	}
}

// works notes that a watch works.
func (k *Kube) works(feed feedName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.troubles[feed] != nil {
		k.log.Info("the API server can be watched again", "what", feed)
		delete(k.troubles, feed)
	}
}

// failed notes that a watch does not work. Only news are logged.
func (k *Kube) failed(feed feedName, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := k.troubles[feed]
	k.troubles[feed] = fmt.Errorf("watch %s: %w", feed, err)
	if last == nil {
		k.log.Warn("the API server cannot be watched", "what", feed, "error", err)
	}
}
