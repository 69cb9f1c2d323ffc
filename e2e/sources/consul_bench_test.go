package sources_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source/consul"
)

// The measurements of docs/performance.md that are about the source of Consul alone:
//
//	go test -run '^$' -bench Consul -benchtime 1x ./sources

// BenchmarkConsulHTTPS reads 5,000 services, and watches them.
func BenchmarkConsulHTTPS(b *testing.B) {
	const services, changes = 5000, 100
	certificates := lab.NewCertificates(b)
	server := lab.StartConsul(b, lab.ConsulOptions{Certificates: &certificates, MutualTLS: true}).Servers[0]
	fillConsul(b, server, services)
	for b.Loop() {
		var conns connections
		begin := time.Now()
		sink := runConsul(b, consul.Config{Address: "https://" + server.Secure, DialContext: conns.dial, TLS: secure(b, certificates, false)})
		sink.await(b, "all services", func() bool { return sink.synced && len(sink.services) == services })
		b.ReportMetric(time.Since(begin).Seconds(), "sync-s")
		pass(b, 10*time.Second)
		latencies := changeMany(b, server, sink, rhythm{changes: changes})
		peak, _ := conns.count()
		b.ReportMetric(float64(peak), "connections-peak")
		b.ReportMetric(float64(conns.now()), "connections")
		report(b, latencies)
	}
}

// BenchmarkConsulRequests counts what single changes cost an agent, far enough apart that each wakes the query of the catalogue, too.
func BenchmarkConsulRequests(b *testing.B) {
	const services, changes, apart = 200, 20, 3 * time.Second
	// The proxy that counts needs a connection for each query.
	server := lab.StartConsul(b, lab.ConsulOptions{Settings: map[string]any{"limits": map[string]any{"http_max_conns_per_client": 1000}}}).Servers[0]
	fillConsul(b, server, services)
	var requests atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server.Addr})
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	agent := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	agent.EnableHTTP2 = true
	agent.StartTLS()
	b.Cleanup(agent.Close)
	trust := agent.Client().Transport.(*http.Transport).TLSClientConfig //nolint:errcheck // That is what it is.
	for b.Loop() {
		sink := runConsul(b, consul.Config{Address: agent.URL, TLS: func(context.Context) (*tls.Config, error) { return trust.Clone(), nil }})
		sink.await(b, "all services", func() bool { return sink.synced && len(sink.services) == services })
		pass(b, 5*time.Second)
		before := requests.Load()
		latencies := changeMany(b, server, sink, rhythm{changes, apart})
		b.ReportMetric(float64(requests.Load()-before)/changes, "requests/change")
		report(b, latencies)
	}
}

// runConsul runs a source until the end of the benchmark.
func runConsul(b *testing.B, cfg consul.Config) *latest {
	b.Helper()
	sink := newLatest()
	cfg.SourceID = "bench.00000000"
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := consul.New(cfg).Run(ctx, sink); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() { cancel(); wg.Wait() })
	return sink
}

// rhythm is how many changes there are, and how long apart.
type rhythm struct {
	changes int
	apart   time.Duration
}

// changeMany gives services another address, one after the other, and returns how long each took from before the call, sorted.
func changeMany(b *testing.B, server *lab.ConsulServer, sink *latest, r rhythm) []time.Duration {
	b.Helper()
	var latencies []time.Duration
	for i := range r.changes {
		name := manyName(i)
		ref := model.Ref{Source: "bench.00000000", Unit: name, Name: name}
		address := fmt.Sprintf("10.%d.%d.1", time.Now().Unix()%200, i)
		begin := time.Now()
		_, err := server.Client.Catalog().Register(&api.CatalogRegistration{
			Node: "node-many", Address: "10.255.0.1", SkipNodeUpdate: true,
			Service: &api.AgentService{ID: name, Service: name, Address: address, Port: 80},
		}, nil)
		if err != nil {
			b.Fatal(err)
		}
		sink.await(b, "change", func() bool { return sink.services[ref].Instances[0].Address == address })
		latencies = append(latencies, time.Since(begin))
		pass(b, r.apart)
	}
	slices.Sort(latencies)
	return latencies
}

func report(b *testing.B, latencies []time.Duration) {
	b.Helper()
	b.ReportMetric(float64(latencies[len(latencies)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(latencies[len(latencies)-1].Microseconds())/1000, "max-ms")
}

// pass lets time pass.
func pass(b *testing.B, length time.Duration) {
	b.Helper()
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.Context().Done():
	}
}
