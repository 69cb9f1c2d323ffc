// Package ads is a client of istiod that stands for the proxy of a workload: it asks for what a sidecar asks for, over the incremental
// protocol that Istio's sidecars use by default, acknowledges everything, and keeps what it was told and when.
//
//	CDS ──names──▶ EDS        clusters say whose endpoints to ask for
//	LDS ──names──▶ RDS        listeners say which routes to ask for
package ads

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// maxMessage is the largest answer that is accepted, in bytes.
const maxMessage = 256 << 20

// Type is a kind of resource, by its short name.
type Type string

// The kinds of resources that a proxy asks for.
const (
	Cluster  Type = "CDS"
	Endpoint Type = "EDS"
	Listener Type = "LDS"
	Route    Type = "RDS"
)

// types returns the URL of each kind.
func types() map[Type]string {
	const prefix = "type.googleapis.com/envoy.config."
	return map[Type]string{
		Cluster:  prefix + "cluster.v3.Cluster",
		Endpoint: prefix + "endpoint.v3.ClusterLoadAssignment",
		Listener: prefix + "listener.v3.Listener",
		Route:    prefix + "route.v3.RouteConfiguration",
	}
}

// Options says which workload the proxy belongs to.
type Options struct {
	// Addr is host:port of istiod.
	Addr string
	// Namespace is the workload's.
	Namespace string
	// IP is the workload's address. No two proxies may share one.
	IP string
	// DNSCapture says that the proxy answers the DNS queries of its workload.
	DNSCapture bool
	// Interception says how connections of the workload come to the proxy, Redirect when it is empty.
	Interception Interception
}

// Interception is how connections of a workload come to its proxy.
type Interception string

// The kinds of interception: the kernel redirects all connections, or none, and the workload calls the proxy.
const (
	Redirect Interception = "REDIRECT"
	None     Interception = "NONE"
)

// Push is one answer of istiod.
type Push struct {
	Type Type
	// Names are those of the resources that it has, Removed of those that are gone.
	Names, Removed []string
	// After is what the proxy ran with from then on.
	After *Config
	At    time.Time
}

// Proxy is a connected client. It may be used by several goroutines.
type Proxy struct {
	t      testing.TB
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient

	mu     sync.Mutex
	config *Config
	pushes []Push
	err    error
}

// Connect connects to istiod and asks for clusters and listeners. The connection ends with the test.
func Connect(t testing.TB, options Options) *Proxy {
	t.Helper()
	conn, err := grpc.NewClient(options.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &Proxy{t: t, config: newConfig()}
	done := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-done
		_ = conn.Close() // It is not needed any more, however it ends.
	})
	err = p.open(ctx, conn, options)
	if err != nil {
		close(done)
		t.Fatalf("ask istiod: %v", err)
	}
	go func() {
		defer close(done)
		err := p.receive()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.err = err
	}()
	return p
}

// open makes the stream and asks for all clusters and listeners.
func (p *Proxy) open(ctx context.Context, conn *grpc.ClientConn, options Options) error {
	node, err := options.Node()
	if err != nil {
		return err
	}
	if p.stream, err = discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx); err != nil {
		return err
	}
	for _, kind := range []Type{Cluster, Listener} {
		// Naming nothing asks for everything.
		if err := p.stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: types()[kind]}); err != nil {
			return err
		}
	}
	return nil
}

// Node says who asks, as the agent beside a sidecar does.
func (o *Options) Node() (*corev3.Node, error) {
	metadata := map[string]any{
		"NAMESPACE": o.Namespace, "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.31.1", "INSTANCE_IPS": o.IP,
		"INTERCEPTION_MODE": string(cmp.Or(o.Interception, Redirect)),
	}
	if o.DNSCapture {
		metadata["DNS_CAPTURE"] = "true"
	}
	fields, err := structpb.NewStruct(metadata)
	if err != nil {
		return nil, err
	}
	return &corev3.Node{
		Id:      fmt.Sprintf("sidecar~%s~client-%[1]s.%s~%[2]s.svc.cluster.local", o.IP, o.Namespace),
		Cluster: "client." + o.Namespace, Metadata: fields,
	}, nil
}

// receive takes in what istiod says until the stream ends. It is the only one that sends meanwhile.
func (p *Proxy) receive() error {
	for {
		response, err := p.stream.Recv()
		if err != nil {
			return err
		}
		push := Push{Removed: response.GetRemovedResources(), At: time.Now()}
		for kind, url := range types() {
			if url == response.GetTypeUrl() {
				push.Type = kind
			}
		}
		for _, r := range response.GetResources() {
			push.Names = append(push.Names, r.GetName())
		}
		before, after, err := p.apply(push, response.GetResources())
		if err != nil {
			return fmt.Errorf("%s: %w", push.Type, err)
		}
		ack := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}
		if err := p.stream.Send(ack); err != nil {
			return err
		}
		if err := p.follow(Endpoint, before.assignments(), after.assignments()); err != nil {
			return err
		}
		if err := p.follow(Route, before.routeNames(), after.routeNames()); err != nil {
			return err
		}
	}
}

