package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher/event"
)

// About is what the console asks of the daemon, its bus and its cluster.
type About interface {
	Status(ctx context.Context) (api.Status, error)
	Daemons(ctx context.Context) (api.DaemonList, error)
	// Rebuild begins to count all outcomes anew.
	Rebuild(ctx context.Context) (api.Projection, error)
}

// Events is what the console asks of events and of what they would send.
type Events interface {
	Recent(ctx context.Context, eventType string, n int) ([]api.Event, error)
	Event(ctx context.Context, seq uint64) (api.Event, error)
	Try(ctx context.Context, req api.TryRequest) (api.TryResult, error)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	out, err := s.o.About.Status(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, out)
}

func (s *Server) daemons(w http.ResponseWriter, r *http.Request) {
	out, err := s.o.About.Daemons(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, out)
}

func (s *Server) rebuild(w http.ResponseWriter, r *http.Request) {
	out, err := s.o.About.Rebuild(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	s.o.Log.Info("outcomes are counted anew", zap.String("by", callerOf(r).by))
	answerWith(w, http.StatusAccepted, out)
}

func (s *Server) recentEvents(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n, err := number(q, "limit", 20, 1, 100)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	list, err := s.o.Events.Recent(r.Context(), q.Get("type"), n)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, api.EventList{Items: list})
}

func (s *Server) event(w http.ResponseWriter, r *http.Request) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil || seq == 0 {
		problem(w, http.StatusNotFound, fmt.Sprintf("%.32q is no event's sequence", r.PathValue("seq")))
		return
	}
	one, err := s.o.Events.Event(r.Context(), seq)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, one)
}

func (s *Server) eventTypes(w http.ResponseWriter, _ *http.Request) {
	answer(w, api.EventTypes{Items: event.Types()})
}

func (s *Server) try(w http.ResponseWriter, r *http.Request) {
	var req api.TryRequest
	if !read(w, r, &req, `{"seq": N}, or {"type": "course.completed", "event": {...}}`) {
		return
	}
	if err := checkTry(&req); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	out, err := s.o.Events.Try(r.Context(), req)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, out)
}

func checkTry(req *api.TryRequest) error {
	switch {
	case req.Seq > 0 && len(req.Event) > 0, req.Seq == 0 && len(req.Event) == 0:
		return errors.New("either seq or event is needed")
	case req.Seq > 0 && req.Type != "":
		return errors.New("type goes with event: one of the stream has its own")
	case len(req.Event) > 0 && !json.Valid(req.Event):
		return errors.New("event: no JSON")
	}
	return nil
}

func (s *Server) diff(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	out, err := s.o.Rules.Diff(q.Get("from"), q.Get("to"))
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, out)
}
