package main

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/store"
)

// projection counts outcomes in the store.
type projection struct {
	db     *store.Store
	resets *atomic.Uint64 // how often it was reset
	failed prometheus.Counter
}

// noted counts a write that failed.
func (p projection) noted(err error) error {
	if err != nil {
		p.failed.Inc()
	}
	return err
}

// Cursor implements dispatcher.Projection.
func (p projection) Cursor(stream string, created, oldest time.Time) (uint64, error) {
	id := store.StreamID{Name: stream, Created: created}
	since := oldest
	if since.IsZero() {
		// Nothing is kept: the store knows of all since it is there, and since the stream is.
		since = p.db.Created()
		if created.After(since) {
			since = created
		}
	}
	if err := p.noted(p.db.Begin(id, since)); err != nil {
		return 0, err
	}
	return p.db.Cursor(id)
}

// Apply implements dispatcher.Projection.
func (p projection) Apply(stream string, created time.Time, batch []bus.Recorded, last uint64) error {
	tallies := make([]store.Tally, 0, len(batch))
	for _, r := range batch {
		// Each outcome has an id, by which it counts once: what has none is somebody else's.
		if r.MsgID != "" {
			tallies = append(tallies, tallyOf(r))
		}
	}
	return p.noted(p.db.Apply(store.StreamID{Name: stream, Created: created}, tallies, last))
}

// Reset implements dispatcher.Projection.
func (p projection) Reset() error {
	err := p.noted(p.db.Reset())
	if err == nil {
		p.resets.Add(1)
	}
	return err
}

// tallyOf is what counts of an outcome.
func tallyOf(r bus.Recorded) store.Tally {
	t := store.Tally{
		Seq: r.Seq, Time: r.Time, ID: r.MsgID, Outcome: delivery.Outcome(r.Outcome), Kind: delivery.Kind(first(r.Header, delivery.HeaderKind)),
		EventType: r.Type, Rule: first(r.Header, delivery.HeaderRule), Webhook: first(r.Header, delivery.HeaderWebhook),
		Endpoint: first(r.Header, delivery.HeaderEndpoint), EventID: first(r.Header, delivery.HeaderEvent), User: first(r.Header, delivery.HeaderUser),
	}
	if ms, err := strconv.ParseFloat(first(r.Header, delivery.HeaderDuration), 64); err == nil && ms > 0 && ms < maxDurationMS {
		t.Duration = time.Duration(ms * float64(time.Millisecond))
	}
	return t
}

// maxDurationMS bounds what is believed of a header.
const maxDurationMS = 1e9

func first(h map[string][]string, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}
