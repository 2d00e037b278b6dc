package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bellhop/dispatcher/delivery"
)

var stream = StreamID{Name: "WEBHOOKS", Created: time.Date(2026, 2, 1, 0, 0, 0, 987654321, time.UTC)}

// tally is an outcome, a minute later for each sequence.
func tally(seq uint64, o delivery.Outcome, k delivery.Kind) Tally {
	return Tally{Seq: seq, Time: epoch.Add(time.Duration(seq) * time.Minute), Outcome: o, Kind: k,
		EventType: "course.completed", Rule: "crm", Webhook: "crm", Endpoint: "https://crm.example.com"}
}

func apply(t *testing.T, s *Store, id StreamID, last uint64, batch ...Tally) {
	t.Helper()
	if err := s.Apply(id, batch, last); err != nil {
		t.Fatalf("Apply of %d outcomes to %d = %v, want nil", len(batch), last, err)
	}
}

func begin(t *testing.T, s *Store, id StreamID, since time.Time) {
	t.Helper()
	if err := s.Begin(id, since); err != nil {
		t.Fatalf("Begin(%v, %v) = %v, want nil", id, since, err)
	}
}

func wantStats(t *testing.T, s *Store, when string, want Stats) {
	t.Helper()
	got, err := s.Stats()
	if err != nil || got.Since.Location() != time.UTC || !got.Since.Equal(want.Since) {
		t.Errorf("%s: Stats() since %v, %v, want %v in UTC", when, got.Since, err, want.Since)
	}
	got.Since = want.Since
	if got != want {
		t.Errorf("%s: Stats() = %+v, want %+v", when, got, want)
	}
}

func wantCursor(t *testing.T, s *Store, when string, id StreamID, want uint64) {
	t.Helper()
	if got, err := s.Cursor(id); err != nil || got != want {
		t.Errorf("%s: Cursor(%s) = %d, %v, want %d", when, id.Name, got, err, want)
	}
}

func TestStatsCountCallsAndErrors(t *testing.T) {
	tests := []struct {
		outcome delivery.Outcome
		kind    delivery.Kind
		want    Stats
	}{
		{"delivered", "", Stats{Calls: 1, Delivered: 1}},
		{"retrying", "timeout", Stats{Calls: 1, Errors: 1, Retrying: 1}},
		{"retrying", "network", Stats{Calls: 1, Errors: 1, Retrying: 1}},
		{"retrying", "status", Stats{Calls: 1, Errors: 1, Retrying: 1}},
		{"retrying", "blocked", Stats{Errors: 1, Retrying: 1}},
		{"failed", "tls", Stats{Calls: 1, Errors: 1, Failed: 1}},
		{"failed", "status", Stats{Calls: 1, Errors: 1, Failed: 1}},
		{"failed", "blocked", Stats{Errors: 1, Failed: 1}},
		{"failed", "cancelled", Stats{Errors: 1, Failed: 1}},
		{"failed", "render", Stats{Errors: 1, Failed: 1}},
		{"failed", "of-a-later-version", Stats{Calls: 1, Errors: 1, Failed: 1}},
		{"rejected", "event", Stats{Rejected: 1}},
		{"rejected", "", Stats{Rejected: 1}},
		{"postponed", "", Stats{}},
	}
	for _, tt := range tests {
		s := openStore(t, dbPath(t), Options{})
		begin(t, s, stream, epoch)
		apply(t, s, stream, 1, tally(1, tt.outcome, tt.kind))
		tt.want.Since = epoch
		wantStats(t, s, fmt.Sprintf("one %s of kind %q", tt.outcome, tt.kind), tt.want)
		wantCursor(t, s, fmt.Sprintf("one %s", tt.outcome), stream, 1)
	}
}