// apply makes the next configuration of the present one and a push.
func (p *Proxy) apply(push Push, resources []*discoveryv3.Resource) (before, after *Config, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after = p.config, p.config.clone()
	for _, r := range resources {
		if err := after.put(push.Type, r); err != nil {
			return nil, nil, err
		}
	}
	for _, name := range push.Removed {
		after.remove(push.Type, name)
	}
	p.config, push.After = after, after
	p.pushes = append(p.pushes, push)
	return before, after, nil
}

// follow asks for the resources that the configuration names now, and no more for those that it does not.
func (p *Proxy) follow(kind Type, before, after map[string]bool) error {
	request := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: types()[kind]}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if !before[name] {
			request.ResourceNamesSubscribe = append(request.ResourceNamesSubscribe, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if !after[name] {
			request.ResourceNamesUnsubscribe = append(request.ResourceNamesUnsubscribe, name)
		}
	}
	if len(request.GetResourceNamesSubscribe())+len(request.GetResourceNamesUnsubscribe()) == 0 {
		return nil
	}
	return p.stream.Send(request)
}

// Config returns what istiod has said so far. It does not change any more.
func (p *Proxy) Config() *Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config
}

// Pushes returns the answers behind the first n.
func (p *Proxy) Pushes(n int) []Push {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.pushes[n:])
}

// Await waits until the configuration passes check, and ends the test with check's last error when that takes longer than limit.
func (p *Proxy) Await(t testing.TB, limit time.Duration, what string, check func(*Config) error) {
	t.Helper()
	lab.Await(t, limit, what, func(context.Context) error {
		p.mu.Lock()
		config, err := p.config, p.err
		p.mu.Unlock()
		if err != nil {
			t.Fatalf("the stream from istiod has ended: %v", err)
		}
		return check(config)
	})
}

// Config is what a proxy runs with, each kind by name.
type Config struct {
	Clusters  map[string]*clusterv3.Cluster
	Endpoints map[string]*endpointv3.ClusterLoadAssignment
	Listeners map[string]*listenerv3.Listener
	Routes    map[string]*routev3.RouteConfiguration
}

func newConfig() *Config {
	return &Config{
		Clusters: map[string]*clusterv3.Cluster{}, Endpoints: map[string]*endpointv3.ClusterLoadAssignment{},
		Listeners: map[string]*listenerv3.Listener{}, Routes: map[string]*routev3.RouteConfiguration{},
	}
}

func (c *Config) clone() *Config {
	return &Config{
		Clusters: maps.Clone(c.Clusters), Endpoints: maps.Clone(c.Endpoints), Listeners: maps.Clone(c.Listeners), Routes: maps.Clone(c.Routes),
	}
}

func (c *Config) put(kind Type, resource *discoveryv3.Resource) error {
	name, body := resource.GetName(), resource.GetResource()
	switch kind {
	case Cluster:
		return store(c.Clusters, name, body, &clusterv3.Cluster{})
	case Endpoint:
		return store(c.Endpoints, name, body, &endpointv3.ClusterLoadAssignment{})
	case Listener:
		return store(c.Listeners, name, body, &listenerv3.Listener{})
	case Route:
		return store(c.Routes, name, body, &routev3.RouteConfiguration{})
	}
	return fmt.Errorf("unknown type %s", body.GetTypeUrl())
}

func store[M proto.Message](into map[string]M, name string, body *anypb.Any, message M) error {
	if err := body.UnmarshalTo(message); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	into[name] = message
	return nil
}

func (c *Config) remove(kind Type, name string) {
	switch kind {
	case Cluster:
		delete(c.Clusters, name)
	case Endpoint:
		delete(c.Endpoints, name)
	case Listener:
		delete(c.Listeners, name)
	case Route:
		delete(c.Routes, name)
	}
}

// assignments returns the names under which the endpoints of the clusters are asked for.
func (c *Config) assignments() map[string]bool {
	names := map[string]bool{}
	for name, cluster := range c.Clusters {
		if cluster.GetType() != clusterv3.Cluster_EDS {
			continue
		}
		if service := cluster.GetEdsClusterConfig().GetServiceName(); service != "" {
			name = service
		}
		names[name] = true
	}
	return names
}
