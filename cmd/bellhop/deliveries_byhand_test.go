package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/config"
)

func TestFailedDeliveriesAreSentAgain(t *testing.T) {
	for _, inOutcome := range []bool{true, false} {
		t.Run(fmt.Sprintf("with the body in the outcome: %v", inOutcome), func(t *testing.T) {
			w := newWorks(t, func(s *config.Settings) { s.Results.RequestBody = inOutcome })
			w.answer(404)
			w.publish("course.completed", "e-1", ann)
			id := w.list("?outcome=failed", 1)[0].DeliveryID
			w.answer(200)
			// However often it is asked for, it is sent once.
			var wg sync.WaitGroup
			var mu sync.Mutex
			var runs []int
			for range 8 {
				wg.Go(func() {
					var again api.Retried
					if err := w.client.post(t.Context(), api.DeliveriesPath+"/"+id+"/retry", nil, &again); err == nil {
						mu.Lock()
						runs = append(runs, again.Run)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			w.list("?outcome=delivered", 1)
			if len(runs) == 0 {
				t.Error("no request to send it again succeeded")
			}
			for _, run := range runs {
				if run != 2 {
					t.Errorf("it is sent as run %d, want 2", run)
				}
			}
			hits := w.received()
			want := id + " 1 student=Ann&course=Go+%26+more"
			if len(hits) != 2 || hits[0] != want || hits[1] != want {
				t.Errorf("the receiver got %q, want twice %q", hits, want)
			}
			if got := w.list("?q="+id, 2); got[0].Run != 2 || got[0].Attempt != 1 || got[0].EventID != "e-1" {
				t.Errorf("its outcomes are %+v, want run 2 delivered", got)
			}
			w.list("?q=u-7", 2)
			refusedWith(t, w.client.post(t.Context(), api.DeliveriesPath+"/"+id+"/retry", nil, &api.Retried{}), 409, "has not failed")
			refusedWith(t, w.client.post(t.Context(), api.DeliveriesPath+"/"+strings.Repeat("1", 32)+"/retry", nil, &api.Retried{}), 404, "not found")
		})
	}
}

func TestNextAttemptsAreCancelled(t *testing.T) {
	w := newWorks(t, nil)
	w.answer(503)
	w.publish("course.completed", "e-1", ann)
	id := w.list("?outcome=retrying", 1)[0].DeliveryID
	refusedWith(t, w.client.post(t.Context(), api.DeliveriesPath+"/"+id+"/retry", nil, &api.Retried{}), 409, "under way")
	var got api.Outcome
	if err := w.client.post(t.Context(), api.DeliveriesPath+"/"+id+"/cancel", nil, &got); err != nil {
		t.Fatal(err)
	}
	if got.Outcome != "failed" || got.Error.Kind != "cancelled" || got.Attempt != 2 || got.Request == nil {
		t.Errorf("cancelling recorded %+v, want attempt 2 failed as cancelled, with its body", got)
	}
	refusedWith(t, w.client.post(t.Context(), api.DeliveriesPath+"/"+id+"/cancel", nil, &got), 409, "nothing is scheduled")
	var stats struct{ Calls, Errors, Failed uint64 }
	w.until("it is counted as no call", func() bool {
		w.get(api.StatsPath, &stats)
		return stats.Calls == 1 && stats.Errors == 2 && stats.Failed == 1
	})
	// It can be sent again, with the body that it had.
	w.answer(200)
	if err := w.client.post(t.Context(), api.DeliveriesPath+"/"+id+"/retry", nil, &api.Retried{}); err != nil {
		t.Fatal(err)
	}
	w.list("?outcome=delivered", 1)
	if hits := w.received(); len(hits) != 2 || hits[1] != hits[0] {
		t.Errorf("the receiver got %q, want the same twice", hits)
	}
}

// What waits for room in a lane that is held back can be called off too.
func TestParkedAttemptsAreCancelled(t *testing.T) {
	w := newWorks(t, nil)
	var lane api.Lane
	if err := w.client.post(t.Context(), api.PausePath, api.LaneRef{Endpoint: w.receiver.URL}, &lane); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		w.publish("course.completed", fmt.Sprint("e-", i), ann)
	}
	var pending api.PendingList
	w.until("all wait on the bus", func() bool {
		w.get(api.PendingPath+"?state=waiting", &pending)
		return len(pending.Items) == 5
	})
	id := pending.Items[0].DeliveryID
	var got api.Outcome
	if err := w.client.post(t.Context(), api.DeliveriesPath+"/"+id+"/cancel", nil, &got); err != nil {
		t.Fatal(err)
	}
	if got.Attempt != 1 || got.Error.Kind != "cancelled" {
		t.Errorf("cancelling recorded %+v, want attempt 1 as cancelled", got)
	}
	var count api.OperationCount
	req := api.OperationRequest{Action: "cancel", Filter: &api.Filter{Rule: []string{"crm"}}}
	if err := w.client.post(t.Context(), api.OperationsPath, req, &count); err != nil || count.Count != 4 {
		t.Fatalf("counting what to cancel = %+v, %v, want 4", count, err)
	}
	// What comes after the count is not taken.
	w.publish("course.completed", "late", ann)
	w.until("it waits as well", func() bool {
		w.get(api.PendingPath+"?state=waiting", &pending)
		return len(pending.Items) == 5
	})
	req.Until = count.Until
	if err := w.client.post(t.Context(), api.OperationsPath, req, &count); err != nil || count.Count != 4 {
		t.Errorf("counting again what there was at the count = %+v, %v, want 4", count, err)
	}
	for state, want := range map[string]int{"waiting": 5, "scheduled": 0, "due": 0} {
		req := api.OperationRequest{Action: "cancel", Filter: &api.Filter{State: []string{state}}}
		if err := w.client.post(t.Context(), api.OperationsPath, req, &count); err != nil || count.Count != want {
			t.Errorf("cancelling what is %s would take %d, %v, want %d", state, count.Count, err, want)
		}
	}
	if len(w.received()) != 0 {
		t.Errorf("the receiver got %q through a lane that is held back", w.received())
	}
	if err := w.client.post(t.Context(), api.ResumePath, api.LaneRef{Endpoint: w.receiver.URL}, &lane); err != nil {
		t.Fatal(err)
	}
	w.list("?outcome=delivered", 5)
	for _, hit := range w.received() {
		if strings.HasPrefix(hit, id) {
			t.Errorf("the cancelled delivery arrived: %s", hit)
		}
	}
}

func TestBulkOperations(t *testing.T) {
	w := newWorks(t, nil)
	w.answer(404)
	const n = 30
	for i := range n {
		w.publish("course.completed", fmt.Sprint("e-", i), ann)
	}
	w.publish("module.completed", "m", `{"module":{"id":1}}`)
	w.list("?outcome=failed&limit=100", n+1)
	req := api.OperationRequest{Action: "retry", Filter: &api.Filter{Rule: []string{"crm"}, From: "1h"}}
	var count api.OperationCount
	if err := w.client.post(t.Context(), api.OperationsPath, req, &count); err != nil || count.Count != n || count.Until == 0 {
		t.Fatalf("the count = %+v, %v, want %d", count, err, n)
	}
	// What fails after the count is not taken.
	w.publish("course.completed", "late", ann)
	w.list("?outcome=failed&limit=100", n+2)
	w.answer(200)
	req.Until, req.Confirm = count.Until, true
	var op api.Operation
	if err := w.client.post(t.Context(), api.OperationsPath, req, &op); err != nil || op.Total != n {
		t.Fatalf("the operation = %+v, %v, want %d in all", op, err, n)
	}
	w.until("it is done", func() bool {
		w.get(api.OperationsPath+"/"+op.ID, &op)
		return op.State == "done"
	})
	if op.Done != n || op.Skipped+op.Failed != 0 || op.By == "" || op.Ended == nil {
		t.Errorf("the operation came to %+v, want %d done", op, n)
	}
	w.list("?outcome=delivered&limit=100", n)
	var list api.OperationList
	w.get(api.OperationsPath, &list)
	if len(list.Items) != 1 {
		t.Errorf("%d operations are listed, want 1", len(list.Items))
	}
	for _, bad := range []api.OperationRequest{
		{}, {Action: "retry"}, {Action: "lose", IDs: []string{strings.Repeat("0", 32)}}, {Action: "retry", IDs: []string{"x"}},
		{Action: "cancel", Filter: &api.Filter{From: "1h"}}, {Action: "cancel", Filter: &api.Filter{State: []string{"x"}}},
		{Action: "retry", Filter: &api.Filter{State: []string{"due"}}}, {Action: "retry", Filter: &api.Filter{Kind: []string{"x"}}},
	} {
		refusedWith(t, w.client.post(t.Context(), api.OperationsPath, bad, &op), 400, "")
	}
}
