package eureka

import (
	"cmp"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/httpconn"
)

const (
	// answerTime is how long an answer may take as a whole, headerTime how long until it begins.
	answerTime = time.Minute
	headerTime = 15 * time.Second
	// quarantine is how long a server that has failed is asked only after all others.
	quarantine = 5 * time.Minute
	// maxRedirects is how many times in a row a server may point elsewhere.
	maxRedirects = 5
)

// client asks the servers.
type client struct {
	maxAnswer int64
	transport *httpconn.Transport
	http      *http.Client
	servers   []*server
	// current is the server that answered last.
	current *server
}

// server is one of the servers.
type server struct {
	Server
	// failed is when it failed last.
	failed time.Time
}

// statusError is an answer with another status than 200.
type statusError struct{ code int }

// Error implements error.
func (e *statusError) Error() string {
	text := fmt.Sprintf("status %d", e.code)
	switch e.code {
	case http.StatusForbidden:
		text += "; a server that still waits for its peers answers so, too"
	case http.StatusNotFound:
		text += "; a URL in source.eureka.servers usually ends in /eureka (Spring Cloud) or /eureka/v2 (Netflix)"
	}
	return text
}

func newClient(cfg Config) *client {
	c := &client{maxAnswer: cfg.MaxAnswer, transport: httpconn.New(httpconn.Options{
		AddressField: "source.eureka.servers", TLSField: "source.eureka.tls", TLS: cfg.TLS, DialContext: cfg.DialContext,
	})}
	c.transport.HTTP.ResponseHeaderTimeout = headerTime
	c.http = &http.Client{Transport: c.transport, CheckRedirect: c.redirected}
	for _, s := range cfg.Servers {
		s.URL = strings.TrimRight(s.URL, "/")
		c.servers = append(c.servers, &server{Server: s})
	}
	c.current = c.servers[0]
	return c
}

// close closes the connections.
func (c *client) close() { c.transport.HTTP.CloseIdleConnections() }

// order returns the servers in the order in which they are to be asked: the one that answered last, then the others as configured, and at
// the end those that have failed lately, the one that did so first before the others.
func (c *client) order(now time.Time) []*server {
	rank := func(s *server) int64 {
		switch {
		case now.Sub(s.failed) < quarantine:
			return s.failed.UnixNano()
		case s == c.current:
			return -1
		}
		return 0
	}
	out := slices.Clone(c.servers)
	slices.SortStableFunc(out, func(a, b *server) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}

// get asks a server, and hands read the JSON of an answer that can be believed so far. From is where it came from in the end.
func (c *client) get(ctx context.Context, s *server, path string, read func(io.Reader) error) (from string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("%w: %w", source.ErrUnavailable, err)
	}
	req.Header.Set("Accept", "application/json") // Without it, the answer is XML.
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("User-Agent", "registry-bridge")
	if err := s.authorize(req); err != nil {
		return "", err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", c.transport.Classed(err)
	}
	defer func() { _ = resp.Body.Close() }()
	from = resp.Request.URL.Host
	if resp.StatusCode != http.StatusOK {
		return from, fmt.Errorf("%w: %w", httpconn.StatusClass(resp.StatusCode), &statusError{code: resp.StatusCode})
	}
	if err := httpconn.CheckJSON(resp); err != nil {
		return from, err
	}
	body, err := uncompressed(resp)
	if err == nil {
		err = read(httpconn.Limit(body, c.maxAnswer, nil))
	}
	return from, c.answerError(err)
}

// authorize adds the credentials of the server.
func (s *server) authorize(req *http.Request) error {
	req.Header.Del("Authorization")
	if s.Credentials == nil {
		return nil
	}
	user, password, err := s.Credentials(req.Context())
	if err != nil {
		return fmt.Errorf("%w: read credentials: %w", source.ErrUnauthorized, err)
	}
	req.SetBasicAuth(user, password)
	return nil
}

// redirected decides whether to follow. Credentials go only to a server that is configured, and then its own.
func (c *client) redirected(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: more than %d redirects", source.ErrMalformed, maxRedirects)
	case from.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("%w: redirected from https to %s", source.ErrMalformed, req.URL.Scheme)
	}
	req.Header.Del("Authorization")
	origin := req.URL.Scheme + "://" + req.URL.Host + "/"
	for _, s := range c.servers {
		if strings.HasPrefix(s.URL+"/", origin) {
			return s.authorize(req)
		}
	}
	return nil
}

// uncompressed returns the body without its compression.
func uncompressed(resp *http.Response) (io.ReadCloser, error) {
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return resp.Body, nil
	case "gzip":
		return gzip.NewReader(resp.Body)
	default:
		return nil, fmt.Errorf("%w: content encoding %q, which was not asked for", source.ErrMalformed, encoding)
	}
}

// answerError gives an error of reading an answer its class.
func (c *client) answerError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return fmt.Errorf("%w: %w", source.ErrMalformed, err)
	}
	return c.transport.Classed(err)
}
