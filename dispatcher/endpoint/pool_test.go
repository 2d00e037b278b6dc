package endpoint

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// idleConn is a connection whose end can be seen.
type idleConn struct {
	net.Conn
	closed atomic.Bool
}

func (c *idleConn) Close() error { c.closed.Store(true); return nil }

func putIdle(p *pool, lane string) *idleConn {
	c := &idleConn{}
	p.put(newConn(lane, c, c), time.Now())
	return c
}

// check counts what the pool holds in each of its ways, and finds them equal.
func (p *pool) check(t *testing.T) int {
	t.Helper()
	byLane, byAge := 0, 0
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		for lane, l := range s.lanes {
			byLane += len(l.conns)
			for j, c := range l.conns {
				if c.lane != lane || j > 0 && c.idleSince.Before(l.conns[j-1].idleSince) {
					t.Errorf("the connections of %s are out of order", lane)
				}
			}
		}
		var last *conn
		for c := s.oldest; c != nil; c = c.newer {
			byAge++
			if c.older != last {
				t.Error("the list by age is broken")
			}
			last = c
		}
		if s.newest != last {
			t.Error("the list by age has another end")
		}
		s.mu.Unlock()
	}
	if n := int(p.idle.Load()); byLane != n || byAge != n {
		t.Errorf("the pool counts %d connections, has %d by lane and %d by age", n, byLane, byAge)
	}
	return byLane
}

func TestPoolGivesTheNewest(t *testing.T) {
	p := newPool(3, 100, time.Minute)
	defer p.close()
	var put []*idleConn
	for range 4 {
		put = append(put, putIdle(p, "a"))
	}
	if !put[3].closed.Load() {
		t.Error("the fourth connection of a lane for three is kept")
	}
	if c := p.get("b", time.Now()); c != nil {
		t.Error("a lane gets another's connection")
	}
	for i := 2; i >= 0; i-- {
		if c := p.get("a", time.Now()); c == nil || c.Conn != put[i] {
			t.Errorf("get gives another than connection %d", i)
		}
	}
	if c := p.get("a", time.Now()); c != nil || p.check(t) != 0 {
		t.Error("get gives a connection that is in use")
	}
}

func TestPoolIsBoundedOverAllLanes(t *testing.T) {
	p := newPool(10, 50, time.Minute)
	var put []*idleConn
	for i := range 10_000 {
		put = append(put, putIdle(p, fmt.Sprintf("lane-%d", i)))
	}
	if n := p.check(t); n != 50 {
		t.Errorf("the pool holds %d connections of 10,000 lanes, want 50", n)
	}
	open, old := 0, 0
	for i, c := range put {
		if !c.closed.Load() {
			open++
			if i < len(put)-2000 {
				old++
			}
		}
	}
	if open != 50 || old > 0 {
		t.Errorf("%d connections are open, %d of them old; want 50, 0", open, old)
	}
	p.close()
	last := putIdle(p, "late")
	for i, c := range append(put, last) {
		if !c.closed.Load() {
			t.Errorf("connection %d is open after close", i)
		}
	}
	if n := p.check(t); n != 0 {
		t.Errorf("the pool holds %d connections after close", n)
	}
}

func TestPoolDropsTheIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(10, 50, time.Minute)
		old := putIdle(p, "a")
		time.Sleep(40 * time.Second)
		young := putIdle(p, "b")
		time.Sleep(20 * time.Second)
		if c := p.get("a", time.Now()); c != nil {
			t.Error("get gives a connection that has been idle for a minute")
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if !old.closed.Load() || young.closed.Load() {
			t.Errorf("after 90 s and 50 s the connections are closed: %v, %v; want true, false", old.closed.Load(), young.closed.Load())
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if !young.closed.Load() || p.check(t) != 0 {
			t.Error("a connection is open after 80 s")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for i := range p.shards {
			s := &p.shards[i]
			s.mu.Lock()
			if n := len(s.lanes); n != 0 {
				t.Errorf("%d unused lanes are remembered", n)
			}
			s.mu.Unlock()
		}
		if p.armed.Load() {
			t.Error("the sweeper runs though nothing is idle")
		}
		// And it starts again.
		again := putIdle(p, "a")
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if !again.closed.Load() {
			t.Error("a connection put after a quiet time is not closed")
		}
		p.close()
	})
}

func TestPoolAllAtOnce(t *testing.T) {
	p := newPool(4, 20, time.Minute)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 2000 {
				lane := fmt.Sprint("lane-", (w*7+i)%40)
				if c := p.get(lane, time.Now()); c != nil && i%3 > 0 {
					p.put(c, time.Now())
					continue
				}
				putIdle(p, lane)
			}
		})
	}
	wg.Wait()
	if n := p.check(t); n > 20 {
		t.Errorf("the pool holds %d connections, at most 20", n)
	}
	p.close()
	if n := p.check(t); n != 0 {
		t.Errorf("the pool holds %d connections after close", n)
	}
}