func TestCountsByOutcomeAndKind(t *testing.T) {
	path := dbPath(t)
	s := openStore(t, path, Options{})
	var batch []Tally
	for i, sort := range []struct {
		o delivery.Outcome
		k delivery.Kind
	}{{"delivered", ""}, {"retrying", "status"}, {"failed", "status"}, {"delivered", ""}, {"failed", "x/y"}, {"failed", "z"}, {"rejected", "event"}} {
		batch = append(batch, tally(uint64(i+1), sort.o, sort.k))
	}
	apply(t, s, stream, 7, batch...)
	want := []Count{{"delivered", "", 2}, {"failed", KindOther, 2}, {"failed", "status", 1}, {"rejected", "event", 1}, {"retrying", "status", 1}}
	for _, when := range []string{"at once", "after reopening"} {
		if got, err := s.Counts(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: Counts() = %v, %v, want %v", when, got, err, want)
		}
		wantStats(t, s, when, Stats{Calls: 6, Errors: 4, Delivered: 2, Retrying: 1, Failed: 3, Rejected: 1, Since: batch[0].Time})
		closeStore(t, s)
		s = openStore(t, path, Options{})
	}
}

func TestNothingIsCountedTwice(t *testing.T) {
	path := dbPath(t)
	s := openStore(t, path, Options{})
	begin(t, s, stream, epoch)
	one, two, three := tally(1, "delivered", ""), tally(2, "retrying", "status"), tally(3, "delivered", "")
	want := Stats{Calls: 2, Errors: 1, Delivered: 1, Retrying: 1, Since: epoch}

	apply(t, s, stream, 2, one, two)
	wantStats(t, s, "two outcomes", want)
	apply(t, s, stream, 2, one, two)
	wantStats(t, s, "the same batch again", want)
	apply(t, s, stream, 1, one)
	wantStats(t, s, "an older batch", want)
	wantCursor(t, s, "an older batch", stream, 2)

	closeStore(t, s)
	s = openStore(t, path, Options{})
	begin(t, s, stream, epoch.Add(time.Hour))
	wantStats(t, s, "after reopening", want)
	wantCursor(t, s, "after reopening", stream, 2)

	apply(t, s, stream, 3, three, two, three, one)
	want.Delivered, want.Calls = 2, 3
	wantStats(t, s, "a batch out of order that overlaps and repeats itself", want)

	apply(t, s, stream, 9)
	wantCursor(t, s, "messages that are no outcomes", stream, 9)
	apply(t, s, stream, 9, tally(7, "delivered", ""))
	wantStats(t, s, "an outcome that was skipped before", want)
	apply(t, s, stream, 0, tally(12, "delivered", ""))
	want.Delivered, want.Calls = 3, 4
	wantStats(t, s, "a batch past its last sequence", want)
	wantCursor(t, s, "a batch past its last sequence", stream, 12)
}

func TestSince(t *testing.T) {
	t.Run("is the store's creation before anything is counted", func(t *testing.T) {
		s := openStore(t, dbPath(t), Options{})
		wantStats(t, s, "at first", Stats{Since: s.Created()})
		begin(t, s, stream, s.Created())
		apply(t, s, stream, 1, tally(1, "delivered", ""))
		wantStats(t, s, "an empty stream", Stats{Calls: 1, Delivered: 1, Since: s.Created()})
	})
	t.Run("is the time of the oldest outcome kept, where begun with it", func(t *testing.T) {
		s := openStore(t, dbPath(t), Options{})
		oldest := time.Date(2026, 2, 20, 0, 0, 0, 0, time.FixedZone("", 7200))
		begin(t, s, stream, oldest)
		wantStats(t, s, "begun", Stats{Since: oldest})
	})
	t.Run("is the time of the first one counted otherwise", func(t *testing.T) {
		s := openStore(t, dbPath(t), Options{})
		begin(t, s, stream, time.Time{})
		wantStats(t, s, "begun", Stats{Since: s.Created()})
		apply(t, s, stream, 5, tally(5, "rejected", ""), tally(4, "delivered", ""))
		wantStats(t, s, "counted", Stats{Calls: 1, Delivered: 1, Rejected: 1, Since: epoch.Add(4 * time.Minute)})
		apply(t, s, stream, 6, tally(6, "delivered", ""))
		wantStats(t, s, "counted more", Stats{Calls: 2, Delivered: 2, Rejected: 1, Since: epoch.Add(4 * time.Minute)})
	})
}

