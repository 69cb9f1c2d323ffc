package http

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	nethttp "net/http"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
)

// DefaultPollInterval is the time between two requests unless configured otherwise.
const DefaultPollInterval = 10 * time.Second

// minInterval is the least time between two requests with long polling, where the answer to one is what the next waits for. The poll
// interval may be shorter.
const minInterval = time.Second

// Config says what to fetch. SourceID and URL must be set.
type Config struct {
	// SourceID is the Source of every Ref.
	SourceID model.SourceID
	// URL is that of the document: http or https.
	URL string
	// Format is document.Native when it is empty.
	Format document.Format
	// ServiceLabel is that of a document.Reader.
	ServiceLabel string
	// PollInterval is the time from one request to the next, DefaultPollInterval when 0.
	PollInterval time.Duration
	// LongPoll is how long the server may wait for news before it answers; 0 asks it to answer at once.
	LongPoll time.Duration
	// Header returns what is sent with the next request, credentials for example. Nil sends nothing. It is asked for each request, so that
	// rotated secrets are used.
	Header func(ctx context.Context) (nethttp.Header, error)
	// TLS returns the TLS configuration of the next connection. Nil means that of the system. It is used for https only.
	TLS func(ctx context.Context) (*tls.Config, error)
	// DialContext replaces the dialer of package net. May be nil.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// New returns a source that watches a document at a URL. It does no I/O.
//
// Each service is a unit. One whose content makes no sense is skipped; when anything else is wrong with an answer, Run returns the error.
func New(cfg Config) source.Source {
	cfg.PollInterval = cmp.Or(cfg.PollInterval, DefaultPollInterval)
	return &httpSource{cfg: cfg}
}

type httpSource struct{ cfg Config }

// Run implements source.Source.
func (s *httpSource) Run(ctx context.Context, sink source.Sink) error {
	p := &poller{cfg: s.cfg, client: newClient(s.cfg), reader: document.Reader{
		Format: s.cfg.Format, ServiceLabel: s.cfg.ServiceLabel,
		Ref: func(name string) model.Ref { return model.Ref{Source: s.cfg.SourceID, Unit: name, Name: name} },
	}}
	defer p.client.close()
	if err := source.Follow(ctx, sink, s.cfg.SourceID, p.next); err != nil {
		return fmt.Errorf("http: %w", err)
	}
	return nil
}

// poller asks for the document. One goroutine uses it.
type poller struct {
	cfg    Config
	client *client
	reader document.Reader

	// asked is when the last request began, the zero time before the first.
	asked time.Time
	// etag and sum are those of the last document.
	etag string
	sum  [sha256.Size]byte
	// news says that the last answer was another document than the one before.
	news bool
}

// next returns the content of the next document that is another one than the last.
func (p *poller) next(ctx context.Context) (source.Content, error) {
	for {
		if err := p.pause(ctx); err != nil {
			return source.Content{}, err
		}
		p.asked = time.Now()
		a, err := p.client.ask(ctx, p.etag)
		if err != nil {
			return source.Content{}, err
		}
		sum := sha256.Sum256(a.body)
		if p.news = !a.unchanged && sum != p.sum; !p.news {
			continue
		}
		content, err := p.reader.Read(a.body)
		if err != nil {
			return source.Content{}, err
		}
		p.etag, p.sum = a.etag, sum
		return content, nil
	}
}

// pause waits until the next request is due.
func (p *poller) pause(ctx context.Context) error {
	if p.asked.IsZero() {
		return nil
	}
	timer := time.NewTimer(time.Until(p.asked.Add(p.interval())))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// interval is the time from the last request to the next. A server that waits is asked again at once; one that does not wait although it
// was asked to, after the poll interval.
func (p *poller) interval() time.Duration {
	waited := p.etag != "" && p.cfg.LongPoll > 0 && time.Since(p.asked) >= p.cfg.LongPoll/2
	if p.cfg.LongPoll > 0 && (p.news || waited) {
		return min(minInterval, p.cfg.PollInterval)
	}
	return p.cfg.PollInterval
}
