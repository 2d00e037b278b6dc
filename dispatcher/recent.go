package dispatcher

import (
	"encoding/hex"
	"sync"
	"time"
)

const (
	// recentWindow is for how long at least a recorded outcome is remembered: what the server delivers a second time after a
	// crash of its own comes within it.
	recentWindow = 2 * time.Minute
	generations  = 5
)

// recent remembers which attempts have an outcome on the bus, for recentWindow at least. It is fed with this daemon's own
// outcomes as they are confirmed, and with everybody's by following their stream. It is safe for concurrent use.
type recent struct {
	mu      sync.Mutex
	gen     [generations]map[recentKey]mark
	rotated time.Time
}

type recentKey [16]byte

// mark is the latest attempt of a delivery that has an outcome.
type mark struct {
	run, attempt uint16
	final        bool
}

// covers tells whether the marked outcome settles the attempt.
func (m mark) covers(run, attempt int) bool {
	return int(m.run) > run || (int(m.run) == run && (m.final || int(m.attempt) >= attempt))
}

func newRecent() *recent {
	r := &recent{rotated: time.Now()}
	for i := range r.gen {
		r.gen[i] = map[recentKey]mark{}
	}
	return r
}

// keyOf reads a delivery's id; false for what is none of Bellhop's.
func keyOf(id string) (recentKey, bool) {
	var k recentKey
	if len(id) != 2*len(k) {
		return k, false
	}
	_, err := hex.Decode(k[:], []byte(id))
	return k, err == nil
}

// add remembers an outcome.
func (r *recent) add(id string, run, attempt int, final bool) {
	k, ok := keyOf(id)
	if !ok {
		return
	}
	m := mark{uint16(min(run, 1<<16-1)), uint16(min(attempt, 1<<16-1)), final}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rotate(time.Now())
	if old, ok := r.find(k); ok && old.covers(run, attempt) && !(final && old.run == m.run && old.attempt == m.attempt) {
		m = old
	}
	r.gen[0][k] = m
}

// settled tells whether the attempt, or one after it, or its delivery's end has an outcome on the bus.
func (r *recent) settled(id string, run, attempt int) bool {
	k, ok := keyOf(id)
	if !ok {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.find(k)
	return ok && m.covers(run, attempt)
}

func (r *recent) find(k recentKey) (mark, bool) {
	for _, g := range r.gen {
		if m, ok := g[k]; ok {
			return m, true
		}
	}
	return mark{}, false
}

// rotate forgets the oldest generation once it is older than the window.
func (r *recent) rotate(now time.Time) {
	const each = recentWindow / (generations - 1)
	for n := 0; now.Sub(r.rotated) >= each && n < generations; n++ {
		copy(r.gen[1:], r.gen[:generations-1])
		r.gen[0] = map[recentKey]mark{}
		r.rotated = r.rotated.Add(each)
	}
	if now.Sub(r.rotated) >= each {
		r.rotated = now
	}
}

// size returns how many deliveries are remembered.
func (r *recent) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, g := range r.gen {
		n += len(g)
	}
	return n
}
