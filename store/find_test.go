package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"bellhop/dispatcher/delivery"
)

// deliveryID is the id of the n-th delivery.
func deliveryID(n int) string { return fmt.Sprintf("%016x%016x", n*7919+1, n) }

// outcome is an attempt's outcome of the n-th delivery.
func outcome(seq uint64, n, run, attempt int, o delivery.Outcome, k delivery.Kind) Tally {
	t := tally(seq, o, k)
	t.ID = delivery.OutcomeID(deliveryID(n), run, attempt)
	t.EventID, t.User = fmt.Sprint("event-", n), fmt.Sprint("user-", n%5)
	return t
}

func seqsOf(p Page) (seqs []uint64) {
	for _, h := range p.Hits {
		seqs = append(seqs, h.Seq)
	}
	return seqs
}

func findPage(t *testing.T, s *Store, q Query) Page {
	t.Helper()
	p, err := s.Find(q)
	if err != nil {
		t.Fatalf("Find(%+v) = %v, want nil", q, err)
	}
	return p
}

func wantSound(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Errorf("Check() = %v, want nil", err)
	}
}

func TestFindFilters(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	batch := []Tally{
		outcome(1, 1, 1, 1, "delivered", ""), outcome(2, 2, 1, 1, "retrying", "status"), outcome(3, 3, 1, 1, "failed", "tls"),
		outcome(4, 2, 1, 2, "failed", "status"), tally(5, "rejected", "event"),
	}
	batch[4].ID, batch[4].Rule, batch[4].Webhook, batch[4].Endpoint, batch[4].EventType = "EVENTS-9.rejected", "", "", "", "course.created"
	batch[2].Rule, batch[2].Webhook, batch[2].Endpoint, batch[2].EventType = "lms", "a", "https://lms.example.com/x", "module.added"
	apply(t, s, stream, 5, batch...)
	for _, tt := range []struct {
		name string
		q    Query
		want []uint64
	}{
		{"everything", Query{}, []uint64{5, 4, 3, 2, 1}},
		{"failed", Query{Outcomes: []delivery.Outcome{"failed"}}, []uint64{4, 3}},
		{"failed or retrying", Query{Outcomes: []delivery.Outcome{"failed", "retrying"}}, []uint64{4, 3, 2}},
		{"an outcome that is none", Query{Outcomes: []delivery.Outcome{"lost"}}, nil},
		{"a kind", Query{Kinds: []delivery.Kind{"status"}}, []uint64{4, 2}},
		{"a rule", Query{Rules: []string{"lms"}}, []uint64{3}},
		{"two rules", Query{Rules: []string{"lms", "crm"}}, []uint64{4, 3, 2, 1}},
		{"a webhook", Query{Webhooks: []string{"lms/a"}}, []uint64{3}},
		{"an endpoint", Query{Endpoints: []string{"https://crm.example.com"}}, []uint64{4, 2, 1}},
		{"endpoints that begin so", Query{Endpoints: []string{"https://lms.*"}}, []uint64{3}},
		{"types that begin so", Query{Types: []string{"module.*", "course.created"}}, []uint64{5, 3}},
		{"from", Query{From: epoch.Add(3 * time.Minute)}, []uint64{5, 4, 3}},
		{"to", Query{To: epoch.Add(3 * time.Minute)}, []uint64{2, 1}},
		{"a delivery", Query{Text: deliveryID(2)}, []uint64{4, 2}},
		{"an event", Query{Text: "event-3"}, []uint64{3}},
		{"a user", Query{Text: "user-1"}, []uint64{1}},
		{"an id of nothing", Query{Text: "user"}, nil},
		{"all at once", Query{Outcomes: []delivery.Outcome{"failed"}, Rules: []string{"crm"}, Text: "user-2"}, []uint64{4}},
		{"before", Query{Before: 3}, []uint64{2, 1}},
	} {
		if got := seqsOf(findPage(t, s, tt.q)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: Find = %v, want %v", tt.name, got, tt.want)
		}
		for i := range batch {
			q := tt.q
			if !q.From.IsZero() || !q.To.IsZero() || q.Before > 0 {
				continue
			}
			if got, want := q.Holds(&batch[i]), slices.Contains(tt.want, batch[i].Seq); got != want {
				t.Errorf("%s: Holds(%d) = %v, want %v as Find says", tt.name, batch[i].Seq, got, want)
			}
		}
	}
	wantSound(t, s)
}

func TestPagesAreStable(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	const n = 3*blockRows + 17
	var batch []Tally
	for i := 1; i <= n; i++ {
		batch = append(batch, outcome(uint64(i), i, 1, 1, "delivered", ""))
	}
	apply(t, s, stream, n, batch...)
	var got []uint64
	q := Query{Limit: 50}
	for page := 0; ; page++ {
		p := findPage(t, s, q)
		got = append(got, seqsOf(p)...)
		// New ones arrive between any two pages.
		at := uint64(n + page + 1)
		apply(t, s, stream, at, outcome(at, int(at), 1, 1, "delivered", ""))
		if p.Next == 0 {
			break
		}
		q.Before = p.Next
	}
	for i, seq := range got {
		if seq != uint64(n-i) {
			t.Fatalf("item %d is outcome %d, want %d: each once, newest first", i, seq, n-i)
		}
	}
	if len(got) != n {
		t.Errorf("%d items on all pages, want %d", len(got), n)
	}
	wantSound(t, s)
}

