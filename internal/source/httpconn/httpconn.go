// Package httpconn is the connection to registries that speak HTTP: TLS whose certificates may rotate, answers that have a limit, and
// errors that say which setting to look at.
package httpconn

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
)

const (
	// silence is how long a connection may be silent before it is probed, and probe how long the probe may take: a peer that is gone
	// without a word is noticed after both.
	silence = 15 * time.Second
	probe   = 10 * time.Second
)

// Options say how to connect.
type Options struct {
	// AddressField and TLSField are the settings of a Registry that errors refer to, for instance "source.consul.address" and
	// "source.consul.tls".
	AddressField, TLSField string
	// TLS returns the TLS configuration of the next connection. Nil means that of the system. It is used for https only.
	TLS func(ctx context.Context) (*tls.Config, error)
	// DialContext replaces the dialer of package net. May be nil.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Transport is an http.RoundTripper over connections of its own.
type Transport struct {
	// HTTP makes and keeps the connections. Limits on them may be set before the first request.
	HTTP *http.Transport

	opts Options
	// uncertified says that a server has asked for a certificate that there is not, and has not answered since.
	uncertified atomic.Bool
}

// New returns a Transport. It does no I/O.
func New(opts Options) *Transport {
	if opts.DialContext == nil {
		d := &net.Dialer{
			Timeout:         10 * time.Second,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence, Interval: probe / 2, Count: 2},
		}
		opts.DialContext = d.DialContext
	}
	t := &Transport{opts: opts}
	t.HTTP = &http.Transport{
		DialContext:       opts.DialContext,
		DialTLSContext:    t.dialTLS,
		ForceAttemptHTTP2: true,
		IdleConnTimeout:   90 * time.Second,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: probe},
	}
	return t
}

// dialTLS makes a TLS connection with the configuration as it is now, so that rotated certificates are used.
func (t *Transport) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.opts.TLS != nil {
		given, err := t.opts.TLS(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w: read TLS configuration: %w", source.ErrUnauthorized, err)
		}
		config = given.Clone()
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
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
	conn, err := t.opts.DialContext(ctx, network, address)
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

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.HTTP.RoundTrip(req)
	if err == nil {
		t.uncertified.Store(false)
		return resp, nil
	}
	if req.Context().Err() == nil && t.uncertified.Load() {
		// The server ended the connection, after it had asked for a certificate. What else the error says depends on who was faster.
		return nil, fmt.Errorf("%w: the server asks for a certificate of the client; see %s.clientSecretRef: %w",
			source.ErrUnauthorized, t.opts.TLSField, err)
	}
	return nil, err
}

// Client returns an HTTP client over rt that follows no redirect: what stands at another address is not the answer, and credentials are
// not for it.
func Client(rt http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     rt,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Classed gives an error of a request the class of package source that it has, and says what to look at. It leaves out the URL, which may
// hold what must not be told.
func (t *Transport) Classed(err error) error {
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		err = outer.Err
	}
	switch {
	case errors.Is(err, source.ErrMalformed), errors.Is(err, source.ErrUnauthorized):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the answer is cut off", source.ErrUnavailable)
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), isCorrupt(err):
		return fmt.Errorf("%w: the answer is not what gzip makes", source.ErrMalformed)
	}
	var (
		op      *net.OpError
		unknown *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: %w; %s.caRef names the authority to trust", source.ErrUnavailable, err, t.opts.TLSField)
	case !errors.As(err, &op):
		return fmt.Errorf("%w: %w", source.ErrUnavailable, err)
	case op.Op == "remote error":
		return fmt.Errorf("%w: %w; see %s", source.ErrUnauthorized, err, t.opts.TLSField)
	case op.Op == "dial":
		return fmt.Errorf("%w: %w; see %s, and whether the server runs and can be reached from here", source.ErrUnavailable, err, t.opts.AddressField)
	}
	return fmt.Errorf("%w: %w", source.ErrUnavailable, err)
}

// isCorrupt reports whether compressed data makes no sense.
func isCorrupt(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.As(err, &corrupt)
}

// StatusClass is the class of package source that a status has which is no success.
func StatusClass(code int) error {
	switch {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return source.ErrUnauthorized
	case code == http.StatusTooManyRequests || code >= http.StatusInternalServerError:
		return source.ErrUnavailable
	}
	return source.ErrMalformed
}

// CheckJSON says why an answer cannot be JSON by what it calls itself. A portal or proxy may answer anything with a page of its own.
func CheckJSON(resp *http.Response) error {
	text := resp.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(text); err != nil || kind != "application/json" {
		return fmt.Errorf("%w: content type %q instead of JSON", source.ErrMalformed, text)
	}
	return nil
}

// Limit returns a body that ends with an error of the class source.ErrMalformed when it holds more than limit bytes, where io.LimitReader
// would cut it off. Close calls closed, which may be nil.
func Limit(body io.ReadCloser, limit int64, closed func()) io.ReadCloser {
	return &limited{ReadCloser: body, limit: limit, left: limit, closed: closed}
}

type limited struct {
	io.ReadCloser
	limit, left int64
	closed      func()
}

// Close implements io.Closer.
func (l *limited) Close() error {
	if l.closed != nil {
		defer l.closed()
	}
	return l.ReadCloser.Close()
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n, fmt.Errorf("%w: the answer is larger than %d MiB", source.ErrMalformed, l.limit>>20)
	}
	return n, err
}
