package http_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
	httpsource "github.com/registry-bridge/registry-bridge/internal/source/http"
	"github.com/registry-bridge/registry-bridge/internal/source/http/httptest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

const (
	// patience is how long what must come may take, grace how long a test looks whether something happens that must not.
	patience = 20 * time.Second
	grace    = 300 * time.Millisecond
)

// watch runs a source against s until the end of the test.
func watch(t *testing.T, s *httptest.Server, cfg httpsource.Config) *sourcetest.Runs {
	t.Helper()
	cfg.SourceID = sourcetest.ID
	if cfg.URL == "" {
		cfg.URL = "http://" + s.Addr() + "/services"
	}
	if cfg.PollInterval == 0 {
		cfg.PollInterval = 20 * time.Millisecond
	}
	return sourcetest.Start(t, httpsource.New(cfg), patience)
}

func instance(address string) model.Instance {
	return model.Instance{Address: address, Ports: []model.Port{{Number: 80}}, Weight: 1}
}

// has says that the service has exactly these addresses, at port 80.
func has(service string, addresses ...string) func(sourcetest.State) bool {
	return func(s sourcetest.State) bool {
		return fmt.Sprint(s.Addresses(service)) == fmt.Sprint(addresses)
	}
}

// good is a document that would remove everything, if what comes with it were believed.
const good = `{"services":[]}`

// answer sends a body of a content type with a status.
func answer(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// cutOff announces more than it sends.
func cutOff(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
		_, _ = w.Write([]byte(body))
		panic(http.ErrAbortHandler)
	}
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	if _, err := zip.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// encoded sends what it says is gzip.
func encoded(encoding, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", encoding)
		answer(http.StatusOK, "application/json", body)(w, r)
	}
}

// faults are answers that are not the registry's word.
func faults(t *testing.T) map[string]struct {
	answer http.HandlerFunc
	class  error
	text   string
} {
	t.Helper()
	const kind = "application/json"
	bomb := zipped(t, `{"services":[`+strings.Repeat(" ", document.MaxSize)+`]}`)
	if len(bomb) > 1<<20 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	return map[string]struct {
		answer http.HandlerFunc
		class  error
		text   string
	}{
		"500":                          {answer(http.StatusInternalServerError, kind, good), source.ErrUnavailable, "status 500 Internal Server Error"},
		"503":                          {answer(http.StatusServiceUnavailable, kind, good), source.ErrUnavailable, "status 503"},
		"429":                          {answer(http.StatusTooManyRequests, kind, good), source.ErrUnavailable, "status 429"},
		"401":                          {answer(http.StatusUnauthorized, kind, good), source.ErrUnauthorized, "status 401"},
		"403":                          {answer(http.StatusForbidden, kind, good), source.ErrUnauthorized, "status 403"},
		"404":                          {answer(http.StatusNotFound, kind, good), source.ErrMalformed, "status 404"},
		"201":                          {answer(http.StatusCreated, kind, good), source.ErrMalformed, "status 201"},
		"204":                          {answer(http.StatusNoContent, kind, ""), source.ErrMalformed, "status 204"},
		"206":                          {answer(http.StatusPartialContent, kind, good), source.ErrMalformed, "status 206"},
		"redirect":                     {redirect, source.ErrMalformed, "redirects are not followed"},
		"page of a portal":             {answer(http.StatusOK, "text/html; charset=utf-8", "<html>Sign in</html>"), source.ErrMalformed, `content type "text/html`},
		"JSON that says it is HTML":    {answer(http.StatusOK, "text/html", good), source.ErrMalformed, "content type"},
		"HTML that says it is JSON":    {answer(http.StatusOK, kind, "<html>Sign in</html>"), source.ErrMalformed, "no JSON at byte 1"},
		"no content type":              {answer(http.StatusOK, "", good), source.ErrMalformed, "content type"},
		"nothing":                      {answer(http.StatusOK, kind, ""), source.ErrMalformed, "is empty"},
		"null":                         {answer(http.StatusOK, kind, "null"), source.ErrMalformed, "is no object"},
		"another format":               {answer(http.StatusOK, kind, "[]"), source.ErrMalformed, "is no object"},
		"not of the schema":            {answer(http.StatusOK, kind, `{"services":{}}`), source.ErrMalformed, "services is no list"},
		"cut off":                      {cutOff(good), source.ErrUnavailable, "cut off"},
		"cut off, with a whole length": {answer(http.StatusOK, kind, good[:8]), source.ErrMalformed, "cut off"},
		"closed":                       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, source.ErrUnavailable, "cut off"},
		"too large":                    {answer(http.StatusOK, kind, `{"services":[`+strings.Repeat(" ", document.MaxSize)+`]}`), source.ErrMalformed, "larger than 64 MiB"},
		"bomb":                         {encoded("gzip", bomb), source.ErrMalformed, "larger than 64 MiB"},
		"gzip that is none":            {encoded("gzip", good), source.ErrMalformed, "not what gzip makes"},
		"gzip that is cut off":         {encoded("gzip", zipped(t, good)[:20]), source.ErrUnavailable, "cut off"},
		"gzip with a wrong sum":        {encoded("gzip", zipped(t, good)[:len(zipped(t, good))-8]+"12345678"), source.ErrMalformed, "not what gzip makes"},
		"another encoding":             {encoded("br", good), source.ErrMalformed, `content encoding "br"`},
	}
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "http://127.0.0.1:1/elsewhere?token=s3cret", http.StatusFound)
}