func TestOutcomesOfADelivery(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	apply(t, s, stream, 3, outcome(1, 1, 1, 1, "retrying", "status"), outcome(2, 2, 1, 1, "delivered", ""), outcome(3, 1, 1, 2, "failed", "status"))
	for id, want := range map[string][]uint64{deliveryID(1): {1, 3}, deliveryID(2): {2}, deliveryID(3): nil, "x": nil} {
		if got, err := s.Outcomes(id); err != nil || !slices.Equal(got, want) {
			t.Errorf("Outcomes(%s) = %v, %v, want %v", id, got, err, want)
		}
	}
}

func TestFailedAreThoseWhoseLastOutcomeFailed(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	apply(t, s, stream, 7,
		outcome(1, 1, 1, 1, "failed", "status"),
		outcome(2, 2, 1, 1, "failed", "tls"), outcome(3, 2, 2, 1, "delivered", ""),
		outcome(4, 3, 1, 1, "failed", "status"), outcome(5, 3, 2, 1, "failed", "status"),
		outcome(6, 4, 1, 1, "delivered", ""), tally(7, "rejected", "event"))
	for _, tt := range []struct {
		name  string
		q     Query
		until uint64
		want  []uint64
	}{
		{"all", Query{}, 0, []uint64{1, 5}},
		{"by kind", Query{Kinds: []delivery.Kind{"tls"}}, 0, nil},
		{"since", Query{From: epoch.Add(2 * time.Minute)}, 0, []uint64{5}},
		{"of a count that came before the last run", Query{}, 4, []uint64{1}},
	} {
		if got, err := s.Failed(tt.q, tt.until, 10); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: Failed = %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
	var many *TooManyError
	if _, err := s.Failed(Query{}, 0, 1); !errors.As(err, &many) {
		t.Errorf("Failed with room for one of two = %v, want a TooManyError", err)
	}
}

// A second outcome of the same id, recorded when the bus had forgotten the first, counts for nothing.
func TestOutcomesRecordedTwiceCountOnce(t *testing.T) {
	path := dbPath(t)
	s := openStore(t, path, Options{})
	want := Stats{Calls: 2, Errors: 1, Delivered: 1, Retrying: 1, Since: epoch.Add(time.Minute)}
	first, second := outcome(1, 1, 1, 1, "retrying", "status"), outcome(2, 1, 1, 2, "delivered", "")
	apply(t, s, stream, 2, first, second)
	again := first
	again.Seq, again.Outcome, again.Kind = 3, "failed", "timeout"
	apply(t, s, stream, 3, again)
	wantStats(t, s, "recorded again", want)
	closeStore(t, s)
	s = openStore(t, path, Options{})
	again.Seq = 4
	apply(t, s, stream, 4, again)
	wantStats(t, s, "recorded again after reopening", want)
	one, two := outcome(5, 2, 1, 1, "failed", "tls"), outcome(6, 2, 1, 1, "failed", "tls")
	apply(t, s, stream, 6, one, two)
	want.Calls, want.Errors, want.Failed = 3, 2, 1
	wantStats(t, s, "twice in a batch", want)
	wantCursor(t, s, "twice in a batch", stream, 6)
	if got := seqsOf(findPage(t, s, Query{})); !slices.Equal(got, []uint64{5, 2, 1}) {
		t.Errorf("Find = %v, want the first of each id: [5 2 1]", got)
	}
	wantSound(t, s)
}

func TestManyOutcomesAreTakenForNew(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	// More than the filter is made for at first, so that it is made anew.
	const n = filterLeast + 5000
	var batch []Tally
	for i := 1; i <= n; i++ {
		one := outcome(uint64(i), i, 1, 1, "delivered", "")
		one.Time = epoch.Add(time.Minute)
		batch = append(batch, one)
		if len(batch) == 5000 || i == n {
			apply(t, s, stream, uint64(i), batch...)
			batch = batch[:0]
		}
	}
	wantStats(t, s, "all new", Stats{Calls: n, Delivered: n, Since: epoch.Add(time.Minute)})
	for i := 1; i <= 100; i++ {
		batch = append(batch, outcome(uint64(n+i), i*300, 1, 1, "delivered", ""))
	}
	apply(t, s, stream, n+100, batch...)
	wantStats(t, s, "a hundred again", Stats{Calls: n, Delivered: n, Since: epoch.Add(time.Minute)})
	wantSound(t, s)
}

func TestIndexIsBounded(t *testing.T) {
	s := openStore(t, dbPath(t), Options{Indexed: 2 * blockRows})
	const n = 5 * blockRows
	var batch []Tally
	for i := 1; i <= n; i++ {
		batch = append(batch, outcome(uint64(i), i, 1, 1, "delivered", ""))
	}
	apply(t, s, stream, n, batch...)
	if got := s.Progress().Indexed; got > 2*blockRows || got < blockRows {
		t.Errorf("the index holds %d rows, want at most %d, and the newest", got, 2*blockRows)
	}
	wantStats(t, s, "more than are indexed", Stats{Calls: n, Delivered: n, Since: epoch.Add(time.Minute)})
	if err := s.Forget(stream, n-10); err != nil {
		t.Fatal(err)
	}
	if got := s.Progress().Indexed; got != blockRows {
		t.Errorf("after Forget the index holds %d rows, want the block that holds newer ones: %d", got, blockRows)
	}
	if got := findPage(t, s, Query{Limit: 1}); len(got.Hits) != 1 || got.Hits[0].Seq != n {
		t.Errorf("Find = %v, want the newest outcome, %d", got.Hits, n)
	}
	wantSound(t, s)
}
