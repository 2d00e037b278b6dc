package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/store"
)

// What is recorded is listed and shown at once, also while the index does not hold it yet, and once.
func TestListsHoldWhatIsNotCountedYet(t *testing.T) {
	w := newWorks(t, nil)
	for i := range 3 {
		w.publish("course.completed", fmt.Sprint("e-", i), ann)
	}
	w.publish("module.completed", "m", `{"module":{"id":1}}`)
	all := w.list("", 4)

	// The same desk with an index that has come to the first outcome only.
	behind, err := store.Open(filepath.Join(t.TempDir(), "behind.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := behind.Close(); err != nil {
			t.Error(err)
		}
	}()
	k := w.running.desk()
	stored, err := w.running.bus.ReadOutcomes(t.Context(), []uint64{1})
	if err != nil || len(stored) != 1 {
		t.Fatalf("the first outcome = %v, %v", stored, err)
	}
	first := tallyOf(w.running.bus.Recorded(&stored[0]))
	if err := behind.Apply(k.db.Progress().Stream, []store.Tally{first}, 1); err != nil {
		t.Fatal(err)
	}
	k.db = behind

	for _, limit := range []int{1, 2, 3, 4, 50} {
		var seqs []uint64
		q := store.Query{Limit: limit}
		for range 10 {
			page, next, err := k.List(t.Context(), q)
			if err != nil || len(page.Items) > limit {
				t.Fatalf("List(%+v) = %d items, %v", q, len(page.Items), err)
			}
			for _, o := range page.Items {
				seqs = append(seqs, o.Seq)
			}
			if q.Before = next; next == 0 {
				break
			}
		}
		if want := []uint64{4, 3, 2, 1}; !slices.Equal(seqs, want) {
			t.Errorf("in pages of %d come %v, want %v", limit, seqs, want)
		}
	}
	for _, tt := range []struct {
		name string
		q    store.Query
		want int
	}{
		{"a rule's", store.Query{Rules: []string{"crm"}}, 3}, {"an event's", store.Query{Text: "m"}, 1}, {"a user's", store.Query{Text: "u-7"}, 3},
		{"later ones", store.Query{From: time.Now().Add(time.Hour)}, 0}, {"earlier ones", store.Query{To: time.Now().Add(-time.Hour)}, 0},
	} {
		tt.q.Limit = 50
		if page, _, err := k.List(t.Context(), tt.q); err != nil || len(page.Items) != tt.want {
			t.Errorf("%s: %d outcomes, %v, want %d", tt.name, len(page.Items), err, tt.want)
		}
	}
	for _, o := range all {
		one, err := k.Show(t.Context(), o.DeliveryID)
		if err != nil || len(one.Outcomes) != 1 || one.Outcomes[0].Seq != o.Seq {
			t.Errorf("delivery %s of outcome %d is shown with %d outcomes, %v, want that one", o.DeliveryID, o.Seq, len(one.Outcomes), err)
		}
	}
}

// A bulk cancellation takes what the list's filters take: names, kinds, and the ids of events, users and deliveries.
func TestPendingIsCancelledByWhatItIsAbout(t *testing.T) {
	w := newWorks(t, nil)
	w.answer(503)
	for _, user := range []string{"u-1", "u-2", "u-3"} {
		w.publish("course.completed", "e-"+user, fmt.Sprintf(`{"user":{"id":%q}}`, user))
	}
	list := w.list("?outcome=retrying", 3)
	for _, tt := range []struct {
		filter api.Filter
		want   int
	}{
		{api.Filter{Q: "u-2"}, 1}, {api.Filter{Q: "e-u-3"}, 1}, {api.Filter{Q: list[0].DeliveryID}, 1}, {api.Filter{Q: "u-9"}, 0},
		{api.Filter{Webhook: []string{"crm/a"}}, 3}, {api.Filter{Webhook: []string{"crm/b"}}, 0}, {api.Filter{Kind: []string{"status"}}, 3}, {api.Filter{Kind: []string{"tls"}}, 0},
	} {
		var count api.OperationCount
		err := w.client.post(t.Context(), api.OperationsPath, api.OperationRequest{Action: "cancel", Filter: &tt.filter}, &count)
		if err != nil || count.Count != tt.want {
			t.Errorf("cancelling by %+v would take %d, %v, want %d", tt.filter, count.Count, err, tt.want)
		}
	}
}

// What a stream cannot make up for is said, and where it went on from stands in its address as well.
func TestStreamsGoOnFromASequence(t *testing.T) {
	w := newWorks(t, nil)
	for i := range 3 {
		w.publish("course.completed", fmt.Sprint("e-", i), ann)
	}
	w.list("", 3)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, tt := range []struct{ query, lastID, want string }{
		{"?stats=false&after=1", "", "2"}, {"?stats=false&after=2", "", "3"}, {"?stats=false&after=1", "2", "3"},
	} {
		next, closed := w.stream(ctx, tt.query, tt.lastID)
		if id, _ := next("outcome"); id != tt.want {
			t.Errorf("a stream at %s with Last-Event-ID %q begins with outcome %s, want %s", tt.query, tt.lastID, id, tt.want)
		}
		closed()
	}
	refusedWith(t, w.client.get(ctx, api.StreamPath+"?after=x", nil), 400, "after")
	// A sequence that is yet to come is of a stream that was there before: what comes now is not older.
	next, closed := w.stream(ctx, "?stats=false", "999999")
	defer closed()
	w.publish("course.completed", "e-3", ann)
	if id, _ := next("outcome"); id != "4" {
		t.Errorf("a stream with a sequence that is yet to come begins with outcome %s, want 4", id)
	}
	if _, data := next("skipped"); !strings.Contains(data, "count") {
		t.Errorf("what was missed is told as %s", data)
	}
}
