package dispatcher

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pool runs attempts: so many at a time in all, so many for each lane, fair among the lanes.
type pool struct {
	workers     int
	perEndpoint int
	limits      map[string]Limit
	run         func(*job) // makes the attempt
	abandon     func(*job) // gives back what was not begun

	// settling is how many attempts have been made whose outcome the bus has not confirmed yet.
	settling atomic.Int64

	mu      sync.Mutex
	lanes   map[string]*lane
	served  map[string]struct{} // the lanes that the rules in force call; nil: any
	ring    fifo[*lane]         // lanes with something to begin, in turn
	busy    int
	queued  int // in all lanes
	active  int // lanes with something under way or queued
	stopped bool
	idle    []chan *job // workers without work, the last to come first
}

// What is queued here is held on the bus, and what is held is bounded: so queues share a budget, of as many places as there
// are workers. A lane may take as many places as are still free, so that those which fill up leave some to those that come.
func (p *pool) budget() int { return p.workers - p.queued }

// spare is how many workers are kept for lanes that use few: several endpoints that hang must not have them all.
func (p *pool) spare() int { return p.workers / 8 }

// few is how many workers a lane may use of those kept.
func (p *pool) few() int { return max(1, p.workers/16) }

// flowing is how many attempts a lane may queue beyond its share because it will have made them within a moment: parking them
// would cost the bus more. Should it come to a halt, relieve parks them.
func (p *pool) flowing(l *lane, now time.Time) int {
	return min(l.soonDone(now), 4*p.workers-p.queued)
}

// room is how many attempts more a lane may queue. A lane that has come to a halt has less, so that it leaves places for what
// comes behind it.
func (p *pool) room(l *lane, now time.Time) int {
	n := min(l.limit(now), p.budget())
	if !l.stuck(now) {
		n = max(min(l.limit(now), p.budget()+l.queued()), p.flowing(l, now))
	}
	if l.pace != nil {
		n = min(n, l.pace.ahead())
	}
	return n - l.queued() - l.reserved
}

// maxSettling bounds what is POSTed without a recorded outcome while the bus records none.
func (p *pool) maxSettling() int64 { return int64(2 * p.workers) }

// full tells whether no attempt of any lane may begin now.
func (p *pool) full() bool {
	return p.busy >= p.workers || p.stopped || p.settling.Load() >= p.maxSettling()
}

// begins tells whether a lane may begin an attempt now.
func (p *pool) begins(l *lane, now time.Time) bool {
	if p.full() || l.inflight >= l.limit(now) {
		return false
	}
	return p.active <= 1 || p.workers-p.busy > p.spare() || l.inflight < p.few()
}

// verdict is the answer to a submission.
type verdict uint8

const (
	accepted verdict = iota + 1
	full             // the lane has no room
	refused          // the pool has stopped
)

func newPool(o Options, run, abandon func(*job)) *pool {
	return &pool{
		workers: o.Workers, perEndpoint: min(o.PerEndpoint, o.Workers), limits: o.Lanes, run: run, abandon: abandon, lanes: map[string]*lane{},
	}
}

// lane returns the lane of a key, with the lock held.
func (p *pool) lane(key string) *lane {
	l := p.lanes[key]
	if l != nil {
		return l
	}
	l = &lane{key: key, concurrency: p.perEndpoint, room: make(chan struct{}, 1), doneSince: time.Now()}
	if limit, ok := p.limits[key]; ok {
		if limit.Concurrency > 0 {
			l.concurrency = min(limit.Concurrency, p.workers)
		}
		if limit.Rate > 0 {
			l.pace = newPace(limit.Rate)
		}
	}
	p.lanes[key] = l
	return l
}

// origin says where a job comes from, which decides whether it may overtake what waits on the bus.
type origin uint8

const (
	fromIntake origin = iota + 1 // an event or a due retry: goes behind what waits
	fromWait                     // waited on the bus; its place was reserved
	forced                       // cannot wait on the bus: takes a place beyond the lane's capacity
)

