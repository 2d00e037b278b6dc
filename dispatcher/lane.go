package dispatcher

import (
	"time"

	"golang.org/x/time/rate"

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

	release func() // gives worker and lane free; set by the pool as it begins
}

// lane is one endpoint's share of the pool: scheme, host and port. Its fields are guarded by the pool's lock.
type lane struct {
	key         string
	concurrency int
	limiter     *rate.Limiter // nil: no rate
	queue       []*job        // waiting for room in the lane or for a worker; head first
	head        int
	inflight    int
	ready       bool      // in the pool's ring
	paused      time.Time // no attempt begins before
	held        bool      // an operator paused it: no attempt begins until it is resumed
	timer       *time.Timer
	reserved    int  // places promised to a puller of what waits on the bus
	backlog     bool // something of it waits on the bus: what comes now goes behind it
	done        int  // attempts ended since doneSince
	doneSince   time.Time
	rate        float64       // attempts ended a second, lately
	room        chan struct{} // one slot: there may be room now
	failed      int           // attempts that failed since one last did not
	failedSince time.Time
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
	if l.failed >= failingCalls*l.concurrency && now.Sub(l.failedSince) >= failingFor {
		return min(l.concurrency, probes)
	}
	return l.concurrency
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

func (l *lane) queued() int { return len(l.queue) - l.head }

func (l *lane) push(j *job) { l.queue = append(l.queue, j) }

func (l *lane) pop() *job {
	j := l.queue[l.head]
	l.queue[l.head] = nil
	l.head++
	if l.head == len(l.queue) {
		l.queue, l.head = l.queue[:0], 0
	} else if l.head > 64 && l.head > len(l.queue)/2 {
		n := copy(l.queue, l.queue[l.head:])
		clear(l.queue[n:])
		l.queue, l.head = l.queue[:n], 0
	}
	return j
}

// ended counts an attempt that ended, for the lane's rate.
func (l *lane) ended(now time.Time) {
	l.done++
	if since := now.Sub(l.doneSince); since >= 200*time.Millisecond {
		l.rate = (l.rate + float64(l.done)/since.Seconds()) / 2
		l.done, l.doneSince = 0, now
	}
}

// soon tells whether a full lane will have room within a moment, so that waiting for it costs less than the bus would.
func (l *lane) soon(now time.Time) bool {
	if l.backlog || l.still(now) {
		return false
	}
	r := l.rate
	if since := now.Sub(l.doneSince); since > 200*time.Millisecond {
		r = min(r, float64(l.done)/since.Seconds())
	}
	return r > 0 && float64(l.inflight+l.queued())/r < fastLane.Seconds()
}

// still tells whether nothing may begin now.
func (l *lane) still(now time.Time) bool { return l.held || now.Before(l.paused) }

// fastLane is the longest that an event waits in the intake for a lane that is busy, not stuck.
const fastLane = 100 * time.Millisecond

func (l *lane) signal() {
	select {
	case l.room <- struct{}{}:
	default:
	}
}
