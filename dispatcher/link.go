package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
)

// Projection counts outcomes durably. Its methods are called from one goroutine at a time.
type Projection interface {
	// Cursor returns the sequence up to which the stream is counted; 0 for a stream not seen before.
	Cursor(stream string, created time.Time, oldest time.Time) (uint64, error)
	// Apply counts outcomes, in order, and remembers last as the new cursor, at once or not at all.
	Apply(stream string, created time.Time, batch []bus.Recorded, last uint64) error
	// Reset forgets all counts, so that the next Cursor is 0.
	Reset() error
}

// Link keeps an engine and its bus together: it sets up what the engine needs, tells the engine when to pull and when not to,
// and follows the outcomes of all daemons.
type Link struct {
	Bus        *bus.Bus
	Topology   bus.Topology
	Engine     *Dispatcher
	Projection Projection
	Log        *zap.Logger
	// Watch is told of each outcome, of whichever daemon, as the engine reads it. It must not block. nil tells nobody.
	Watch func(bus.Recorded)

	mu        sync.Mutex
	followed  uint64 // the last outcome that the engine was told of
	live      bool   // the projection is fed by the same reading as the engine
	projected uint64 // the last outcome handed to the projection
	advanced  chan struct{}
	feed      chan fed
	recount   bool               // the projection is to begin anew
	interrupt context.CancelFunc // ends what the projection is at; nil before it has begun
	stalled   error              // why the projection does not go on; nil where it does
	state     bus.ResultsState
	lookedAt  time.Time       // when all was last looked at, as after each connection
	run       context.Context // of Run
	life      context.Context // of the outcomes' stream as it is now: ends when that is made anew
	renew     context.CancelFunc
}

// fed is an outcome for the projection, of the stream created then.
type fed struct {
	created time.Time
	bus.Recorded
}

const (
	// lookAgain is how long the link waits before it looks at a bus in trouble again.
	lookAgain = time.Second
	// feedSize bounds what waits for the projection, in outcomes. One that falls further behind reads them again by itself.
	feedSize = 4096
	// remindEvery is how often the link looks for attempts that the server has forgotten; for a while after a connection was made,
	// as after a crash of the server, it looks more often for what consumers take for acknowledged.
	remindEvery  = 30 * time.Second
	remindLately = 5 * time.Second
	remindFor    = time.Minute
)

// Open sets up the streams and consumers. Errors that waiting will not mend are returned; it tries on, until ctx ends, while
// the bus does not answer.
func (l *Link) Open(ctx context.Context) error {
	l.advanced, l.feed = make(chan struct{}, 1), make(chan fed, feedSize)
	for {
		err := l.Bus.Setup(ctx, l.Topology)
		if err == nil {
			l.state, err = l.Bus.Results(ctx)
		}
		if err == nil || ctx.Err() != nil || !bus.Passing(err) {
			return err
		}
		l.Log.Warn("the bus is not ready, trying again", zap.Error(err))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookAgain):
		}
	}
}

// Run keeps the link until ctx ends. Open comes first.
func (l *Link) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	unwatch, err := l.Bus.WatchLanes(l.Engine.Heed)
	if err != nil {
		return err
	}
	defer unwatch()
	l.mu.Lock()
	l.run = ctx
	l.life, l.renew = context.WithCancel(ctx)
	l.mu.Unlock()
	wg.Add(4)
	go func() {
		defer wg.Done()
		l.follow(ctx)
	}()
	go func() {
		defer wg.Done()
		l.remind(ctx)
	}()
	go func() {
		defer wg.Done()
		l.watchDiscards(ctx)
	}()
	go func() {
		defer wg.Done()
		l.project(ctx)
	}()
	for {
		err := l.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var again <-chan time.Time
		if err != nil {
			l.Engine.Pause(err)
			l.Log.Warn("not consuming: the bus has to come back first", zap.Error(err))
			again = time.After(lookAgain)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.Bus.Changed():
			if !l.Bus.Connected() {
				l.Engine.Pause(errors.New("disconnected from NATS"))
			}
		case <-l.Engine.relook:
			// One look a second is enough for any trouble.
			select {
			case <-ctx.Done():
			case <-time.After(lookAgain):
			}
		case <-again:
		}
	}
}

// remind has attempts handed out that the server has forgotten, until ctx ends.
func (l *Link) remind(ctx context.Context) {
	tick := time.NewTicker(remindLately)
	defer tick.Stop()
	for last := time.Now(); ; {
		var now time.Time
		select {
		case <-ctx.Done():
			return
		case now = <-tick.C:
		}
		l.mu.Lock()
		lately := now.Sub(l.lookedAt) < remindFor
		l.mu.Unlock()
		due := now.Sub(last) >= remindEvery
		if !l.Bus.Connected() || !lately && !due {
			continue
		}
		_, err := l.Bus.Restore(ctx)
		if due {
			last = now
			n, overdue := l.Bus.Renew(ctx)
			if n > 0 {
				l.Log.Warn("scheduled again what the server should have handed out", zap.Int("attempts", n))
			}
			err = errors.Join(err, overdue)
		}
		if err != nil && ctx.Err() == nil {
			l.Log.Warn("cannot look for attempts that the server has forgotten, trying again", zap.Error(err))
		}
	}
}