// TestNotBelieved: whatever is not the whole word of the registry ends the run, removes nothing, and is over when it is over.
func TestNotBelieved(t *testing.T) {
	t.Parallel()
	for name, tt := range faults(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, httptest.Options{})
			s.Put("orders", instance("10.0.0.1"))
			s.Put("stock", instance("10.0.0.2"))
			r := watch(t, s, httpsource.Config{})
			r.AwaitSynced()
			heal := s.Fail(tt.answer)
			_, err := r.AwaitError()
			if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %v, want class %v and %q", err, tt.class, tt.text)
			}
			s.Remove("orders", instance("10.0.0.1"))
			s.Put("orders", instance("10.0.0.3"))
			r.Steady(grace, "as before", func(state sourcetest.State) bool {
				return has("orders", "10.0.0.1:80")(state) && has("stock", "10.0.0.2:80")(state)
			})
			heal()
			r.Await("what happened meanwhile", has("orders", "10.0.0.3:80"))
		})
	}
}

// TestNotModifiedUnasked: 304 is no answer to a request without an ETag.
func TestNotModifiedUnasked(t *testing.T) {
	t.Parallel()
	s := serve(t, httptest.Options{})
	s.Fail(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	if state, err := watch(t, s, httpsource.Config{}).AwaitError(); !errors.Is(err, source.ErrMalformed) || state.Synced > 0 {
		t.Errorf("error %v; %s", err, state)
	}
}

// TestTrulyEmpty: an empty list is believed, in each format.
func TestTrulyEmpty(t *testing.T) {
	t.Parallel()
	for format, empty := range map[document.Format]string{document.Native: good, document.PrometheusSD: "[]"} {
		s := serve(t, httptest.Options{Format: format})
		s.Put("orders", instance("10.0.0.1"))
		r := watch(t, s, httpsource.Config{Format: format})
		r.AwaitSynced()
		s.Fail(answer(http.StatusOK, "application/json", empty))
		r.Await("nothing", func(state sourcetest.State) bool { return len(state.Services) == 0 })
	}
}

// TestUnclearServiceStays: a service that cannot be understood is skipped, the others move on.
func TestUnclearServiceStays(t *testing.T) {
	t.Parallel()
	s := serve(t, httptest.Options{})
	s.Put("orders", instance("10.0.0.1"))
	r := watch(t, s, httpsource.Config{})
	r.AwaitSynced()
	heal := s.Break("orders")
	s.Put("stock", instance("10.0.0.2"))
	state := r.Await("the other service", has("stock", "10.0.0.2:80"))
	if !has("orders", "10.0.0.1:80")(state) || state.Skipped["orders"] == nil {
		t.Errorf("the unclear service: %s", state)
	}
	heal()
	r.Await("recovery", func(s sourcetest.State) bool { return len(s.Skipped) == 0 && has("orders", "10.0.0.1:80")(s) })
	s.Break("orders")
	r.Await("Skip", func(s sourcetest.State) bool { return len(s.Skipped) == 1 })
	s.RemoveService("orders")
	r.Await("removal", func(s sourcetest.State) bool { return len(s.Skipped) == 0 && s.Service("orders") == nil })
}

// TestETag: what has not changed is answered by 304, and no document is sent twice.
func TestETag(t *testing.T) {
	t.Parallel()
	s := serve(t, httptest.Options{})
	s.Put("orders", instance("10.0.0.1"))
	r := watch(t, s, httpsource.Config{})
	r.AwaitSynced()
	r.Steady(grace, "as before", has("orders", "10.0.0.1:80"))
	requests := s.Requests()
	if len(requests) < 3 || requests[0].Get("If-None-Match") != "" || requests[1].Get("If-None-Match") == "" || requests[1].Get("Prefer") != "" {
		t.Errorf("requests: %v", requests)
	}
}

// TestLongPoll: a request waits for news, and there is one at a time.
func TestLongPoll(t *testing.T) {
	t.Parallel()
	s := serve(t, httptest.Options{})
	s.Put("orders", instance("10.0.0.1"))
	r := watch(t, s, httpsource.Config{LongPoll: time.Minute, PollInterval: 20 * time.Millisecond})
	r.AwaitSynced()
	awaitWaiting(t, s)
	asked := len(s.Requests())
	r.Steady(grace, "one request that waits", func(sourcetest.State) bool { return s.Waiting() == 1 && len(s.Requests()) == asked })
	if prefer := s.Requests()[asked-1].Get("Prefer"); prefer != "wait=60" {
		t.Errorf("Prefer: %q", prefer)
	}
	s.Put("orders", instance("10.0.0.2"))
	r.Await("change", has("orders", "10.0.0.1:80", "10.0.0.2:80"))
	awaitWaiting(t, s)
}

// TestLongPollIsNotKnown: a server that answers at once although it was asked to wait is not asked without end.
func TestLongPollIsNotKnown(t *testing.T) {
	t.Parallel()
	s := serve(t, httptest.Options{NoETag: true})
	s.Put("orders", instance("10.0.0.1"))
	r := watch(t, s, httpsource.Config{LongPoll: time.Minute, PollInterval: time.Hour})
	r.AwaitSynced()
	r.Steady(grace, "quiet", func(sourcetest.State) bool { return len(s.Requests()) <= 2 })
}

// awaitWaiting waits until a request waits for news.
func awaitWaiting(t *testing.T, s *httptest.Server) {
	t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.Waiting() != 1 {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%d requests wait after %s, want 1", s.Waiting(), patience)
		}
	}
}

