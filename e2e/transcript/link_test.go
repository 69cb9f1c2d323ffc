package transcript_test

import (
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is the network between one session and the server.
type link struct{ proxy *toxiproxy.Proxy }

// newLink opens a port of the loopback interface for the session.
func newLink(t *testing.T, upstream string) *link {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l := &link{proxy: toxiproxy.NewProxy(server, "zookeeper", "127.0.0.1:0", upstream)}
	l.heal(t)
	t.Cleanup(l.cut)
	return l
}

func (l *link) addr() string { return l.proxy.Listen }

// cut ends the connections and refuses new ones.
func (l *link) cut() { l.proxy.Stop() }

// heal lets new connections pass.
func (l *link) heal(t *testing.T) {
	t.Helper()
	if err := l.proxy.Start(); err != nil {
		t.Fatal(err)
	}
}
