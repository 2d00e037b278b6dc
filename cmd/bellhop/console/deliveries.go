package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher/delivery"
	"bellhop/store"
)

// Deliveries is what the console asks of deliveries.
type Deliveries interface {
	// List finds outcomes, newest first, and gives Before of the next page, 0 where there is none.
	List(ctx context.Context, q store.Query) (api.DeliveryList, uint64, error)
	Show(ctx context.Context, id string) (api.Delivery, error)
	// Pending lists attempts to come, soonest first.
	Pending(ctx context.Context, q PendingQuery) (api.PendingList, error)
}

// ByHand is what operators do to deliveries.
type ByHand interface {
	Retry(ctx context.Context, id string) (api.Retried, error)
	Cancel(ctx context.Context, id, by string) (api.Outcome, error)
	// Choose finds what a bulk operation is about, as ids of deliveries, of what was recorded up to until; 0 is now.
	Choose(ctx context.Context, req api.OperationRequest) (ids []string, until uint64, err error)
}

// PendingQuery says which attempts to come are meant.
type PendingQuery struct {
	States []string
	Rules  []string
	// A trailing * takes what begins so.
	Endpoints, Types []string
	Limit            int
	After            string // a cursor
}

// QueryOf reads a filter.
func QueryOf(f *api.Filter, now time.Time) (store.Query, error) {
	q := store.Query{Rules: f.Rule, Webhooks: f.Webhook, Endpoints: f.Endpoint, Types: f.Type, Text: strings.TrimSpace(f.Q)}
	for _, o := range f.Outcome {
		switch name := delivery.Outcome(o); name {
		case delivery.Delivered, delivery.Retrying, delivery.Failed, delivery.Rejected:
			q.Outcomes = append(q.Outcomes, name)
		case "errors":
			q.Outcomes = append(q.Outcomes, delivery.Retrying, delivery.Failed)
		default:
			return q, fmt.Errorf("outcome: %q is none of delivered, retrying, failed, rejected, errors", o)
		}
	}
	for _, k := range f.Kind {
		if !slices.Contains(append(delivery.Kinds(), store.KindOther), delivery.Kind(k)) {
			return q, fmt.Errorf("kind: %q is no kind of error", k)
		}
		q.Kinds = append(q.Kinds, delivery.Kind(k))
	}
	if len(q.Text) > maxText {
		return q, fmt.Errorf("q: %d characters, at most %d", len(q.Text), maxText)
	}
	var err error
	if f.From != "" {
		if q.From, err = parseTime(f.From, now); err != nil {
			return q, fmt.Errorf("from: %w", err)
		}
	}
	if f.To != "" {
		if q.To, err = parseTime(f.To, now); err != nil {
			return q, fmt.Errorf("to: %w", err)
		}
	}
	return q, nil
}

const maxText = 256

// filterOf reads the filters of a request: each may be given several times.
func filterOf(v url.Values) *api.Filter {
	return &api.Filter{
		Outcome: v["outcome"], Rule: v["rule"], Webhook: v["webhook"], Endpoint: v["endpoint"], Type: v["type"], Kind: v["kind"],
		From: v.Get("from"), To: v.Get("to"), Q: v.Get("q"),
	}
}

func (s *Server) deliveries(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	q, err := QueryOf(filterOf(v), time.Now())
	if err == nil {
		q.Limit, err = number(v, "limit", 50, 1, 500)
	}
	if text := v.Get("cursor"); err == nil && text != "" {
		if q.Before, err = strconv.ParseUint(text, 10, 64); err != nil || q.Before == 0 {
			err = fmt.Errorf("cursor: %q is none of an answer's", text)
		}
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	list, next, err := s.o.Deliveries.List(r.Context(), q)
	if err != nil {
		s.fail(w, err)
		return
	}
	if next > 0 {
		list.Next = strconv.FormatUint(next, 10)
	} else {
		list.SearchedTo = nil
	}
	answer(w, list)
}

// idOf reads the delivery's id of a path.
func idOf(w http.ResponseWriter, r *http.Request) (string, bool) {
	id := r.PathValue("id")
	if _, ok := store.DeliveryHash(id); !ok {
		problem(w, http.StatusNotFound, fmt.Sprintf("%.64q is no delivery's id, which has 32 hexadecimal digits", id))
		return "", false
	}
	return id, true
}

func (s *Server) delivery(w http.ResponseWriter, r *http.Request) {
	id, ok := idOf(w, r)
	if !ok {
		return
	}
	one, err := s.o.Deliveries.Show(r.Context(), id)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, one)
}

func (s *Server) retry(w http.ResponseWriter, r *http.Request) {
	id, ok := idOf(w, r)
	if !ok {
		return
	}
	done, err := s.sendAgain(r.Context(), id, callerOf(r).by)
	if err != nil {
		s.fail(w, err)
		return
	}
	answerWith(w, http.StatusAccepted, done)
}

// sendAgain begins a new run of a failed delivery, and says who asked for it.
func (s *Server) sendAgain(ctx context.Context, id, by string) (api.Retried, error) {
	done, err := s.o.ByHand.Retry(ctx, id)
	if err == nil {
		s.o.Log.Info("delivery sent again", zap.String("delivery", id), zap.Int("run", done.Run), zap.String("by", by))
	}
	return done, err
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request) {
	id, ok := idOf(w, r)
	if !ok {
		return
	}
	outcome, err := s.callOff(r.Context(), id, callerOf(r).by)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, outcome)
}

// callOff cancels a delivery's next attempt, and says who asked for it.
func (s *Server) callOff(ctx context.Context, id, by string) (api.Outcome, error) {
	outcome, err := s.o.ByHand.Cancel(ctx, id, by)
	if err == nil {
		s.o.Log.Info("delivery cancelled", zap.String("delivery", id), zap.Int("attempt", outcome.Attempt), zap.String("by", by))
	}
	return outcome, err
}

func checkStates(states []string) error {
	for _, state := range states {
		if !slices.Contains([]string{"scheduled", "due", "waiting"}, state) {
			return fmt.Errorf("state: %.64q is none of scheduled, due, waiting", state)
		}
	}
	return nil
}

func (s *Server) pending(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	q := PendingQuery{States: v["state"], Rules: v["rule"], Endpoints: v["endpoint"], Types: v["type"], After: v.Get("cursor")}
	err := checkStates(q.States)
	if err == nil {
		q.Limit, err = number(v, "limit", 50, 1, 500)
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	list, err := s.o.Deliveries.Pending(r.Context(), q)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, list)
}
