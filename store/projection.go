package store

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"bellhop/dispatcher/delivery"
)

// StreamID names one life of a stream: deleted and made again under its name, it counts from 1 anew.
type StreamID struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// Equal tells whether both are the same stream.
func (id StreamID) Equal(other StreamID) bool {
	return id.Name == other.Name && id.Created.Equal(other.Created)
}

// Tally is what counts of one outcome.
type Tally struct {
	Seq       uint64 // in the stream of outcomes, from 1
	Time      time.Time
	ID        string // the outcome's own: what comes again under it is not counted; "" is always counted
	Outcome   delivery.Outcome
	Kind      delivery.Kind // "" where there was no error
	EventType string
	Rule      string
	Webhook   string
	Endpoint  string
	EventID   string
	User      string        // the id of the user whom the event is about; "" where it names none
	Duration  time.Duration // of the attempt; 0 where it is not known
}

// Stats counts the outcomes of the whole cluster since a time.
type Stats struct {
	Calls     uint64    `json:"calls"`  // delivered, retrying and failed, of kinds that POST
	Errors    uint64    `json:"errors"` // retrying and failed, of any kind
	Delivered uint64    `json:"delivered"`
	Retrying  uint64    `json:"retrying"`
	Failed    uint64    `json:"failed"`
	Rejected  uint64    `json:"rejected"`
	Since     time.Time `json:"since"`
}

// Count is how often outcomes of one sort were counted.
type Count struct {
	Outcome delivery.Outcome `json:"outcome"`
	Kind    delivery.Kind    `json:"kind,omitempty"` // KindOther for one that this Bellhop does not know
	N       uint64           `json:"n"`
}

// projectionState says how far the projection has come. It changes in one transaction with the counters, so that an
// outcome is counted once, whenever the daemon dies.
type projectionState struct {
	Stream StreamID  `json:"stream"`
	Cursor uint64    `json:"cursor"` // every sequence up to this one has been seen
	Since  time.Time `json:"since,omitzero"`
	Rows   uint64    `json:"rows,omitempty"` // in the index
}

// snapshot is what readers see of the projection, without a transaction.
type snapshot struct {
	stats    Stats
	counts   []Count
	progress Progress
}

// Begin makes the projection that of stream, counting from since on, and does nothing where it is already. Since is the
// time of the oldest outcome that the stream still keeps, or the store's creation where it keeps none; zero takes the
// time of the first outcome counted. A projection of another stream, or of an earlier life of this one, starts anew.
func (s *Store) Begin(stream StreamID, since time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.project("begin counting", func(tx *bolt.Tx) error {
		st, err := readProjection(tx)
		if err != nil || st.Stream.Equal(stream) {
			return err
		}
		return s.restart(tx, projectionState{Stream: stream, Since: since})
	})
}

