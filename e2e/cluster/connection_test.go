package cluster_test

import (
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// newToxiproxy puts a toxiproxy before the API server and returns it with a kubeconfig that leads there.
func newToxiproxy(t *testing.T, kube *lab.Kube) (*toxiproxy.Proxy, string) {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, "kube-apiserver", "127.0.0.1:0", kube.Addr())
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p, kubeconfig(t, "https://"+p.Listen)
}

// connections does harm to the bytes between bridge and API server, while providers come and go.
func (a act) connections() {
	t, shared := a.t, a.servers
	for _, test := range []struct {
		name string
		// toxic is what toxiproxy does, nothing for no connection at all.
		toxic    string
		length   time.Duration
		recovery time.Duration
	}{
		{"unreachable", "", 20 * time.Second, 40 * time.Second},
		{"latency", `{"type": "latency", "attributes": {"latency": 400, "jitter": 200}}`, 8 * time.Second, recoveryLimit},
		{"slow", `{"type": "bandwidth", "attributes": {"rate": 5}}`, 8 * time.Second, recoveryLimit},
		{"reset", `{"type": "reset_peer", "attributes": {"timeout": 200}}`, 8 * time.Second, recoveryLimit},
		{"cut", `{"type": "limit_data", "attributes": {"bytes": 20000}}`, 8 * time.Second, recoveryLimit},
		{"silent", `{"type": "timeout", "attributes": {"timeout": 0}}`, 8 * time.Second, recoveryLimit},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, config := newToxiproxy(t, shared.kube)
			s := newScene(t, shared, config)
			s.start()
			s.churned(func() {
				if test.toxic == "" {
					p.Stop()
					s.pass(test.length)
					if err := p.Start(); err != nil {
						t.Error(err)
					}
					return
				}
				toxic, err := p.Toxics.AddToxicJson(strings.NewReader(test.toxic))
				if err != nil {
					t.Error(err)
					return
				}
				s.pass(test.length)
				if err := p.Toxics.RemoveToxic(t.Context(), toxic.Name); err != nil {
					t.Error(err)
				}
			})
			begin := time.Now()
			s.settle(test.recovery)
			t.Logf("all was right %v after it", time.Since(begin))
			s.works()
		})
	}
	t.Run("down-at-start", func(t *testing.T) {
		t.Parallel()
		p, config := newToxiproxy(t, shared.kube)
		s := newScene(t, shared, config)
		p.Stop()
		s.bridge.Start(t)
		s.logged("the API server cannot be watched")
		s.churned(func() { s.pass(3 * time.Second) })
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		s.settle(recoveryLimit)
		s.works()
	})
	t.Run("half-open", func(t *testing.T) {
		t.Parallel()
		r := newRelay(t, shared.kube)
		s := newScene(t, shared, kubeconfig(t, r.url()))
		s.start()
		r.halfOpen()
		begin := time.Now()
		s.churned(func() { s.pass(8 * time.Second) })
		s.settle(recoveryLimit)
		t.Logf("all was right %v after the connections had become half open", time.Since(begin))
		s.works()
	})
}
