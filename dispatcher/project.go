package dispatcher

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"bellhop/dispatcher/bus"
)

const (
	// projectBatch and projectEvery bound one write of the projection: a transaction costs a sync of the disk.
	projectBatch = 2000
	projectEvery = 250 * time.Millisecond
)

// errCaughtUp ends the reading of old outcomes once the live ones follow without a gap.
var errCaughtUp = errors.New("caught up")

// project counts outcomes into the projection until ctx ends. It reads by itself what the projection has missed, so that the
// engine need not wait for that, and then shares the engine's reading.
func (l *Link) project(ctx context.Context) {
	if l.Projection == nil {
		return
	}
	said := ""
	for ctx.Err() == nil {
		l.mu.Lock()
		life := l.life
		turn, interrupt := context.WithCancel(life)
		l.interrupt = interrupt
		anew := l.recount
		l.recount = false
		l.mu.Unlock()
		var err error
		if anew {
			err = l.Projection.Reset()
		}
		unreset := err != nil
		if !unreset {
			err = l.projectFrom(turn)
		}
		interrupt()
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		l.live = false
		if l.recount || life.Err() != nil {
			l.mu.Unlock()
			continue
		}
		l.recount, l.stalled = unreset, err
		l.mu.Unlock()
		if err != nil && err.Error() != said {
			said = err.Error()
			l.Log.Warn("outcomes are not counted, trying until they are", zap.Error(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookAgain):
		}
	}
}

func (l *Link) projectFrom(ctx context.Context) error {
	state, err := l.Bus.Results(ctx)
	if err != nil {
		return err
	}
	oldest := state.FirstAt
	if state.Messages == 0 {
		oldest = time.Time{}
	}
	at, err := l.Projection.Cursor(state.Stream, state.Created, oldest)
	if err != nil {
		return err
	}
	w := &projectionWriter{link: l, state: state, last: at}
	if at < state.Last {
		if err := l.catchUp(ctx, w, max(at+1, state.First)); err != nil {
			return err
		}
	}
	for {
		for !l.goLive(w.last) {
			if err := l.catchUp(ctx, w, w.last+1); err != nil {
				return err
			}
		}
		l.counting()
		if err := w.run(ctx); err != nil {
			return err
		}
	}
}

// counting notes that the projection goes on.
func (l *Link) counting() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stalled != nil {
		l.stalled = nil
		l.Log.Info("outcomes are counted again")
	}
}

// Counting says why outcomes are not counted now; nil where they are, or are being read to be.
func (l *Link) Counting() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stalled
}

// Recount makes the projection begin anew, from the oldest outcome that the stream keeps. It does not wait for that.
func (l *Link) Recount() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recount = true
	if l.interrupt != nil {
		l.interrupt()
	}
}

// isLive tells whether the engine's reading feeds the projection.
func (l *Link) isLive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.live
}

// goLive shares the engine's reading from now on, where nothing lies between it and what is counted.
func (l *Link) goLive(counted uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.followed > counted {
		return false
	}
	l.projected, l.live = counted, true
	return true
}

// catchUp counts what the stream holds from a sequence on, up to where the engine has read.
func (l *Link) catchUp(ctx context.Context, w *projectionWriter, from uint64) error {
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var failed error
	err := l.Bus.Follow(reading, bus.From{Seq: from, Created: w.state.Created}, func(r bus.Recorded) {
		if reading.Err() != nil {
			return
		}
		if failed = w.add(r); failed != nil {
			stop(failed)
			return
		}
		l.mu.Lock()
		reached := r.Seq >= l.followed && r.Seq >= w.state.Last
		l.mu.Unlock()
		if reached {
			stop(errCaughtUp)
		}
	})
	if failed == nil {
		failed = w.flush()
	}
	if errors.Is(err, errCaughtUp) {
		err = nil
	}
	return errors.Join(failed, err)
}

// projectionWriter writes outcomes in batches.
type projectionWriter struct {
	link  *Link
	state bus.ResultsState
	batch []bus.Recorded
	last  uint64
}

func (w *projectionWriter) add(r bus.Recorded) error {
	w.batch = append(w.batch, r)
	w.last = r.Seq
	if len(w.batch) >= projectBatch {
		return w.flush()
	}
	return nil
}

func (w *projectionWriter) flush() error {
	if len(w.batch) == 0 {
		return nil
	}
	err := w.link.Projection.Apply(w.state.Stream, w.state.Created, w.batch, w.last)
	w.batch = w.batch[:0]
	return err
}

// run writes what the engine's reading brings, until that has brought more than there was room for: then it returns nil, and
// what was left out is to be read again. What is not written when ctx ends is read again at the next start.
func (w *projectionWriter) run(ctx context.Context) error {
	tick := time.NewTicker(projectEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return errors.Join(w.flush(), context.Cause(ctx))
		case r := <-w.link.feed:
			err = w.take(r)
		case <-tick.C:
			if err = w.flush(); err == nil && !w.link.isLive() {
				return w.drain()
			}
		}
		if err != nil {
			return err
		}
	}
}

// take adds what the feed brought. An earlier turn may have left there what has been counted since.
func (w *projectionWriter) take(r fed) error {
	if !r.created.Equal(w.state.Created) || r.Seq <= w.last {
		return nil
	}
	return w.add(r.Recorded)
}

// drain writes what is left in the feed once nothing more comes in.
func (w *projectionWriter) drain() error {
	for {
		select {
		case r := <-w.link.feed:
			if err := w.take(r); err != nil {
				return err
			}
		default:
			return w.flush()
		}
	}
}
