// Package status is what the program shows of itself over HTTP: health, metrics and its state as JSON. It is read-only, and it never
// shows a secret, because nothing that it is given holds one.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/registry-bridge/registry-bridge/internal/explain"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
)

// stuckAfter is how long the loop may take for one turn before the process counts as unhealthy. A turn begins at least every 30 s, and
// one that writes all it may takes seconds.
const stuckAfter = 2 * time.Minute

// Limits of the lists in /debug/state.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// Options are what the pages are made from.
type Options struct {
	// State is that of the engine, LastTurn when its loop last finished a turn (or was made).
	State    func() *engine.State
	LastTurn func() time.Time
	// Configuration says how the configuration is doing.
	Configuration func() Configuration
	// Ready says why the program does not do its part yet; nil when it does. Without it, it does once a plan was made of a configuration
	// that has no problem.
	Ready func() error
	// Metrics is what /metrics shows.
	Metrics prometheus.Gatherer
	Logger  *slog.Logger
}

// Configuration is how the configuration is doing.
type Configuration struct {
	// Loaded is when the configuration in use was loaded; zero when none was.
	Loaded time.Time
	// Problems is everything that is wrong with the files now; the last good configuration is in use as long as there are any.
	Problems []string
}

// handler serves the pages.
type handler struct{ opts Options }

// NewHandler returns the pages:
//
//	/healthz      200 while the loop turns
//	/readyz       200 once a plan was made of a valid configuration; an outage of a registry does not matter
//	/metrics      for Prometheus
//	/debug/state  JSON; ?registry=NAME or ?registry=NAMESPACE/NAME for one Registry, ?limit=N for longer lists (1,000 at most)
//	/debug/explain?q=HOST|SERVICE|IP[:PORT]  JSON: what became of it (explain.Answer); 503 before the first plan, so on a standby
func NewHandler(opts Options) http.Handler {
	h := handler{opts}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.health)
	mux.HandleFunc("GET /readyz", h.ready)
	mux.HandleFunc("GET /debug/state", h.state)
	mux.HandleFunc("GET /debug/explain", h.explain)
	mux.Handle("GET /metrics", promhttp.HandlerFor(opts.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	mux.HandleFunc("GET /{$}", index)
	return mux
}

func (h handler) health(w http.ResponseWriter, _ *http.Request) {
	if age := time.Since(h.opts.LastTurn()); age > stuckAfter {
		answer(w, http.StatusServiceUnavailable, fmt.Sprintf("the loop is stuck since %s", age.Round(time.Second)))
		return
	}
	answer(w, http.StatusOK, "ok")
}

func (h handler) ready(w http.ResponseWriter, _ *http.Request) {
	if h.opts.Ready != nil {
		if err := h.opts.Ready(); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, "ok")
		return
	}
	config := h.opts.Configuration()
	switch {
	case len(config.Problems) > 0:
		answer(w, http.StatusServiceUnavailable, "the configuration has problems; the last good one is in use. First: "+config.Problems[0])
	case config.Loaded.IsZero():
		answer(w, http.StatusServiceUnavailable, "no configuration has been loaded yet")
	case h.opts.State().Cycle == 0:
		answer(w, http.StatusServiceUnavailable, "no plan has been made yet: the output has not been read")
	default:
		answer(w, http.StatusOK, "ok")
	}
}

func (h handler) state(w http.ResponseWriter, r *http.Request) {
	limit := defaultLimit
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			answer(w, http.StatusBadRequest, "limit needs to be a number, e.g. ?limit=500")
			return
		}
		limit = min(n, maxLimit)
	}
	h.answerJSON(w, NewReport(h.opts.State(), h.opts.Configuration(), r.URL.Query().Get("registry"), limit))
}

// maxQuery bounds what may be asked for: no name is longer.
const maxQuery = 2048

func (h handler) explain(w http.ResponseWriter, r *http.Request) {
	query, state := r.URL.Query().Get("q"), h.opts.State()
	switch {
	case query == "" || len(query) > maxQuery:
		answer(w, http.StatusBadRequest, "say what: ?q=HOST, a service or an address, e.g. ?q=10.0.0.1:20880")
	case state.Cycle == 0:
		answer(w, http.StatusServiceUnavailable, "this replica has made no plan: it does not lead, or cannot read the output yet")
	default:
		h.answerJSON(w, explain.Explain(state, query))
	}
}

func (h handler) answerJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		h.opts.Logger.Debug("an answer was not sent in full", "error", err)
	}
}

func index(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, "registry-bridge\n\n/healthz\n/readyz\n/metrics\n/debug/state?registry=&limit=\n/debug/explain?q=")
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	fmt.Fprintln(w, text)
}

// Serve answers requests on l until ctx ends, then closes l and returns within a second.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	err := server.Shutdown(stop)
	if err != nil {
		log.Debug("requests are cut off by the stop", "error", err)
		err = server.Close()
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), served)
	}
	return err
}
