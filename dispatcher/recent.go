package dispatcher

import (
	"encoding/binary"
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
	gen     [generations]marks // the youngest first
	rotated time.Time
}

// recentKey is what is kept of a delivery's id: 84 of its 128 bits. That two ids of the same minutes share them is as unthinkable
// as that two ids are one, and millions of them fit a few megabytes.
type recentKey struct {
	high uint64
	low  uint32 // 20 bits
}

// mark is the latest attempt of a delivery that has an outcome.
type mark struct {
	run, attempt uint8 // as far as they fit, which is beyond what rules allow
	final        bool
}

const (
	attemptBits, runBits = 5, 6
	markBits             = attemptBits + runBits + 1
	maxAttemptMark       = 1<<attemptBits - 1
	maxRunMark           = 1<<runBits - 1
)

func markOf(run, attempt int, final bool) mark {
	return mark{uint8(min(max(run, 0), maxRunMark)), uint8(min(max(attempt, 1), maxAttemptMark)), final}
}

// covers tells whether the marked outcome settles the attempt.
func (m mark) covers(run, attempt int) bool {
	o := markOf(run, attempt, false)
	return m.run > o.run || (m.run == o.run && (m.final || m.attempt >= o.attempt))
}

// pack makes 12 bits of a mark, which are never all zero.
func (m mark) pack() uint32 {
	n := uint32(m.run)<<attemptBits | uint32(m.attempt)
	if m.final {
		n |= 1 << (attemptBits + runBits)
	}
	return n
}

func unpack(n uint32) mark {
	return mark{uint8(n >> attemptBits & maxRunMark), uint8(n & maxAttemptMark), n>>(attemptBits+runBits)&1 == 1}
}

// marks is a hash table of marks by key, open-addressed: 12 bytes a place. Its zero value is empty.
type marks struct {
	high []uint64
	rest []uint32 // the key's low bits, then the mark; 0: free
	n    int
}

// leastPlaces is the size of a table that holds anything.
const leastPlaces = 1 << 10

// place returns where a key is, or where it would go.
func (t *marks) place(k recentKey) int {
	mask := len(t.high) - 1 // a power of two, less one
	// The key is part of a hash already.
	for i := int(k.high) & mask; ; i = (i + 1) & mask {
		if t.rest[i] == 0 || (t.high[i] == k.high && t.rest[i]>>markBits == k.low) {
			return i
		}
	}
}

func (t *marks) get(k recentKey) (mark, bool) {
	if t.n == 0 {
		return mark{}, false
	}
	rest := t.rest[t.place(k)]
	return unpack(rest & (1<<markBits - 1)), rest != 0
}

func (t *marks) set(k recentKey, m mark) {
	if 4*(t.n+1) > 3*len(t.high) {
		t.resize(max(leastPlaces, 2*len(t.high)))
	}
	i := t.place(k)
	if t.rest[i] == 0 {
		t.n++
	}
	t.high[i], t.rest[i] = k.high, k.low<<markBits|m.pack()
}

func (t *marks) resize(places int) {
	old := *t
	t.high, t.rest = make([]uint64, places), make([]uint32, places)
	for i, rest := range old.rest {
		if rest != 0 {
			at := t.place(recentKey{old.high[i], rest >> markBits})
			t.high[at], t.rest[at] = old.high[i], rest
		}
	}
}

// reset empties the table, which keeps its places where so many are wanted.
func (t *marks) reset(wanted int) {
	places := 0
	for wanted > 0 && 4*wanted > 3*places {
		places = max(leastPlaces, 2*places)
	}
	if len(t.high) != places {
		t.high, t.rest = make([]uint64, places), make([]uint32, places)
	} else {
		clear(t.high)
		clear(t.rest)
	}
	t.n = 0
}

func newRecent() *recent { return &recent{rotated: time.Now()} }

// keyOf reads a delivery's id; false for what is none of Bellhop's.
func keyOf(id string) (recentKey, bool) {
	if len(id) != 32 {
		return recentKey{}, false
	}
	var raw [16]byte
	if _, err := hex.Decode(raw[:], []byte(id)); err != nil {
		return recentKey{}, false
	}
	return recentKey{binary.BigEndian.Uint64(raw[8:]), binary.BigEndian.Uint32(raw[4:]) >> markBits}, true
}

// add remembers an outcome.
func (r *recent) add(id string, run, attempt int, final bool) {
	k, ok := keyOf(id)
	if !ok {
		return
	}
	m := markOf(run, attempt, final)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rotate(time.Now())
	if old, ok := r.find(k); ok && old.covers(run, attempt) && !(final && old.run == m.run && old.attempt == m.attempt) {
		m = old
	}
	r.gen[0].set(k, m)
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
	for i := range r.gen {
		if m, ok := r.gen[i].get(k); ok {
			return m, true
		}
	}
	return mark{}, false
}

// rotate forgets the oldest generation once it is older than the window.
func (r *recent) rotate(now time.Time) {
	const each = recentWindow / (generations - 1)
	for n := 0; now.Sub(r.rotated) >= each && n < generations; n++ {
		oldest := r.gen[generations-1]
		copy(r.gen[1:], r.gen[:generations-1])
		// As many come next, most likely, as came last.
		oldest.reset(r.gen[1].n)
		r.gen[0] = oldest
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
	for i := range r.gen {
		n += r.gen[i].n
	}
	return n
}
