package console

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/store"
)

const (
	maxOperations  = 4 // under way at a time
	keepOperations = time.Hour
	operationsAt   = 8 // deliveries at a time
	maxIDs         = 10_000
)

// operations are the bulk operations of this daemon. They end with it; what they have done stays done.
type operations struct {
	mu   sync.Mutex
	list []*operation // oldest first
	wg   sync.WaitGroup
	life context.Context
	stop context.CancelFunc
}

type operation struct {
	api.Operation
	cancel context.CancelFunc
}

func newOperations() *operations {
	o := &operations{}
	o.life, o.stop = context.WithCancel(context.Background())
	return o
}

// close stops what is under way and waits for it.
func (o *operations) close() {
	o.stop()
	o.wg.Wait()
}

// shown copies an operation for readers, with the lock held.
func (op *operation) shown() api.Operation {
	out := op.Operation
	out.Errors = slices.Clone(op.Errors)
	return out
}

// prune forgets the old ones, with the lock held, and counts those under way.
func (o *operations) prune(now time.Time) (running int) {
	o.list = slices.DeleteFunc(o.list, func(op *operation) bool { return op.Ended != nil && now.Sub(*op.Ended) > keepOperations })
	for _, op := range o.list {
		if op.Ended == nil {
			running++
		}
	}
	return running
}

func (o *operations) find(id string) *operation {
	for _, op := range o.list {
		if op.ID == id {
			return op
		}
	}
	return nil
}

// begin runs do for each id, some at a time.
func (o *operations) begin(action, by string, ids []string, do func(context.Context, string) error, ended func(api.Operation)) (api.Operation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.life.Err() != nil {
		return api.Operation{}, Unavailable(errors.New("the daemon is stopping"))
	}
	now := time.Now().UTC()
	if o.prune(now) >= maxOperations {
		return api.Operation{}, Conflict(fmt.Errorf("%d bulk operations are under way: wait for one, or stop one", maxOperations))
	}
	ctx, cancel := context.WithCancel(o.life)
	op := &operation{Operation: api.Operation{ID: rand.Text(), Action: action, State: "running", By: by, Total: len(ids), Started: now}, cancel: cancel}
	o.list = append(o.list, op)
	o.wg.Add(1)
	go func() {
		defer o.wg.Done()
		defer cancel()
		o.run(ctx, op, ids, do)
		o.mu.Lock()
		at := time.Now().UTC()
		op.Ended = &at
		op.State = "done"
		if op.Done+op.Skipped+op.Failed < op.Total {
			op.State = "stopped"
		}
		out := op.shown()
		o.mu.Unlock()
		ended(out)
	}()
	return op.shown(), nil
}

