package consul_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/consul"
	"github.com/registry-bridge/registry-bridge/internal/source/consul/consultest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// TestConnectionRefused: what is wrong with the connection is told as that, with what to look at.
func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	server, client, err := sourcetest.NewTLS()
	if err != nil {
		t.Fatal(err)
	}
	secure := serve(t, consultest.Options{TLS: server})
	gone := serve(t, consultest.Options{})
	gone.Stop()
	without := client.Clone()
	without.Certificates = nil
	for name, tt := range map[string]struct {
		address string
		tls     *tls.Config
		class   error
		explain string
	}{
		"nobody listens":                   {"http://" + gone.Addr(), nil, source.ErrUnavailable, "source.consul.address"},
		"no certificate":                   {"https://" + secure.Addr(), without, source.ErrUnauthorized, "source.consul.tls.clientSecretRef"},
		"an authority that is not trusted": {"https://" + secure.Addr(), nil, source.ErrUnavailable, "source.consul.tls.caRef"},
		"HTTP where HTTPS is spoken":       {"http://" + secure.Addr(), nil, source.ErrMalformed, "HTTP request to an HTTPS server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := watch(t, secure, func(c *consul.Config) {
				c.Address = tt.address
				if tt.tls != nil {
					c.TLS = func(context.Context) (*tls.Config, error) { return tt.tls, nil }
				}
			})
			if err := r.failure(); !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.explain) {
				t.Errorf("got %v, want %q with %q", err, tt.class, tt.explain)
			}
			if state := r.State(); state.Synced > 0 || len(state.Services) > 0 {
				t.Errorf("something was named: %s", state)
			}
		})
	}
}

// recorded is source.Runs over a Recorder that keeps the errors.
type recorded struct {
	*sourcetest.Recorder
	errs []error
}

// Begin implements source.Runs.
func (r *recorded) Begin() (source.Sink, func(error)) {
	sink, end := r.Recorder.Begin()
	return sink, func(err error) {
		end()
		r.errs = append(r.errs, err)
	}
}

// TestNobodyListens: for half a minute the source says so again and again, with growing waits, and names nothing.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := func(_ context.Context, network, _ string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		src := consul.New(consul.Config{SourceID: sourcetest.ID, Address: "http://consul:8500", DialContext: refused})
		runs := &recorded{Recorder: sourcetest.NewRecorder(t, sourcetest.ID)}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		source.Supervise(ctx, src, runs, source.SuperviseOptions{})
		if n := len(runs.errs); n < 3 || n > 12 {
			t.Errorf("%d attempts within half a minute: %v", n, runs.errs)
		}
		for _, err := range runs.errs {
			if !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "connection refused; see source.consul.address") {
				t.Errorf("the error does not say what to do: %v", err)
			}
		}
		if state := runs.State(); state.Synced > 0 || len(state.Services)+len(state.Skipped) > 0 {
			t.Errorf("something was named: %s", state)
		}
	})
}