// submit hands a job to its lane. It does not block.
func (p *pool) submit(j *job, from origin) verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return refused
	}
	l := p.lane(j.lane)
	now := time.Now()
	switch from {
	case fromIntake:
		if l.inflight+l.queued() == 0 {
			l.began(now)
		}
		// What waits on the bus comes first, as long as it comes: what it leaves idle is for what comes now.
		behind := l.backlog && (l.queued() > 0 || l.inflight >= l.limit(now))
		if behind || l.still(now) || (p.room(l, now) <= 0 && (l.queued() > 0 || !p.begins(l, now))) {
			return full
		}
	case fromWait:
		// A place reserved before it was known whose it is goes for one in any lane: it was pulled by itself.
		if at := j.owner.place; (at == nil || at.lane != l.key && at.lane != "") && p.room(l, now) <= 0 {
			return full
		}
	case forced:
	}
	if l.inflight+l.queued() == 0 {
		p.active++
	}
	p.queued++
	l.queue.push(j)
	p.offer(l, now)
	p.pump(now)
	return accepted
}

// waitSoon blocks for a moment where a full lane is merely busy; it tells whether to submit again.
func (p *pool) waitSoon(ctx context.Context, key string) bool {
	p.mu.Lock()
	l := p.lane(key)
	soon := !p.stopped && l.soon(time.Now())
	p.mu.Unlock()
	if !soon {
		return false
	}
	timer := time.NewTimer(fastLane)
	defer timer.Stop()
	select {
	case <-l.room:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// offer puts a lane into the ring where it has something to begin.
func (p *pool) offer(l *lane, now time.Time) {
	if !l.ready && l.queued() > 0 && l.inflight < l.limit(now) {
		l.ready = true
		p.ring.push(l)
	}
}

// pump begins what can begin, one job of each lane in turn.
func (p *pool) pump(now time.Time) {
	for j := p.next(now); j != nil; j = p.next(now) {
		if n := len(p.idle); n > 0 {
			p.idle[n-1] <- j
			p.idle = p.idle[:n-1]
			continue
		}
		go p.work(j)
	}
}

// next takes the job out that is to begin now, nil where none is: that of the lane whose turn it is.
func (p *pool) next(now time.Time) *job {
	for passed := 0; passed < p.ring.len() && !p.full(); {
		l := p.ring.pop()
		if l.queued() > 0 && l.inflight < l.limit(now) && !p.begins(l, now) {
			// It has its share; the workers left are others', until one comes back.
			p.ring.push(l)
			passed++
			continue
		}
		l.ready = false
		if l.queued() == 0 || l.inflight >= l.limit(now) {
			continue
		}
		if wait := l.hold(now); wait > 0 {
			p.wake(l, wait)
			continue
		}
		j := l.queue.pop()
		if l.pace != nil && l.queued() == 0 {
			l.pace.rest()
		}
		p.queued--
		l.inflight++
		p.busy++
		j.in = l
		p.offer(l, now)
		return j
	}
	return nil
}

// hold is how long the lane must not begin anything: it is paused, or its rate is spent. Where that is not at all, it begins.
func (l *lane) hold(now time.Time) time.Duration {
	wait := time.Duration(0)
	if l.held {
		wait = heldLook
	} else if now.Before(l.paused) {
		wait = l.paused.Sub(now)
	}
	switch {
	case l.pace == nil:
		return wait
	case wait > 0:
		l.pace.rest()
		return wait
	}
	return l.pace.wait(now)
}

// heldLook is how often a lane that an operator paused is looked at: it is resumed by word, not by time.
const heldLook = time.Minute

// wake offers a lane again after a while.
func (p *pool) wake(l *lane, after time.Duration) {
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer = time.AfterFunc(after, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		now := time.Now()
		p.offer(l, now)
		p.pump(now)
		l.signal()
	})
}

// work makes attempts, one after the other, until the pool stops. Workers stay, for the stacks that they have grown.
func (p *pool) work(j *job) {
	hand := make(chan *job, 1)
	for j != nil {
		l := j.in
		p.run(j)
		if j = p.done(l, hand); j == nil {
			j = <-hand // nil once the pool stops
		}
	}
}

// done ends an attempt of a lane and returns the job that its worker is to go on with; where there is none the worker is
// handed one later.
func (p *pool) done(l *lane, hand chan *job) *job {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.inflight--
	p.busy--
	if l.inflight+l.queued() == 0 {
		p.active--
	}
	now := time.Now()
	l.ended(now)
	p.offer(l, now)
	j := p.next(now)
	switch {
	case j != nil:
		p.pump(now)
	case p.stopped:
		close(hand)
	default:
		p.idle = append(p.idle, hand)
	}
	l.signal()
	return j
}

// settled notes that the bus has confirmed the outcome of an attempt.
func (p *pool) settled() {
	if p.settling.Add(-1) != p.maxSettling()-1 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pump(time.Now())
}

// pause lets nothing begin in the lane before a time; it never shortens a pause. It tells whether it lengthened one, and
// whether an operator holds the lane besides.
func (p *pool) pause(key string, until time.Time) (longer, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lane(key)
	if until.After(l.paused) {
		l.paused, longer = until, true
	}
	return longer, l.held
}

// hold is an operator's word: the lane is held until it is resumed, or resumed at once, whatever its receiver asked for.
func (p *pool) hold(key string, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lane(key)
	l.held = held
	if !held {
		l.paused = time.Time{}
		now := time.Now()
		p.offer(l, now)
		p.pump(now)
		l.signal()
	}
}

// judged notes how an attempt in the lane ended: whether it failed, and whether in a way that may pass.
func (p *pool) judged(key string, failed, passing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lane(key)
	l.attempts++
	if failed {
		l.failures++
	}
	l.judged(passing, time.Now())
}

// drain takes the jobs out that a lane has not begun.
func (p *pool) drain(key string) []*job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.empty(p.lane(key))
}

