// Package envoy runs a real Envoy as the sidecar of a workload: it gets everything from istiod, over the incremental protocol, and the
// connections of the workload come to it in one of two ways.
//
//	None      the workload dials 127.0.0.1, where istiod has the proxy listen (a Sidecar with captureMode NONE)
//	Redirect  the kernel redirects what the workload dials (package network makes such workloads)
//
// It is the Envoy of its own project, not Istio's build. docs/contributing/envoy.md lists what differs.
package envoy

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	upstreamsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
)

const (
	// startLimit is how long Envoy may take until it has its listeners. It takes a second on an idle machine.
	startLimit = time.Minute
	// controlPlane is the cluster of istiod, by the name that istiod's own answers use.
	controlPlane = "xds-grpc"
	// drainTime is how long connections of a listener that was replaced live on, in seconds; Istio's default is 45.
	drainTime = 5
)

// Options configures an Envoy.
type Options struct {
	// Options are the workload that it belongs to, and where istiod is.
	ads.Options
	// AdminPort is where its administration is, on IP; a free one on 127.0.0.1 when it is 0.
	AdminPort int
	// Command is put before the program and its arguments; empty to run it as it is.
	Command []string
}

// Envoy is a running proxy.
type Envoy struct {
	// Process may be killed. Everything that it was told is lost then.
	*lab.Process

	admin string
}

// Start starts an Envoy, and waits until it has got its listeners from istiod.
func Start(t testing.TB, options Options) *Envoy {
	t.Helper()
	program, err := lab.PrepareEnvoy(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	admin := net.JoinHostPort(options.IP, strconv.Itoa(options.AdminPort))
	if options.AdminPort == 0 {
		admin = net.JoinHostPort("127.0.0.1", strconv.Itoa(lab.FreePort(t)))
	}
	config, err := options.bootstrap(admin)
	if err != nil {
		t.Fatal(err)
	}
	// What istio-proxy is started with, but for the time. The base id keeps the Envoys of a machine apart.
	command := slices.Concat(options.Command, []string{
		program, "--config-yaml", string(config), "--drain-time-s", strconv.Itoa(drainTime), "--drain-strategy", "immediate",
		"--concurrency", "2", "--use-dynamic-base-id", "--log-level", "warning",
	})
	e := &Envoy{Process: lab.StartProcess(t, "envoy of "+options.Namespace, command[0], command[1:]...), admin: admin}
	lab.Await(t, startLimit, "envoy has its listeners", func(ctx context.Context) error {
		if err := e.Err(); err != nil {
			t.Fatal(err)
		}
		return lab.Probe(ctx, "http://"+admin+"/ready", "")
	})
	return e
}

// bootstrap renders what Envoy is told at its start: who it is, and where istiod is.
func (o *Options) bootstrap(admin string) ([]byte, error) {
	node, err := o.Node()
	if err != nil {
		return nil, err
	}
	server, err := address(o.Addr)
	if err != nil {
		return nil, err
	}
	adminAddress, err := address(admin)
	if err != nil {
		return nil, err
	}
	http2, err := anypb.New(&upstreamsv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
				},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(&bootstrapv3.Bootstrap{
		Node:  node,
		Admin: &bootstrapv3.Admin{Address: adminAddress},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			LdsConfig: aggregated(), CdsConfig: aggregated(),
			AdsConfig: &corev3.ApiConfigSource{
				ApiType: corev3.ApiConfigSource_DELTA_GRPC, TransportApiVersion: corev3.ApiVersion_V3, SetNodeOnFirstMessageOnly: true,
				GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: controlPlane},
				}}},
			},
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{{
			Name:                          controlPlane,
			ConnectTimeout:                durationpb.New(time.Second),
			LoadAssignment:                assignment(server),
			TypedExtensionProtocolOptions: map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
		}}},
	})
}

func aggregated() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3, InitialFetchTimeout: durationpb.New(0),
	}
}

func assignment(server *corev3.Address) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{ClusterName: controlPlane, Endpoints: []*endpointv3.LocalityLbEndpoints{{
		LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: server},
		}}},
	}}}
}

func address(hostPort string) (*corev3.Address, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("read the port of %s: %w", hostPort, err)
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(number)},
	}}}, nil
}