// TestRotation: headers and TLS are asked for again, so rotated secrets are used.
func TestRotation(t *testing.T) {
	t.Parallel()
	s := serve(t, httptest.Options{Token: "new"})
	s.Put("orders", instance("10.0.0.1"))
	var current atomic.Value
	current.Store("old")
	r := watch(t, s, httpsource.Config{Header: func(context.Context) (http.Header, error) {
		return http.Header{"Authorization": {fmt.Sprint("Bearer ", current.Load())}}, nil
	}})
	if _, err := r.AwaitError(); !errors.Is(err, source.ErrUnauthorized) {
		t.Errorf("error %v", err)
	}
	current.Store("new")
	r.AwaitSynced()
}

// TestMissingSecret: what cannot be had is told as that.
func TestMissingSecret(t *testing.T) {
	t.Parallel()
	s := serve(t, httptest.Options{})
	r := watch(t, s, httpsource.Config{Header: func(context.Context) (http.Header, error) {
		return nil, fmt.Errorf("%w: key %q", source.ErrSecret, "token")
	}})
	if _, err := r.AwaitError(); !errors.Is(err, source.ErrSecret) || len(s.Requests()) > 0 {
		t.Errorf("error %v, %d requests", err, len(s.Requests()))
	}
}

// TestTLS: with certificates on both sides, and what is said where one is missing.
func TestTLS(t *testing.T) {
	t.Parallel()
	server, client, err := sourcetest.NewTLS()
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, httptest.Options{TLS: server})
	s.Put("orders", instance("10.0.0.1"))
	url := "https://" + s.Addr() + "/services?key=s3cret"
	use := func(c *tls.Config) func(context.Context) (*tls.Config, error) {
		return func(context.Context) (*tls.Config, error) { return c, nil }
	}
	watch(t, s, httpsource.Config{URL: url, TLS: use(client)}).Await("instance", has("orders", "10.0.0.1:80"))
	without := client.Clone()
	without.Certificates = nil
	for name, tt := range map[string]struct {
		url     string
		tls     *tls.Config
		class   error
		explain string
	}{
		"no certificate":                   {url, without, source.ErrUnauthorized, "source.http.tls.clientSecretRef"},
		"an authority that is not trusted": {url, nil, source.ErrUnavailable, "source.http.tls.caRef"},
		"HTTP where HTTPS is spoken":       {"http://" + s.Addr() + "/?key=s3cret", nil, source.ErrMalformed, "status 400"},
		"nobody listens":                   {"http://127.0.0.1:1/?key=s3cret", nil, source.ErrUnavailable, "source.http.url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := httpsource.Config{URL: tt.url}
			if tt.tls != nil {
				cfg.TLS = use(tt.tls)
			}
			_, err := watch(t, s, cfg).AwaitError()
			if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.explain) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %v with %q", err, tt.class, tt.explain)
			}
		})
	}
}
