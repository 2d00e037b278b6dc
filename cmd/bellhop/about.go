package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console"
	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher/bus"
	"bellhop/store"
)

// peersWithin is how long other daemons have to say that they are there.
const peersWithin = 400 * time.Millisecond

// watch tells those who look at outcomes as they come of one.
func (d *daemon) watch(r bus.Recorded) {
	if d.live.Watched() {
		d.live.Tell(tallyOf(r))
	}
}

// Status implements console.About. What the bus does not say is left at zero: whoever asks wants to know the rest.
func (d *daemon) Status(ctx context.Context) (api.Status, error) {
	out := api.Status{
		Node: d.settings.Node, Version: buildVersion(), Started: d.begun, Ready: true, Store: api.StoreStatus{Size: d.db.Size()},
	}
	if err := d.isReady(); err != nil {
		out.Ready, out.Reason = false, err.Error()
	}
	if d.ready.Load() == nil {
		out.RulesVersion = d.engine.Rules().Set.Version
		out.Bus = api.BusStatus{Address: d.bus.Address(), Connected: d.bus.Connected(), Schedules: d.bus.Schedules()}
		if b, err := d.bus.Backlog(ctx); err == nil {
			out.Backlog.Events, out.Backlog.Held = b.Pending, uint64(max(0, b.Held))
		}
		if n, err := d.bus.CountPending(ctx); err == nil {
			out.Backlog.Pending = n
		}
	}
	out.Projection = d.projected(ctx)
	return out, nil
}

// projected says how far the counts have come.
func (d *daemon) projected(ctx context.Context) api.Projection {
	p := d.db.Progress()
	out := api.Projection{Sequence: p.Cursor, Last: p.Cursor, Since: p.Since, Indexed: p.Indexed}
	if d.ready.Load() != nil {
		return out
	}
	if err := d.link.Counting(); err != nil {
		out.Error = err.Error()
	}
	if state, err := d.bus.Results(ctx); err == nil {
		out.Last, out.Sequence, out.Lag = state.Last, countedTo(p, state), lagBehind(p, state)
	}
	return out
}

// countedTo is the sequence up to which the stream's outcomes are counted.
func countedTo(p store.Progress, state bus.ResultsState) uint64 {
	if !p.Stream.Equal(store.StreamID{Name: state.Stream, Created: state.Created}) {
		return 0 // what is counted is of a stream that is no more
	}
	return p.Cursor
}

// lagBehind is how many of the stream's outcomes are not counted yet.
func lagBehind(p store.Progress, state bus.ResultsState) uint64 {
	at := countedTo(p, state)
	if at < state.First {
		at = state.First - 1
	}
	return state.Last - min(state.Last, at)
}

// Rebuild implements console.About.
func (d *daemon) Rebuild(ctx context.Context) (api.Projection, error) {
	if d.ready.Load() != nil {
		return api.Projection{}, console.Unavailable(errNotYet)
	}
	before := d.resets.Load()
	d.link.Recount()
	ctx, cancel := context.WithTimeout(ctx, rebuildWithin)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for d.resets.Load() == before {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return api.Projection{}, console.Unavailable(cmp.Or(d.link.Counting(), errors.New("the counts have not begun anew yet: they will")))
		}
	}
	return d.projected(ctx), nil
}

// rebuildWithin is how long the counts have to begin anew.
const rebuildWithin = 5 * time.Second

// self describes this daemon to the others.
func (d *daemon) self() api.Daemon {
	out := api.Daemon{Node: d.settings.Node, Version: buildVersion(), Started: d.begun, Ready: d.isReady() == nil}
	if d.ready.Load() == nil {
		out.RulesVersion = d.engine.Rules().Set.Version
		for _, l := range d.engine.Lanes() {
			out.InFlight += l.InFlight
		}
	}
	return out
}

// Daemons implements console.About.
func (d *daemon) Daemons(ctx context.Context) (api.DaemonList, error) {
	self := d.self()
	self.Self = true
	list := api.DaemonList{Items: []api.Daemon{self}}
	if d.ready.Load() != nil {
		return list, nil
	}
	answers, err := d.bus.Peers(ctx, peersWithin)
	list.Complete = err == nil
	for _, text := range answers {
		var one api.Daemon
		if json.Unmarshal(text, &one) != nil || one.Node == self.Node && one.Started.Equal(self.Started) {
			continue
		}
		one.Self = false
		list.Items = append(list.Items, one)
	}
	slices.SortFunc(list.Items, func(a, b api.Daemon) int { return cmp.Or(cmp.Compare(a.Node, b.Node), a.Started.Compare(b.Started)) })
	return list, nil
}

// mindEvery is how often what the store knows of outcomes that are gone is let go.
const mindEvery = time.Minute

// mind answers other daemons, and keeps the index within what the stream keeps, until ctx ends.
func (d *daemon) mind(ctx context.Context) error {
	stop, err := d.bus.AnswerPeers(func() []byte {
		text, err := json.Marshal(d.self())
		if err != nil {
			return nil
		}
		return text
	})
	if err != nil {
		d.log.Warn("other daemons cannot ask for this one", zap.Error(err))
	} else {
		defer stop()
	}
	tick := time.NewTicker(mindEvery)
	defer tick.Stop()
	for {
		if state, err := d.bus.Results(ctx); err == nil {
			if err := d.db.Forget(store.StreamID{Name: state.Stream, Created: state.Created}, state.First); err != nil {
				d.log.Debug("trim the index", zap.Error(err))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
