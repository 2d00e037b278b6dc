package dispatcher

import (
	"time"

	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/rule"
)

// job is one attempt that this daemon is to make.
type job struct {
	*delivery.Job
	hook  *rule.Webhook // as the rules in force say when it is begun
	set   *rule.Set     // the rules that hook is of
	owner *held         // what is acknowledged once this and its like are settled
	lane  string
	fresh bool // straight from its event: the webhook is the one that the event was matched against
	doubt bool // it may have been made before: by a daemon that died, or before the server crashed

	in       *lane // whose attempt it is; set by the pool as it begins
	settling bool  // its attempt was made, and the pool waits for the outcome to be confirmed
}

// lane is one endpoint's share of the pool: scheme, host and port. Its fields are guarded by the pool's lock.
type lane struct {
	key         string
	concurrency int
	pace        *pace      // nil: no rate
	queue       fifo[*job] // waiting for room in the lane or for a worker
	inflight    int
	ready       bool      // in the pool's ring
	paused      time.Time // no attempt begins before
	held        bool      // an operator paused it: no attempt begins until it is resumed
	timer       *time.Timer
	reserved    int  // places promised to a puller of what waits on the bus
	backlog     bool // something of it waits on the bus: what comes now goes behind it
	done        int  // attempts ended since doneSince
	doneSince   time.Time
	rate        float64       // attempts ended a second, lately; 0 before the first were counted
	room        chan struct{} // one slot: there may be room now
	failed      int           // attempts that failed since one last did not
	failedSince time.Time
	attempts    uint64 // made since the start
	failures    uint64 // of those
}

const (
	// A lane whose every attempt has failed for failingFor, and failingCalls times its concurrency, gets probes at a time
	// instead of all of its concurrency: an endpoint that hangs would else keep so many workers for its time-outs.
	failingFor   = 30 * time.Second
	failingCalls = 2
	probes       = 4
)

// limit is how many attempts of the lane may be under way now.
func (l *lane) limit(now time.Time) int {
	if l.failing(now) {
		return min(l.concurrency, probes)
	}
	return l.concurrency
}

// failing tells whether every attempt of the lane has failed for long.
func (l *lane) failing(now time.Time) bool {
	return l.failed >= failingCalls*l.concurrency && now.Sub(l.failedSince) >= failingFor
}

// judged notes whether an attempt failed in a way that may pass: any other answer shows that somebody is there.
func (l *lane) judged(failed bool, now time.Time) {
	if !failed {
		l.failed = 0
		return
	}
	if l.failed == 0 {
		l.failedSince = now
	}
	l.failed++
}

func (l *lane) queued() int { return l.queue.len() }

// rateOver is the time over which a lane's attempts are counted for its rate.
const rateOver = 100 * time.Millisecond

// ended counts an attempt that ended, for the lane's rate.
func (l *lane) ended(now time.Time) {
	l.done++
	if since := now.Sub(l.doneSince); since >= rateOver {
		r := float64(l.done) / since.Seconds()
		if l.rate > 0 {
			r = (l.rate + r) / 2
		}
		l.rate = r
		l.done, l.doneSince = 0, now
	}
}

// speed is how many attempts a second the lane makes now.
func (l *lane) speed(now time.Time) float64 {
	if since := now.Sub(l.doneSince); since > 2*rateOver {
		return min(l.rate, float64(l.done)/since.Seconds())
	}
	return l.rate
}

// untried is how many attempts a lane that has just begun is taken for being able to make within a moment.
const untried = 128

// began notes that the lane, which had nothing to do, has.
func (l *lane) began(now time.Time) {
	if now.Sub(l.doneSince) > rateOver {
		l.done, l.doneSince = 0, now
	}
}

// stuck tells whether the lane has had something to do for a while and has finished nothing: its receiver hangs, or others have
// all the workers.
func (l *lane) stuck(now time.Time) bool {
	return l.inflight+l.queued() > 0 && l.done == 0 && now.Sub(l.doneSince) > 2*rateOver
}

// isUntried tells whether nothing is known yet of how quick the lane is.
func (l *lane) isUntried(now time.Time) bool { return l.rate == 0 && now.Sub(l.doneSince) < 2*rateOver }

// soonDone is how many attempts the lane will make within a moment, as far as can be told. One that has just begun is given
// the benefit of the doubt.
func (l *lane) soonDone(now time.Time) int {
	if l.backlog || l.still(now) {
		return 0
	}
	if l.isUntried(now) {
		return min(2*l.limit(now), untried)
	}
	return int(l.speed(now) * fastLane.Seconds())
}

// soon tells whether a full lane will have room within a moment, so that waiting for it costs less than the bus would. Whoever waits
// holds up the events behind, which are others': so only for a lane that is as quick as the intake itself, or may be.
func (l *lane) soon(now time.Time) bool {
	if l.backlog || l.still(now) {
		return false
	}
	// What is in flight does not count: a lane at its concurrency always takes as long as its receiver does.
	return l.isUntried(now) || l.speed(now) >= quickLane && l.queued() <= l.soonDone(now)
}

// still tells whether nothing may begin now.
func (l *lane) still(now time.Time) bool { return l.held || now.Before(l.paused) }

// fastLane is the longest that an event waits in the intake for a lane that is busy, not stuck.
const fastLane = 100 * time.Millisecond

// quickLane is how many attempts a second a lane makes that the intake waits for: then there is room within a millisecond.
const quickLane = 1000

func (l *lane) signal() {
	select {
	case l.room <- struct{}{}:
	default:
	}
}
