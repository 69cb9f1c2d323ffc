package consul

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
)

const (
	// placeholder stands in the client library's configuration where it would else take a value from the environment (CONSUL_NAMESPACE,
	// CONSUL_HTTP_TOKEN, …). The transport takes it out of every request.
	placeholder = "-"
	// maxAnswer is the largest answer that is accepted, in bytes: about 50,000 instances.
	maxAnswer = 64 << 20
	// silence is how long a connection may be silent before it is probed, and probe how long the probe may take: a peer that is gone
	// without a word is noticed after both.
	silence = 15 * time.Second
	probe   = 10 * time.Second
)

// errTooLarge: an answer above maxAnswer.
var errTooLarge = fmt.Errorf("%w: the answer is larger than %d MiB", source.ErrMalformed, maxAnswer>>20)

// errNoCertificate: the server ended the connection, after it had asked for a certificate that there is not. What else the error says
// depends on who was faster.
var errNoCertificate = fmt.Errorf("%w: the server asks for a certificate of the client; see source.consul.tls.clientSecretRef", source.ErrUnauthorized)

// errSecondConnection: the connection ended before the answer.
var errSecondConnection = errors.New("the connection ended before the answer")

// transport is an http.RoundTripper that lets through what an agent of Consul can have said. The client library looks at status and
// JSON only, and overwrites the content type.
type transport struct {
	http *http.Transport
	// multiplexed says that the last answer came by HTTP/2, where queries share connections.
	multiplexed atomic.Bool
	// uncertified says that a server has asked for a certificate that there is not, and has not answered since.
	uncertified atomic.Bool
}

func newTransport(cfg Config) *transport {
	dial := cfg.DialContext
	if dial == nil {
		d := &net.Dialer{
			Timeout:         10 * time.Second,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence, Interval: probe / 2, Count: 2},
		}
		dial = d.DialContext
	}
	t := &transport{}
	t.http = &http.Transport{
		DialContext:       dial,
		ForceAttemptHTTP2: true,
		// Every poller keeps its connection; the default of two would make a new one for nearly each query.
		MaxIdleConnsPerHost: cfg.Connections + 1,
		IdleConnTimeout:     90 * time.Second,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: probe},
	}
	t.http.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return t.dialTLS(ctx, cfg, dial, hostPort{network, address})
	}
	if strings.HasPrefix(cfg.Address, "http://") {
		// One more than for the services, for the listing. With HTTP/2 it would count requests that wait for a connection.
		t.http.MaxConnsPerHost = cfg.Connections + 1
	}
	return t
}

// hostPort is where to dial.
type hostPort struct{ network, address string }

// dialTLS makes a TLS connection with the configuration as it is now, so that rotated certificates are used.
func (t *transport) dialTLS(ctx context.Context, cfg Config, dial func(context.Context, string, string) (net.Conn, error), to hostPort) (net.Conn, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.TLS != nil {
		given, err := cfg.TLS(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w: read TLS configuration: %w", source.ErrUnauthorized, err)
		}
		config = given.Clone()
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(to.address)
		if err != nil {
			return nil, err
		}
		config.ServerName = host
	}
	if len(config.Certificates) == 0 && config.GetClientCertificate == nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			t.uncertified.Store(true)
			return &tls.Certificate{}, nil
		}
	}
	config.NextProtos = []string{"h2", "http/1.1"}
	conn, err := dial(ctx, to.network, to.address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// client returns an HTTP client that follows no redirect: Consul sends none for what is asked here, and what stands at another address
// is not the answer.
func (t *transport) client() *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
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
	resp, err := t.http.RoundTrip(req)
	if err != nil {
		cause := context.Cause(ctx)
		end()
		switch {
		case errors.Is(cause, errSecondConnection):
			return nil, cause
		case cause == nil && t.uncertified.Load():
			return nil, fmt.Errorf("%w: %w", errNoCertificate, err)
		}
		return nil, err
	}
	t.uncertified.Store(false)
	t.multiplexed.Store(resp.ProtoMajor >= 2)
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: maxAnswer, end: end}
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

// fromConsul says why an answer with status 200 is none of Consul's. A portal or proxy may answer anything with a page of its own.
func fromConsul(resp *http.Response) error {
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return fmt.Errorf("%w: content type %q instead of JSON", source.ErrMalformed, resp.Header.Get("Content-Type"))
	}
	if _, err := strconv.ParseUint(resp.Header.Get("X-Consul-Index"), 10, 64); err != nil {
		return fmt.Errorf("%w: the header X-Consul-Index is missing or no number", source.ErrMalformed)
	}
	return nil
}

// limitedBody ends with an error when it is too large, where io.LimitReader would cut it off.
type limitedBody struct {
	io.ReadCloser
	left int64
	// end releases what the request holds.
	end func()
}

// Close implements io.Closer.
func (b *limitedBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 && !errors.Is(err, io.EOF) {
		return n, errTooLarge
	}
	return n, err
}
