// Package dispatcher is the engine: it takes events from the bus, delivers what the rules in force ask for, and settles every
// delivery on the bus before it acknowledges anything. It keeps no delivery anywhere else, so any daemon may die at any time.
//
// An event goes intake.go → pool.go and lane.go → attempt.go → settle.go → acks.go; what has to wait goes to the bus by park.go and
// comes back through due.go.
package dispatcher

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/rule"
	"bellhop/dispatcher/telemetry"
)

// Outcomes publishes to the bus and reads back what it has recorded.
type Outcomes interface {
	// PublishAsync calls done once the stream has confirmed the message, or with an error: in any goroutine, maybe before it
	// returns. done does not block.
	PublishAsync(m bus.Msg, done func(bus.Ack, error))
	// Outcome returns the message at a sequence of the outcomes' stream, nil where it is gone.
	Outcome(ctx context.Context, seq uint64) ([]byte, error)
	// MaxPayload is the largest message in bytes.
	MaxPayload() int
}

// Schedule keeps next attempts until they are due, one for each delivery.
type Schedule interface {
	// Schedule returns the schedule's sequence, 0 where the bus had that attempt already; its error is bus.ErrScheduled where
	// the delivery has another schedule than the one to be replaced.
	Schedule(ctx context.Context, r bus.Retry) (uint64, error)
	// Unschedule takes a delivery's schedule back where it is that one, or an earlier one.
	Unschedule(ctx context.Context, id string, seq uint64) error
	// Scheduled returns a delivery's schedule and its sequence, nil where there is none.
	Scheduled(ctx context.Context, id string) (data []byte, seq uint64, err error)
}

// Source is one loop's share of a consumer.
type Source interface {
	// Pull hands over up to n messages until expires is over, calling handle in the caller's goroutine. When ctx ends it still
	// hands over what was on its way.
	Pull(ctx context.Context, n int, expires time.Duration, handle func(*bus.Message)) (int, error)
	Close()
}

// Waiting holds what does not fit a lane.
type Waiting interface {
	Park(ctx context.Context, token, id, key string, data []byte) error
	// OpenLane makes sure that what waits under a token is handed over by Lane.
	OpenLane(ctx context.Context, token string) error
	// CloseLane gives a token up where nothing waits under it; it tells whether it did.
	CloseLane(ctx context.Context, token string) (bool, error)
}

// Bus is all that the engine asks of the bus.
type Bus struct {
	Outcomes Outcomes
	Schedule Schedule
	Waiting  Waiting
	Holds    Holds                              // nil tells nobody
	ByHand   ByHand                             // nil: nothing is retried or cancelled by hand
	Events   func() (Source, error)             // a puller of the events
	Due      func() (Source, error)             // a puller of due retries
	Lane     func(token string) (Source, error) // a puller of what waits for a lane
	// BusyLanes lists the tokens under which something waits, whichever daemon parked it.
	BusyLanes func(ctx context.Context) ([]string, error)
}

// Poster makes one attempt.
type Poster interface {
	Post(ctx context.Context, r endpoint.Request) endpoint.Response
}

// Limit bounds one lane below the general bounds.
type Limit struct {
	Concurrency int     // 0: Options.PerEndpoint
	Rate        float64 // attempts a second; 0: unlimited
}

// Options configures a Dispatcher.
type Options struct {
	Node         string // the daemon's name, in outcomes
	UserAgent    string // bellhop/<version>
	EventStream  string
	EventPrefix  string
	EventCreated time.Time // of the events' stream: part of a plain event's identity
	MaxEvent     int       // bytes; larger events are rejected
	ResultPrefix string

	RequestBody  bool // failed outcomes hold the request's body
	ResponseBody bool // outcomes hold the start of the response's body

	Workers     int              // POSTs in flight
	PerEndpoint int              // of those, to one endpoint
	Lanes       map[string]Limit // by lane: scheme://host:port
	Policy      *delivery.Policy

	ShutdownTimeout time.Duration // how long Run waits for what is in flight once its context has ended

	Log     *zap.Logger // nil logs nothing
	Metrics *Metrics    // nil counts into metrics that nobody reads

	Tracer *telemetry.Tracer // nil makes no spans; the trace context of events goes on to receivers all the same
}

// InForce is a rule set and since when it is in force.
type InForce struct {
	Set   *rule.Set
	Since time.Time
}

// Dispatcher is the engine of one daemon. Its methods are safe for concurrent use; Run may be called once.
type Dispatcher struct {
	o       Options
	bus     Bus
	poster  Poster
	log     *zap.Logger
	metrics *Metrics

	rules  atomic.Pointer[InForce]
	pool   *pool
	names  laneNames
	recent *recent
	held   heldSet
	acks   acks
	claims claims
	doubts doubts
	events gate
	dues   gate
	lanes  laneKeeper
	labels labels // lanes that have series of their own

	relook    chan struct{}             // one slot: the bus is to be looked at
	created   atomic.Pointer[time.Time] // when the events' stream was created: part of a plain event's identity
	scheduled atomic.Pointer[map[string]struct{}]
	open      valve
	ready     readiness
	unwell    complaint // the bus does not confirm
	// unconfirmed is how many of what the bus has to confirm it has refused more than once.
	unconfirmed atomic.Int64

	// hard ends when in-flight work is given up: after the shutdown's grace.
	hard     context.Context // the lifetime of work that outlives the call which started it
	giveUp   context.CancelCauseFunc
	stopping atomic.Bool
	work     sync.WaitGroup // attempts and settlements under way
}