// Apply counts a batch of outcomes of the stream, in any order, and moves the cursor to lastSeq, the last sequence that
// was read for it (outcomes or not), all in one transaction. What is at or before the cursor has been counted and is
// skipped. A stream other than the projection's starts it anew.
func (s *Store) Apply(stream StreamID, batch []Tally, lastSeq uint64) error {
	bySeq := func(a, b Tally) int { return cmp.Compare(a.Seq, b.Seq) }
	if !slices.IsSortedFunc(batch, bySeq) {
		batch = slices.Clone(batch)
		slices.SortStableFunc(batch, bySeq)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.project("count outcomes", func(tx *bolt.Tx) error {
		st, err := readProjection(tx)
		if err != nil {
			return err
		}
		if !st.Stream.Equal(stream) {
			st = projectionState{Stream: stream}
			if err := s.restart(tx, st); err != nil {
				return err
			}
		}
		fresh := make([]Tally, 0, len(batch))
		for _, t := range batch {
			if t.Seq <= st.Cursor {
				continue
			}
			st.Cursor = t.Seq
			if !known(t.Outcome) {
				continue // of a later Bellhop; what it means cannot be told
			}
			fresh = append(fresh, t)
			if st.Since.IsZero() {
				st.Since = t.Time.UTC()
			}
		}
		st.Cursor = max(st.Cursor, lastSeq)
		if err := s.addOutcomes(tx, &st, fresh); err != nil {
			return err
		}
		return putJSON(tx, bucketProjection, keyState, st)
	})
}

// addOutcomes adds new outcomes to every counter and to the index.
func (s *Store) addOutcomes(tx *bolt.Tx, st *projectionState, fresh []Tally) error {
	if len(fresh) == 0 {
		return nil
	}
	p, err := bucket(tx, bucketProjection)
	if err != nil {
		return err
	}
	x, err := s.openIndexer(tx)
	if err != nil {
		return err
	}
	if fresh, err = x.unseen(tx, fresh); err != nil {
		return err
	}
	list := make([]row, 0, len(fresh))
	for i := range fresh {
		r, err := x.rowOf(p, &fresh[i])
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	if st.Rows, err = addRows(p, list, st.Rows, s.indexed); err != nil {
		return err
	}
	if err := addTotals(p, fresh); err != nil {
		return err
	}
	return addPeriods(p, fresh, s.now())
}

// Cursor gives the sequence up to which the stream has been counted, 0 where nothing of it was.
func (s *Store) Cursor(stream StreamID) (seq uint64, err error) {
	err = s.view("read counts", func(tx *bolt.Tx) error {
		st, err := readProjection(tx)
		if err == nil && st.Stream.Equal(stream) {
			seq = st.Cursor
		}
		return err
	})
	return seq, err
}

// Reset forgets all counts and the stream they were of, to count anew from Begin on.
func (s *Store) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.project("reset counts", func(tx *bolt.Tx) error { return s.restart(tx, projectionState{}) })
}

// Stats gives the counts. It reads memory only, and costs nothing.
func (s *Store) Stats() (Stats, error) {
	if s.closed.Load() {
		return Stats{}, errClosed
	}
	return s.snapshot.Load().stats, nil
}

// Counts gives the counts by outcome and kind, in the order of their names. It reads memory only.
func (s *Store) Counts() ([]Count, error) {
	if s.closed.Load() {
		return nil, errClosed
	}
	return slices.Clone(s.snapshot.Load().counts), nil
}

// project runs a transaction on the projection and publishes what it comes to. The caller holds s.mu.
func (s *Store) project(verb string, fn func(*bolt.Tx) error) error {
	var after *snapshot
	err := s.update(verb, func(tx *bolt.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		var err error
		after, err = s.readSnapshot(tx)
		return err
	})
	if err != nil {
		s.index = nil // it may know what was not written
		return err
	}
	s.snapshot.Store(after) // after the commit: a count that is shown is never lost
	return nil
}

// restart empties every counter.
func (s *Store) restart(tx *bolt.Tx, st projectionState) error {
	s.index = nil
	st.Since = st.Since.UTC()
	st.Stream.Created = st.Stream.Created.UTC()
	if err := tx.DeleteBucket(bucketProjection); err != nil {
		return err
	}
	if _, err := tx.CreateBucket(bucketProjection); err != nil {
		return err
	}
	return putJSON(tx, bucketProjection, keyState, st)
}

func readProjection(tx *bolt.Tx) (st projectionState, err error) {
	err = getJSON(tx, bucketProjection, keyState, &st)
	return st, err
}

func (s *Store) loadSnapshot() error {
	return s.view("read counts", func(tx *bolt.Tx) error {
		now, err := s.readSnapshot(tx)
		s.snapshot.Store(now)
		return err
	})
}

// readSnapshot adds the totals up.
func (s *Store) readSnapshot(tx *bolt.Tx) (*snapshot, error) {
	st, err := readProjection(tx)
	if err != nil {
		return nil, err
	}
	counts, err := readTotals(tx)
	if err != nil {
		return nil, err
	}
	sum := Stats{Since: st.Since}
	if sum.Since.IsZero() {
		// Nothing counted yet: since the store was made, or since the stream was, where that is made anew under a
		// running daemon.
		sum.Since = s.meta.created
		if st.Stream.Created.After(sum.Since) {
			sum.Since = st.Stream.Created
		}
	}
	for _, c := range counts {
		switch c.Outcome {
		case delivery.Delivered:
			sum.Delivered += c.N
		case delivery.Retrying:
			sum.Retrying += c.N
			sum.Errors += c.N
		case delivery.Failed:
			sum.Failed += c.N
			sum.Errors += c.N
		case delivery.Rejected:
			sum.Rejected += c.N
			continue // no call
		}
		if c.Kind.Posted() {
			sum.Calls += c.N
		}
	}
	return &snapshot{
		stats: sum, counts: counts,
		progress: Progress{Stream: st.Stream, Cursor: st.Cursor, Since: sum.Since, Indexed: st.Rows},
	}, nil
}

// checkProjection reads every counter.
func checkProjection(tx *bolt.Tx) error {
	if _, err := readProjection(tx); err != nil {
		return err
	}
	if _, err := readTotals(tx); err != nil {
		return fmt.Errorf("read counts: %w", err)
	}
	p, err := bucket(tx, bucketProjection)
	if err != nil {
		return err
	}
	if err := checkPeriods(p); err != nil {
		return fmt.Errorf("read counts: %w", err)
	}
	return checkIndex(tx)
}
