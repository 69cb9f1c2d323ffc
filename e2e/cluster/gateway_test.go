package cluster_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// harm answers a request instead of the API server; it reports whether it did.
type harm func(w http.ResponseWriter, r *http.Request) bool

// gateway passes requests on to the API server, or does harm to them, and counts them.
type gateway struct {
	*httptest.Server

	mu       sync.Mutex
	harm     harm
	requests int
}

func newGateway(t *testing.T, kube *lab.Kube) *gateway {
	t.Helper()
	target, err := url.Parse(kube.URL())
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	g := &gateway{}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.requests++
		harm := g.harm
		g.mu.Unlock()
		if harm == nil || !harm(w, r) {
			pass.ServeHTTP(w, r)
		}
	}))
	// As a client of Kubernetes has it: HTTP/2, and no credentials without TLS.
	g.EnableHTTP2, g.Config.ErrorLog = true, pass.ErrorLog
	g.StartTLS()
	t.Cleanup(func() {
		g.CloseClientConnections()
		g.Close()
	})
	return g
}

// kubeconfig returns a file with which a bridge goes through a proxy.
func kubeconfig(t *testing.T, server string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(name, []byte(lab.KubeconfigFor(server)), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// do harms requests from now on; nil lets them pass again. It returns how many requests there were until now.
func (g *gateway) do(h harm) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.harm = h
	return g.requests
}

// toWrites does harm to requests that would write, and lets all others pass.
func toWrites(h harm) harm {
	return func(w http.ResponseWriter, r *http.Request) bool { return r.Method != http.MethodGet && h(w, r) }
}

// status answers as an API server does.
func status(code int, reason string) harm {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":"by the test"}`, code, reason)
		return true
	}
}

// answers lets something before the API server answer instead of it, while providers come and go.
func (a act) answers() {
	t, shared := a.t, a.servers
	const length = 8 * time.Second
	for name, h := range map[string]harm{
		"429": toWrites(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "3")
			http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
			return true
		}),
		"500": toWrites(status(http.StatusInternalServerError, "InternalError")),
		"503": toWrites(status(http.StatusServiceUnavailable, "ServiceUnavailable")),
		"401": status(http.StatusUnauthorized, "Unauthorized"),
		"HTML": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<html>bad gateway</html>")
			return true
		},
		"half an answer": toWrites(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"apiVersion":"networking.istio.io/v1","kind":"Servi`)
			return true
		}),
		"no answer": toWrites(func(_ http.ResponseWriter, r *http.Request) bool {
			_, _ = io.Copy(io.Discard, r.Body) // Only then the server sees that the client has gone.
			<-r.Context().Done()
			return true
		}),
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, shared.kube)
			s := newScene(t, shared, kubeconfig(t, g.URL))
			s.start()
			var harmed, healed int
			s.churned(func() {
				harmed = g.do(h)
				s.pass(length)
				healed = g.do(nil)
			})
			begin := time.Now()
			s.settle(recoveryLimit)
			t.Logf("%d requests in %v of harm; all was right %v after it", healed-harmed, length, time.Since(begin))
			// Pauses of 1, 2 and 4 seconds, with up to 8 requests at a time and then the attempts of three watches.
			if most := 80; healed-harmed > most {
				t.Errorf("%d requests in %v, want %d at most", healed-harmed, length, most)
			}
			s.works()
		})
	}
}
