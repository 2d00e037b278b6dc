package console

import (
	"context"
	"net/http"

	"bellhop/cmd/bellhop/console/api"
)

// Lanes is what the console asks of the endpoints' lanes.
type Lanes interface {
	Lanes(ctx context.Context) ([]api.Lane, error)
	// Hold pauses an endpoint's lane on every daemon, or resumes it. by says who asked.
	Hold(ctx context.Context, endpoint string, pause bool, by string) (api.Lane, error)
}

func (s *Server) lanes(w http.ResponseWriter, r *http.Request) {
	list, err := s.o.Lanes.Lanes(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, api.LaneList{Items: list})
}

func (s *Server) hold(pause bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body api.LaneRef
		const shape = `{"endpoint": "https://HOST"}`
		if !read(w, r, &body, shape) {
			return
		}
		if body.Endpoint == "" {
			problem(w, http.StatusBadRequest, "the body must be "+shape)
			return
		}
		lane, err := s.o.Lanes.Hold(r.Context(), body.Endpoint, pause, callerOf(r).by)
		if err != nil {
			s.fail(w, err)
			return
		}
		answer(w, lane)
	}
}
