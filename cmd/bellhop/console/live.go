package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/store"
)

const (
	maxStreams    = 64               // open at a time
	streamBacklog = 256              // outcomes that wait for one reader
	streamRate    = 50               // outcomes a second to one reader
	streamMissed  = 1000             // outcomes that are made up for after a break
	streamWrite   = 10 * time.Second // a reader that takes nothing for so long is gone
	streamQuiet   = 15 * time.Second // between comments
)

// Live hands outcomes to those who watch, as they are recorded. It is safe for concurrent use.
type Live struct {
	mu      sync.Mutex
	readers map[*liveReader]struct{}
	newest  uint64 // the sequence last told
	life    int    // of the stream of outcomes: made anew, it begins again at 1
}

// told is an outcome in a life of the stream.
type told struct {
	store.Tally
	life int
}

// liveReader is one open stream.
type liveReader struct {
	query   store.Query
	ch      chan told
	newest  uint64 // that had been told as it was opened
	life    int
	mu      sync.Mutex
	skipped int
}

// Tell hands an outcome to all who watch. It never blocks: a reader that is behind misses it, and is told so.
func (l *Live) Tell(t store.Tally) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.Seq <= l.newest {
		l.life++
	}
	l.newest = t.Seq
	for r := range l.readers {
		if !r.query.Holds(&t) {
			continue
		}
		select {
		case r.ch <- told{t, l.life}:
		default:
			r.skip(1)
		}
	}
}

// Watched tells whether anybody watches.
func (l *Live) Watched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.readers) > 0
}

func (r *liveReader) skip(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipped += n
}

func (r *liveReader) takeSkipped() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.skipped
	r.skipped = 0
	return n
}

func (l *Live) open(q store.Query) (*liveReader, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readers) >= maxStreams {
		return nil, false
	}
	if l.readers == nil {
		l.readers = map[*liveReader]struct{}{}
	}
	r := &liveReader{query: q, ch: make(chan told, streamBacklog), newest: l.newest, life: l.life}
	l.readers[r] = struct{}{}
	return r, true
}

func (l *Live) close(r *liveReader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.readers, r)
}

// events writes server-sent events (HTML Living Standard, 9.2).
type events struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (e *events) send(name, id string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return e.write(func() error {
		if id != "" {
			if _, err := fmt.Fprintf(e.w, "id: %s\n", id); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(e.w, "event: %s\ndata: %s\n\n", name, text)
		return err
	})
}

func (e *events) comment() error {
	return e.write(func() error {
		_, err := fmt.Fprint(e.w, ":\n\n")
		return err
	})
}

func (e *events) write(fn func() error) error {
	// Each write has its own time: the stream as a whole has none.
	if err := e.rc.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return e.rc.Flush()
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	f := filterOf(v)
	f.From, f.To = "", ""
	q, err := QueryOf(f, time.Now())
	withStats := true
	if text := v.Get("stats"); err == nil && text != "" {
		if withStats, err = strconv.ParseBool(text); err != nil {
			err = fmt.Errorf("stats: %q is neither true nor false", text)
		}
	}
	var after uint64
	// A browser that opens a stream itself cannot set the header; where it makes up for a break by itself, the header is the newer.
	name, text := "Last-Event-ID", r.Header.Get("Last-Event-ID")
	if text == "" {
		name, text = "after", v.Get("after")
	}
	if err == nil && text != "" {
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			err = fmt.Errorf("%s: %q is none of this stream's", name, text)
		}
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	reader, ok := s.o.Live.open(q)
	if !ok {
		w.Header().Set("Retry-After", "30")
		problem(w, http.StatusServiceUnavailable, fmt.Sprintf("%d streams are open, which is as many as there may be", maxStreams))
		return
	}
	defer s.o.Live.close(reader)
	rc := http.NewResponseController(w)
	// What is read of the request has been read: its time must not end the answer.
	_ = rc.SetReadDeadline(time.Time{})
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	s.feed(ctx, &events{w, rc}, reader, after, withStats)
}

// feed writes events until the reader is gone or the console closes.
func (s *Server) feed(ctx context.Context, out *events, reader *liveReader, after uint64, withStats bool) {
	if err := out.comment(); err != nil {
		return
	}
	if after > 0 && s.beyond(ctx, reader, after) {
		reader.skip(1) // how many there were is not known
		after = 0
	}
	last, life := after, reader.life
	if after > 0 {
		var err error
		if last, err = s.makeUp(ctx, out, reader, after); err != nil {
			return
		}
	}
	var said store.Stats
	tell := func() error {
		now, err := s.o.Counts.Stats()
		if err != nil || now == said || !withStats {
			return nil
		}
		said = now
		return out.send("stats", "", now)
	}
	if tell() != nil {
		return
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	limit := rate.NewLimiter(streamRate, streamRate)
	quiet := time.Now()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case t := <-reader.ch:
			if t.life != life {
				last, life = 0, t.life
			}
			if t.Seq <= last {
				continue
			}
			if !limit.Allow() {
				reader.skip(1)
				continue
			}
			batch := []uint64{t.Seq}
			for more := true; more && len(batch) < 16; {
				select {
				case t := <-reader.ch:
					life = t.life
					if limit.Allow() {
						batch = append(batch, t.Seq)
					} else {
						reader.skip(1)
					}
				default:
					more = false
				}
			}
			last = batch[len(batch)-1]
			if err = s.sendOutcomes(ctx, out, reader, batch); err == nil {
				quiet = time.Now()
			}
		case <-second.C:
			if n := reader.takeSkipped(); n > 0 {
				err = out.send("skipped", "", map[string]int{"count": n})
			}
			if err == nil {
				err = tell()
			}
			if err == nil && time.Since(quiet) >= streamQuiet {
				quiet = time.Now()
				err = out.comment()
			}
		}
		if err != nil {
			return
		}
	}
}

