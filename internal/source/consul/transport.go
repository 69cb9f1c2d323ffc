package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/httpconn"
)

const (
	// placeholder stands in the client library's configuration where it would else take a value from the environment (CONSUL_NAMESPACE,
	// CONSUL_HTTP_TOKEN, …). The transport takes it out of every request.
	placeholder = "-"
	// maxAnswer is the largest answer that is accepted, in bytes: about 50,000 instances.
	maxAnswer = 64 << 20
)

// errSecondConnection: the connection ended before the answer.
var errSecondConnection = errors.New("the connection ended before the answer")

// transport is an http.RoundTripper that lets through what an agent of Consul can have said. The client library looks at status and
// JSON only, and overwrites the content type.
type transport struct {
	*httpconn.Transport
	// multiplexed says that the last answer came by HTTP/2, where queries share connections.
	multiplexed atomic.Bool
}

func newTransport(cfg Config) *transport {
	t := &transport{Transport: httpconn.New(httpconn.Options{
		AddressField: "source.consul.address", TLSField: "source.consul.tls", TLS: cfg.TLS, DialContext: cfg.DialContext,
	})}
	// Every poller keeps its connection; the default of two would make a new one for nearly each query.
	t.HTTP.MaxIdleConnsPerHost = cfg.Connections + 1
	if strings.HasPrefix(cfg.Address, "http://") {
		// One more than for the services, for the listing. With HTTP/2 it would count requests that wait for a connection.
		t.HTTP.MaxConnsPerHost = cfg.Connections + 1
	}
	return t
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, end := untilSecondConnection(req.Context())
	req = req.Clone(ctx)
	if req.Header.Get("X-Consul-Token") == placeholder {
		req.Header.Del("X-Consul-Token")
	}
	query := req.URL.Query()
	for _, key := range []string{"ns", "partition"} {
		if query.Get(key) == placeholder {
			query.Del(key)
		}
	}
	req.URL.RawQuery = query.Encode()
	resp, err := t.Transport.RoundTrip(req)
	if err != nil {
		cause := context.Cause(ctx)
		end()
		if errors.Is(cause, errSecondConnection) {
			return nil, cause
		}
		return nil, err
	}
	t.multiplexed.Store(resp.ProtoMajor >= 2)
	resp.Body = httpconn.Limit(resp.Body, maxAnswer, end)
	if resp.StatusCode != http.StatusOK {
		return resp, nil
	}
	if err := fromConsul(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// untilSecondConnection returns a context that ends when a request is sent a second time, on another connection, and the function that
// releases it. Package net/http does that by itself when a connection ends before the answer. But a server that was restarted may have
// lost its data, and would let a query wait for an index that it does not reach for long.
func untilSecondConnection(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	var connections atomic.Int32
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if connections.Add(1) > 1 {
			cancel(errSecondConnection)
		}
	}}
	return httptrace.WithClientTrace(ctx, trace), func() { cancel(nil) }
}

// fromConsul says why an answer with status 200 is none of Consul's.
func fromConsul(resp *http.Response) error {
	if err := httpconn.CheckJSON(resp); err != nil {
		return err
	}
	if _, err := strconv.ParseUint(resp.Header.Get("X-Consul-Index"), 10, 64); err != nil {
		return fmt.Errorf("%w: the header X-Consul-Index is missing or no number", source.ErrMalformed)
	}
	return nil
}
