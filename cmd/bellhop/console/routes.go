package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/store"
)

// routes makes the handlers of one door.
func (s *Server) routes(a *access) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.o.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET "+api.SessionPath, s.session(a))
	mux.HandleFunc("POST "+api.SessionPath, s.signIn(a))
	mux.HandleFunc("DELETE "+api.SessionPath, s.signOut)
	mux.HandleFunc("GET "+api.StatsPath, s.stats)
	mux.HandleFunc("GET "+api.SeriesPath, s.series)
	mux.HandleFunc("GET "+api.BreakdownPath, s.breakdown)
	mux.HandleFunc("GET "+api.LatencyPath, s.latency)
	mux.HandleFunc("GET "+api.DeliveriesPath, s.deliveries)
	mux.HandleFunc("GET "+api.DeliveriesPath+"/{id}", s.delivery)
	mux.HandleFunc("POST "+api.DeliveriesPath+"/{id}/retry", s.retry)
	mux.HandleFunc("POST "+api.DeliveriesPath+"/{id}/cancel", s.cancel)
	mux.HandleFunc("GET "+api.StreamPath, s.stream)
	mux.HandleFunc("GET "+api.PendingPath, s.pending)
	mux.HandleFunc("GET "+api.OperationsPath, s.listOperations)
	mux.HandleFunc("POST "+api.OperationsPath, s.startOperation)
	mux.HandleFunc("GET "+api.OperationsPath+"/{id}", s.operation)
	mux.HandleFunc("DELETE "+api.OperationsPath+"/{id}", s.stopOperation)
	mux.HandleFunc("GET "+api.StatusPath, s.status)
	mux.HandleFunc("GET "+api.DaemonsPath, s.daemons)
	mux.HandleFunc("POST "+api.RebuildPath, s.rebuild)
	mux.HandleFunc("GET "+api.EventsPath, s.recentEvents)
	mux.HandleFunc("GET "+api.EventsPath+"/{seq}", s.event)
	mux.HandleFunc("GET "+api.EventTypesPath, s.eventTypes)
	mux.HandleFunc("POST "+api.TryPath, s.try)
	mux.HandleFunc("GET "+api.DiffPath, s.diff)
	mux.HandleFunc("GET "+api.RulesPath, func(w http.ResponseWriter, _ *http.Request) { answer(w, s.o.Rules.InForce()) })
	mux.HandleFunc("GET "+api.RulesPath+"/{name}", s.rule)
	mux.HandleFunc("GET "+api.VersionsPath, s.versions)
	mux.HandleFunc("GET "+api.VersionsPath+"/{ref}", s.version)
	mux.HandleFunc("POST "+api.RollbackPath, s.rollback)
	mux.HandleFunc("GET "+api.LanesPath, s.lanes)
	mux.HandleFunc("POST "+api.PausePath, s.hold(true))
	mux.HandleFunc("POST "+api.ResumePath, s.hold(false))
	mux.HandleFunc("GET "+api.DescriptionPath, s.describe)
	s.page(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
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
