package eurekatest

import (
	"compress/gzip"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Handler is the API, for tests that have a connection of their own.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /apps", func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, s.everything()) })
	mux.HandleFunc("GET /apps/delta", s.delta)
	mux.HandleFunc("POST /apps/{app}", s.post)
	done := func(known func(app, id string, r *http.Request) bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !known(r.PathValue("app"), r.PathValue("id"), r) {
				w.WriteHeader(http.StatusNotFound)
			}
		}
	}
	mux.HandleFunc("PUT /apps/{app}/{id}", done(func(app, id string, _ *http.Request) bool { return s.store.renew(app, id) }))
	mux.HandleFunc("DELETE /apps/{app}/{id}", done(func(app, id string, _ *http.Request) bool { return s.Deregister(app, id) }))
	mux.HandleFunc("PUT /apps/{app}/{id}/status", done(func(app, id string, r *http.Request) bool {
		return s.Override(app, id, r.URL.Query().Get("value"))
	}))
	mux.HandleFunc("DELETE /apps/{app}/{id}/status", done(func(app, id string, r *http.Request) bool {
		return s.store.override(app, id, "", r.URL.Query().Get("value"))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, mux) })
}

// serve takes the base off the path, asks for a password, and lets faults answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, mux http.Handler) {
	path, ok := strings.CutPrefix(r.URL.Path, "/eureka")
	if !ok {
		http.NotFound(w, r)
		return
	}
	path = strings.TrimPrefix(path, "/v2")
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawPath = path, ""
	s.mu.Lock()
	s.stats[r.Method+" "+path]++
	fault := s.faults[path]
	s.mu.Unlock()
	user, password, _ := r.BasicAuth()
	switch {
	case s.opts.User != "" && (user != s.opts.User || password != s.opts.Password):
		w.Header().Set("Www-Authenticate", `Basic realm="Realm"`)
		w.WriteHeader(http.StatusUnauthorized)
	case fault != nil:
		fault(w, inner, mux)
	default:
		mux.ServeHTTP(w, inner)
	}
}

func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	var body struct{ Instance Instance }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if app := r.PathValue("app"); !strings.EqualFold(app, body.Instance.App) {
		http.Error(w, fmt.Sprintf("Mismatched appName, expecting %s but was %s", app, body.Instance.App), http.StatusBadRequest)
		return
	}
	s.Register(body.Instance)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) delta(w http.ResponseWriter, r *http.Request) {
	if s.opts.NoDelta {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	s.store.mu.Lock()
	a := applications{Applications: s.store.changes(), Version: strconv.Itoa(s.store.version), Hash: new(s.store.hash())}
	s.store.mu.Unlock()
	if s.opts.NoHash {
		a.Hash = nil
	}
	s.answer(w, r, a)
}

func (s *Server) everything() applications {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return applications{Applications: s.store.all(), Version: "1", Hash: new(s.store.hash())}
}

// answer writes JSON for who asks for it, else XML, compressed for who takes that.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, a applications) {
	kind := "application/xml"
	marshal := func() ([]byte, error) { return xml.Marshal(a) }
	if strings.Contains(r.Header.Get("Accept"), "json") {
		kind, marshal = "application/json", func() ([]byte, error) { return s.json(a, r.URL.Path == "/apps") }
	}
	body, err := marshal()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		_, _ = w.Write(body)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = z.Write(body)
	_ = z.Close()
}

// number is a number in JSON that XStream writes as text.
var number = regexp.MustCompile(`("[$a-zA-Z]+"):(\d+)`)

func (s *Server) json(a applications, whole bool) ([]byte, error) {
	a.Raw = []json.RawMessage{}
	for _, app := range a.Applications {
		raw, err := json.Marshal(app)
		if err != nil {
			return nil, err
		}
		a.Raw = append(a.Raw, raw)
	}
	if whole {
		s.mu.Lock()
		for _, text := range s.extra {
			a.Raw = append(a.Raw, json.RawMessage(text))
		}
		s.mu.Unlock()
	}
	body, err := json.Marshal(map[string]applications{"applications": a})
	if err != nil || !s.opts.XStream {
		return body, err
	}
	text := string(body)
	for _, app := range a.Raw {
		one := string(app)
		if list, instances, ok := strings.Cut(one, `"instance":[`); ok && strings.Count(instances, `"instanceId"`) == 1 {
			one = list + `"instance":` + strings.TrimSuffix(instances, "]}") + "}"
		}
		text = strings.Replace(text, string(app), one, 1)
	}
	if head, list, ok := strings.Cut(text, `"application":[`); ok && len(a.Raw) < 2 {
		text = head + `"application":` + strings.TrimSuffix(list, "]}}") + "}}"
		text = strings.Replace(text, `,"application":}`, "}", 1)
	}
	text = strings.ReplaceAll(text, `"metadata":{}`, `"metadata":{"@class":"java.util.Collections$EmptyMap"}`)
	text = strings.ReplaceAll(text, `"overriddenStatus"`, `"overriddenstatus"`)
	return []byte(number.ReplaceAllString(text, `$1:"$2"`)), nil
}