// beyond tells whether a sequence lies behind all that is recorded: it is of a stream that has been made anew since.
func (s *Server) beyond(ctx context.Context, reader *liveReader, seq uint64) bool {
	if seq <= reader.newest {
		return false
	}
	list, _, err := s.o.Deliveries.List(ctx, store.Query{Limit: 1})
	return err == nil && (len(list.Items) == 0 || list.Items[0].Seq < seq)
}

// makeUp sends what was recorded after a sequence, and returns the last that it has sent.
func (s *Server) makeUp(ctx context.Context, out *events, reader *liveReader, after uint64) (uint64, error) {
	var missed []api.Outcome
	q := reader.query
	q.Limit = 200
	for len(missed) < streamMissed {
		list, next, err := s.o.Deliveries.List(ctx, q)
		if err != nil {
			reader.skip(1)
			return after, nil //nolint:nilerr // the live ones follow all the same
		}
		older := slices.IndexFunc(list.Items, func(o api.Outcome) bool { return o.Seq <= after })
		if older >= 0 {
			missed = append(missed, list.Items[:older]...)
			break
		}
		missed = append(missed, list.Items...)
		if next == 0 || next <= after {
			break
		}
		q.Before = next
	}
	if len(missed) >= streamMissed {
		// How many more there were is not counted.
		if err := out.send("skipped", "", map[string]int{"count": 1}); err != nil {
			return after, err
		}
	}
	last := after
	for _, o := range slices.Backward(missed[:min(len(missed), streamMissed)]) {
		if err := out.send("outcome", strconv.FormatUint(o.Seq, 10), o); err != nil {
			return last, err
		}
		last = o.Seq
	}
	return last, nil
}

func (s *Server) sendOutcomes(ctx context.Context, out *events, reader *liveReader, seqs []uint64) error {
	list, err := s.o.Outcomes(ctx, seqs)
	if err != nil {
		reader.skip(len(seqs))
		return nil //nolint:nilerr // the bus is away: that they are missing is told, and what comes after
	}
	for _, o := range list {
		if err := out.send("outcome", strconv.FormatUint(o.Seq, 10), o); err != nil {
			return err
		}
	}
	return nil
}
