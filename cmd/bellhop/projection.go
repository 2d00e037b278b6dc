package main

import (
	"time"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/store"
)

// projection counts outcomes in the store.
type projection struct{ db *store.Store }

// Cursor implements dispatcher.Projection.
func (p projection) Cursor(stream string, created, oldest time.Time) (uint64, error) {
	id := store.StreamID{Name: stream, Created: created}
	since := oldest
	if since.IsZero() {
		since = p.db.Created()
	}
	if err := p.db.Begin(id, since); err != nil {
		return 0, err
	}
	return p.db.Cursor(id)
}

// Apply implements dispatcher.Projection.
func (p projection) Apply(stream string, created time.Time, batch []bus.Recorded, last uint64) error {
	tallies := make([]store.Tally, 0, len(batch))
	for _, r := range batch {
		tallies = append(tallies, store.Tally{
			Seq: r.Seq, Time: r.Time, Outcome: delivery.Outcome(r.Outcome), Kind: delivery.Kind(first(r.Header, delivery.HeaderKind)),
			EventType: r.Type, Rule: first(r.Header, delivery.HeaderRule), Webhook: first(r.Header, delivery.HeaderWebhook),
			Endpoint: first(r.Header, delivery.HeaderEndpoint),
		})
	}
	return p.db.Apply(store.StreamID{Name: stream, Created: created}, tallies, last)
}

func first(h map[string][]string, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}
