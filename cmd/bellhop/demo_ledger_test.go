package main

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"bellhop/dispatcher/delivery"
)

// The sides of the ledger, as short as they can be written.
type step func(*ledger)

func expects(ids ...string) step {
	return func(l *ledger) {
		names := map[string]string{}
		for _, id := range ids {
			names[id] = "delivery " + id
		}
		l.event(names)
	}
}

func rejects(id string) step { return func(l *ledger) { l.unreadable(id) } }

func records(id string, run, attempt int, o delivery.Outcome) step {
	return func(l *ledger) { l.outcome(delivery.OutcomeID(id, run, attempt), o) }
}

func posts(id string, status int) step { return func(l *ledger) { l.post(id, status) } }

func TestLedger(t *testing.T) {
	for _, tt := range []struct {
		name    string
		steps   []step
		want    report
		pending int
	}{
		{
			name:  "an event that matches nothing needs nothing",
			steps: []step{expects()},
			want:  report{Published: 1},
		},
		{
			name:  "delivered at once",
			steps: []step{expects("a"), posts("a", 200), records("a", 1, 1, delivery.Delivered)},
			want:  report{Published: 1, Matched: 1, Deliveries: 1, Delivered: 1, Posts: 1},
		},
		{
			name:  "the outcome is here before the publisher knows of its event",
			steps: []step{posts("a", 204), records("a", 1, 1, delivery.Delivered), expects("a")},
			want:  report{Published: 1, Matched: 1, Deliveries: 1, Delivered: 1, Posts: 1},
		},
		{
			name: "delivered after a retry, its outcomes read twice",
			steps: []step{
				expects("a"), posts("a", 503), records("a", 1, 1, delivery.Retrying), posts("a", 200), records("a", 1, 2, delivery.Delivered),
				records("a", 1, 1, delivery.Retrying), records("a", 1, 2, delivery.Delivered),
			},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Delivered: 1, Retries: 1, Posts: 2},
		},
		{
			name:  "failed without a request, as a refused address is",
			steps: []step{expects("a"), records("a", 1, 1, delivery.Failed)},
			want:  report{Published: 1, Matched: 1, Deliveries: 1, Failed: 1},
		},
		{
			name:    "a delivery without a trace is lost",
			steps:   []step{expects("a", "b"), posts("a", 200), records("a", 1, 1, delivery.Delivered)},
			want:    report{Published: 1, Matched: 1, Deliveries: 2, Delivered: 1, Posts: 1, Lost: 1, Details: []string{"delivery b was never begun"}},
			pending: 1,
		},
		{
			name:  "a delivery that the receiver never got is lost, whatever the bus says",
			steps: []step{expects("a"), records("a", 1, 1, delivery.Delivered)},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Lost: 1, Details: []string{
				"delivery a is recorded as delivered, but the receiver took no request of it",
			}},
		},
		{
			name:  "so is one that the receiver refused",
			steps: []step{expects("a"), posts("a", 500), records("a", 1, 1, delivery.Delivered)},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Posts: 1, Lost: 1, Details: []string{
				"delivery a is recorded as delivered, but the receiver took no request of it",
			}},
		},
		{
			name:    "a request without an outcome is unsettled",
			steps:   []step{expects("a"), posts("a", 200)},
			want:    report{Published: 1, Matched: 1, Deliveries: 1, Posts: 1, Unsettled: 1, Details: []string{"delivery a has no final outcome (retries: 0)"}},
			pending: 1,
		},
		{
			name:  "a retry that never comes is unsettled",
			steps: []step{expects("a"), posts("a", 500), records("a", 1, 1, delivery.Retrying)},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Posts: 1, Retries: 1, Unsettled: 1, Details: []string{
				"delivery a has no final outcome (retries: 1)",
			}},
			pending: 1,
		},
		{
			name:  "two final outcomes of one run are one too many",
			steps: []step{expects("a"), posts("a", 200), records("a", 1, 1, delivery.Delivered), records("a", 1, 2, delivery.Failed)},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Failed: 1, Posts: 1, Twice: 1, Details: []string{
				"delivery a ended 2 times: delivered, failed",
			}},
		},
		{
			name: "sent again by hand, it ends once a run",
			steps: []step{
				expects("a"), posts("a", 404), records("a", 1, 1, delivery.Failed), posts("a", 200), records("a", 2, 1, delivery.Delivered),
			},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Delivered: 1, Posts: 2},
		},
		{
			name:  "an unreadable event is rejected",
			steps: []step{rejects("EVENTS-1.rejected"), func(l *ledger) { l.outcome("EVENTS-1.rejected", delivery.Rejected) }},
			want:  report{Published: 1, Rejected: 1},
		},
		{
			name:    "an unreadable event of which nobody hears is lost",
			steps:   []step{rejects("EVENTS-1.rejected")},
			want:    report{Published: 1, Lost: 1, Details: []string{"rejection EVENTS-1.rejected was not published"}},
			pending: 1,
		},
		{
			name:  "what comes of somebody else's events is not judged",
			steps: []step{posts("x", 500), records("x", 1, 1, delivery.Retrying)},
			want:  report{Posts: 1, Foreign: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger()
			for _, s := range tt.steps {
				s(l)
			}
			if n := l.pending(); n != tt.pending {
				t.Errorf("%d are pending, want %d", n, tt.pending)
			}
			got := l.report()
			if !slices.Equal(got.Details, tt.want.Details) {
				t.Errorf("details %q, want %q", got.Details, tt.want.Details)
			}
			well := len(tt.want.Details) == 0
			got.Details, tt.want.Details = nil, nil
			if !equalReports(got, tt.want) {
				t.Errorf("report %+v, want %+v", got, tt.want)
			}
			if err := got.err(); (err == nil) != well {
				t.Errorf("a demo with that balance ends with %v", err)
			}
		})
	}
}

func equalReports(a, b report) bool {
	flat := func(r report) [11]int {
		return [...]int{r.Published, r.Matched, r.Rejected, r.Deliveries, r.Delivered, r.Failed, r.Retries, r.Posts, r.Foreign, r.Lost, r.Unsettled + 1000*r.Twice}
	}
	return flat(a) == flat(b)
}

func TestLedgerSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		expects("a", "b")(l)
		begin := time.Now()
		time.AfterFunc(3*time.Second, func() { records("a", 1, 1, delivery.Delivered)(l) })
		l.settle(t.Context(), 4*time.Second)
		if waited := time.Since(begin); waited != 7*time.Second || l.pending() != 1 {
			t.Errorf("settle gave up after %v with %d pending, want 4s after the last change and one", waited, l.pending())
		}
		time.AfterFunc(time.Second, func() { records("b", 1, 1, delivery.Failed)(l) })
		begin = time.Now()
		l.settle(t.Context(), 4*time.Second)
		if waited := time.Since(begin); waited != time.Second || l.pending() != 0 {
			t.Errorf("settle returned after %v with %d pending, want as soon as the last is settled", waited, l.pending())
		}
	})
}
