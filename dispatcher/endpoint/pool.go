package endpoint

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const poolShards = 32

// pool keeps idle connections, lane by lane: what came last goes first. Lanes are spread over shards with a lock each, so
// that workers seldom meet. It holds a number of connections in all and for each lane, none for longer than its ttl.
type pool struct {
	perLane, total int
	ttl            time.Duration
	seed           maphash.Seed
	idle           atomic.Int64
	closed         atomic.Bool
	shards         [poolShards]poolShard

	mu    sync.Mutex // of the sweeper
	timer *time.Timer
	armed atomic.Bool
}

type poolShard struct {
	mu             sync.Mutex
	lanes          map[string]*idleLane
	oldest, newest *conn    // of all the shard's lanes, by when they became idle
	_              [64]byte // each lock on a cache line of its own
}

// idleLane are the idle connections of a lane, the newest last.
type idleLane struct {
	conns []*conn
	used  bool // since the last sweep
}

func newPool(perLane, total int, ttl time.Duration) *pool {
	p := &pool{perLane: perLane, total: total, ttl: ttl, seed: maphash.MakeSeed()}
	for i := range p.shards {
		p.shards[i].lanes = map[string]*idleLane{}
	}
	return p
}

func (p *pool) shard(lane string) int { return int(maphash.String(p.seed, lane) % poolShards) }

// get gives the connection that became idle last, nil where there is none.
func (p *pool) get(lane string, now time.Time) *conn {
	s := &p.shards[p.shard(lane)]
	s.mu.Lock()
	l := s.lanes[lane]
	if l == nil || len(l.conns) == 0 {
		s.mu.Unlock()
		return nil
	}
	l.used = true
	c := l.conns[len(l.conns)-1]
	// The others are older still, and the sweeper's.
	if now.Sub(c.idleSince) >= p.ttl {
		s.mu.Unlock()
		return nil
	}
	s.remove(l, len(l.conns)-1)
	s.mu.Unlock()
	p.idle.Add(-1)
	return c
}

// put takes a connection that is ready for another request, or closes it where there is no room.
func (p *pool) put(c *conn, now time.Time) {
	c.idleSince = now
	at := p.shard(c.lane)
	s := &p.shards[at]
	s.mu.Lock()
	l := s.lanes[c.lane]
	if l == nil {
		l = &idleLane{}
		s.lanes[c.lane] = l
	}
	l.used = true
	if p.closed.Load() || len(l.conns) >= p.perLane {
		s.mu.Unlock()
		c.retire()
		return
	}
	s.add(l, c)
	s.mu.Unlock()
	if p.idle.Add(1) > int64(p.total) {
		p.evict(at)
	}
	if !p.armed.Load() {
		p.arm()
	}
}

// add and remove keep a lane's list and the shard's in step. The caller holds the lock.
func (s *poolShard) add(l *idleLane, c *conn) {
	l.conns = append(l.conns, c)
	c.older, c.newer = s.newest, nil
	if s.newest != nil {
		s.newest.newer = c
	} else {
		s.oldest = c
	}
	s.newest = c
}

func (s *poolShard) remove(l *idleLane, i int) {
	c := l.conns[i]
	copy(l.conns[i:], l.conns[i+1:])
	l.conns[len(l.conns)-1] = nil
	l.conns = l.conns[:len(l.conns)-1]
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		s.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		s.newest = c.older
	}
	c.older, c.newer = nil, nil
}

// takeOldest takes the connection that has been idle for longest out of the shard, if it has been since before.
func (s *poolShard) takeOldest(before time.Time) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.oldest
	if c == nil || c.idleSince.After(before) {
		return nil
	}
	s.remove(s.lanes[c.lane], 0) // a lane's first is its oldest
	return c
}

// evict closes one connection to make room: the oldest of the shard that has just got one, or of the next that has any
// older. Which is not always the oldest of all, but needs no lock over all.
func (p *pool) evict(at int) {
	now := time.Now()
	for i := range p.shards {
		s := &p.shards[(at+i)%poolShards]
		if i == 0 {
			s.mu.Lock()
			only := s.oldest == s.newest
			s.mu.Unlock()
			if only {
				continue // it is what has just come
			}
		}
		if c := s.takeOldest(now); c != nil {
			p.idle.Add(-1)
			c.retire()
			return
		}
	}
}

// arm has the sweeper look again in a while. It runs only while connections are idle.
func (p *pool) arm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() || p.armed.Swap(true) {
		return
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(p.ttl/4, p.sweep)
		return
	}
	p.timer.Reset(p.ttl / 4)
}

// sweep closes what has been idle for too long, and forgets lanes that were not used since the last sweep.
func (p *pool) sweep() {
	expired := time.Now().Add(-p.ttl)
	left := 0
	for i := range p.shards {
		s := &p.shards[i]
		for c := s.takeOldest(expired); c != nil; c = s.takeOldest(expired) {
			p.idle.Add(-1)
			c.retire()
		}
		s.mu.Lock()
		for lane, l := range s.lanes {
			if len(l.conns) == 0 && !l.used {
				delete(s.lanes, lane)
			}
			l.used = false
		}
		left += len(s.lanes)
		s.mu.Unlock()
	}
	p.armed.Store(false)
	if left > 0 {
		p.arm()
	}
}

// close closes what is idle, and from now on what becomes so.
func (p *pool) close() {
	p.closed.Store(true)
	p.mu.Lock()
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	p.drain()
}

// drain closes what is idle now.
func (p *pool) drain() {
	for i := range p.shards {
		for c := p.shards[i].takeOldest(time.Now()); c != nil; c = p.shards[i].takeOldest(time.Now()) {
			p.idle.Add(-1)
			c.retire()
		}
	}
}