func (p *pool) empty(l *lane) []*job { return p.cut(l, 0) }

// cut takes the jobs out that a lane has queued beyond the first few.
func (p *pool) cut(l *lane, keep int) []*job {
	var jobs []*job
	for l.queued() > keep {
		jobs = append(jobs, l.queue.popLast())
	}
	p.queued -= len(jobs)
	if len(jobs) > 0 && l.inflight+l.queued() == 0 {
		p.active--
	}
	return jobs
}

// relieve takes the jobs out that lanes have queued because they were quick and are no longer.
func (p *pool) relieve() []*job {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queued <= p.workers/2 {
		return nil
	}
	now := time.Now()
	stuck := 0
	for _, l := range p.lanes {
		if l.queued() > 0 && l.stuck(now) {
			stuck++
		}
	}
	var jobs []*job
	for _, l := range p.lanes {
		keep := max(l.limit(now), l.soonDone(now))
		if l.stuck(now) {
			// Together they keep half of the places at most, so that some are left for what comes behind them.
			keep = min(l.limit(now), p.workers/2/max(stuck, 1))
		}
		if l.queued() > keep {
			jobs = append(jobs, p.cut(l, keep)...)
		}
	}
	return jobs
}

// backlog says whether something of the lane waits on the bus.
func (p *pool) backlog(key string, is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lane(key)
	l.backlog = is
	l.signal()
}

// reserve blocks until the lane can hold more, and reserves up to most places for what is pulled from the bus.
func (p *pool) reserve(ctx context.Context, key string, most int) (int, error) {
	p.mu.Lock()
	l := p.lane(key)
	p.mu.Unlock()
	for {
		p.mu.Lock()
		now := time.Now()
		pause := l.paused.Sub(now)
		// What begins at once, and a few to follow.
		n := min(most, max(0, l.limit(now)-l.inflight)+max(0, min(l.limit(now)/2+1, p.budget()))-l.queued()-l.reserved)
		if l.pace != nil {
			n = min(n, p.room(l, now))
		}
		if l.still(now) {
			n = 0
		}
		if _, called := p.served[key]; !called && p.served != nil && key != "" {
			// No webhook calls it any more: what waits for it goes elsewhere, or ends, whatever holds the lane.
			n = min(most, leaving-l.reserved)
		}
		if p.stopped {
			n = 0
		}
		if n > 0 {
			l.reserved += n
		}
		p.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		timer := time.NewTimer(max(min(pause, time.Second), 50*time.Millisecond))
		select {
		case <-l.room:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, context.Cause(ctx)
		}
		timer.Stop()
	}
}

// leaving is how much at a time is pulled for a lane that no webhook calls any more.
const leaving = 16

// serve says which lanes the rules in force call.
func (p *pool) serve(lanes map[string]struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served = lanes
}

// unreserve gives reserved places back: as each message takes its place in the queue, or when none came.
func (p *pool) unreserve(key string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lane(key).reserved -= n
}

// stop begins nothing more and gives back what has not begun.
func (p *pool) stop() {
	p.mu.Lock()
	var jobs []*job
	p.stopped = true
	for _, l := range p.lanes {
		if l.timer != nil {
			l.timer.Stop()
		}
		jobs = append(jobs, p.empty(l)...)
	}
	p.ring = fifo[*lane]{}
	for _, hand := range p.idle {
		close(hand)
	}
	p.idle = nil
	p.mu.Unlock()
	for _, j := range jobs {
		p.abandon(j)
	}
}