// look makes sure that all is there, and that the engine knows of all outcomes recorded so far, before it pulls.
func (l *Link) look(ctx context.Context) error {
	if !l.Bus.Connected() {
		return errors.New("disconnected from NATS")
	}
	if err := l.Bus.Setup(ctx, l.Topology); err != nil {
		return err
	}
	state, err := l.Bus.Results(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	if !state.Created.Equal(l.state.Created) {
		// The outcomes' stream was made anew: sequences begin again.
		l.followed, l.projected, l.live = 0, 0, false
		l.renew()
		l.life, l.renew = context.WithCancel(l.run)
	}
	l.state, l.lookedAt = state, time.Now()
	l.mu.Unlock()
	if err := l.reach(ctx, state.Last); err != nil {
		return err
	}
	born, err := l.Bus.EventsCreated(ctx)
	if err != nil {
		return err
	}
	l.Engine.created.Store(&born)
	ids, err := l.Bus.ScheduledIDs(ctx)
	if err != nil {
		return err
	}
	// The latest word about each lane: those who spoke may be gone, or spoke while nobody here listened.
	holds, err := l.Bus.LaneHolds(ctx)
	if err != nil {
		return err
	}
	for _, h := range holds {
		l.Engine.Heed(h)
	}
	l.Engine.Resume(ids)
	return nil
}

// reach blocks until the engine has been told of the outcome at a sequence.
func (l *Link) reach(ctx context.Context, seq uint64) error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		l.mu.Lock()
		at := l.followed
		l.mu.Unlock()
		if at >= seq {
			return nil
		}
		select {
		case <-l.advanced:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return fmt.Errorf("reading recent outcomes: at %d of %d", at, seq)
		}
	}
}

// follow tells the engine of every outcome from recentWindow ago on, until ctx ends.
func (l *Link) follow(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		from := bus.From{Seq: l.followed + 1, Created: l.state.Created}
		if l.followed == 0 {
			from.Seq, from.Time = 0, time.Now().Add(-recentWindow-10*time.Second)
		}
		created, life := l.state.Created, l.life
		l.mu.Unlock()
		err := l.followFrom(life, from, created)
		if ctx.Err() != nil {
			return
		}
		if life.Err() != nil {
			continue
		}
		l.Log.Debug("following outcomes again", zap.Error(err))
		// The stream is gone, or another one: whoever makes it anew, or has, this daemon has to know.
		l.Engine.trouble()
		select {
		case <-ctx.Done():
		case <-time.After(lookAgain):
		}
	}
}

func (l *Link) followFrom(ctx context.Context, from bus.From, created time.Time) error {
	if from.Seq == 0 {
		// Where nothing is recent the engine knows all there is.
		state, err := l.Bus.Results(ctx)
		if err != nil {
			return err
		}
		first, err := l.Bus.FirstSince(ctx, from.Time)
		if err != nil {
			return err
		}
		if first == 0 {
			first = state.Last + 1
		}
		from.Seq = first
		l.told(created, first-1)
	}
	return l.Bus.Follow(ctx, from, func(r bus.Recorded) {
		l.Engine.doubts.recorded(r.MsgID, r.Seq)
		if id, run, attempt, ok := delivery.ParseOutcomeID(r.MsgID); ok && time.Since(r.Time) < 2*recentWindow {
			l.Engine.recent.add(id, run, attempt, delivery.Outcome(r.Outcome).Final())
		}
		l.mu.Lock()
		if l.state.Created.Equal(created) {
			if l.live && r.Seq > l.projected {
				select {
				case l.feed <- fed{created, r}:
					l.projected = r.Seq
				default:
					// The projection does not keep up, or its disk is full or stuck: the engine does not wait for that.
					l.live = false
				}
			}
			// Under the same lock: between the two, the projection could go live and miss this one.
			l.followed = max(l.followed, r.Seq)
		}
		l.mu.Unlock()
		if l.Watch != nil {
			l.Watch(r)
		}
		l.told(created, r.Seq)
	})
}

// told notes how far the engine has been told, in the stream created then.
func (l *Link) told(created time.Time, seq uint64) {
	l.mu.Lock()
	if l.state.Created.Equal(created) {
		l.followed = max(l.followed, seq)
	}
	l.mu.Unlock()
	select {
	case l.advanced <- struct{}{}:
	default:
	}
}
