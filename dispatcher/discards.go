package dispatcher

import (
	"context"
	"time"

	"go.uber.org/zap"

	"bellhop/dispatcher/bus"
)

// discardsEvery is how often the outcomes' stream is looked at for what its limits have taken away.
const discardsEvery = 5 * time.Second

// discards counts outcomes that went before their age was over: by a limit of their stream in messages or bytes, or by hand.
type discards struct {
	seen    bool
	created time.Time
	first   uint64
}

// since returns how many went since the last look; none at the first one, and at a stream made anew.
func (x *discards) since(s bus.ResultsState, now time.Time) uint64 {
	first := max(s.First, 1) // a stream that has never held anything says 0
	gone := first - x.first
	if !x.seen || !s.Created.Equal(x.created) || first < x.first {
		gone = 0
	}
	x.seen, x.created, x.first = true, s.Created, first
	// What goes by age goes when it is that old: then what is left is nearly as old.
	if s.MaxAge > 0 && (s.Messages == 0 || now.Sub(s.FirstAt) > s.MaxAge-s.MaxAge/20) {
		return 0
	}
	return gone
}

// watchDiscards counts discarded outcomes until ctx ends: deliveries do not wait for whoever reads outcomes too slowly, so that
// an operator has to be told.
func (l *Link) watchDiscards(ctx context.Context) {
	tick := time.NewTicker(discardsEvery)
	defer tick.Stop()
	var x discards
	var said time.Time
	for {
		if l.Bus.Connected() {
			if state, err := l.Bus.Results(ctx); err == nil {
				now := time.Now()
				if n := x.since(state, now); n > 0 {
					l.Engine.metrics.Discarded.Add(float64(n))
					if now.Sub(said) > time.Minute {
						said = now
						l.Log.Warn("the outcomes' stream is at a limit: its oldest outcomes go before their time",
							zap.String("stream", state.Stream), zap.Uint64("gone", n), zap.Uint64("left", state.Messages))
					}
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
