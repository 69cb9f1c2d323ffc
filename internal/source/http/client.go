package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"strconv"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
	"github.com/registry-bridge/registry-bridge/internal/source/httpconn"
)

// answerTime is how long an answer may take beyond the time that the server may wait.
const answerTime = 30 * time.Second

// client asks one URL.
type client struct {
	cfg       Config
	transport *httpconn.Transport
	http      *nethttp.Client
}

func newClient(cfg Config) *client {
	t := httpconn.New(httpconn.Options{
		AddressField: "source.http.url", TLSField: "source.http.tls", TLS: cfg.TLS, DialContext: cfg.DialContext,
	})
	return &client{cfg: cfg, transport: t, http: httpconn.Client(t)}
}

// close closes the connections.
func (c *client) close() { c.transport.HTTP.CloseIdleConnections() }

// answer is an answer that can be believed.
type answer struct {
	// unchanged says that the document is the one of the ETag that was asked with; there is no body then.
	unchanged bool
	body      []byte
	etag      string
}

// ask asks for the document, or for another one than that of etag. Every error is of one of the classes of package source.
func (c *client) ask(ctx context.Context, etag string) (answer, error) {
	limit := answerTime
	if etag != "" {
		limit += c.cfg.LongPoll
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a, err := c.exchange(limited, etag)
	if errors.Is(limited.Err(), context.DeadlineExceeded) {
		return answer{}, fmt.Errorf("%w: no complete answer within %s", source.ErrUnavailable, limit)
	}
	return a, err
}

func (c *client) exchange(ctx context.Context, etag string) (answer, error) {
	req, err := nethttp.NewRequestWithContext(ctx, nethttp.MethodGet, c.cfg.URL, nethttp.NoBody)
	if err != nil {
		return answer{}, fmt.Errorf("%w: source.http.url is no URL", source.ErrUnavailable)
	}
	if c.cfg.Header != nil {
		if req.Header, err = c.cfg.Header(ctx); err != nil {
			return answer{}, fmt.Errorf("%w: %w", source.ErrUnauthorized, err)
		}
	}
	req.Header.Set("Accept", "application/json")
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
		if c.cfg.LongPoll > 0 {
			req.Header.Set("Prefer", "wait="+strconv.Itoa(int(c.cfg.LongPoll/time.Second)))
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.transport.Classed(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == nethttp.StatusNotModified && etag != "":
		return answer{unchanged: true}, nil
	case resp.StatusCode != nethttp.StatusOK:
		return answer{}, refusal(resp)
	}
	if err := httpconn.CheckJSON(resp); err != nil {
		return answer{}, err
	}
	// The transport asks for gzip and takes it away again; nothing else was asked for.
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" {
		return answer{}, fmt.Errorf("%w: content encoding %.40q", source.ErrMalformed, encoding)
	}
	body, err := io.ReadAll(httpconn.Limit(resp.Body, document.MaxSize, nil))
	if err != nil {
		return answer{}, c.transport.Classed(err)
	}
	return answer{body: body, etag: resp.Header.Get("ETag")}, nil
}

// refusal words an answer with another status. The body is left out: some servers repeat in it what they were sent.
func refusal(resp *nethttp.Response) error {
	hint := ""
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		hint = "; redirects are not followed, source.http.url needs to be where the document is"
	}
	return fmt.Errorf("%w: status %d %s%s", httpconn.StatusClass(resp.StatusCode), resp.StatusCode, nethttp.StatusText(resp.StatusCode), hint)
}
