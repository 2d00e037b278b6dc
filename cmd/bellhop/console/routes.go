package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/store"
)

// route is one request that is answered, as http.ServeMux writes it.
type route struct {
	pattern string
	handler http.Handler
}

// table lists all that is answered but for what the page is made of.
func (s *Server) table(a *access) []route {
	return []route{
		{"GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") })},
		{"GET /readyz", http.HandlerFunc(s.readyz)},
		{"GET /metrics", promhttp.HandlerFor(s.o.Gatherer, promhttp.HandlerOpts{})},
		{"GET " + api.SessionPath, http.HandlerFunc(s.session(a))},
		{"POST " + api.SessionPath, http.HandlerFunc(s.signIn(a))},
		{"DELETE " + api.SessionPath, http.HandlerFunc(s.signOut)},
		{"GET " + api.StatsPath, http.HandlerFunc(s.stats)},
		{"GET " + api.SeriesPath, http.HandlerFunc(s.series)},
		{"GET " + api.BreakdownPath, http.HandlerFunc(s.breakdown)},
		{"GET " + api.LatencyPath, http.HandlerFunc(s.latency)},
		{"GET " + api.DeliveriesPath, http.HandlerFunc(s.deliveries)},
		{"GET " + api.DeliveriesPath + "/{id}", http.HandlerFunc(s.delivery)},
		{"POST " + api.DeliveriesPath + "/{id}/retry", http.HandlerFunc(s.retry)},
		{"POST " + api.DeliveriesPath + "/{id}/cancel", http.HandlerFunc(s.cancel)},
		{"GET " + api.StreamPath, http.HandlerFunc(s.stream)},
		{"GET " + api.PendingPath, http.HandlerFunc(s.pending)},
		{"GET " + api.OperationsPath, http.HandlerFunc(s.listOperations)},
		{"POST " + api.OperationsPath, http.HandlerFunc(s.startOperation)},
		{"GET " + api.OperationsPath + "/{id}", http.HandlerFunc(s.operation)},
		{"DELETE " + api.OperationsPath + "/{id}", http.HandlerFunc(s.stopOperation)},
		{"GET " + api.StatusPath, http.HandlerFunc(s.status)},
		{"GET " + api.DaemonsPath, http.HandlerFunc(s.daemons)},
		{"POST " + api.RebuildPath, http.HandlerFunc(s.rebuild)},
		{"GET " + api.EventsPath, http.HandlerFunc(s.recentEvents)},
		{"GET " + api.EventsPath + "/{seq}", http.HandlerFunc(s.event)},
		{"GET " + api.EventTypesPath, http.HandlerFunc(s.eventTypes)},
		{"POST " + api.TryPath, http.HandlerFunc(s.try)},
		{"GET " + api.DiffPath, http.HandlerFunc(s.diff)},
		{"GET " + api.RulesPath, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, s.o.Rules.InForce()) })},
		{"GET " + api.RulesPath + "/{name}", http.HandlerFunc(s.rule)},
		{"GET " + api.VersionsPath, http.HandlerFunc(s.versions)},
		{"GET " + api.VersionsPath + "/{ref}", http.HandlerFunc(s.version)},
		{"POST " + api.RollbackPath, http.HandlerFunc(s.rollback)},
		{"GET " + api.LanesPath, http.HandlerFunc(s.lanes)},
		{"POST " + api.PausePath, http.HandlerFunc(s.hold(true))},
		{"POST " + api.ResumePath, http.HandlerFunc(s.hold(false))},
		{"GET " + api.DescriptionPath, http.HandlerFunc(s.describe)},
	}
}

// routes makes the handlers of one door.
func (s *Server) routes(a *access) http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.table(a) {
		mux.Handle(r.pattern, r.handler)
	}
	s.page(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete} {
			other := *r
			other.Method = method
			if _, pattern := mux.Handler(&other); pattern != "/" && pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) > 0 {
			allow := strings.Join(allowed, ", ")
			if r.Method == http.MethodOptions {
				// What is there (RFC 9110, section 9.3.7), and no word of other origins: they are let in nowhere.
				w.Header().Set("Allow", allow+", OPTIONS")
				w.WriteHeader(http.StatusNoContent)
				return
			}
			w.Header().Set("Allow", allow)
			problem(w, http.StatusMethodNotAllowed, r.URL.Path+" takes "+allow)
			return
		}
		problem(w, http.StatusNotFound, r.Method+" "+r.URL.Path+" is not here")
	})
	return mux
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.o.Ready(); err != nil {
		text(w, http.StatusServiceUnavailable, "not ready: "+err.Error()+"\n")
		return
	}
	text(w, http.StatusOK, "ready\n")
}

func (s *Server) rule(w http.ResponseWriter, r *http.Request) {
	one, ok := s.o.Rules.Rule(r.PathValue("name"))
	if !ok {
		problem(w, http.StatusNotFound, fmt.Sprintf("rule %q not found", r.PathValue("name")))
		return
	}
	answer(w, one)
}

func (s *Server) versions(w http.ResponseWriter, _ *http.Request) {
	list, err := s.o.Rules.Versions()
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, api.VersionList{Items: list})
}

func (s *Server) version(w http.ResponseWriter, r *http.Request) {
	v, err := s.o.Rules.Version(r.PathValue("ref"))
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, v)
}

func (s *Server) rollback(w http.ResponseWriter, r *http.Request) {
	var body api.Rollback
	const shape = `{"version": "NUMBER OR DIGEST"}`
	if !read(w, r, &body, shape) {
		return
	}
	if body.Version == "" {
		problem(w, http.StatusBadRequest, "the body must be "+shape)
		return
	}
	v, err := s.o.Rules.Rollback(body.Version)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.o.Log.Info("rules rolled back", zap.Uint64("version", v.Number), zap.Uint64("to", v.Of), zap.String("by", callerOf(r).by))
	answer(w, v)
}

// read reads a request's body, and answers with what it must be where it is not that.
func read(w http.ResponseWriter, r *http.Request, into any, shape string) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more follows behind it")
		}
	}
	if err == nil {
		return true
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is over %d bytes", large.Limit))
		return false
	}
	problem(w, http.StatusBadRequest, fmt.Sprintf("the body must be %s: %v", shape, err))
	return false
}

// fail answers with what an error means to who asked.
func (s *Server) fail(w http.ResponseWriter, err error) {
	var refusal *Refusal
	var many *store.TooManyError
	switch {
	case errors.As(err, &refusal):
		problemWith(w, api.Problem{Status: refusal.Status, Detail: err.Error(), Next: refusal.Next})
	case errors.Is(err, store.ErrNoVersion):
		problem(w, http.StatusNotFound, err.Error())
	case errors.As(err, &many):
		problem(w, http.StatusConflict, err.Error())
	default:
		problem(w, http.StatusUnprocessableEntity, err.Error())
	}
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func answer(w http.ResponseWriter, v any) { answerWith(w, http.StatusOK, v) }

func answerWith(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// problem answers with an error (RFC 9457).
func problem(w http.ResponseWriter, status int, detail string) {
	problemWith(w, api.Problem{Status: status, Detail: detail})
}

func problemWith(w http.ResponseWriter, p api.Problem) {
	p.Title = http.StatusText(p.Status)
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(p.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p)
}