func TestAnotherStreamIsCountedAnew(t *testing.T) {
	again := StreamID{Name: stream.Name, Created: epoch.Add(time.Hour)}
	other := StreamID{Name: "OTHER", Created: stream.Created}
	for _, next := range []StreamID{again, other} {
		t.Run("by Begin", func(t *testing.T) {
			s := openStore(t, dbPath(t), Options{})
			apply(t, s, stream, 1000, tally(1000, "delivered", ""))
			wantCursor(t, s, "before", next, 0)
			begin(t, s, next, epoch.Add(2*time.Hour))
			wantStats(t, s, "begun", Stats{Since: epoch.Add(2 * time.Hour)})
			wantCursor(t, s, "begun", next, 0)
			wantCursor(t, s, "begun", stream, 0)
			apply(t, s, next, 1, tally(1, "failed", "tls"))
			wantStats(t, s, "counted", Stats{Calls: 1, Errors: 1, Failed: 1, Since: epoch.Add(2 * time.Hour)})
		})
		t.Run("by Apply", func(t *testing.T) {
			s := openStore(t, dbPath(t), Options{})
			apply(t, s, stream, 1000, tally(1000, "delivered", ""))
			apply(t, s, next, 3, tally(3, "failed", "tls"))
			wantStats(t, s, "counted", Stats{Calls: 1, Errors: 1, Failed: 1, Since: epoch.Add(3 * time.Minute)})
			wantCursor(t, s, "counted", next, 3)
		})
	}
	t.Run("since it was made, where it is empty", func(t *testing.T) {
		s := openStore(t, dbPath(t), Options{})
		apply(t, s, stream, 1000, tally(1000, "delivered", ""))
		apply(t, s, again, 0)
		wantStats(t, s, "emptied", Stats{Since: again.Created})
	})
}

func TestStreamIsTheSameInAnyTimeZone(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	apply(t, s, stream, 4, tally(4, "delivered", ""))
	east := StreamID{Name: stream.Name, Created: stream.Created.In(time.FixedZone("", 3600))}
	wantCursor(t, s, "in another zone", east, 4)
}

func TestResetCountsAnew(t *testing.T) {
	path := dbPath(t)
	s := openStore(t, path, Options{})
	put(t, s, digestA, "one")
	apply(t, s, stream, 2, tally(1, "delivered", ""), tally(2, "failed", "status"))
	if err := s.Reset(); err != nil {
		t.Fatalf("Reset() = %v, want nil", err)
	}
	wantStats(t, s, "reset", Stats{Since: s.Created()})
	wantCursor(t, s, "reset", stream, 0)
	closeStore(t, s)

	s = openStore(t, path, Options{})
	wantStats(t, s, "reset and reopened", Stats{Since: s.Created()})
	apply(t, s, stream, 2, tally(1, "delivered", ""), tally(2, "failed", "status"))
	wantStats(t, s, "rebuilt", Stats{Calls: 2, Errors: 1, Delivered: 1, Failed: 1, Since: epoch.Add(time.Minute)})
	wantHistory(t, s, "reset", "1:aaaa")
}

func TestApplyLeavesItsBatchAlone(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	batch := []Tally{tally(2, "delivered", ""), tally(1, "failed", "tls")}
	was := slices.Clone(batch)
	apply(t, s, stream, 2, batch...)
	if !slices.Equal(batch, was) {
		t.Errorf("Apply changes its batch to %v", batch)
	}
}
