package consultest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// How long a blocking query waits when it does not say, and at most.
const (
	defaultWait = 5 * time.Minute
	maxWait     = 10 * time.Minute
)

const healthPath = "/v1/health/service/"

// handler serves the API.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/catalog/services", func(w http.ResponseWriter, r *http.Request) {
		s.query(w, r, func(p Policy) view { return s.viewListing(p) })
	})
	mux.HandleFunc("GET "+healthPath, func(w http.ResponseWriter, r *http.Request) {
		// The agent decodes a name once more than the HTTP server has already done.
		name, err := url.PathUnescape(strings.TrimPrefix(r.URL.Path, healthPath))
		if err != nil {
			http.Error(w, "Missing or malformed service name", http.StatusBadRequest)
			return
		}
		streamed := r.URL.Query().Get("index") != "" && !r.URL.Query().Has("near")
		s.query(w, r, func(p Policy) view {
			v := s.viewHealth(p, name)
			if streamed {
				v.streamed, v.abandoned = true, nil
			}
			return v
		})
	})
	mux.HandleFunc("PUT /v1/catalog/register", func(w http.ResponseWriter, r *http.Request) {
		write(w, r, s.Register)
	})
	mux.HandleFunc("PUT /v1/catalog/deregister", func(w http.ResponseWriter, r *http.Request) {
		write(w, r, s.Deregister)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.stats.Requests[r.URL.Path]++
		fault := s.faults[r.URL.Path]
		s.mu.Unlock()
		if fault != nil {
			fault(w, r, mux)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func write[T any](w http.ResponseWriter, r *http.Request, do func(*T)) {
	var body T
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, "Request decode failed: "+err.Error(), http.StatusBadRequest)
		return
	}
	do(&body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprint(w, "true")
}

// view is what a query sees at one moment.
type view struct {
	body     any
	index    uint64
	filtered bool
	// streamed says that the agent answers from a copy of its own, which it keeps by a stream of events: such an answer does not say
	// what ACLs have hidden and whether there is a leader, and nobody ends it when the data is replaced. Agents answer blocking
	// queries about the health of a service so, unless the query asks for an order.
	streamed bool
	// changed, and extinction where that matters, are closed when there may be something else to see, abandoned when the data was
	// replaced.
	changed, extinction, abandoned <-chan struct{}
}

// viewListing is called with the lock held, as is viewHealth.
func (s *Server) viewListing(p Policy) view {
	v := view{index: s.catalog.listing, changed: s.catalog.watch(watchListing), abandoned: s.catalog.watch(watchData)}
	list := s.catalog.list()
	for name := range list {
		if !p.reads(name) {
			delete(list, name)
			v.filtered = true
		}
	}
	v.body = list
	return v
}

func (s *Server) viewHealth(p Policy, name string) view {
	entries, index := s.catalog.health(name)
	v := view{body: entries, index: index, changed: s.catalog.watch(strings.ToLower(name)), abandoned: s.catalog.watch(watchData)}
	if len(entries) == 0 {
		v.extinction = s.catalog.watch(watchExtinction)
	}
	if len(entries) > 0 && (p.NoNodes || !p.reads(name)) {
		v.body, v.filtered = []*api.ServiceEntry{}, true
	}
	return v
}

// query answers a query, at once or when its index is passed or its wait over.
func (s *Server) query(w http.ResponseWriter, r *http.Request, read func(Policy) view) {
	values := r.URL.Query()
	index, err := parseIndex(values.Get("index"))
	if err != nil {
		http.Error(w, "Invalid index", http.StatusBadRequest)
		return
	}
	wait, err := parseWait(values.Get("wait"))
	if err != nil {
		http.Error(w, "Invalid wait time", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	for {
		v, problem := s.look(r, read)
		if problem != nil {
			problem(w)
			return
		}
		if index == 0 || v.index > index || ctx.Err() != nil {
			s.answer(w, v)
			return
		}
		s.waiting(1)
		select {
		case <-v.changed:
		case <-v.extinction:
		case <-v.abandoned:
		case <-ctx.Done():
		}
		s.waiting(-1)
		if r.Context().Err() != nil {
			return
		}
		select {
		case <-v.abandoned:
			// What was read before, with the index that the client has already.
			s.answer(w, v)
			return
		default:
		}
	}
}

func (s *Server) waiting(change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Waiting += change
}

// look checks token and leader, and reads.
func (s *Server) look(r *http.Request, read func(Policy) view) (v view, problem func(http.ResponseWriter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	policy := Policy{Services: []string{""}}
	token := r.Header.Get("X-Consul-Token")
	known, ok := s.tokens[token]
	switch {
	case ok:
		policy = known
	case token != "":
		return v, func(w http.ResponseWriter) {
			http.Error(w, "rpc error making call: ACL not found", http.StatusForbidden)
		}
	case s.opts.DefaultDeny:
		policy = Policy{}
	}
	if s.leaderNo && !r.URL.Query().Has("stale") {
		return v, func(w http.ResponseWriter) {
			http.Error(w, "rpc error making call: No cluster leader", http.StatusInternalServerError)
		}
	}
	return read(policy), nil
}

func (s *Server) answer(w http.ResponseWriter, v view) {
	s.mu.Lock()
	leader, contact := !s.leaderNo, s.leaderOff
	s.mu.Unlock()
	backend := "blocking-query"
	if v.streamed {
		leader, contact, v.filtered, backend = false, 0, false, "streaming"
	}
	body, err := json.Marshal(v.body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Consul-Index", strconv.FormatUint(v.index, 10))
	h.Set("X-Consul-Knownleader", strconv.FormatBool(leader))
	h.Set("X-Consul-Lastcontact", strconv.FormatInt(contact.Milliseconds(), 10))
	h.Set("X-Consul-Effective-Consistency", "stale")
	h.Set("X-Consul-Query-Backend", backend)
	h.Set("X-Consul-Default-Acl-Policy", map[bool]string{true: "deny", false: "allow"}[s.opts.DefaultDeny])
	if v.filtered && !s.opts.NoFilterHeader {
		h.Set("X-Consul-Results-Filtered-By-Acls", "true")
	}
	_, _ = w.Write(body)
}

func parseIndex(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	return strconv.ParseUint(text, 10, 64)
}

// parseWait reads a wait and adds up to a sixteenth, as Consul does.
func parseWait(text string) (time.Duration, error) {
	wait := defaultWait
	if text != "" {
		given, err := time.ParseDuration(text)
		if err != nil {
			return 0, err
		}
		wait = min(given, maxWait)
	}
	return wait + rand.N(wait/16+1), nil //nolint:gosec // spreads load, guards nothing
}
