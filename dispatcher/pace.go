package dispatcher

import (
	"math"
	"time"
)

// pace is the rate of a lane: one start each interval. A timer that comes late costs nothing of the rate: as long as something waits,
// the starts after it come sooner until they are on time again. What was not used while nothing waited is not made up for.
type pace struct {
	rate   float64 // a second
	next   time.Time
	waited bool // something has waited for its start since the last one that did not
}

// catchUp bounds what is made up for: starts may lie so much closer together than the rate says.
const catchUp = 50 * time.Millisecond

func newPace(rate float64) *pace { return &pace{rate: rate} }

// wait returns how long the next start has to wait. Where that is not at all, the start is taken.
func (p *pace) wait(now time.Time) time.Duration {
	if wait := p.next.Sub(now); wait > 0 {
		p.waited = true
		return wait
	}
	switch late := now.Sub(p.next); {
	case !p.waited:
		p.next = now
	case late > catchUp:
		p.next = now.Add(-catchUp)
	}
	p.next = p.next.Add(time.Duration(math.Ceil(float64(time.Second) / p.rate)))
	return 0
}

// rest says that nothing waits, or not for the rate.
func (p *pace) rest() { p.waited = false }

// ahead is how much of what a rate keeps waiting is at hand; the rest had better wait on the bus.
func (p *pace) ahead() int { return 1 + int(2*p.rate) }