func (o *operations) run(ctx context.Context, op *operation, ids []string, do func(context.Context, string) error) {
	next := make(chan string)
	var wg sync.WaitGroup
	for range min(operationsAt, len(ids)) {
		wg.Go(func() {
			for id := range next {
				o.note(op, id, do(ctx, id))
			}
		})
	}
	for _, id := range ids {
		select {
		case next <- id:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
}

// note counts what became of one delivery.
func (o *operations) note(op *operation, id string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var refused *Refusal
	switch {
	case err == nil:
		op.Done++
	case errors.As(err, &refused) && (refused.Status == http.StatusConflict || refused.Status == http.StatusNotFound):
		op.Skipped++
	default:
		op.Failed++
	}
	if err != nil && len(op.Errors) < 10 {
		text := err.Error()
		if !strings.Contains(text, id) {
			text = id + ": " + text
		}
		op.Errors = append(op.Errors, text)
	}
}

func (s *Server) listOperations(w http.ResponseWriter, _ *http.Request) {
	s.operations.mu.Lock()
	s.operations.prune(time.Now())
	out := api.OperationList{Items: []api.Operation{}}
	for _, op := range slices.Backward(s.operations.list) {
		out.Items = append(out.Items, op.shown())
	}
	s.operations.mu.Unlock()
	answer(w, out)
}

func (s *Server) operation(w http.ResponseWriter, r *http.Request) {
	s.operations.mu.Lock()
	op := s.operations.find(r.PathValue("id"))
	var out api.Operation
	if op != nil {
		out = op.shown()
	}
	s.operations.mu.Unlock()
	if op == nil {
		problem(w, http.StatusNotFound, fmt.Sprintf("operation %.64q not found: they are kept for an hour, by the daemon that was asked", r.PathValue("id")))
		return
	}
	answer(w, out)
}

func (s *Server) stopOperation(w http.ResponseWriter, r *http.Request) {
	s.operations.mu.Lock()
	op := s.operations.find(r.PathValue("id"))
	s.operations.mu.Unlock()
	if op != nil {
		op.cancel()
		s.o.Log.Info("bulk operation stopped", zap.String("operation", op.ID), zap.String("by", callerOf(r).by))
	}
	s.operation(w, r)
}

func (s *Server) startOperation(w http.ResponseWriter, r *http.Request) {
	var req api.OperationRequest
	if !read(w, r, &req, `{"action": "retry" or "cancel", "filter": {...} or "ids": [...], "until": N, "confirm": true}`) {
		return
	}
	if err := checkOperation(&req); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ids, until, err := s.o.ByHand.Choose(r.Context(), req)
	if err != nil {
		s.fail(w, err)
		return
	}
	if !req.Confirm {
		answer(w, api.OperationCount{Action: req.Action, Count: len(ids), Until: until})
		return
	}
	by := callerOf(r).by
	do := func(ctx context.Context, id string) error {
		_, err := s.sendAgain(ctx, id, by)
		return err
	}
	if req.Action == "cancel" {
		do = func(ctx context.Context, id string) error {
			_, err := s.callOff(ctx, id, by)
			return err
		}
	}
	op, err := s.operations.begin(req.Action, by, ids, do, func(op api.Operation) {
		s.o.Log.Info("bulk operation ended", zap.String("operation", op.ID), zap.String("action", op.Action), zap.String("state", op.State),
			zap.Int("done", op.Done), zap.Int("skipped", op.Skipped), zap.Int("failed", op.Failed), zap.String("by", by))
	})
	if err != nil {
		s.fail(w, err)
		return
	}
	s.o.Log.Info("bulk operation begun", zap.String("operation", op.ID), zap.String("action", op.Action), zap.Int("deliveries", op.Total),
		zap.String("filter", filterText(req.Filter)), zap.Uint64("until", until), zap.String("by", by))
	answerWith(w, http.StatusAccepted, op)
}

// filterText is a filter for the log, as it was asked; "" for none.
func filterText(f *api.Filter) string {
	if f == nil {
		return ""
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func checkOperation(req *api.OperationRequest) error {
	switch {
	case req.Action != "retry" && req.Action != "cancel":
		return fmt.Errorf("action: %q is neither retry nor cancel", req.Action)
	case req.Filter == nil && len(req.IDs) == 0:
		return errors.New("filter or ids is needed: {} takes all")
	case req.Filter != nil && len(req.IDs) > 0:
		return errors.New("filter and ids do not go together")
	case len(req.IDs) > maxIDs:
		return fmt.Errorf("ids: %d, at most %d", len(req.IDs), maxIDs)
	case req.Filter != nil && len(req.Filter.Outcome) > 0:
		return errors.New("filter.outcome: it is failed for retry, and does not apply to cancel")
	case req.Action == "retry" && req.Filter != nil && len(req.Filter.State) > 0:
		return errors.New("filter.state does not apply to retry")
	case req.Action == "cancel" && req.Filter != nil && (req.Filter.From != "" || req.Filter.To != ""):
		return errors.New("filter.from and filter.to do not apply to cancel")
	}
	if req.Filter != nil {
		if err := checkStates(req.Filter.State); err != nil {
			return fmt.Errorf("filter.%w", err)
		}
	}
	for _, id := range req.IDs {
		if _, ok := store.DeliveryHash(id); !ok {
			return fmt.Errorf("ids: %.64q is no delivery's id", id)
		}
	}
	return nil
}
