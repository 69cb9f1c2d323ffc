package figures_test

import (
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/lab/ads"
	"github.com/registry-bridge/registry-bridge/e2e/lab/envoy"
	"github.com/registry-bridge/registry-bridge/e2e/lab/network"
)

// BenchmarkCallThroughEnvoy compares calls through a sidecar that routes them with calls of a consumer beside it that has none. The runs
// take turns; reported are the medians of their quantiles, and how far these are apart.
func BenchmarkCallThroughEnvoy(b *testing.B) {
	const (
		rounds = 15
		calls  = 2000
	)
	for b.Loop() {
		through, direct := consumersOf(b)
		want := map[string]string{"version": "1.0.0", "count": strconv.Itoa(calls)}
		for range 5 { // The compilers of both consumers have had their time.
			through.Call(b, want)
			direct.Call(b, want)
		}
		figures := map[string][]float64{}
		for range rounds {
			for name, consumer := range map[string]*lab.DubboConsumer{"envoy": through, "direct": direct} {
				made := consumer.Call(b, want)
				if i := slices.IndexFunc(made, func(c lab.DubboCall) bool { return c.Err != "" }); i >= 0 {
					b.Fatal(made[i].Err)
				}
				p50, p99 := quantiles(made)
				figures[name+"-p50"], figures[name+"-p99"] = append(figures[name+"-p50"], p50), append(figures[name+"-p99"], p99)
			}
		}
		for name, values := range figures {
			slices.Sort(values)
			b.ReportMetric(values[rounds/2], name+"-us")
			b.ReportMetric(values[0], name+"-min-us")
			b.ReportMetric(values[rounds-1], name+"-max-us")
		}
	}
}

// consumersOf starts a provider, a bridge, and two consumers: one with a sidecar and one without.
func consumersOf(b *testing.B) (through, direct *lab.DubboConsumer) {
	b.Helper()
	hosts := network.Start(b)
	kube := lab.StartKube(b)
	istiod := lab.StartIstiod(b, kube, lab.IstiodOptions{Envoy: true, Host: network.Gateway})
	kube.MakeNamespace(b, bridge.Namespace)
	kube.MakeNamespace(b, consumers)
	zookeeper := lab.StartZooKeeper(b, lab.ZooKeeperOptions{Settings: map[string]string{"clientPortAddress": "0.0.0.0"}})
	_, port, err := net.SplitHostPort(zookeeper.Addr)
	if err != nil {
		b.Fatal(err)
	}
	of := func(host *network.Host) lab.DubboOptions {
		return lab.DubboOptions{
			Registry: net.JoinHostPort(network.Gateway, port), IP: host.IP, Prefix: host.Prefix(), Settings: map[string]string{"timeout": "10000"},
		}
	}
	provider := of(hosts.Join(b, "provider"))
	provider.ServiceVersion = "1.0.0"
	lab.StartDubboProvider(b, provider)
	bridge.New(b, bridge.Options{
		Program: program, Kubeconfig: kube.Kubeconfig, Servers: []string{zookeeper.Addr}, Flags: []string{"--envoy-filters"},
		Spec: "dubbo: {dataPlanes: [Envoy], consumers: {namespaces: [" + consumers + "]}, rollout: {stage: All}}",
	}).Start(b)
	caller := hosts.Join(b, "caller")
	hosts.Redirect(b, caller)
	sidecar := envoy.Start(b, envoy.Options{
		Options:   ads.Options{Addr: istiod.Addr, Namespace: consumers, IP: caller.IP},
		AdminPort: 15000, Command: caller.SidecarPrefix(),
	})
	awaitRoutes(b, sidecar, "outbound|20880||v-1.0.0.demo.greetingservice")
	pass(b, 10*time.Second) // The control plane is idle from here on.
	return lab.StartDubboConsumer(b, of(caller)), lab.StartDubboConsumer(b, of(hosts.Join(b, "direct")))
}