// Errors that end an attempt or its settlement early. The delivery is then somebody else's, or this daemon's next life's.
var (
	errStopping = errors.New("the daemon is stopping")
	errGrace    = errors.New("the daemon's shutdown_timeout is over")
)

// New allocates an engine. Rules must be set before Run.
func New(b Bus, poster Poster, o Options) *Dispatcher {
	if o.Workers <= 0 {
		o.Workers = 256
	}
	if o.PerEndpoint <= 0 {
		o.PerEndpoint = 64
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	d := &Dispatcher{o: o, bus: b, poster: poster, log: o.Log, metrics: o.Metrics, recent: newRecent(), relook: make(chan struct{}, 1)}
	d.created.Store(&o.EventCreated)
	d.hard, d.giveUp = context.WithCancelCause(context.Background())
	d.held.init()
	d.acks.init(d)
	d.claims.ids = map[string]struct{}{}
	d.doubts.init()
	// Twice the workers, so that the next events are decoded while the last ones are under way.
	d.events.init(max(64, 2*o.Workers))
	d.dues.init(max(64, 2*o.Workers))
	d.pool = newPool(o, d.attempt, d.abandon)
	d.lanes.init(d)
	d.labels.init(maxLaneLabels)
	d.open.init()
	d.Pause(errors.New("not consuming yet"))
	return d
}

// SetRules puts a rule set in force. Events matched before keep the set that they were matched against.
func (d *Dispatcher) SetRules(r InForce) {
	lanes, plain, hidden := map[string]struct{}{}, map[string]struct{}{}, map[string]string{}
	for _, rule := range r.Set.Rules {
		for _, w := range rule.Webhooks {
			lanes[w.URL.Lane] = struct{}{}
			if name := w.SecretLane(); name != "" {
				hidden[w.URL.Lane] = name
				d.labels.add(name)
			} else {
				plain[w.URL.Lane] = struct{}{}
				d.labels.add(w.URL.Lane)
			}
		}
	}
	held := d.names.set(hidden, plain)
	d.rules.Store(&r)
	d.pool.serve(lanes)
	for _, h := range held {
		d.Heed(h)
	}
}

// Rules returns what is in force.
func (d *Dispatcher) Rules() InForce { return *d.rules.Load() }

// Pause keeps the engine from pulling until Resume: the bus is away, or what is on it has to be looked at first. What is held
// stays held.
func (d *Dispatcher) Pause(why error) {
	d.open.close()
	d.ready.set("bus", why)
}

// Resume lets the engine pull again. scheduled are the deliveries that have a schedule on the bus now: one of them that comes
// as if it were new was under way when a daemon or the server died, and is looked up before it is made.
func (d *Dispatcher) Resume(scheduled map[string]struct{}) {
	d.scheduled.Store(&scheduled)
	d.doubts.looked()
	d.ready.set("bus", nil)
	d.open.open()
}

// trouble asks for a look at the bus: a stream or consumer may have gone.
func (d *Dispatcher) trouble() {
	select {
	case d.relook <- struct{}{}:
	default:
	}
}

// doubtful tells whether the delivery may have been made already without its outcome being known here.
func (d *Dispatcher) doubtful(m *bus.Message, id string) bool {
	if m.Delivered > 1 {
		return true
	}
	set := d.scheduled.Load()
	if set == nil {
		return false
	}
	_, is := (*set)[id]
	return is
}

// Ready says why the engine is not consuming now; nil when it is.
func (d *Dispatcher) Ready() error { return d.ready.err() }

// Run consumes until ctx ends, then stops: pulling first, then what has not begun is given back, then what is in flight ends
// and is settled, for at most ShutdownTimeout. It returns nil where all was settled, else what was given up.
func (d *Dispatcher) Run(ctx context.Context) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { d.heartbeat(background) })
	wg.Go(func() { d.relieve(background) })
	defer func() {
		stopBackground()
		wg.Wait()
	}()

	g, pulling := errgroup.WithContext(ctx)
	for range eventPullers {
		g.Go(func() error { return d.pullEvents(pulling) })
	}
	g.Go(func() error { return d.pullDue(pulling) })
	g.Go(func() error { return d.lanes.discover(pulling) })
	// Queued work is given back as soon as the stop is asked for, while the pullers still drain.
	release := context.AfterFunc(pulling, func() {
		d.stopping.Store(true)
		d.pool.stop()
	})
	defer release()
	err := g.Wait()
	d.lanes.wait()
	d.pool.stop()
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		err = nil
	}
	return errors.Join(err, d.settleInFlight())
}

// settleInFlight waits for attempts and settlements under way, bounded.
func (d *Dispatcher) settleInFlight() error {
	done := make(chan struct{})
	go func() {
		d.work.Wait()
		close(done)
	}()
	timer := time.NewTimer(max(d.o.ShutdownTimeout, time.Millisecond))
	defer timer.Stop()
	select {
	case <-done:
		d.giveUp(errStopping)
		d.log.Info("stopped: nothing is in flight any more")
		return nil
	case <-timer.C:
	}
	n := d.held.len()
	d.giveUp(errGrace)
	<-done
	if n == 0 {
		return nil
	}
	d.log.Warn("gave up what was in flight; the bus hands it to another daemon, or to this one again", zap.Int("messages", n))
	return nil
}
